"""The agent: from a caller to the disk on one thread, and from there to the server on another.

Two threads, since a request may hang for seconds, and what is queued meanwhile has to reach the
disk at once. Everything heavier than `threading` is imported on these threads, exclusively (see
`loading`), or on the thread of a caller who waits for an answer: hence the imports in functions.
"""

from __future__ import annotations

import os
import time

from . import log
from .loading import Loader, is_loaded
from .receipt import Receipt
from .worker import NEVER, Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from .outcome import Reply, Verdict
    from .parcel import Parcel
    from .settings import Settings
    from .spool import Spool
    from .uploader import Uploader
    from .writer import Writer

    #: Project, version and fields as the caller passed them, and what the caller got.
    Use: TypeAlias = tuple[object, object, Mapping[str, object], Receipt]

#: What each thread needs, in pieces: the host's imports and forks wait for one piece at most.
WRITER_MODULES = ("json", "uuid", "platformdirs", "migas.writer")
SENDER_MODULES = (
    "migas.uploader",
    "ssl",
    "http.client",
    "urllib3",
    "requests",
    "migas.transport",
)

#: Seconds after the first breadcrumb before `requests` is imported for its sake.
MOMENT = 0.5

#: Seconds from one attempt to import to the next: at first, and at most by each thread.
FIRST_POLL, WRITER_POLL, SENDER_POLL = 0.005, 0.05, 0.5


