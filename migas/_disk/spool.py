"""The spool: a directory of small immutable files that processes and nodes share.

Its rules are Maildir's (https://cr.yp.to/proto/maildir.html): a file is written in `tmp/`, is
pending in `new/`, and is claimed by renaming it into `cur/`. There is no lock, since advisory locks
fail or hang on the network file systems of clusters; a rename has one winner everywhere.

It is bounded as logs are, by rotation: when `new/` holds its share of the bounds it is renamed, as
a whole, to a segment in `old/`, and the oldest segments are dropped. So no step takes a list of all
pending entries: the names of one box are read, and claimed by birth.

Each public method is one batch of work at the disk's door, see `directory`. If the disk fails, only
`put` raises, an `OSError`; the others find nothing to claim, to count or to remove.
"""

from __future__ import annotations

import binascii
import contextlib
import os

from migas._runtime.clock import read_clock
from migas._runtime.randomness import randrange
from migas._runtime.settings import hide_credentials

from .directory import check_writable, file_name, find_cache, open_directory
from .entry import CUR, NEW, TMP, Entry, has_newer_form, list_segments, make_token, read_box
from .ownership import NoDiskError
from .stamp import Stamp
from .upkeep import Bounds, Upkeep, remove_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from migas._runtime.settings import Settings

    from .entry import MemoryEntry
    from .files import Directory

__all__ = ["Bounds", "Spool", "directory_for", "open_spool"]

#: How many entries a claim opens for each one that it may claim: others may be faster.
_LOOKS = 4

#: Milliseconds by which a clock may step back while entries of one process keep their order.
_STEP = 60_000

#: Seconds for which a network's disk may show as empty what another node has just written.
_STALE = 1.0


def directory_for(endpoint: str, cache_dir: str | None) -> str:
    """Return the path of one server's spool, or `""` if the user has no cache directory.

    Each server has its own, so that no breadcrumb goes to another than it was meant for.

    Example:
        >>> directory_for("https://migas.nipreps.org/graphql", "/scratch/jane")
        '/scratch/jane/migas.nipreps.org-3bb1cc9a'
    """
    cache = cache_dir or find_cache()
    if not cache:
        return ""
    address = hide_credentials(endpoint)
    host = file_name(address.partition("://")[2].partition("/")[0])
    # A checksum is enough to tell one user's few servers apart, and is there without an import.
    digest = f"{binascii.crc32(address.encode()):08x}"
    return os.path.join(cache, f"{host}-{digest}")


def open_spool(settings: Settings) -> Spool:
    """Return the spool of the server that ``settings`` name; nothing is made on disk yet."""
    bounds = Bounds(settings.spool_count, settings.spool_bytes, settings.spool_days * 86400.0)
    return Spool(directory_for(settings.endpoint, settings.cache_dir), bounds)


