"""The sender: decides when pending breadcrumbs are sent, and has the uploader send them.

It runs on one thread and sends one request a turn. It owns the parcels and flushes in memory, the
connection, and the decision to wait: for more breadcrumbs, for the back-off, for the server's limit
of requests, or for the pace at which short processes deliver.

What may go wrong: the process may be killed at any moment, so parcels in memory are on disk as
well, unless no disk can be written. If a request fails, parcels on disk are left to a later turn or
process.
"""

from __future__ import annotations

import os

from migas._crumb.environment import is_persistent
from migas._disk.entry import LEASE
from migas._disk.spool import open_spool
from migas._runtime import log
from migas._runtime.loading import StandInError, is_transport_loaded, load
from migas._runtime.native import time
from migas._runtime.optout import look_for_optout
from migas._runtime.stand_in import explain_stand_in, find_stand_in
from migas._runtime.threads import NEVER

from .flushes import Flushes
from .parcel import Outcome, Reply, Verdict
from .throttle import Backoff, Pace, Rate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas._runtime.exit import Exit
    from migas._runtime.listeners import Listeners
    from migas._runtime.loading import Import
    from migas._runtime.settings import Settings

    from .parcel import Item, Parcel
    from .transport import Transport
    from .uploader import Upload, Uploader

#: Seconds after the first breadcrumb before `requests` is imported for its sake.
MOMENT = 0.5

#: Seconds between two requests for a backlog on disk, by a process that has nothing of its own to
#: send: some four thousand breadcrumbs an hour.
LEISURE = 15.0

#: Seconds until a flush looks again for pending entries if it could claim none, and how often in a
#: row. Other processes may be faster, and a network file system lists entries that they have moved
#: for a second longer (measured on GlusterFS).
LOOK_AGAIN, LOOKS = 1.0, 3

#: The longest time for each step of a request, in seconds, whatever `MIGAS_TIMEOUT` says: a claim's
#: lease has to outlast the name look-up, the connecting and the answer.
LONGEST_STEP = LEASE / 4

#: Breadcrumbs that are held in memory if no disk can be written.
MAX_IN_MEMORY = 1000


