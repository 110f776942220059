"""The exit: holds the deadline of the process's end, and knows whether a Ctrl-C brought it about.

The thread that ends the process sets the deadline; the agent's two threads read it. There is no
lock: each attribute is set by one thread only.

What may go wrong: a thread reads the deadline a moment before it is set, and starts a request. That
is fine: the exit waits for the request, or gives it up.
"""

from __future__ import annotations

import sys
import threading

from .native import time
from .place import FIRST, find_outermost_frame, is_main_thread
from .signals import was_raised_by_handler
from .threads import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Protocol

    class Request(Protocol):
        """A request that was sent, until its answer has been carried out on the disk."""

        def has_answer(self) -> bool:
            """Return True if the answer has arrived at this machine."""

        def abandon(self) -> None:
            """Count a failure, so that the next process does not wait for this server in vain."""

        def hang_up(self) -> None:
            """Wake the thread that waits for the server, which fails then, and ends."""


#: A request starts while the time that is left is this many times what the slowest one took, and
#: while more than this share of the budget is left. With these numbers no request was given up in
#: 40 bursts whose answers took 5 to 100 ms on average, and single ones up to ten times as long.
ROUNDS, RESERVE = 4, 0.1


class Exit:
    """The end of the process, as the agent's threads see it.

    Parameters:
        budget: seconds that the process has for its end.
        clock: monotonic seconds.
    """

    def __init__(self, budget: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.budget = budget
        #: When the process has to have ended, by the clock; `NEVER` until the exit begins.
        self.deadline = NEVER
        #: True if requests may be sent, and their answers waited for, during the exit.
        self.sends = True
        #: True once another agent has replaced this one, which leaves its backlog to others.
        self.is_replaced = False
        #: True once the request under way was given up: its failure says nothing more.
        self.is_given_up = False
        #: Seconds that the slowest request of this process took, with its steps on disk, set by the
        #: thread that sends; None before the first answer.
        self.slowest: float | None = None
        #: The request under way, set by the thread that sends it; None if there is none.
        self.request: Request | None = None

    @property
    def has_begun(self) -> bool:
        """Return True if the process is ending: what cannot be sent now is left on disk."""
        return self.deadline != NEVER

    def begin(self, seconds: float, *, sends: bool) -> None:
        """Begin the exit, and set its deadline.

        Parameters:
            seconds: what is left of the budget, >= 0. All agents of a process share one budget.
            sends: False if nothing more is sent, as after a Ctrl-C.
        """
        # With no time at all, a missing answer would say nothing about the server.
        self.sends = sends and seconds > 0
        self.deadline = self._clock() + seconds

    def note_request(self, seconds: float) -> None:
        """Note how long a request took that was answered, with its steps on disk."""
        self.slowest = max(seconds, self.slowest or 0.0)

    def may_start_request(self) -> bool:
        """Return False if there is too little time left for the answer to one more request.

        That is in the second half of the budget, for a server that this process has not met. Of
        one that has answered it is known how long that took, and a burst of breadcrumbs may go on
        for longer: half of a budget of 1 s would be kept for an answer that takes 2 ms.
        """
        left = self.deadline - self._clock()
        enough = self.budget / 2
        if self.slowest is not None:
            enough = min(enough, max(ROUNDS * self.slowest, RESERVE * self.budget))
        return self.sends and left > enough


def runs_no_more_hooks() -> bool:
    """Return True if the interpreter's exit has come so far that a new exit hook would not run.

    That is so in an exit hook of the host's, in a finalizer that runs after these hooks, and in a
    daemon thread meanwhile. It is not yet so while the main thread, at its end, waits for threads
    of the host's that are no daemons, which may last for days. A thread of ours that was started
    now would be stopped at any moment, and before Python 3.12 its starter might wait without end.

    There is a race with a daemon thread that asks just before the exit: its breadcrumb is lost if
    the interpreter stops our thread before the disk has it. Nothing can be done for a daemon.
    """
    if sys.is_finalizing():
        return True
    main = threading.main_thread()
    if main.is_alive():
        is_unknown = _is_threading_ours() and is_main_thread()
        return is_unknown and _is_called_by_c()
    # The interpreter has joined all of them before it runs the hooks.
    others = (thread for thread in threading.enumerate() if thread is not main)
    return not any(thread.is_alive() and not thread.daemon for thread in others)


def _is_threading_ours() -> bool:
    """Return True if `threading` was first imported by us: even in an exit hook.

    Then it takes the main thread for alive until the process is gone.
    """
    # In the order in which the imports came to their ends. The package `_runtime` is empty, and
    # comes to its end before any module of ours imports `threading`.
    names = [name for name in list(sys.modules) if name in (__package__, "threading")]
    return names == [__package__, "threading"]


def _is_called_by_c() -> bool:
    """Return True if C code has called a function on this thread, in place of running a program.

    So exit hooks are called, while the first frame of a program is a module's, or runpy's. (A
    program in C that embeds Python may call functions, too. If nothing there has loaded `threading`
    before us, its breadcrumbs stay on disk for a later process.) A greenlet's first frame is a
    function's as well, and no hook runs in one.
    """
    return find_outermost_frame().f_code.co_name not in FIRST and not _is_in_greenlet()


def _is_in_greenlet() -> bool:
    greenlets = sys.modules.get("greenlet")
    return greenlets is not None and greenlets.getcurrent().parent is not None


def is_ended_by_ctrl_c() -> bool:
    """Return True if a Ctrl-C has ended the program: a `KeyboardInterrupt` that nobody caught.

    A prompt, or an interactive kernel, keeps an exception in `sys.last_value` that ended nothing.
    One that ended the program has left the outermost frame, and such a program has no prompt.
    """
    if getattr(sys, "last_type", None) is not KeyboardInterrupt or hasattr(sys, "ps1"):
        return False
    traceback = getattr(sys, "last_traceback", None)
    return traceback is not None and traceback.tb_frame.f_back is None


def is_ctrl_c(error: BaseException) -> bool:
    """Return True if an exception comes of a Ctrl-C, and not of a handler that the host has set.

    Such a handler, of SIGTERM for instance, may raise a `KeyboardInterrupt` as well.
    """
    return type(error) is KeyboardInterrupt and not was_raised_by_handler(error)


def end_by_ctrl_c() -> None:
    """Have the interpreter end as after a Ctrl-C: killed by SIGINT, which stops a shell's loop.

    CPython notes that a `KeyboardInterrupt` has ended the program when it leaves a source text that
    runs, and forgets it when the next text runs: `run_eval_code_obj` in Python/pythonrun.c, of 3.8
    to 3.13. Imports run such texts, all those of `collections.namedtuple` for instance, also on our
    threads, just when the program ends. To leave a text once more is the only way to note it again.

    From 3.14 on such texts change nothing. So what ended the program is not forgotten, and what
    comes during the exit cannot be noted: the status is the program's own then.
    """

    def interrupt() -> NoReturn:
        raise KeyboardInterrupt

    try:
        eval("interrupt()", {"interrupt": interrupt})  # noqa: S307  # our own text
    except BaseException:  # this interrupt, or what a signal's handler raises just now
        return
