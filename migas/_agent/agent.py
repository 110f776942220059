"""The agent: writes breadcrumbs to disk on one thread and sends them to the server on another.

Two threads, since a request may hang for seconds, and what is queued meanwhile has to reach the
disk at once. Everything heavier than `threading` is imported on these threads, exclusively (see
`loading`), or on the thread of a caller who waits for an answer: hence the imports in functions.
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
    from migas._runtime.exit import Request
    from migas._runtime.receipt import Listeners
    from migas._runtime.settings import Settings
    from migas._runtime.threads import Handler

#: Seconds from one attempt to import to the next, at most: what is noted has to reach the disk
#: soon, while nobody is in a hurry to load the transport.
WRITER_POLL, TRANSPORT_POLL = 0.05, 10.0

#: The share of the exit's budget that is left for noting that no answer came within it.
LAST_SHARE = 0.05

_TOO_MANY = {"success": False, "message": "it is dropped: too many are pending already"}


class Call:
    """What a caller passed, and the receipt that the caller got."""

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
        #: Until then, by the agent's clock, settling the receipt takes the call back.
        self.due = due
        # Called with the parcel in place of handing it to the sender.
        self._keep = keep

    def hold(self, now: float) -> float:
        """Return the seconds for which it may still be taken back."""
        return 0.0 if self.receipt.done() else max(0.0, self.due - now)

    def write(self, writer: Writer) -> None:
        """Write it to disk, and hand it to the sender."""
        if self.receipt.done():  # it was taken back
            return
        parcel = writer.write(self._project, self._version, self.fields, self.receipt)
        if parcel is not None:
            (self._keep or writer.pass_on)(parcel)

    def fail(self, reason: str) -> None:
        """Report that it cannot be written."""
        self.receipt.settle({"success": False, "message": reason})


class _Abandoned:
    """A job for the writer: note that the exit gave a request up."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def hold(self, _now: float) -> float:
        return 0.0

    def write(self, _writer: Writer) -> None:
        self._request.abandon()

    def fail(self, _reason: str) -> None:
        return


class _Lazy:
    """A handler that is made once there is something to handle, and its modules can be loaded."""

    def __init__(self, modules: Import, make: Callable[[], Handler]) -> None:
        self._modules = modules
        self._make = make
        self._handler: Handler | None = None

    def __call__(self, items: list[Any], can_wait: bool) -> float:
        if self._handler is None:
            if not items:
                return NEVER
            try:
                # A caller in the thread's place imports as any code of the host's does.
                if can_wait and (pause := self._modules.attempt()):
                    return pause
                self._handler = self._make()
            except Exception as error:  # the installation is broken: whoever waits is told
                log.say(log.DEBUG, "cannot load the agent's modules: %r", error)
                while items:
                    items.pop(0).fail(str(error))
                return NEVER
        return self._handler(items, can_wait)


class Agent:
    """Carries one process's breadcrumbs, as its settings say.

    Parameters:
        settings: what the process was told.
        listeners: shared by all agents of the process.
        keep_alive: returns True if the threads must be there though they have nothing to do.
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
        # There as long as the sender's thread is. It starts that, too: each start is waited for,
        # and a caller is to wait for one only.
        self._writing = Worker(
            "writer",
            _Lazy(writers, self._make_writer),
            keep_alive=lambda: keep_alive() or self._sending.is_running(),
            initializer=self._sending.start,
        )
        # What a signal's handler has written, for the exit to send: a process that is killed
        # meanwhile would have begun in vain.
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
        """Queue a breadcrumb and return at once.

        Parameters:
            project: what the caller passed, as are ``version`` and ``fields``.
            ask_news: see `Receipt`.
            hold: seconds for which the breadcrumb may be taken back, by settling its receipt.
            now: return when it is on disk, and what was queued before it, since the process may be
                about to die.
        """
        receipt = Receipt(self.settings.timeout, self._urge, self._pid, ask_news)
        if now:
            call = Call(project, version, fields, receipt, keep=self._kept.append)
            self._writing.run_here(call)
            return receipt
        call = Call(project, version, fields, receipt, due=time.monotonic() + hold if hold else 0.0)
        if self._writing.count() >= self.settings.spool_count:
            receipt.settle(_TOO_MANY)  # for the disk, too, which the writer is slower to reach
            return receipt
        # Now, since from Python 3.12 on no thread starts during the exit. And before the writer
        # has anything to do, which would keep the interpreter busy while this waits.
        self.start()
        if not self._writing.submit(call):
            # At the exit, or at a limit of the system's: here and now, since the process may die.
            self._writing.run_here(call)
        return receipt

    def start(self) -> None:
        """Have the threads ready, though there is nothing to do yet."""
        self._writing.start()
        # Mostly done by now, see above; where a busy machine let this thread go first, done here.
        # Where that was in the middle of it, an exit may come first: then a later process sends.
        self._sending.start()

    def flush(self, timeout: float | None) -> int:
        """Send everything that is pending, and return how many breadcrumbs still are."""
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
        """Finish within ``seconds``; what is not sent by then stays on disk.

        What is queued or in hand is written in any case, as long as the disk answers, even if
        that takes longer.
        """
        self._exit.begin(seconds, sends=sends)
        deadline = self._exit.deadline
        for parcel in self._kept:
            self._sending.submit(parcel)
        # By the writer's thread, since a disk that has stopped answering would hold this one. Here
        # only what no thread has taken: none could start, or others import all the time.
        if not self._writing.await_idle(deadline - seconds / 2):
            self._writing.run_here()
        if not self._sending.close(deadline - seconds * LAST_SHARE):
            self._give_up_request()
        self._writing.close(deadline, patient=True)
        self._loader.close()

    def stop(self) -> None:
        """End without another word: only an import that is under way comes to its end."""
        self._exit.begin(0.0, sends=False)
        self._loader.close()

    def _give_up_request(self) -> None:
        """Let an answer that has arrived be read, or have the request counted as a failure."""
        request = self._exit.request
        if request is None or not self._exit.sends:
            return
        if request.has_answer() and self._sending.close(time.monotonic(), patient=True):
            return
        self._writing.submit(_Abandoned(request))

    def _urge(self) -> None:
        """Have everything sent without delay, for a caller who waits.

        The modules come on the caller's own thread, as any import of the host's does: the host may
        be inside an import for as long as it lives, and then no other thread may load them.
        """
        try:
            for name in (*WRITER_MODULES, *SENDER_MODULES, *TRANSPORT_MODULES):
                load(name)
        except Exception as error:  # whatever a broken installation raises; the receipt tells
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
    """Count the breadcrumbs that are pending on disk; nothing is changed."""
    try:
        from migas._disk.spool import open_spool

        return open_spool(settings).count()
    except Exception as error:  # an installation is broken: then nothing was ever kept, either
        log.say(log.DEBUG, "cannot look at the spool: %r", error)
        return 0
