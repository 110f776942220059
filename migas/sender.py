"""The sender: when what waits is sent, and when it had better not be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import log
from .backoff import Backoff
from .loading import is_loaded
from .pace import Pace
from .parcel import postpone
from .receipt import Receipt
from .spool import Spool, directory_for
from .worker import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from .outcome import Reply
    from .parcel import Parcel
    from .settings import Settings
    from .uploader import Uploader

#: What it takes to send, in pieces: the host's imports and forks wait for one piece at most.
TRANSPORT_MODULES = (
    "migas.uploader",
    "ssl",
    "http.client",
    "urllib3",
    "requests",
    "migas.transport",
)

#: Seconds after the first breadcrumb before `requests` is imported for its sake.
MOMENT = 0.5

#: Seconds from one attempt to import to the next, at first and at most.
FIRST_POLL, LAST_POLL = 0.005, 0.5


class Sender:
    """Holds parcels and flushes until it is time, and has them uploaded; on one thread.

    ``load`` imports modules, or says that it cannot do so now. ``keeps_for_good`` says whether what
    waits on disk is there for a later process, and ``may_start`` whether a request may begin.
    """

    def __init__(
        self,
        settings: Settings,
        user_agent: str,
        *,
        load: Callable[..., bool],
        keeps_for_good: Callable[[], bool],
        may_start: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._user_agent = user_agent
        self._load = load
        self._keeps_for_good = keeps_for_good
        self._may_start = may_start
        self._clock = clock
        directory = directory_for(settings.endpoint, settings.cache_dir)
        self._spool = Spool(directory)
        self._backoff = Backoff(directory)
        self._pace = Pace(directory)
        self._uploader: Uploader | None = None
        self._parcels: list[Parcel] = []
        self._flushes: list[Receipt] = []
        self._hurried = False
        # Something of this process's waits on disk for the server to be there again.
        self._owes = False
        self._due: float | None = None
        self._poll = FIRST_POLL
        # This exit has been counted against the pace.
        self._counted = False

    def handle(self, items: list[Parcel | Receipt], *, hurried: bool, closing: bool) -> float:
        """Take ``items``, send what is due, and return the seconds until there is more to do."""
        for item in items:
            if isinstance(item, Receipt):
                self._flushes.append(item)
            else:
                self._parcels.append(item)
        self._hurried |= hurried
        if not (self._parcels or self._flushes or (self._owes and not closing)):
            return NEVER
        pause = self._hold_exit() if closing else self._hold()
        if pause is None:
            pause = self._load_transport(closing=closing)
        return self._upload(closing=closing) if pause is None else pause

    def _hold(self) -> float | None:
        """Say how long a process that lives waits before it sends; None: not at all."""
        if self._settings.timeout == 0:
            return self._give_up("MIGAS_TIMEOUT is 0", NEVER)
        backoff = self._backoff.remaining(asked=bool(self._flushes))
        if backoff:
            self._owes = True
            return self._give_up(f"the server is left alone for {backoff:.0f} s", backoff)
        if self._hurried or self._flushes or is_loaded("requests"):
            return None
        now = self._clock()
        self._due = self._due or now + MOMENT
        return self._due - now if now < self._due else None

    def _hold_exit(self) -> float | None:
        """Say whether a process that ends sends nothing more; None: it sends."""
        if self._settings.timeout == 0 or not self._may_start():
            return self._give_up("the process ends", NEVER)
        if self._backoff.remaining():
            return self._give_up("the server is left alone for a while", NEVER)
        if not (self._counted or self._hurried or self._flushes or not self._keeps_all()):
            self._counted = self._pace.take()
            if not self._counted:
                return self._give_up("enough exits have delivered for now", NEVER)
        return None

    def _keeps_all(self) -> bool:
        return all(parcel.entry for parcel in self._parcels) and self._keeps_for_good()

    def _load_transport(self, *, closing: bool) -> float | None:
        try:
            # Nobody forks any more once the exit has begun, so `logging` may then be loaded, too.
            if self._load(TRANSPORT_MODULES, loads_logging=not closing):
                return None
        except Exception as error:  # whatever a broken installation raises
            return self._give_up(f"cannot send: {error}", NEVER)
        self._poll = min(self._poll * 2, LAST_POLL)
        return self._poll

    def _upload(self, *, closing: bool) -> float:
        from .uploader import Uploader

        if self._uploader is None:
            self._uploader = Uploader(self._spool, self._connect(), self._backoff)
        self._due, self._hurried, self._poll = None, False, FIRST_POLL
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
        self._owes = not sent
        for flush in flushes:
            flush.settle({"success": sent, "message": "" if sent else "the server is not reached"})
        return NEVER if closing or sent else self._backoff.remaining()

    def _connect(self) -> Callable[[bytes], Reply]:
        from .transport import Transport

        transport = Transport(self._settings.endpoint, self._user_agent)
        return lambda body: transport.send(body, self._settings.timeout)

    def _give_up(self, reason: str, pause: float) -> float:
        """Leave everything where it is for now, and tell who waits."""
        self._parcels = postpone(self._parcels, reason)
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            flush.settle({"success": False, "message": reason})
        self._hurried = False
        return pause