class Agent:
    """Carries one process's breadcrumbs, as its settings say."""

    def __init__(
        self,
        settings: Settings,
        user_agent: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.pid = os.getpid()
        self._user_agent = user_agent
        self._clock = clock
        self._loader = Loader()
        self._writer = Worker(self._write, "migas-writer")
        self._sender = Worker(self._send, "migas-sender")
        # Taken from the left by whoever writes: the writer's thread, or at exit the caller's.
        self._inbox: list[Use | Receipt] = []
        self._made_scribe: Writer | None = None
        self._at_disk = False
        self._write_poll = FIRST_POLL
        # Set by the sender's callers, read by its thread: a moment late does no harm.
        self._hurried = False
        self._exit_deadline = NEVER
        # The sender's thread alone touches these.
        self._parcels: list[Parcel] = []
        self._flushes: list[Receipt] = []
        self._due: float | None = None
        self._send_poll = FIRST_POLL
        self._uploader: Uploader | None = None

    def add(self, project: object, version: object, fields: Mapping[str, object]) -> Receipt:
        """Queue a breadcrumb and return at once."""
        receipt = Receipt(self.settings.timeout, self._hurry)
        use = (project, version, fields, receipt)
        # By the caller, and now: from Python 3.12 on no thread starts during the exit. And before
        # the writer has anything to do, which would keep the interpreter busy while this waits.
        self._sender.start()
        if not self._writer.submit(use):
            self._inbox.append(use)
            self._write_inbox()
        return receipt

    def flush(self, timeout: float | None) -> bool:
        """Send everything that waits, and say whether nothing is left."""
        receipt = Receipt(self.settings.timeout, self._hurry)
        if not self._writer.submit(receipt):
            return False
        self._sender.start()
        try:
            return receipt.result(timeout)["success"] is True
        except TimeoutError:
            return False

    def close(self, budget: float) -> None:
        """Finish within ``budget`` seconds; what is not sent by then stays on disk."""
        start = self._clock()
        self._exit_deadline = start + budget
        self._inbox.extend(self._writer.close(budget / 2))
        if not self._at_disk:
            # The thread never started, or other threads import for ever. A writer that hangs at
            # a dead disk would have this thread hang, too.
            self._write_inbox()
        self._sender.close(max(0.0, self._exit_deadline - self._clock()))
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
            for name in (*WRITER_MODULES, *SENDER_MODULES):
                __import__(name)
        except Exception as error:  # whatever a broken installation raises; the receipt tells
            log.say(log.DEBUG, "cannot send: %r", error)
        self._hurried = True
        self._writer.wake()
        self._sender.wake()

    def _write(self, items: list[Use | Receipt], _closing: bool) -> float:
        """Handle the writer's items: on its thread."""
        self._inbox.extend(items)
        try:
            loaded = self._loader.attempt(WRITER_MODULES)
        except Exception as error:  # an installation is broken: each receipt will say so
            log.say(log.DEBUG, "cannot write: %r", error)
            loaded = True
        if not loaded:
            self._write_poll = min(self._write_poll * 2, WRITER_POLL)
            return self._write_poll
        self._write_inbox()
        return NEVER

    def _write_inbox(self) -> None:
        self._at_disk = True
        try:
            while True:
                self._pass_on(self._inbox.pop(0))
        except IndexError:
            self._at_disk = False

    def _pass_on(self, item: Use | Receipt) -> None:
        """Write a breadcrumb and hand it to the sender; a flush follows what it waits for."""
        if isinstance(item, Receipt):
            if not self._sender.submit(item):
                item.settle({"success": False, "message": "the process ends"})
            return
        project, version, fields, receipt = item
        try:
            parcel = self._scribe().write(
                project, version, fields, lambda verdict: receipt.settle(_answer(verdict))
            )
        except Exception as error:
            log.say(log.DEBUG, "a breadcrumb is lost: %r", error)
            receipt.settle({"success": False, "message": str(error)})
            return
        if parcel is not None and not self._sender.submit(parcel):
            receipt.settle({"success": False, "message": "the process ends"})

    def _scribe(self) -> Writer:
        # At exit two threads may come here at a time: then two are made, which are alike.
        if self._made_scribe is None:
            from .writer import Writer

            self._made_scribe = Writer(self.settings)
        return self._made_scribe

    def _send(self, items: list[Parcel | Receipt], closing: bool) -> float:
        """Handle the sender's items: on its thread."""
        for item in items:
            if isinstance(item, Receipt):
                self._flushes.append(item)
            else:
                self._parcels.append(item)
        uploader = self._uploader
        if not (self._parcels or self._flushes or (uploader and uploader.failed and not closing)):
            return NEVER
        pause = self._pause(closing)
        if pause is not None:
            return pause
        return self._upload(closing)

    def _pause(self, closing: bool) -> float | None:
        """Say how long to wait before sending; None: not at all."""
        if self.settings.timeout == 0:
            return self._give_up("MIGAS_TIMEOUT is 0", NEVER)
        backoff = self._uploader.backoff if self._uploader else 0.0
        if backoff and not self._flushes:
            reason = f"the server could not be reached; next try in {backoff:.0f} s"
            return self._give_up(reason, NEVER if closing else backoff)
        if closing and not self._may_start():
            return self._give_up("the process ends", NEVER)
        if not (closing or self._hurried or self._flushes or is_loaded("requests")):
            now = self._clock()
            self._due = self._due or now + MOMENT
            if now < self._due:
                return self._due - now
        return self._load(closing)

    def _load(self, closing: bool) -> float | None:
        try:
            # Nobody forks any more once the exit has begun, so `logging` may then be loaded, too.
            loaded = self._loader.attempt(SENDER_MODULES, loads_logging=not closing)
        except Exception as error:  # whatever a broken installation raises
            return self._give_up(f"cannot send: {error}", NEVER)
        if loaded:
            return None
        self._send_poll = min(self._send_poll * 2, SENDER_POLL)
        return self._send_poll

    def _upload(self, closing: bool) -> float:
        from .parcel import postpone
        from .uploader import Uploader

        if self._uploader is None:
            self._uploader = Uploader(self._open_spool(), self._connect())
        self._due, self._hurried, self._send_poll = None, False, FIRST_POLL
        flushes, self._flushes = self._flushes, []
        parcels, self._parcels = self._parcels, []
        sent = False
        try:
            self._parcels = self._uploader.upload(
                parcels, drain=bool(flushes), may_start=self._may_start
            )
            sent = not self._uploader.failed
        except Exception as error:  # whoever waits is told in any case
            log.say(log.DEBUG, "cannot send: %r", error)
            self._parcels = postpone(parcels, f"cannot send: {error}")
        for flush in flushes:
            flush.settle({"success": sent, "message": "" if sent else "the server is not reached"})
        return NEVER if closing or sent else self._uploader.backoff

    def _give_up(self, reason: str, pause: float) -> float:
        """Leave everything where it is for now, and tell who waits."""
        from .parcel import postpone

        self._parcels = postpone(self._parcels, reason)
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            flush.settle({"success": False, "message": reason})
        self._hurried = False
        return pause

    def _may_start(self) -> bool:
        """Say whether a request may begin: not in the second half of the exit's budget.

        So a server that answers as usual is always heard.
        """
        return self._clock() < self._exit_deadline - self.settings.exit_timeout / 2

    def _open_spool(self) -> Spool:
        from .spool import Spool, directory_for

        return Spool(directory_for(self.settings.endpoint, self.settings.cache_dir))

    def _connect(self) -> Callable[[bytes], Reply]:
        from .transport import Transport

        transport = Transport(self.settings.endpoint, self._user_agent)
        return lambda body: transport.send(body, self.settings.timeout)


def _answer(verdict: Verdict) -> dict[str, object]:
    """Translate what became of a breadcrumb into what its receipt says."""
    from .outcome import Outcome

    delivered = verdict.outcome is Outcome.DELIVERED
    return {"message": verdict.reason, **verdict.news, "success": delivered}
