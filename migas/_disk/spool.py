"""The spool: a directory of small immutable files that processes and nodes share.

Its rules are Maildir's (https://cr.yp.to/proto/maildir.html): a file is written in `tmp/`, waits
in `new/`, and is claimed by renaming it into `cur/`. There is no lock, since advisory locks fail or
hang on the network file systems of clusters; a rename has one winner everywhere.

It is bounded as logs are, by rotation: when `new/` holds its share of the bounds it is renamed, as
a whole, to a segment in `old/`, and of these the oldest are dropped. So neither to write nor to
claim nor to drop takes a list of all that waits.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import re
import time

from migas._runtime.namedtuple import NamedTuple
from migas._runtime.randomness import randrange

from .directory import create_directory, file_name, find_cache, open_private
from .entry import ASIDE, CUR, NEW, TMP, Entry, list_names, make_box, make_token, read_box
from .stamp import Stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migas._runtime.settings import Settings

    from .entry import MemoryEntry

#: Where the segments lie.
_OLD = "old"

#: The shares that the bounds are divided into, and how many of them are kept: each may be a quarter
#: too large by the time that this is noticed.
_SHARES, _KEPT = 40, 32

#: Bytes of an entry that is among the largest.
_LARGE = 2500

#: Seconds after which a file that nobody finished writing is litter.
_LITTER_AGE = 3600.0

#: Seconds of age beyond the bound that no entry has: a clock is wrong that says so.
_IMPOSSIBLE_AGE = 365 * 86400.0

#: How many names a claim looks at for each entry that it is to find: others may be faster.
_LOOKS = 4

_SEGMENT = r"\d{13}-[0-9a-f]{8}"


def directory_for(endpoint: str, cache_dir: str | None) -> str:
    """Name the spool of one server: no breadcrumb goes to another than the one it was meant for."""
    host = file_name(endpoint.partition("://")[2].partition("/")[0])
    # A checksum is enough to tell one user's few servers apart, and is there without an import.
    digest = f"{binascii.crc32(endpoint.encode()):08x}"
    return os.path.join(cache_dir or find_cache(), f"{host}-{digest}")


def open_spool(settings: Settings) -> Spool:
    """Return the spool that ``settings`` name; nothing is made yet."""
    bounds = Bounds(settings.spool_count, settings.spool_bytes, settings.spool_days * 86400.0)
    return Spool(directory_for(settings.endpoint, settings.cache_dir), bounds)


class Bounds(NamedTuple):
    """What a spool holds at most."""

    #: Entries.
    number: int
    #: Bytes.
    size: int
    #: Seconds.
    age: float


class Spool:
    """The breadcrumbs on disk that wait for one server."""

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
        self._randrange = randrange
        self._made = False
        # Of all hosts that share the directory.
        self._drops = Stamp(directory, "dropped", "all")
        self._refusals = Stamp(directory, "refused", "all")
        self._silences = Stamp(directory, "unanswered", "all")

    def put(self, data: bytes, token: str = "") -> Entry:
        """Write ``data`` as a new waiting entry, whole or not at all. Raises `OSError`.

        ``token``: a new one, of which the caller knows before the entry can be claimed.
        """
        self._make()
        birth = max(0, int(self._clock() * 1000))
        draft = Entry(self.directory, TMP, birth, token or make_token(), 0)
        try:
            # A full disk may be reported as late as by close(): the rename comes after it. No
            # fsync: a killed process loses nothing without it, and it is slow on network disks.
            with open(draft.path, "xb", opener=open_private) as file:
                file.write(data)
            entry = draft.publish()
        except OSError:
            draft.discard()
            self._made = False  # or somebody has removed it since
            raise
        # To look costs a stat for each entry of a share: so some four looks a share, whoever puts.
        share = min(self._bounds.number, self._bounds.size // _LARGE) // _SHARES
        if self._randrange(max(1, share // 4)) == 0:
            self._tidy()
        return entry

    def claim(self, limit: int) -> list[Entry]:
        """Claim some waiting entries, at most ``limit``, the oldest segment's first."""
        claimed: list[Entry] = []
        now, looks = self._clock(), limit * _LOOKS
        for box in (*self._segments(), NEW):
            for entry in self._look(box):
                if looks <= 0 or len(claimed) == limit:
                    return claimed
                looks -= 1
                if self._is_too_old(entry.birth, now):
                    self._drop([entry], now)
                elif taken := entry.claim(now):
                    claimed.append(taken)
            if box != NEW:
                # Nothing is ever added to a segment; one that is not empty yet stays.
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.join(self.directory, box))
        return claimed

    def take(self, entry: Entry) -> Entry | None:
        """Claim one entry, or return None: another thread or process has it."""
        now = self._clock()
        taken = entry.claim(now)
        for segment in () if taken else reversed(self._segments()):
            taken = taken or entry._replace(box=segment).claim(now)
        return taken

    def recover(self, limit: int) -> None:
        """Let entries wait again whose claimer died, looking at no more than ``limit``."""
        now = self._clock()
        for _, entry in zip(range(limit), self._look(CUR), strict=False):
            if not entry.is_claimed(now):
                entry.release(entry.attempts)
        self._sweep(TMP, now - _LITTER_AGE, limit)
        self._sweep(ASIDE, now - self._bounds.age, limit)

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
        for box in (*self._segments(), NEW, CUR):
            yield from self._look(box, tidies=False)

    def count(self) -> int:
        """Count what is not delivered yet."""
        return sum(1 for _ in self.waiting())

    def has_waiting(self) -> bool:
        """Say whether anything waits that could be claimed."""
        return self._has_claimable(NEW) or any(map(self._has_claimable, self._segments()))

    def _has_claimable(self, box: str) -> bool:
        return any(True for _ in self._look(box, tidies=False))

    def _segments(self) -> list[str]:
        """Name the segments, from the oldest on."""
        names = sorted(
            name
            for name in list_names(os.path.join(self.directory, _OLD))
            if re.fullmatch(_SEGMENT, name, re.ASCII)
        )
        return [os.path.join(_OLD, name) for name in names]

    def _look(self, box: str, *, tidies: bool = True) -> Iterator[Entry]:
        return read_box(self.directory, box, tidies=tidies)

    def _tidy(self) -> None:
        """Drop what is too old, and rotate when `new/` holds its share of the bounds."""
        now = self._clock()
        # Not while it is being read: Windows renames no directory that is open.
        if self._is_share_full(now):
            self._rotate(now)

    def _is_share_full(self, now: float) -> bool:
        count, size, share = 0, 0, self._bounds.number // _SHARES
        for entry in self._look(NEW):
            if self._is_too_old(entry.birth, now):
                self._drop([entry], now)
                continue
            with contextlib.suppress(OSError):
                size += os.stat(entry.path).st_size
            count += 1
            if count >= share or size >= self._bounds.size // _SHARES:
                return True
        return False

    def _rotate(self, now: float) -> None:
        make_box(self.directory, _OLD)
        segment = os.path.join(_OLD, f"{max(0, int(now * 1000)):013d}-{os.urandom(4).hex()}")
        with contextlib.suppress(OSError):  # another process was faster
            os.rename(os.path.join(self.directory, NEW), os.path.join(self.directory, segment))
        make_box(self.directory, NEW)
        segments = self._segments()
        for index, segment in enumerate(segments):
            # Its name says when its youngest entry was not yet in the next one.
            moment = int(os.path.basename(segment).partition("-")[0])
            if index <= len(segments) - _KEPT or self._is_too_old(moment, now):
                self._drop(list(self._look(segment)), now)
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.join(self.directory, segment))

    def _is_too_old(self, birth: int, now: float) -> bool:
        age = now - birth / 1000
        return self._bounds.age < age < self._bounds.age + _IMPOSSIBLE_AGE

    def _drop(self, entries: list[Entry], now: float) -> None:
        drops = sum(entry.discard() for entry in entries)
        if drops:
            self._drops.set(now, drops)

    def _sweep(self, box: str, before: float, limit: int) -> None:
        """Remove what was last changed ``before`` that moment."""
        path = os.path.join(self.directory, box)
        for _, name in zip(range(limit), list_names(path), strict=False):
            with contextlib.suppress(OSError):
                if os.stat(os.path.join(path, name)).st_mtime < before:
                    os.unlink(os.path.join(path, name))

    def _make(self) -> None:
        if self._made:
            return
        create_directory(self.directory)
        for box in (TMP, NEW, CUR):
            make_box(self.directory, box)
        self._made = True
