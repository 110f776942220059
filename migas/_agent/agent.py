"""The agent: writes breadcrumbs to disk on one thread and sends them to the server on another.

It owns both threads, their queues, and the order in which they end. There are two, since a request
may hang for seconds while new breadcrumbs have to reach the disk at once. Modules heavier than
`threading` are imported on these threads only (see `loading`), or on that of a caller who waits.

What may go wrong: no thread can start or import; then a caller's thread writes. The disk or the
server may hang; then the exit gives up within its budget.
"""

from __future__ import annotations

import os
import time

from migas._runtime import log
from migas._runtime.exit import Exit
from migas._runtime.loading import (
    SENDER_MODULES,
    TRANSPORT_MODULES,
    WRITER_MODULES,
    Import,
    Loader,
    load,
)
from migas._runtime.receipt import Receipt
from migas._runtime.threads import NEVER, Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from migas._delivery.parcel import Parcel
    from migas._delivery.writer import Writer
    from migas._runtime.receipt import Listeners
    from migas._runtime.settings import Settings
    from migas._runtime.threads import Handler

#: The longest time between two attempts to import, in seconds. A queued breadcrumb has to reach the
#: disk soon; sending it is less urgent.
WRITER_POLL, TRANSPORT_POLL = 0.05, 10.0

#: The share of the exit's budget that is kept for recording that no answer came within it.
LAST_SHARE = 0.05

_TOO_MANY = {"success": False, "message": "it is dropped: too many are pending already"}


class Call:
    """A job for the writer: the arguments of one call, and the receipt that the caller got."""

    __slots__ = ("_keep", "_project", "_version", "due", "fields", "receipt")

    def __init__(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        receipt: Receipt,
        *,
        due: float = 0.0,
        keep: Callable[[Parcel], None] | None = None,
    ) -> None:
        self._project = project
        self._version = version
        self.fields = fields
        self.receipt = receipt
        #: Until this moment, by `time.monotonic`, settling the receipt withdraws the call.
        self.due = due
        # Called with the parcel instead of handing it to the sender.
        self._keep = keep

    def hold(self, now: float) -> float:
        """Return for how many seconds the call may still be withdrawn."""
        return 0.0 if self.receipt.done() else max(0.0, self.due - now)

    def write(self, writer: Writer) -> None:
        """Write the breadcrumb to disk, and hand it to the sender, unless it was withdrawn."""
        if self.receipt.done():  # withdrawn
            return
        parcel = writer.write(self._project, self._version, self.fields, self.receipt)
        if parcel is not None:
            (self._keep or writer.pass_on)(parcel)

    def fail(self, reason: str) -> None:
        """Settle the receipt: the breadcrumb cannot be written."""
        self.receipt.settle({"success": False, "message": reason})


class _Task:
    """A job for the writer's thread, done behind all that was queued. It may touch the disk."""

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self._act = act
        self.is_done = False

    def hold(self, _now: float) -> float:
        return 0.0

    def write(self, _writer: Writer) -> None:
        self._act()
        self.is_done = True

    def fail(self, _reason: str) -> None:
        self.is_done = True


class _Lazy:
    """A handler that is made on first use, after its modules have been imported."""

    def __init__(self, modules: Import, make: Callable[[], Handler]) -> None:
        self._modules = modules
        self._make = make
        self._handler: Handler | None = None

    def __call__(self, items: list[Any], can_wait: bool) -> float:
        """Handle ``items``, as a `threads.Handler`; the items fail if nothing can be imported."""
        if self._handler is None:
            if not items:
                return NEVER
            try:
                # A caller's own thread imports at once, as any code of the host's does.
                if can_wait and (pause := self._modules.attempt()):
                    return pause
                self._modules.load()
                self._handler = self._make()
            except Exception as error:  # the installation is broken: callers get the reason
                log.say(log.DEBUG, "cannot load the agent's modules: %r", error)
                while items:
                    items.pop(0).fail(str(error))
                return NEVER
        return self._handler(items, can_wait)


