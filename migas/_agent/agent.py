"""The agent: from a caller to the disk on one thread, and from there to the server on another.

Two threads, since a request may hang for seconds, and what is queued meanwhile has to reach the
disk at once. Everything heavier than `threading` is imported on these threads, exclusively (see
`loading`), or on the thread of a caller who waits for an answer: hence the imports in functions.
"""

from __future__ import annotations

import os
import threading
import time

from migas._runtime import log
from migas._runtime.loading import Loader, load
from migas._runtime.optout import look_for_optout
from migas._runtime.receipt import Flush, Receipt
from migas._runtime.threads import NEVER, Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from migas._delivery.parcel import Parcel
    from migas._delivery.sender import Sender
    from migas._delivery.writer import Writer
    from migas._runtime.settings import Settings

#: What each thread needs, in pieces: the host's imports and forks wait for one piece at most.
WRITER_MODULES = ("json", "platformdirs", "migas._delivery.writer")
SENDER_MODULES = ("migas._delivery.sender",)

#: Seconds from one attempt to import to the next, at first and at most.
FIRST_POLL, LAST_POLL = 0.005, 0.05

#: Seconds for which a process that may be about to die waits for what the writer has in hand.
LAST_WAIT = 0.1

#: The share of the exit's budget that is left for saying that no answer came within it.
LAST_SHARE = 0.05