class Sender:
    """Holds parcels and flushes until it is time to send, and has them uploaded.

    Parameters:
        settings: the process's settings.
        listeners: shared by all agents of the process.
        process_exit: once it has begun, it decides whether a request may start.
        modules: `loading.TRANSPORT_MODULES`, imported when there is something to send.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: Listeners,
        process_exit: Exit,
        modules: Import,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: The breadcrumbs to send, in order, and the flushes that wait until none is pending.
        self.parcels: list[Parcel] = []
        self.flushes = Flushes(self._count_pending, clock)
        self._settings = settings
        self._listeners = listeners
        self._exit = process_exit
        self._modules = modules
        self._clock = clock
        self._spool = open_spool(settings)
        self._backoff = Backoff(self._spool.directory)
        self._rate = Rate(clock=clock)
        self._transport: Transport | None = None
        self._uploader: Uploader | None = None
        # When the next request is due that nobody waits for, by the clock. Not `NEVER`: there are
        # new breadcrumbs, or a backlog on disk that this process should send while it lives.
        self._due = NEVER
        # How many looks in a row found no entry to claim.
        self._misses = 0
        # True once this exit has been counted against the pace, or need not be.
        self._is_counted = False
        # True once the transport could not be imported.
        self._has_failed = False
        # The answer to the request under way has been read. For the exit, on another thread.
        self._is_answered = False

    def handle(self, items: list[Item], _can_wait: bool) -> float:
        """Take over ``items``, and send one request if it is time; a `threads.Handler`.

        Returns:
            The seconds until the next call, 0.0 for at once, or `NEVER` if nothing is to be sent.
        """
        if self._uploader is not None:
            self._uploader.discard_delivered()
        failure = self._modules.take_failure()
        while items:
            items.pop(0).join(self)
        self.flushes.expire()
        is_ending = self._exit.has_begun
        is_due = self._due <= self._clock() if is_ending else self._due != NEVER
        if not (self.parcels or self.flushes or is_due):
            return NEVER
        if refusal := self._find_refusal():
            pause: float | None = self._give_up(refusal, NEVER)
        else:
            pause = self._hold_exit() if is_ending else self._hold()
        if pause is None:
            pause = self._stand_aside() or self._rate.delay() or self._load(failure)
        pause = pause or self._send()
        if self._exit.is_replaced and not (self.parcels or self.flushes):
            pause = self._due = NEVER  # its backlog is sent by the other agent, or a later process
        # Nothing follows at once: not even an exit may leave a connection open.
        if pause and self._transport is not None:
            self._transport.close()
        return pause

    def has_answer(self) -> bool:
        """Return True if the answer to the request under way has come as far as this machine.

        That includes one that this thread has read, and not yet carried out on the disk.
        """
        return self._is_answered or (self._transport is not None and self._transport.has_answer())

    def abandon(self) -> None:
        """Count the request under way as a failure: the process ends before its answer."""
        self._backoff.fail()

    def hang_up(self) -> None:
        """Wake this thread if it waits for the server: the request fails."""
        if self._transport is not None:
            self._transport.hang_up()

    def _find_refusal(self) -> str:
        """Return why this process sends nothing, whatever is pending, or `""`."""
        if off := look_for_optout(os.environ):
            return f"switched off by {off}"
        return "MIGAS_DRY_RUN is set" if self._settings.dry_run else ""

    def _hold(self) -> float | None:
        """Decide when to send, in a process that is not ending.

        Returns None to send now, or the seconds to wait. Gives up for a `MIGAS_TIMEOUT` of 0 and
        during a back-off. Otherwise a request starts at once if a caller waits for it or if
        `requests` is imported already, and after `MOMENT` seconds if not.
        """
        if self._settings.timeout == 0:
            return self._give_up("MIGAS_TIMEOUT is 0", NEVER)
        backoff = self._backoff.remaining(asked=bool(self.flushes))
        if backoff:
            return self._give_up(f"the server is left alone for {backoff:.0f} s", backoff)
        if self._is_awaited() or (self.parcels and is_transport_loaded()):
            return None
        now = self._clock()
        if self._due == NEVER:
            self._due = now + MOMENT
        return self._due - now if now < self._due else None

    def _hold_exit(self) -> float | None:
        """Decide whether to send during the exit.

        Returns None to send now, or `NEVER` after giving up: there is no time left, the back-off
        is not over, or enough short processes have delivered this hour. The pace does not count
        for breadcrumbs that would be lost, or that a caller waits for.
        """
        if self._settings.timeout == 0 or not self._exit.may_start_request():
            return self._give_up("the process ends", NEVER)
        if self._backoff.remaining():
            return self._give_up("the server is left alone for a while", NEVER)
        if self._is_counted or self._is_awaited() or self._is_any_in_memory():
            return None
        directory = self._spool.directory
        self._is_counted = not is_persistent(directory) or Pace(directory).take()
        if not self._is_counted:
            return self._give_up("enough exits have delivered for now", NEVER)
        return None

    def _stand_aside(self) -> float:
        """Give up while a test's tool stands in for the network. Returns 0.0 if there is none."""
        tool = find_stand_in(self._settings.endpoint)
        if not tool:
            return 0.0
        return self._give_up(explain_stand_in(tool), self._leisure())

    def _is_awaited(self) -> bool:
        """Return True if a caller waits for a flush or for one of the parcels."""
        return bool(self.flushes) or any(parcel.is_awaited for parcel in self.parcels)

    def _is_any_in_memory(self) -> bool:
        """Return True if a parcel is in memory only, so that no later process can send it."""
        return any(not parcel.entry.is_on_disk for parcel in self.parcels)

    def _load(self, failure: str) -> float:
        """Import the transport. Returns 0.0 if it is there, or the seconds until the next try.

        ``failure`` is why a caller could not import it just now: it would wait for that in vain.
        """
        try:
            # The host forks no more once the exit has begun, so `logging` may then be loaded, too.
            pause = self._modules.attempt(loads_logging=not self._exit.has_begun)
        except StandInError as error:  # it has come meanwhile
            return self._give_up(str(error), self._leisure())
        except Exception as error:  # whatever a broken installation raises
            pause, failure = NEVER, str(error) or repr(error)
        if not (pause and failure):
            return pause
        # Once more, since a host may have had no memory or no descriptor left at that moment.
        pause = NEVER if self._has_failed else self._leisure()
        self._has_failed = True
        return self._give_up(f"cannot send: {failure}", pause)

    def _leisure(self) -> float:
        """Return the seconds after which to try again what nobody waits for; an exit does not."""
        return NEVER if self._exit.has_begun else LEISURE

    def _send(self) -> float:
        """Send one request, and return the seconds until the next one is due."""
        return self._plan(self._upload())

    def _plan(self, upload: Upload) -> float:
        """Return the seconds until the next request, given the result of the last one."""
        self.parcels = upload.left
        if upload.failure is not None:
            pause = NEVER if self._exit.has_begun else self._backoff.remaining()
            return self._give_up(upload.failure.reason, pause)
        if self.parcels:
            return 0.0
        self._misses = 0 if upload.sent else self._misses + 1
        # Entries that cannot be claimed, as on a read-only disk, are not tried without end.
        goes_on = upload.sent or (self.flushes and self._misses <= LOOKS)
        if not (goes_on and self._spool.has_pending()):
            self._due, self._misses = NEVER, 0
            self.flushes.settle("")
            return NEVER
        # One that asked for news had no room for a backlog, which goes with the next.
        pause = 0.0 if upload.asked_news else LEISURE
        self._due = self._clock() + pause
        if self.flushes:
            return 0.0 if upload.sent else LOOK_AGAIN
        return NEVER if self._exit.has_begun and pause else pause

    def _upload(self) -> Upload:
        """Send one request, by an uploader that is made on first use."""
        from .uploader import Upload, Uploader

        start = self._clock()
        try:
            if self._uploader is None:
                send = self._connect()
                self._uploader = Uploader(
                    self._spool, send, self._backoff, self._listeners, self._exit
                )
            upload = self._uploader.upload(self.parcels)
            if upload.sent and upload.failure is None:
                self._exit.note_request(self._clock() - start)
            return upload
        except StandInError as error:  # it has come meanwhile: the server is not to blame
            return Upload(0, self.parcels, Verdict(Outcome.UNSENT, str(error)))
        except Exception as error:  # a broken installation: callers who wait get the reason
            self._backoff.fail()  # whatever it was, the same at once is no remedy
            log.say(log.DEBUG, "cannot send: %r", error)
            verdict = Verdict(Outcome.UNSENT, f"cannot send: {error}")
            return Upload(0, self.parcels, verdict)
        finally:
            self._exit.request = None  # its answer has been carried out, too

    def _connect(self) -> Callable[[bytes, Callable[[], None]], Reply]:
        """Return a function that sends a request, counts it, and lets the exit see it."""
        load(f"{__package__}.transport")  # an exit has not loaded it before
        from .transport import Transport

        transport = self._transport = Transport(self._settings.endpoint)
        timeout = min(self._settings.timeout, LONGEST_STEP)

        def send(body: bytes, on_write: Callable[[], None]) -> Reply:
            if tool := find_stand_in(self._settings.endpoint):  # it has come meanwhile
                return Reply(Outcome.UNSENT, explain_stand_in(tool))
            self._rate.count()
            self._is_answered, self._exit.request = False, self
            reply = transport.send(body, timeout, on_write)
            self._is_answered = True
            return reply

        return send

    def _give_up(self, reason: str, pause: float) -> float:
        """Send nothing for ``pause`` seconds: settle all receipts with ``reason``.

        Parcels on disk are dropped from memory, since this process or another finds them there.
        Returns ``pause``.
        """
        # Due at once from now on, so that each wake-up looks: another process may have ended the
        # back-off.
        self._due = NEVER if pause == NEVER else self._clock()
        for parcel in self.parcels:
            parcel.miss(self._listeners, reason)
        in_memory = [parcel for parcel in self.parcels if not parcel.entry.is_on_disk]
        self.parcels = in_memory[-MAX_IN_MEMORY:]
        self.flushes.settle(reason)
        return pause

    def _count_pending(self) -> int:
        """Count the pending breadcrumbs, on disk and in memory."""
        in_memory = sum(not parcel.entry.is_on_disk for parcel in self.parcels)
        return in_memory + self._spool.count()
