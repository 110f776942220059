"""The agent: writes breadcrumbs to disk on one thread and sends them to the server on another.

It owns both threads, their queues, and the order in which they end. There are two, since a request
may hang for seconds while new breadcrumbs have to reach the disk at once. Modules heavier than
`threading` are imported on these threads only (see `loading`), or on that of a caller who waits.

What may go wrong: no thread can start or import; then a caller's thread writes. The disk or the
server may hang; then the exit gives up within its budget.
"""

from __future__ import annotations

import os

from migas._runtime import log
from migas._runtime.daemon import find_own_thread, run_within
from migas._runtime.exit import Exit
from migas._runtime.imports import is_loaded, make_whole
from migas._runtime.loading import (
    SENDER_MODULES,
    TRANSPORT_MODULES,
    WRITER_MODULES,
    Import,
    Loader,
)
from migas._runtime.native import time
from migas._runtime.place import is_worker_process
from migas._runtime.receipt import Receipt
from migas._runtime.signals import reraise_from_handler
from migas._runtime.threads import NEVER, Worker

from .jobs import Call, Lazy, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from migas._delivery.parcel import Parcel
    from migas._runtime.listeners import Listeners
    from migas._runtime.settings import Settings
    from migas._runtime.threads import Handler

#: The longest time between two attempts to import, in seconds. A queued breadcrumb has to reach the
#: disk soon; sending it is less urgent.
WRITER_POLL, TRANSPORT_POLL = 0.05, 10.0

#: The share of the exit's budget that is kept for recording that no answer came within it.
LAST_SHARE = 0.05

#: How long a call in a worker process waits for its breadcrumb to be on disk, in seconds. It takes
#: some milliseconds.
WORKER_WAIT = 0.25

#: How long a flush whose time is over waits for the disk to say what is left, in seconds.
COUNT_WAIT = 1.0

#: Seconds between two looks of the exit at what our threads want imported, among greenlets.
SLICE = 0.02

#: Seconds for which the exit waits, beyond its budget, for a thread that has no more to wait for.
FAREWELL = 0.25

_TOO_MANY = {"success": False, "message": "it is dropped: too many are pending already"}