class Agent:
    """Carries one process's breadcrumbs, as its settings say.

    ``stays`` says whether the threads are to be there when they have nothing to do. ``reserved`` is
    shared by all agents of the process, see `Spool`.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        stays: Callable[[], bool] = lambda: False,
        reserved: set[str] | None = None,
    ) -> None:
        self.settings = settings
        self._clock = clock
        # A forked child has an agent of its own.
        self._pid = os.getpid()
        self._loader = Loader()
        self._send_worker = Worker(self._send, "sender", stays=stays)
        # There as long as the sender's is, which it takes over from at the exit. It starts the
        # sender's, too: each start is waited for, and a caller shall wait for one only.
        self._write_worker = Worker(
            self._write,
            "writer",
            stays=lambda: stays() or self._send_worker.is_running(),
            initializer=self._send_worker.start,
        )
        self._inbox = Inbox(self._pass_on, clock)
        self._outbox: list[Parcel | Flush] = []
        # What a signal's handler has written, for the exit to send: a process that is killed
        # meanwhile would have begun in vain.
        self._kept: list[Parcel] = []
        # What the writer has put and the sender not yet taken. A sender that fills up a request
        # from the disk could be faster than the parcel: that would be told of another process.
        self._reserved = set() if reserved is None else reserved
        self._made_writer: Writer | None = None
        self._made_sender: Sender | None = None
        self._poll = FIRST_POLL
        # Set by one thread and read by another: a moment late does no harm.
        self._hurried = False
        self._exit_deadline = NEVER
        # Set by the writer's thread at the exit, which lives on until the sender's time is up.
        self._written = threading.Event()
        self._time_is_up = False

    def add(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        *,
        asks: bool = False,
        hold: float = 0.0,
        now: bool = False,
    ) -> Receipt:
        """Queue a breadcrumb and return at once.

        ``hold``: for so many seconds it may be taken back, by settling its receipt. ``now``: return
        when it is on disk, and whatever was queued before, since the process may be about to die.
        """
        receipt = Receipt(self.settings.timeout, self._hurry, self._pid)
        due = self._clock() + hold if hold else 0.0
        use = Use(project, version, fields, receipt, asks=asks, due=due)
        if now:
            self._write_now(use)
            return receipt
        if len(self._inbox) + self._write_worker.count() >= self.settings.spool_count:
            receipt.settle(_TOO_MANY)  # for the disk, too, which the writer is slower to reach
            return receipt
        # Now, since from Python 3.12 on no thread starts during the exit. And before the writer
        # has anything to do, which would keep the interpreter busy while this waits.
        self.start()
        if not self._write_worker.submit(use):
            # At the exit, or at a limit of the system's: here and now, since the process may die.
            self._inbox.extend([use])
            self._inbox.drain()
        return receipt

    def start(self) -> None:
        """Have the threads ready, though there is nothing to do yet."""
        self._write_worker.start()
        # Mostly done by now, see above; where a busy machine let this thread go first, done here.
        # Where that was in the middle of it, an exit may come first: then a later process sends.
        self._send_worker.start()

    def flush(self, timeout: float | None) -> int:
        """Send everything that waits, and return how many breadcrumbs are left."""
        flush = Flush(NEVER if timeout is None else self._clock() + timeout, self._hurry)
        self.start()
        try:
            if self._write_worker.submit(flush):
                return flush.count_left(timeout)
        except TimeoutError:
            pass
        return count_waiting(self.settings)

    def close(self, budget: float, *, sends: bool = True) -> None:
        """Finish within ``budget`` seconds; what is not sent by then stays on disk."""
        deadline = self._clock() + budget
        # An exit that is given no time at all says nothing of the server.
        self._exit_deadline = deadline if sends and budget > 0 else 0.0
        for parcel in self._kept:
            self._send_worker.submit(parcel)
        self._inbox.extend(self._write_worker.close(budget / 2, self._written))
        if not self._inbox.is_writing:
            # The thread never started, or other threads import for ever. A writer that hangs at
            # a dead disk would have this thread hang, too.
            self._inbox.drain()
        last = self._exit_deadline - budget * LAST_SHARE
        self._send_worker.close(max(0.0, last - self._clock()))
        self._time_is_up = True
        # A writer that has much to do gets what is left of the time.
        self._write_worker.close(max(0.0, deadline - self._clock()))
        self._loader.close()

    def stop(self) -> None:
        """End without another word: only an import that is under way comes to its end."""
        self._exit_deadline = 0.0
        self._loader.close()

    def _hurry(self) -> None:
        """Have everything sent without delay, for a caller who waits.

        The modules come on the caller's own thread, as any import of the host's does: the host may
        be inside an import for as long as it lives, and then no other thread may load them.
        """
        try:
            from migas._delivery import sender, writer

            for name in (writer.__name__, *sender.TRANSPORT_MODULES):
                load(name)
        except Exception as error:  # whatever a broken installation raises; the receipt tells
            log.say(log.DEBUG, "cannot send: %r", error)
        self._hurried = True
        self._write_worker.wake()
        self._send_worker.wake()

    def _load(self, modules: tuple[str, ...]) -> float | None:
        """Load what a thread needs, or say when to try again."""
        try:
            if self._loader.attempt(modules):
                return None
        except Exception as error:  # an installation is broken: each receipt will say so
            log.say(log.DEBUG, "cannot load %s: %r", modules[-1], error)
            return None
        self._poll = min(self._poll * 2, LAST_POLL)
        return self._poll

    def _write(self, items: list[Use | Flush], closing: bool) -> float:
        """Handle the writer's items: on its thread."""
        self._inbox.extend(items)
        pause = self._load(WRITER_MODULES) if self._inbox else None
        if pause is None:
            pause = self._inbox.drain(holds=not closing)
        return self._end_exit() if closing and pause == NEVER else pause

    def _end_exit(self) -> float:
        """Wait for the sender's end, and count a request that it is given up over as a failure.

        On the writer's thread, since a disk that has stopped answering would hold the exit.
        """
        self._written.set()
        if not self._time_is_up:
            return self.settings.exit_timeout + LAST_WAIT  # or until it is woken
        if self._exit_deadline and self._made_sender is not None:
            self._made_sender.abandon()
        return NEVER

    def _write_now(self, use: Use) -> None:
        """Write a use, and what was queued before it, on the caller's own thread.

        The writer's thread may have a use in hand. It is waited for where that shows: not in the
        moment between its taking it from the queue and its putting it into the inbox.
        """
        deadline = self._clock() + LAST_WAIT
        while self._inbox.is_writing and self._clock() < deadline:
            time.sleep(0.001)
        self._inbox.extend(self._write_worker.take())
        self._inbox.drain()
        parcel = self._put(use)
        if parcel is not None:
            self._kept.append(parcel)
            self._unreserve(parcel)

    def _pass_on(self, item: Use | Flush) -> None:
        """Write a breadcrumb and hand it to the sender; a flush follows what it waits for."""
        if isinstance(item, Flush):
            if not self._send_worker.submit(item):
                item.settle({"left": count_waiting(self.settings), **_THE_END})
            return
        parcel = self._put(item)
        if parcel is not None and not self._send_worker.submit(parcel):
            item.receipt.settle(_THE_END)
            self._unreserve(parcel)

    def _unreserve(self, parcel: Parcel) -> None:
        """Let a parcel be sent as what waits on disk is, since the sender does not get it now."""
        if parcel.entry is not None:
            self._reserved.discard(parcel.entry.token)

    def _put(self, use: Use) -> Parcel | None:
        """Write a breadcrumb; None: there is nothing to send."""
        receipt = use.receipt
        if receipt.done():  # it was taken back
            return None
        if off := look_for_optout(os.environ):
            receipt.settle({"success": False, "message": f"switched off by {off}"})
            return None
        try:
            return self._writer().write(
                use.project,
                use.version,
                use.fields,
                lambda verdict: receipt.settle(verdict.tell()),
                asks=use.asks,
            )
        except Exception as error:
            log.say(log.DEBUG, "a breadcrumb is lost: %r", error)
            receipt.settle({"success": False, "message": str(error)})
            return None

    def _send(self, items: list[Parcel | Flush], closing: bool) -> float:
        """Handle the sender's items: on its thread."""
        self._outbox.extend(items)
        if self._time_is_up or not (self._outbox or self._made_sender):
            return NEVER
        pause = self._load(SENDER_MODULES)
        if pause is not None:
            return pause
        outbox, self._outbox = self._outbox, []
        hurried, self._hurried = self._hurried, False
        try:
            return self._sender().handle(outbox, hurried=hurried, closing=closing)
        except Exception as error:  # an installation is broken: who waits is told
            for item in outbox:
                if isinstance(item, Flush):
                    item.settle({"left": count_waiting(self.settings), "message": str(error)})
            raise

    def _writer(self) -> Writer:
        # At exit two threads may come here at a time: then two are made, which are alike.
        if self._made_writer is None:
            from migas._delivery.writer import Writer

            self._made_writer = Writer(self.settings, reserved=self._reserved)
        return self._made_writer

    def _sender(self) -> Sender:
        if self._made_sender is None:
            from migas._delivery.sender import Sender

            self._made_sender = Sender(
                self.settings,
                load=self._loader.attempt,
                keeps_for_good=lambda: self._writer().keeps_for_good(),
                may_start=self._may_start,
                find_optout=lambda: look_for_optout(os.environ),
                reserved=self._reserved,
                clock=self._clock,
            )
        return self._made_sender

    def _may_start(self) -> bool:
        """Say whether a request may begin: not in the second half of the exit's budget.

        So a server that answers as usual is always heard.
        """
        return self._clock() < self._exit_deadline - self.settings.exit_timeout / 2