class Spool:
    """The breadcrumbs on disk that are pending for one server.

    Parameters:
        directory: the spool's path, or `""`: then there is no disk.
        bounds: what it holds at most.
        clock: the time in seconds since the epoch.
        randrange: returns a random number below the one that it is given.
    """

    def __init__(
        self,
        directory: str,
        bounds: Bounds,
        clock: Callable[[], float] = read_clock,
        randrange: Callable[[int], int] = randrange,
    ) -> None:
        self.directory = directory
        self._bounds = bounds
        self._clock = clock
        self._made = False
        self._birth = -1
        # Tokens of what is not to be looked at again: not ours, or of a newer version's form.
        self._passed: set[str] = set()
        # Of all hosts that share the directory.
        self._drops = Stamp(directory, "dropped", "all")
        self._refusals = Stamp(directory, "refused", "all")
        self._silences = Stamp(directory, "unanswered", "all")
        self._upkeep = Upkeep(bounds, randrange, self._drops)

    def put(self, data: bytes, token: str = "") -> Entry:
        """Write a new pending entry, whole or not at all.

        Parameters:
            data: the content, 64 KiB at most.
            token: a new one, which the caller knows before anybody can claim the entry.

        Raises:
            NoDiskError: there is no disk for us, and to ask again changes nothing.
            OSError: the disk fails. Nothing was written.
        """
        self._birth = birth = self._next_birth()
        draft = Entry(self.directory, TMP, birth, token or make_token(), 0)
        try:
            with open_directory(self.directory, makes=True) as spool:
                self._make(spool)
                entry = draft.write(data, spool)
                self._upkeep.tidy_sometimes(spool, self._clock(), birth)
        except OSError:
            self._made = False  # or somebody has removed it since
            raise
        return entry

    def claim(self, limit: int) -> list[Entry]:
        """Claim pending entries, ``limit`` at most, the oldest first.

        Each has its content. Entries that are too old are dropped; those of a newer version, and
        files that are not ours, are passed over.
        """
        claimed: list[Entry] = []
        now, looks = self._clock(), limit * _LOOKS
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            for entry in self._read_pending(spool, prunes=True):
                if looks <= 0 or len(claimed) == limit:
                    break
                if self._bounds.exclude(entry.birth, now):
                    self._upkeep.drop([entry], now, spool)
                elif taken := self._claim(entry, now, spool):
                    claimed.append(taken)
                looks -= entry.token not in self._passed
        return claimed

    def take(self, entries: Sequence[Entry]) -> list[Entry | None]:
        """Claim entries that `put` returned; each is None if another thread or process has it."""
        now, taken, place = self._clock(), [], NEW
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            for entry in entries:
                # Where the one before was found, since they were written one after the other.
                for box in _list_places(spool, place):
                    if claimed := entry._replace(box=box).claim(now, spool):
                        place = box
                        break
                    if box != NEW:
                        spool.forget(box)
                taken.append(claimed)
        return [*taken, *[None] * (len(entries) - len(taken))]

    def recover(self, limit: int) -> None:
        """Make entries pending again whose claim has ended, ``limit`` at most, and sweep litter.

        Their process died, or was held up for longer than a claim lasts.
        """
        now = self._clock()
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            ended = (entry for entry in read_box(spool, CUR) if not entry.is_claimed(now))
            for entry in ended:
                limit -= entry.release(entry.attempts, spool) is not None
                if limit <= 0:
                    break
            self._upkeep.sweep(spool, now)

    def refuse(self, entry: Entry | MemoryEntry) -> None:
        """Remove a breadcrumb that the server has refused, and count it."""
        entry.discard()
        self._refusals.set(self._clock())

    def give_up(self, entry: Entry | MemoryEntry) -> None:
        """Remove a breadcrumb that was sent often enough without an answer, and count it."""
        entry.discard()
        self._silences.set(self._clock())

    @property
    def dropped(self) -> int:
        """How many entries were dropped so far, for a person to read."""
        return self._drops.times

    @property
    def refused(self) -> int:
        """How many breadcrumbs the server has refused so far, for a person to read."""
        return self._refusals.times

    @property
    def unanswered(self) -> int:
        """How many breadcrumbs count as delivered though no answer came, for a person to read."""
        return self._silences.times

    def list_pending(self) -> list[Entry]:
        """List every entry that is not delivered yet, for a person to read. Nothing is changed.

        One that is claimed or released meanwhile may be listed twice, or not at all.
        """
        found: list[Entry] = []
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            for box in (*list_segments(spool), NEW, CUR):
                found += [entry for entry in read_box(spool, box) if entry.is_there(spool)]
                spool.forget(box)
        return found

    def count(self) -> int:
        """Return how many entries are not delivered yet."""
        return len(self.list_pending())

    def has_pending(self) -> bool:
        """Return whether an entry is pending that could be claimed."""
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            return any(entry.is_there(spool) for entry in self._read_pending(spool))
        return False

    def problem(self) -> str:
        """Return why nothing can be kept on disk, for a person to read, or `""`. Nothing is made.

        A full disk is not noticed: only writing shows that.
        """
        try:
            with contextlib.suppress(FileNotFoundError), open_directory(self.directory) as spool:
                for box in (TMP, NEW, CUR):
                    with contextlib.suppress(FileNotFoundError):
                        spool.box(box)
            check_writable(self.directory)
        except NoDiskError as error:
            return str(error)
        except OSError as error:
            return f"{self.directory}: {error.strerror}"
        return ""

    def _next_birth(self) -> int:
        """Return the time in milliseconds, but later than the last one: entries go by birth.

        Two threads may get the same at an exit: then the order of two entries is left to chance.
        """
        now = max(0, int(self._clock() * 1000))
        return self._birth + 1 if self._birth - _STEP < now <= self._birth else now

    def _make(self, spool: Directory) -> None:
        """Make the boxes, once a process: what is written could not be claimed without `cur/`."""
        if self._made:
            return
        for box in (TMP, NEW, CUR):
            spool.box(box, makes=True)
        self._made = True

    def _read_pending(self, spool: Directory, *, prunes: bool = False) -> Iterator[Entry]:
        """Yield pending entries by birth; ``prunes``: remove segments that turn out to be empty."""
        for box in (*list_segments(spool), NEW):
            for entry in read_box(spool, box):
                if entry.token not in self._passed:
                    yield entry
            if prunes and box != NEW:
                remove_segment(spool, box)
            spool.forget(box)

    def _claim(self, entry: Entry, now: float, spool: Directory) -> Entry | None:
        """Claim an entry that this version can read; a newer version's stays where it is."""
        try:
            content = entry.read(spool)
        except (NoDiskError, PermissionError):
            self._passed.add(entry.token)
            return None
        except OSError:
            return None
        if not content and abs(now - entry.birth / 1000) < _STALE:
            return None
        if has_newer_form(content):
            self._passed.add(entry.token)
            return None
        return entry._replace(content=content).claim(now, spool)


def _list_places(spool: Directory, first: str) -> Iterator[str]:
    """Yield the boxes in which an entry may be pending, with the likeliest one first."""
    yield first
    if first != NEW:
        yield NEW
    # Listed after the look into `new/`, which may have become a segment since.
    yield from reversed(list_segments(spool))
