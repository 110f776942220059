"""The sender: when what waits is sent, and when it had better not be."""

from __future__ import annotations

import time

from migas._disk.entry import LEASE
from migas._disk.spool import open_spool
from migas._runtime import log
from migas._runtime.loading import is_loaded
from migas._runtime.receipt import Flush
from migas._runtime.threads import NEVER

from .parcel import Outcome, Verdict, postpone
from .throttle import Backoff, Pace, Rate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas._runtime.settings import Settings

    from .parcel import Parcel, Reply
    from .transport import Transport
    from .uploader import Upload, Uploader

#: What it takes to send, in pieces: the host's imports and forks wait for one piece at most.
TRANSPORT_MODULES = (
    "ssl",
    "http.client",
    "migas._delivery.uploader",
    "urllib3",
    "requests",
    "migas._delivery.transport",
)

#: Seconds after the first breadcrumb before `requests` is imported for its sake.
MOMENT = 0.5

#: Seconds between two requests of what waits from earlier, by a process that has nothing of its own
#: to send: a full one each goes some four thousand breadcrumbs an hour.
LEISURE = 15.0

#: Seconds until a flush looks once more for what waits, where it could claim none of it, and how
#: often in a row: other processes may be faster, and a network file system goes on naming for a
#: second what they have moved (measured on GlusterFS).
LOOK_AGAIN, LOOKS = 1.0, 3

#: Seconds that a request may take, step by step, whatever `MIGAS_TIMEOUT` says: a claim has to
#: outlast the name look-up, the connecting and the answer.
LONGEST_STEP = LEASE / 4

#: Seconds from one attempt to import to the next, at first and at most.
FIRST_POLL, LAST_POLL = 0.005, 10.0