def count_waiting(settings: Settings) -> int:
    """Count the breadcrumbs that wait on disk; nothing is changed."""
    try:
        from migas._disk.spool import open_spool

        return open_spool(settings).count()
    except Exception as error:  # an installation is broken: then nothing was ever kept, either
        log.say(log.DEBUG, "cannot look at the spool: %r", error)
        return 0


_TOO_MANY = {"success": False, "message": "it is dropped: too many wait already"}
_THE_END = {"success": False, "message": "nothing is sent: no thread is left that could"}


class Use:
    """Project, version and fields as the caller passed them, and what the caller got."""

    __slots__ = ("asks", "due", "fields", "project", "receipt", "version")

    def __init__(
        self,
        project: object,
        version: object,
        fields: Mapping[str, object],
        receipt: Receipt,
        *,
        asks: bool,
        due: float,
    ) -> None:
        self.project = project
        self.version = version
        self.fields = fields
        self.receipt = receipt
        #: The server is to tell the news of this version as well.
        self.asks = asks
        #: Until then whoever has the receipt may settle it, and nothing is written.
        self.due = due


class Inbox:
    """Hands its items to ``write``, one after the other, whichever thread asks it to.

    Each is taken out by one step, so that two threads at a time share the work.
    """

    def __init__(self, write: Callable[[Use | Flush], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock
        self._items: list[Use | Flush] = []
        # Set by one thread and read by another: a moment late does no harm.
        self.is_writing = False

    def __len__(self) -> int:
        return len(self._items)

    def extend(self, items: Iterable[Use | Flush]) -> None:
        """Put ``items`` in at the end."""
        self._items.extend(items)

    def drain(self, *, holds: bool = False) -> float:
        """Write all; ``holds``: only up to what may be taken back, and say for how many seconds."""
        self.is_writing = True
        try:
            while not (pause := self._hold() if holds else 0.0):
                self._write(self._items.pop(0))
        except IndexError:
            return NEVER
        else:
            return pause
        finally:
            self.is_writing = False

    def _hold(self) -> float:
        """Say for how long the first item may still be taken back."""
        for item in self._items[:1]:
            if isinstance(item, Use) and not item.receipt.done():
                return max(0.0, item.due - self._clock())
        return 0.0