class Agent:
    """Writes and sends the breadcrumbs of one process, with one set of settings.

    Parameters:
        settings: the settings, for as long as the agent lives.
        listeners: shared by all agents of the process.
        keep_alive: returns True if the threads must stay though they have nothing to do.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: Listeners,
        keep_alive: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings = settings
        self._listeners = listeners
        # A forked child has an agent of its own.
        self._pid = os.getpid()
        self._exit = Exit(settings.exit_timeout)
        self._loader = Loader()
        senders = Import(self._loader, SENDER_MODULES, WRITER_POLL)
        self._sending = Worker("sender", _Lazy(senders, self._make_sender), keep_alive=keep_alive)
        writers = Import(self._loader, WRITER_MODULES, WRITER_POLL)
        # It lives as long as the sender's thread, and starts that one: Python waits for each start
        # of a thread, and a caller should wait for one only.
        self._writing = Worker(
            "writer",
            _Lazy(writers, self._make_writer),
            keep_alive=lambda: keep_alive() or self._sending.is_running(),
            initializer=self._sending.start,
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
    ) -> Receipt:
        """Queue a breadcrumb, and return its receipt at once.

        Parameters:
            project: the caller's argument, unchecked, as are ``version`` and ``fields``.
            ask_news: see `Receipt`.
            hold: for how many seconds the breadcrumb can be withdrawn, by settling its receipt.
            now: write it to disk before returning, with all that was queued before it: the process
                may be about to die, as in a signal handler.
        """
        receipt = Receipt(self.settings.timeout, self._urge, self._pid, ask_news)
        if now:
            call = Call(project, version, fields, receipt, keep=self._kept.append)
            self._writing.run_here(call)
            return receipt
        call = Call(project, version, fields, receipt, due=time.monotonic() + hold if hold else 0.0)
        if self._writing.count() >= self.settings.spool_count:
            receipt.settle(_TOO_MANY)  # the spool could not hold them, either
            return receipt
        # Now, since from Python 3.12 on no thread starts during the exit. Before the item is
        # queued, since a busy writer would delay this wait for the start.
        self.start()
        if not self._writing.submit(call):
            # No thread can start: write on this thread, since the process may end soon.
            self._writing.run_here(call)
        return receipt

    def start(self) -> None:
        """Start both threads, though there is nothing to do yet."""
        self._writing.start()
        # Mostly the writer's thread has started it by now; on a busy machine, this call does. There
        # is a race with an exit in the middle of that start: then a later process sends.
        self._sending.start()

    def flush(self, timeout: float | None) -> int:
        """Send all pending breadcrumbs, and return how many are still pending.

        Parameters:
            timeout: seconds to wait at most; None: no limit.
        """
        from migas._delivery.parcel import Flush

        deadline = NEVER if timeout is None else time.monotonic() + timeout
        flush = Flush(deadline, self._urge, lambda: count_pending(self.settings))
        self.start()
        try:
            if self._writing.submit(flush):
                return flush.wait(timeout)
        except TimeoutError:
            pass
        return count_pending(self.settings)

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
        last = _Task()
        waits = self._writing.is_running() and self._writing.submit(last)
        if not (waits and self._writing.await_done(lambda: last.is_done, deadline - seconds / 2)):
            self._writing.run_here()
        if not self._sending.close(deadline - seconds * LAST_SHARE):
            self._give_up_request()
        self._writing.close(deadline)
        self._await_answer()  # it may have come meanwhile
        self._loader.close()

    def stop(self) -> None:
        """End without writing or sending. Waits only for an import that is under way."""
        self._exit.begin(0.0, sends=False)
        self._loader.close()

    def _give_up_request(self) -> None:
        """Wait for an answer that has arrived to be read. If there is none, count a failure."""
        request = self._exit.request
        if request is None or not self._exit.sends:
            return
        if not self._await_answer():
            self._writing.submit(_Task(request.abandon))

    def _await_answer(self) -> bool:
        """Let an answer that has arrived be read and carried out. Return False if there is none."""
        request = self._exit.request
        if request is None or not request.has_answer():
            return False
        return self._sending.close(time.monotonic(), patient=True)

    def _urge(self) -> None:
        """Have all breadcrumbs sent without delay, for a caller who waits.

        The modules are imported on the caller's thread: the agent's threads would wait while the
        host is inside an import, which may last as long as the process.
        """
        try:
            for name in (*WRITER_MODULES, *SENDER_MODULES, *TRANSPORT_MODULES):
                load(name)
        except Exception as error:  # whatever a broken installation raises; the receipt says it
            log.say(log.DEBUG, "cannot send: %r", error)
        self._writing.wake()
        self._sending.wake()

    def _make_writer(self) -> Handler:
        from migas._delivery.writer import Writer

        return Writer(self.settings, self._sending, self._listeners, self._exit).handle

    def _make_sender(self) -> Handler:
        from migas._delivery.sender import Sender

        modules = Import(self._loader, TRANSPORT_MODULES, TRANSPORT_POLL)
        return Sender(self.settings, self._listeners, self._exit, modules).handle


def count_pending(settings: Settings) -> int:
    """Return how many breadcrumbs are pending on disk. Changes nothing."""
    try:
        from migas._disk.spool import open_spool

        return open_spool(settings).count()
    except Exception as error:  # a broken installation, which has never written any
        log.say(log.DEBUG, "cannot look at the spool: %r", error)
        return 0
