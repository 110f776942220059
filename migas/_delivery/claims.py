"""The claims: the pending entries that a request takes out of the spool, until each is settled.

It owns the steps on disk between "pending" and "removed": claim, count the attempt, release. Those
of one request open the spool once, since each opening costs more than the step itself.

What may go wrong: another thread or process is faster, then an entry is left to it; or the process
is killed, then its claims end with their lease and another process sends them.
"""

from __future__ import annotations

import contextlib

from migas._crumb import breadcrumb
from migas._disk.directory import open_directory
from migas._disk.entry import Entry, MemoryEntry
from migas._runtime import log

from . import policy
from .parcel import Outcome, Parcel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from migas._crumb.breadcrumb import Breadcrumb
    from migas._disk.files import Directory
    from migas._disk.spool import Spool
    from migas._runtime.listeners import Listeners

    from .parcel import Verdict


class Claims:
    """Claims the entries of one spool for requests, and removes or releases them.

    Parameters:
        spool: the spool that they lie in.
        listeners: the receipts that wait for them, shared by all agents of the process.
        clock: seconds since the epoch.
    """

    def __init__(self, spool: Spool, listeners: Listeners, clock: Callable[[], float]) -> None:
        self._spool = spool
        self._listeners = listeners
        self._clock = clock
        # What the server has, and the disk would not let go.
        self._delivered: list[Entry] = []

    def take(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Claim parcels of this process. Returns those that nobody else has claimed."""
        on_disk = [entry for each in parcels if not isinstance(entry := each.entry, MemoryEntry)]
        found = iter(self._spool.take(on_disk))
        claimed: list[Parcel] = []
        for parcel in parcels:
            entry = parcel.entry
            taken = entry if isinstance(entry, MemoryEntry) else next(found)
            if taken is None:
                # If a thread of this process has claimed it on disk, it has taken the receipt, too.
                parcel.miss(self._listeners, "another process is sending it")
                continue
            parcel.entry = taken
            self._listeners.take(taken.token)
            claimed.append(parcel)
        return claimed

    def fetch(self, limit: int) -> Iterator[Parcel]:
        """Claim up to ``limit`` pending entries, and yield those that hold a breadcrumb."""
        for entry in self._spool.claim(limit) if limit > 0 else ():
            receipt = self._listeners.take(entry.token)
            crumb = self._read(entry)
            if crumb is not None:
                yield Parcel(crumb, entry, receipt)
            elif receipt is not None:
                receipt.settle({"success": False, "message": "its file cannot be sent"})

    def _read(self, entry: Entry) -> Breadcrumb | None:
        """Read a claimed entry. Returns None if it is not to be sent: then its claim has ended."""
        if entry.attempts >= policy.MAX_ATTEMPTS:
            self._spool.give_up(entry)
            return None
        try:
            return breadcrumb.decode(entry.read())
        except FileNotFoundError:  # the claim was lost, or the person has removed it
            return None
        except Exception as error:  # a file may hold anything, and a parser may choke on it
            log.say(log.DEBUG, "%s is set aside: %r", entry.path, error)
            entry.set_aside()
            return None

    def count_attempt(self, parcels: Iterable[Parcel], attempts: Iterable[int]) -> None:
        """Count one more attempt for each parcel, which had ``attempts`` so far.

        Raises `OSError` if this process was held up for longer than its leases and another one has
        claimed an entry.
        """
        with self._batch() as spool:
            for parcel, count in zip(parcels, attempts, strict=True):
                parcel.entry = parcel.entry.attempt(self._clock(), count + 1, spool)

    def end(self, judged: Iterable[tuple[Parcel, Verdict, int]]) -> list[Parcel]:
        """End each claim: remove its breadcrumb, or release it to be sent again.

        Parameters:
            judged: each parcel with its verdict, and the attempts before the last request.

        Returns:
            The parcels that are to be sent again and are in memory only.
        """
        with self._batch() as spool:
            return [each[0] for each in judged if self._end(*each, spool)]

    def _end(
        self, parcel: Parcel, verdict: Verdict, attempts: int, spool: Directory | None
    ) -> bool:
        attempts += verdict.outcome is Outcome.UNKNOWN
        if policy.waits(verdict.outcome, attempts):
            parcel.entry = parcel.entry.release(attempts, spool) or parcel.entry
            return not parcel.entry.is_on_disk
        if verdict.outcome is Outcome.REFUSED:
            # INFO: the user can do nothing about it.
            log.say(log.INFO, "%s is refused: %s", parcel.breadcrumb.project, verdict.reason)
            self._spool.refuse(parcel.entry)
        elif verdict.outcome is Outcome.UNKNOWN:
            self._spool.give_up(parcel.entry)
        elif isinstance(parcel.entry, Entry) and not parcel.entry.discard(spool):
            # Once more in a spool of its own, since a host may have closed this batch's descriptor.
            self._delivered.append(parcel.entry)
            self.discard_delivered()
        return False

    def discard_delivered(self) -> None:
        """Remove what the server has and the disk would not let go: it is not to be sent again.

        A host may have no descriptor left for a while. Once a claim is over another process may
        have sent it again.
        """
        now = self._clock()
        self._delivered = [
            entry for entry in self._delivered if not entry.discard() and entry.is_claimed(now)
        ]

    def release(self, parcels: Iterable[Parcel]) -> None:
        """End the claims of parcels that are not sent now: they are pending again."""
        with self._batch() as spool:
            for parcel in parcels:
                entry = parcel.entry
                if parcel.receipt is not None and not parcel.receipt.done():
                    self._listeners.restore(entry.token, parcel.receipt)
                parcel.entry = entry.release(entry.attempts, spool) or entry

    @contextlib.contextmanager
    def _batch(self) -> Iterator[Directory | None]:
        """Open the spool for steps on several entries. Yields None if it cannot be opened.

        Then each step opens it for itself, and fails as it does alone.
        """
        with contextlib.ExitStack() as stack:
            spool = None
            with contextlib.suppress(OSError):
                spool = stack.enter_context(open_directory(self._spool.directory))
            yield spool