class Sender:
    """Holds parcels and flushes until it is time, and has them uploaded; on one thread.

    ``load`` imports modules, or says that it cannot do so now. ``keeps_for_good`` says whether what
    waits on disk is there for a later process, ``may_start`` whether a request may begin, and
    ``find_optout`` what has switched it off meanwhile. ``reserved``: see `Spool`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        load: Callable[..., bool],
        keeps_for_good: Callable[[], bool],
        may_start: Callable[[], bool],
        find_optout: Callable[[], str],
        reserved: set[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._load = load
        self._keeps_for_good = keeps_for_good
        self._may_start = may_start
        self._find_optout = find_optout
        self._clock = clock
        self._spool = open_spool(settings, reserved)
        self._backoff = Backoff(self._spool.directory)
        self._pace = Pace(self._spool.directory)
        self._rate = Rate(clock=clock)
        self._transport: Transport | None = None
        self._uploader: Uploader | None = None
        self._parcels: list[Parcel] = []
        self._flushes: list[Flush] = []
        self._hurried = False
        # Something waits on disk that this process, if it lives on, will send.
        self._owes = False
        # When the next request is due that nobody waits for.
        self._due: float | None = None
        self._poll = FIRST_POLL
        # Looks in a row that found nothing to claim.
        self._misses = 0
        # This exit has been counted against the pace.
        self._counted = False

    def handle(self, items: list[Parcel | Flush], *, hurried: bool, closing: bool) -> float:
        """Take ``items``, send one request if it is time, and return the seconds until the next."""
        for item in items:
            if isinstance(item, Flush):
                self._flushes.append(item)
            else:
                self._parcels.append(item)
        self._hurried |= hurried
        self._expire_flushes()
        if not (self._parcels or self._flushes or (self._owes and not closing)):
            return NEVER
        if off := self._find_optout():
            self._owes = False
            return self._give_up(f"switched off by {off}", NEVER)
        pause = self._hold_exit() if closing else self._hold()
        if pause is None:
            pause = self._rate.delay() or self._load_transport(closing=closing)
        return self._upload(closing=closing) if pause is None else pause

    def abandon(self) -> None:
        """Count a request that is on its way as a failure: the process ends before its answer.

        For the exit, on another thread. So the next process does not wait in vain as well.
        """
        if self._uploader is not None and self._uploader.is_sending:
            self._backoff.fail()

    def _hold(self) -> float | None:
        """Say how long a process that lives waits before it sends; None: not at all."""
        if self._settings.timeout == 0:
            self._owes = False
            return self._give_up("MIGAS_TIMEOUT is 0", NEVER)
        backoff = self._backoff.remaining(asked=bool(self._flushes))
        if backoff:
            self._owes = True
            return self._give_up(f"the server is left alone for {backoff:.0f} s", backoff)
        if self._hurried or self._flushes or (self._parcels and is_loaded("requests")):
            return None
        now = self._clock()
        if self._due is None:
            self._due = now + MOMENT if self._parcels else now
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
            self._owes = False
            return self._give_up(f"cannot send: {error}", NEVER)
        self._poll = min(self._poll * 2, LAST_POLL)
        return self._poll

    def _upload(self, *, closing: bool) -> float:
        """Send one request, and say when the next one is due."""
        pause = self._send_next(closing=closing)
        if pause and self._transport is not None:
            self._transport.close()
        return pause

    def _send_next(self, *, closing: bool) -> float:
        self._due, self._poll = None, FIRST_POLL
        upload = self._send_one()
        if upload.failure is not None:
            self._owes = True
            pause = NEVER if closing else self._backoff.remaining()
            return self._give_up(upload.failure.reason, pause)
        if self._parcels:
            return 0.0
        self._hurried = False
        self._misses = 0 if upload.sent else self._misses + 1
        # What waits and cannot be claimed, as on a read-only disk, is not asked for for ever.
        goes_on = upload.sent or (self._flushes and self._misses <= LOOKS)
        self._owes = bool(goes_on) and self._spool.has_waiting()
        if not self._owes:
            self._misses = 0
            self._settle_flushes("")
            return NEVER
        self._due = self._clock() + LEISURE
        if self._flushes:
            return 0.0 if upload.sent else LOOK_AGAIN
        return NEVER if closing else LEISURE

    def _send_one(self) -> Upload:
        from .uploader import Upload, Uploader

        parcels = list(self._parcels)
        try:
            if self._uploader is None:
                self._uploader = Uploader(
                    self._spool, self._connect(), self._backoff, may_start=self._may_start
                )
            return self._uploader.upload(self._parcels)
        except Exception as error:  # whoever waits is told in any case
            log.say(log.DEBUG, "cannot send: %r", error)
            self._parcels = parcels
            return Upload(0, Verdict(Outcome.UNSENT, f"cannot send: {error}"))

    def _connect(self) -> Callable[[bytes, Callable[[], None]], Reply]:
        from .transport import Transport

        transport = self._transport = Transport(self._settings.endpoint)
        timeout = min(self._settings.timeout, LONGEST_STEP)

        def send(body: bytes, on_write: Callable[[], None]) -> Reply:
            self._rate.count()
            return transport.send(body, timeout, on_write)

        return send

    def _give_up(self, reason: str, pause: float) -> float:
        """Leave everything where it is for now, and tell who waits."""
        for parcel in self._parcels:
            self._spool.unreserve(parcel.entry)
        self._parcels = postpone(self._parcels, reason)
        self._settle_flushes(reason)
        self._hurried = False
        return pause

    def _expire_flushes(self) -> None:
        now = self._clock()
        over = [flush for flush in self._flushes if flush.deadline <= now]
        self._flushes = [flush for flush in self._flushes if flush.deadline > now]
        for flush in over:
            flush.settle({"left": self._count_left(), "message": "there was no more time"})

    def _settle_flushes(self, reason: str) -> None:
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            flush.settle({"left": self._count_left(), "message": reason})

    def _count_left(self) -> int:
        in_memory = sum(parcel.entry is None for parcel in self._parcels)
        return in_memory + self._spool.count()
