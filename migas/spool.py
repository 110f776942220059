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
import random
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from . import userdirs
from .stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .settings import Settings

_TMP, _NEW, _OLD, _CUR, _ASIDE = "tmp", "new", "old", "cur", "aside"

#: Seconds for which a claim holds; far longer than a request may take.
LEASE = 120.0

#: The shares that the bounds are divided into, and how many of them are kept: each may be a quarter
#: too large by the time that this is noticed.
_SHARES, _KEPT = 40, 32

#: Bytes of an entry that is among the largest, and of a file that is none.
_LARGE, _HUGE = 2500, 65536

#: Seconds after which a file that nobody finished writing is litter.
_LITTER_AGE = 3600.0

#: Seconds of age beyond the bound that no entry has: a clock is wrong that says so.
_IMPOSSIBLE_AGE = 365 * 86400.0

#: How many names a claim looks at for each entry that it is to find: others may be faster.
_LOOKS = 4

_NAME = re.compile(r"(\d{13})-([0-9a-f]{16})-(\d{1,3})\.json", re.ASCII)
_SEGMENT = re.compile(r"(\d{13})-[0-9a-f]{8}", re.ASCII)


def directory_for(endpoint: str, cache_dir: str | None) -> str:
    """Name the spool of one server: no breadcrumb goes to another than the one it was meant for."""
    host = userdirs.file_name(endpoint.partition("://")[2].partition("/")[0])
    # A checksum is enough to tell one user's few servers apart, and is there without an import.
    digest = f"{binascii.crc32(endpoint.encode()):08x}"
    return os.path.join(cache_dir or userdirs.cache(), f"{host}-{digest}")


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


class Entry(NamedTuple):
    """One file of a spool."""

    directory: str
    #: `tmp`, `new`, `cur`, `aside`, or a segment's path below `old`.
    box: str
    #: Milliseconds since the epoch.
    birth: int
    token: str
    #: Times that it may have been sent without an answer.
    attempts: int

    @property
    def path(self) -> str:
        """Where the file lies, unless another process has moved it."""
        name = f"{self.birth:013d}-{self.token}-{self.attempts}.json"
        return os.path.join(self.directory, self.box, name)

    def read(self) -> bytes:
        """Return the content, or the beginning of what is no entry's. Raises `OSError`."""
        with open(self.path, "rb") as file:
            return file.read(_HUGE)

    def claim(self, now: float) -> Entry | None:
        """Take the entry for `LEASE` seconds, or return None: another process was faster."""
        try:
            return self.attempt(now, self.attempts)
        except OSError:
            return None

    def attempt(self, now: float, attempts: int) -> Entry:
        """Claim the entry, or claim it anew, and say that it may have been sent so often.

        Raises `OSError`: another process has it.
        """
        # The lease is set before the rename, so that no claimed file ever lacks one.
        os.utime(self.path, (now, now + LEASE))
        return self.move(_CUR, attempts)

    def release(self, attempts: int) -> Entry | None:
        """Let the entry wait again, and say that it may have been sent so often."""
        return self._move_quietly(_NEW, attempts)

    def discard(self) -> bool:
        """Remove the entry, and say whether it was there."""
        try:
            os.unlink(self.path)
        except OSError:
            return False
        return True

    def set_aside(self) -> None:
        """Put the entry where nobody claims it again, for a person or a newer version to read."""
        _make_box(self.directory, _ASIDE)
        self._move_quietly(_ASIDE, self.attempts)

    def _move_quietly(self, box: str, attempts: int) -> Entry | None:
        with contextlib.suppress(OSError):
            return self.move(box, attempts)
        return None

    def move(self, box: str, attempts: int) -> Entry:
        """Move the file, as only one process can. Raises `OSError`."""
        moved = self._replace(box=box, attempts=attempts)
        try:
            os.rename(self.path, moved.path)
        except FileNotFoundError:
            if box != _NEW:
                raise
            # Somebody has rotated, and not yet made the new `new/`.
            _make_box(self.directory, _NEW)
            os.rename(self.path, moved.path)
        return moved