class Agent:
    """Writes and sends the breadcrumbs of one process, with one set of settings.

    Parameters:
        settings: the settings, for as long as the agent lives.
        listeners: shared by all agents of the process.
        keep_alive: returns True if the threads must stay though they have nothing to do. Not asked
            once the agent is replaced.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: Listeners,
        keep_alive: Callable[[], bool] = lambda: False,
    ) -> None:
        # Our threads run these modules before they can load any.
        make_whole(__name__)
        self.settings = settings
        self._listeners = listeners
        # A forked child has an agent of its own.
        self._pid = os.getpid()
        self._is_worker = is_worker_process()
        # The last call that a worker process has waited for. One thread may overwrite another's:
        # then a disk that hangs costs a second wait.
        self._late: Call | None = None
        self._exit = Exit(settings.exit_timeout)
        self._loader = Loader()
        self._writers = Import(self._loader, WRITER_MODULES, WRITER_POLL)
        self._senders = Import(self._loader, SENDER_MODULES, WRITER_POLL)
        self._transports = Import(self._loader, TRANSPORT_MODULES, TRANSPORT_POLL)
        # Each thread stays while the other has something to do: from Python 3.12 on an exit could
        # not start it for what that one hands on.
        self._sending = Worker(
            "sender",
            Lazy(self._senders, self._make_sender),
            keep_alive=lambda: self._may_go_on(keep_alive) or not self._writing.is_idle(),
        )
        self._writing = Worker(
            "writer",
            Lazy(self._writers, self._make_writer),
            keep_alive=lambda: self._may_go_on(keep_alive) or not self._sending.is_idle(),
        )
        # Parcels that a signal handler has written. The exit sends them, if there is one.
        self._kept: list[Parcel] = []

    def add(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        *,
        ask_news: Callable[[float], Mapping[str, object]] | None = None,
        hold: float = 0.0,
        now: bool = False,
        shared: bool | None = None,
    ) -> Receipt:
        """Queue a breadcrumb, and return its receipt at once.

        In a worker process, return when the breadcrumb is on disk, or after `WORKER_WAIT` seconds:
        a pool may kill its workers as soon as they have returned their results.

        Parameters:
            project: the caller's argument, unchecked, as are ``version`` and ``fields``.
            ask_news: see `Receipt`.
            hold: for how many seconds the breadcrumb can be withdrawn, by settling its receipt. No
                worker process waits for one that can be.
            now: write it to disk before returning, with all that was queued before it: the process
                may be about to die, as in a signal handler.
            shared: see `is_shared_now`, which None asks.
        """
        receipt = Receipt(self.settings.timeout, self._urge, self._pid, ask_news)
        shared = self.is_shared_now() if shared is None else shared
        if now:
            keep = self._kept.append
            call = Call(project, version, fields, receipt, keep=keep, shared=shared)
            self._writing.run_here(call)
            return receipt
        due = time.monotonic() + hold if hold else 0.0
        waits = self._is_worker and not hold
        call = Call(project, version, fields, receipt, due=due, awaited=waits, shared=shared)
        if self._writing.count() >= self.settings.spool_count:
            receipt.settle(_TOO_MANY)  # the spool could not hold them, either
            return receipt
        # Now, since from Python 3.12 on no thread starts during the exit.
        self.start()
        if not self._writing.submit(call):
            # No thread can start: write on this thread, since the process may end soon.
            self._writing.run_here(call)
        elif waits:
            self._await_written(call)
        return receipt

    def is_shared_now(self) -> bool:
        """Return True if what this thread reports now is a use of the whole run's."""
        part = self.settings.part
        return part is None or part.is_shared_now()

    def start(self) -> None:
        """Start both threads, though there is nothing to do yet."""
        self._loader.lend_greenlet()
        self._writing.start()
        self._sending.start()

    def flush(self, timeout: float | None) -> int:
        """Send all pending breadcrumbs, and return how many are still pending.

        A thread of this agent's does not wait for itself: in `before_send`, or in a callback.

        Parameters:
            timeout: seconds to wait at most; None: no limit.
        """
        from migas._delivery.parcel import Flush

        deadline = NEVER if timeout is None else time.monotonic() + timeout
        flush = Flush(deadline, self._urge, lambda: count_pending(self.settings))
        self.start()
        is_ours = self._writing.is_current() or self._sending.is_current()
        try:
            if self._writing.submit(flush) and not is_ours:
                return flush.wait(timeout)
        except TimeoutError as error:
            reraise_from_handler(error)
        if is_ours:
            return count_pending(self.settings)
        left = run_within(COUNT_WAIT, lambda: count_pending(self.settings))
        return 1 if left is None else left  # as many as that, and nobody knows how many more

    def close(self, seconds: float, *, sends: bool = True) -> None:
        """End both threads. Breadcrumbs that are not sent by then stay on disk.

        Parameters:
            seconds: the budget. Breadcrumbs that are queued or being written are still written
                after it, as long as the disk answers.
            sends: False if no request may start.
        """
        self._exit.begin(seconds, sends=sends)
        deadline = self._exit.deadline
        for parcel in self._kept:
            self._sending.submit(parcel)
        # By the writer's thread, since a disk that has stopped answering would hold this one. Here
        # only what no thread has taken: none could start, or others import all the time.
        if self._loader.serve():
            self._writers.load_for_caller()
        last = Task()
        waits = self._writing.is_running() and self._writing.submit(last)
        if not (waits and self._writing.await_done(lambda: last.is_done, deadline - seconds / 2)):
            self._writing.run_here()
        if not self._close_sender(deadline - seconds * LAST_SHARE):
            self._give_up_request()
        self._writing.close(deadline)
        self._await_answer()  # it may have come meanwhile
        self._loader.close()
        self._end_threads()

    def retire(self) -> None:
        """End both threads as soon as they have nothing to do: another agent has replaced this one.

        A call that found this agent a moment before is carried out as ever.
        """
        self._exit.is_replaced = True
        self._writing.retire()
        self._sending.retire()

    def is_over(self) -> bool:
        """Return True if both threads have ended, and nothing is left for them to do."""
        workers = (self._writing, self._sending)
        over = all(not worker.is_running() and worker.is_idle() for worker in workers)
        return over and not self._kept

    def stop(self) -> None:
        """End without writing or sending. Waits only for an import that is under way."""
        self._exit.begin(0.0, sends=False)
        self._loader.close()
        self._end_threads()

    def _may_go_on(self, keep_alive: Callable[[], bool]) -> bool:
        return not self._exit.is_replaced and keep_alive()

    def _close_sender(self, deadline: float) -> bool:
        """End the sender's thread, and import here meanwhile what no greenlet imports any longer.

        Returns False if the thread has not ended by the deadline.
        """
        while self._loader.serve() and (now := time.monotonic()) < deadline:
            if self._sending.close(min(now + SLICE, deadline)):
                return True
        return self._sending.close(deadline)

    def _give_up_request(self) -> None:
        """Wait for an answer that has arrived to be read. If there is none, count a failure."""
        request = self._exit.request
        if request is None or not self._exit.sends:
            return
        if not self._await_answer():
            self._writing.submit(Task(request.abandon))

    def _await_answer(self) -> bool:
        """Let an answer that has arrived be read and carried out. Return False if there is none."""
        request = self._exit.request
        if request is None or not request.has_answer():
            return False
        return self._sending.close(time.monotonic(), patience=request.has_answer)

    def _end_threads(self) -> None:
        """Hang up, and wait a moment for the threads to end.

        A program that embeds Python may begin another interpreter after this one: a thread that
        woke up in it would crash. And a connection is closed before the interpreter warns of it.
        """
        request = self._exit.request
        if request is not None:
            self._exit.is_given_up = True
            request.hang_up()
        deadline = time.monotonic() + FAREWELL
        if self._sending.close(deadline):
            self._writing.close(deadline)

    def _urge(self) -> None:
        """Have all breadcrumbs sent without delay, for a caller who waits."""
        for modules in (self._writers, self._senders, self._transports):
            modules.load_for_caller()
        self._writing.wake()
        self._sending.wake()

    def _await_written(self, call: Call) -> None:
        """Wait for a call to be written by the writer's thread, for `WORKER_WAIT` seconds at most.

        A call by a thread of ours, from `before_send` or from a receipt's callback, does not wait:
        it may be the thread that writes. A signal handler may have interrupted the thread that it
        runs on inside a lock which the writer needs: then it waits in vain. After a wait in vain
        nobody waits until the writer has done that call: a disk that hangs costs one wait.
        """
        late = self._late is not None and self._late.is_awaited()
        if late or find_own_thread() is not None:
            return
        if not is_loaded(WRITER_MODULES[-1]):
            self._writers.load_for_caller()
            self._writing.wake()
        call.await_written(WORKER_WAIT)
        self._late = call

    def _make_writer(self) -> Handler:
        from migas._delivery.writer import Writer

        return Writer(self.settings, self._sending, self._listeners, self._exit).handle

    def _make_sender(self) -> Handler:
        from migas._delivery.sender import Sender

        return Sender(self.settings, self._listeners, self._exit, self._transports).handle


def count_pending(settings: Settings) -> int:
    """Return how many breadcrumbs are pending on disk. Changes nothing."""
    try:
        from migas._disk.spool import open_spool

        return open_spool(settings).count()
    except Exception as error:  # a broken installation, which has never written any
        reraise_from_handler(error)
        log.say(log.DEBUG, "cannot look at the spool: %r", error)
        return 0
