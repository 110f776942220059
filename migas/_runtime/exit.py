"""The exit: holds the deadline of the process's end, and knows whether a Ctrl-C brought it about.

The thread that ends the process sets the deadline; the agent's two threads read it. There is no
lock: each attribute is set by one thread only.

What may go wrong: a thread reads the deadline a moment before it is set, and starts a request. That
is fine: the exit waits for the request, or gives it up.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # see `threads`
import sys
import time

from .threads import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn, Protocol

    class Request(Protocol):
        """A request that was sent, until its answer has been carried out on the disk."""

        def has_answer(self) -> bool:
            """Return True if the answer has arrived at this machine."""

        def abandon(self) -> None:
            """Count a failure, so that the next process does not wait for this server in vain."""

        def hang_up(self) -> None:
            """Wake the thread that waits for the server, which fails then, and ends."""


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
        #: True once the request under way was given up: its failure says nothing more.
        self.is_given_up = False
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

    def may_start_request(self) -> bool:
        """Return False in the second half of the budget.

        So half of the budget is left for the answer to the last request.
        """
        return self.sends and self._clock() < self.deadline - self.budget / 2


def is_interrupted() -> bool:
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

    Such a handler, of SIGTERM for instance, may raise a `KeyboardInterrupt` as well. It was called
    somewhere in the traceback then, while Python's own handler is no Python code.
    """
    if type(error) is not KeyboardInterrupt:
        return False
    handlers = map(_signal.getsignal, _signal.valid_signals())
    codes = {getattr(handler, "__code__", None) for handler in handlers}
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            return False
        traceback = traceback.tb_next
    return True


def end_by_ctrl_c() -> None:
    """Have the interpreter end as after a Ctrl-C: killed by SIGINT, which stops a shell's loop.

    CPython notes that a `KeyboardInterrupt` has ended the program when it leaves a source text that
    runs, and forgets it when the next text runs: `run_eval_code_obj` in Python/pythonrun.c, of 3.8
    to 3.15. Imports run such texts, all those of `collections.namedtuple` for instance, also on our
    threads, just when the program ends. To leave a text once more is the only way to note it again.
    """

    def interrupt() -> NoReturn:
        raise KeyboardInterrupt

    try:
        eval("interrupt()", {"interrupt": interrupt})  # noqa: S307  # our own text
    except BaseException:  # this interrupt, or what a signal's handler raises just now
        return