class Spool:
    """The breadcrumbs on disk that wait for one server."""

    def __init__(
        self,
        directory: str,
        bounds: Bounds,
        clock: Callable[[], float] = time.time,
        dice: Callable[[int], int] = random.randrange,
    ) -> None:
        self.directory = directory
        self._bounds = bounds
        self._clock = clock
        self._dice = dice
        self._made = False
        # Of all hosts that share the directory.
        self._drops = Stamp(directory, "dropped", "all")
        self._refusals = Stamp(directory, "refused", "all")

    def put(self, data: bytes) -> Entry:
        """Write ``data`` as a new waiting entry, whole or not at all. Raises `OSError`."""
        self._make()
        birth = max(0, int(self._clock() * 1000))
        draft = Entry(self.directory, _TMP, birth, os.urandom(8).hex(), 0)
        try:
            # A full disk may be reported as late as by close(): the rename comes after it. No
            # fsync: a killed process loses nothing without it, and it is slow on network disks.
            with open(draft.path, "xb", opener=userdirs.open_private) as file:
                file.write(data)
            entry = draft.move(_NEW, 0)
        except OSError:
            draft.discard()
            raise
        # To look costs a stat for each entry of a share: so some four looks a share, whoever puts.
        share = min(self._bounds.number, self._bounds.size // _LARGE) // _SHARES
        if self._dice(max(1, share // 4)) == 0:
            self._tidy()
        return entry

    def claim(self, limit: int) -> list[Entry]:
        """Claim some waiting entries, at most ``limit``, the oldest segment's first."""
        claimed: list[Entry] = []
        now, looks = self._clock(), limit * _LOOKS
        for box in (*self._segments(), _NEW):
            for entry in self._look(box):
                if looks <= 0 or len(claimed) == limit:
                    return claimed
                looks -= 1
                if self._is_too_old(entry.birth, now):
                    self._drop([entry], now)
                elif taken := entry.claim(now):
                    claimed.append(taken)
            if box != _NEW:
                # Nothing is ever added to a segment; one that is not empty yet stays.
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.join(self.directory, box))
        return claimed

    def take(self, entry: Entry) -> Entry | None:
        """Claim one entry, or return None: another process has it."""
        now = self._clock()
        taken = entry.claim(now)
        for segment in () if taken else reversed(self._segments()):
            taken = taken or entry._replace(box=segment).claim(now)
        return taken

    def recover(self, limit: int) -> None:
        """Let entries wait again whose claimer died, looking at no more than ``limit``."""
        now = self._clock()
        for _, entry in zip(range(limit), self._look(_CUR), strict=False):
            with contextlib.suppress(OSError):
                ends = os.stat(entry.path).st_mtime
                # A lease that ends later than any can was set by a clock that is wrong.
                if not now < ends <= now + 2 * LEASE:
                    entry.release(entry.attempts)
        self._sweep(_TMP, now - _LITTER_AGE, limit)
        self._sweep(_ASIDE, now - self._bounds.age, limit)

    def refuse(self, entry: Entry | None) -> None:
        """Count a breadcrumb that the server has refused, and remove it if it is on disk."""
        if entry is not None:
            entry.discard()
        self._refusals.set(self._clock())

    @property
    def dropped(self) -> int:
        """How many entries were dropped so far, for a person to read."""
        return self._drops.times

    @property
    def refused(self) -> int:
        """How many breadcrumbs the server has refused so far, for a person to read."""
        return self._refusals.times

    def waiting(self) -> Iterator[Entry]:
        """List every entry that is not delivered yet, for a person to read; nothing is changed."""
        for box in (*self._segments(), _NEW, _CUR):
            yield from self._look(box, tidies=False)

    def count(self) -> int:
        """Count what is not delivered yet."""
        return sum(1 for _ in self.waiting())

    def has_waiting(self) -> bool:
        """Say whether anything waits that could be claimed."""
        return any(True for _ in self._look(_NEW, tidies=False)) or any(
            True for segment in self._segments() for _ in self._look(segment, tidies=False)
        )

    def _segments(self) -> list[str]:
        """Name the segments, from the oldest on."""
        names = sorted(filter(_SEGMENT.fullmatch, _names(os.path.join(self.directory, _OLD))))
        return [os.path.join(_OLD, name) for name in names]

    def _look(self, box: str, *, tidies: bool = True) -> Iterator[Entry]:
        for name in _names(os.path.join(self.directory, box)):
            match = _NAME.fullmatch(name)
            if match:
                birth, token, attempts = match.groups()
                yield Entry(self.directory, box, int(birth), token, int(attempts))
            elif tidies and not name.startswith("."):  # as network file systems name theirs
                self._set_foreign_aside(box, name)

    def _set_foreign_aside(self, box: str, name: str) -> None:
        """Move what is no entry out of the way of those that are."""
        _make_box(self.directory, _ASIDE)
        with contextlib.suppress(OSError):
            os.rename(
                os.path.join(self.directory, box, name),
                os.path.join(self.directory, _ASIDE, name),
            )

    def _tidy(self) -> None:
        """Drop what is too old, and rotate when `new/` holds its share of the bounds."""
        now, count, size = self._clock(), 0, 0
        share = self._bounds.number // _SHARES
        for entry in self._look(_NEW):
            if self._is_too_old(entry.birth, now):
                self._drop([entry], now)
                continue
            with contextlib.suppress(OSError):
                size += os.stat(entry.path).st_size
            count += 1
            if count >= share or size >= self._bounds.size // _SHARES:
                self._rotate(now)
                return

    def _rotate(self, now: float) -> None:
        _make_box(self.directory, _OLD)
        segment = os.path.join(_OLD, f"{max(0, int(now * 1000)):013d}-{os.urandom(4).hex()}")
        with contextlib.suppress(OSError):  # another process was faster
            os.rename(os.path.join(self.directory, _NEW), os.path.join(self.directory, segment))
        _make_box(self.directory, _NEW)
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
        for _, name in zip(range(limit), _names(path), strict=False):
            with contextlib.suppress(OSError):
                if os.stat(os.path.join(path, name)).st_mtime < before:
                    os.unlink(os.path.join(path, name))

    def _make(self) -> None:
        if self._made:
            return
        userdirs.create(self.directory)
        for box in (_TMP, _NEW, _CUR):
            os.makedirs(os.path.join(self.directory, box), mode=0o700, exist_ok=True)
        self._made = True


def _make_box(directory: str, box: str) -> None:
    with contextlib.suppress(OSError):  # it is there, or nothing can be made there
        os.mkdir(os.path.join(directory, box), 0o700)


def _names(path: str) -> Iterator[str]:
    """Read the names in a directory as they are asked for; none where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                yield entry.name
    except OSError:
        return
