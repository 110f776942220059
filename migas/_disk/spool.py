"""The spool: a directory of small immutable files that processes and nodes share.

Its rules are Maildir's (https://cr.yp.to/proto/maildir.html): a file is written in `tmp/`, is
pending in `new/`, and is claimed by renaming it into `cur/`. There is no lock, since advisory locks
fail or hang on the network file systems of clusters; a rename has one winner everywhere.

It is bounded as logs are, by rotation: when `new/` holds its share of the bounds it is renamed, as
a whole, to a segment in `old/`, and the oldest segments are dropped. So no step takes a list of all
pending entries: the names of one box are read, and claimed by birth.

Each public method is one batch of work at the disk's door, see `directory`. Only `put` tells that
the disk fails, by an `OSError`; elsewhere there is nothing to claim, to count or to remove then.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import time

from migas._runtime.randomness import randrange
from migas._runtime.settings import hide_credentials

from .directory import check_writable, file_name, find_cache, open_directory
from .entry import CUR, NEW, TMP, Entry, has_newer_form, list_segments, make_token, read_box
from .files import NoDiskError
from .stamp import Stamp
from .upkeep import Bounds, Upkeep, remove_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migas._runtime.settings import Settings

    from .entry import MemoryEntry
    from .files import Directory

__all__ = ["Bounds", "Spool", "directory_for", "open_spool"]

#: How many names a claim looks at for each entry that it is to find: others may be faster.
_LOOKS = 4

#: Milliseconds by which a clock may step back without that entries of one process change places.
_STEP = 60_000


def directory_for(endpoint: str, cache_dir: str | None) -> str:
    """Return the path of one server's spool, or `""` if the user has no cache directory.

    Each server has its own: no breadcrumb goes to another than the one it was meant for.
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
    """Return the spool that ``settings`` name; nothing is made yet."""
    bounds = Bounds(settings.spool_count, settings.spool_bytes, settings.spool_days * 86400.0)
    return Spool(directory_for(settings.endpoint, settings.cache_dir), bounds)


class Spool:
    """The breadcrumbs on disk that are pending for one server."""

    def __init__(
        self,
        directory: str,
        bounds: Bounds,
        clock: Callable[[], float] = time.time,
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
        """Write ``data`` as a new pending entry, whole or not at all. Raises `OSError`.

        ``token``: a new one, of which the caller knows before the entry can be claimed.
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
        """Claim pending entries, ``limit`` at most, the oldest first."""
        claimed: list[Entry] = []
        now, looks = self._clock(), limit * _LOOKS
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            for entry in self._pending(spool, prunes=True):
                if looks <= 0 or len(claimed) == limit:
                    break
                if self._bounds.exclude(entry.birth, now):
                    self._upkeep.drop([entry], now, spool)
                elif taken := self._claim(entry, now, spool):
                    claimed.append(taken)
                looks -= entry.token not in self._passed
        return claimed

    def take(self, entry: Entry) -> Entry | None:
        """Claim one entry, or return None: another thread or process has it."""
        now = self._clock()
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            taken = entry.claim(now, spool)
            for segment in () if taken else reversed(list_segments(spool)):
                taken = taken or entry._replace(box=segment).claim(now, spool)
                spool.forget(segment)
            return taken
        return None

    def recover(self, limit: int) -> None:
        """Make entries pending again whose claim is over, ``limit`` at most, and sweep litter."""
        now = self._clock()
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            over = (entry for entry in read_box(spool, CUR) if not entry.is_claimed(now))
            for entry in over:
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

    def waiting(self) -> Iterator[Entry]:
        """List every entry that is not delivered yet, for a person to read; nothing is changed."""
        found: list[Entry] = []
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            for box in (*list_segments(spool), NEW, CUR):
                found += [entry for entry in read_box(spool, box) if _is_there(entry, spool)]
                spool.forget(box)
        return iter(found)

    def count(self) -> int:
        """Return how many entries are not delivered yet."""
        return sum(1 for _ in self.waiting())

    def has_waiting(self) -> bool:
        """Return whether an entry is pending that could be claimed."""
        with contextlib.suppress(OSError), open_directory(self.directory) as spool:
            return any(_is_there(entry, spool) for entry in self._pending(spool))
        return False

    def problem(self) -> str:
        """Return why nothing can be kept on disk, for a person to read, or `""`."""
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
        """Return the time in milliseconds, but later than the last: entries go by birth."""
        now = max(0, int(self._clock() * 1000))
        return self._birth + 1 if self._birth - _STEP < now <= self._birth else now

    def _make(self, spool: Directory) -> None:
        """Make what is missing: once a process, since a box that is not ours holds up entries."""
        if self._made:
            return
        for box in (TMP, NEW, CUR):
            spool.box(box, makes=True)
        self._made = True

    def _pending(self, spool: Directory, *, prunes: bool = False) -> Iterator[Entry]:
        """Yield pending entries by birth; ``prunes``: remove the segments that are empty then."""
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
        if has_newer_form(content):
            self._passed.add(entry.token)
            return None
        return entry._replace(content=content).claim(now, spool)


def _is_there(entry: Entry, spool: Directory) -> bool:
    try:
        entry.size(spool)
    except OSError:
        return False
    return True
