"""The upkeep of a spool: keeps it within its bounds, and removes what nobody comes back for.

Any process that writes or sends does a bounded piece of it. Two that do the same at once do no
harm: each step has one winner, and the other process skips it. It removes only files of ours, by
names that we make; a file that is not ours keeps its place, and so does the box in which it lies.
"""

from __future__ import annotations

import contextlib
import itertools
import os

from migas._runtime.namedtuple import NamedTuple

from .entry import (
    ASIDE,
    LARGEST,
    NEW,
    OLD,
    TMP,
    list_segments,
    parse,
    read_box,
    segment_moment,
)
from .marks import MARKS, is_mark
from .ownership import NoDiskError
from .stamp import LARGEST_STAMP, TRANSIENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .entry import Entry
    from .files import Directory
    from .stamp import Stamp

#: The shares that the bounds are divided into. Four of five are kept: each may be a quarter too
#: large by the time that this is noticed.
_SHARES = 40

#: Bytes of an entry that is among the largest.
_LARGE = 2500

#: Seconds after which a file that nobody finished writing is litter.
_LITTER_AGE = 3600.0

#: Seconds after its moment at which a stamp is litter. A back-off lasts an hour at most.
_STAMP_AGE = 6 * 3600.0

#: How many files a sweep looks at in one place.
_SWEPT = 128

#: An entry that seems this many seconds older than the age limit means a wrong clock; keep it.
_IMPOSSIBLE_AGE = 365 * 86400.0


class Bounds(NamedTuple):
    """What a spool holds at most."""

    #: Entries.
    number: int
    #: Bytes.
    size: int
    #: Seconds.
    age: float

    def exclude(self, birth: int, now: float) -> bool:
        """Return whether an entry is too old, by its birth in milliseconds since the epoch.

        Example:
            >>> Bounds(10, 1000, 60.0).exclude(1_000_000, now=1061.0)
            True
        """
        age = now - birth / 1000
        return self.age < age < self.age + _IMPOSSIBLE_AGE


class Upkeep:
    """Keeps one spool within its bounds.

    Parameters:
        bounds: what the spool holds at most.
        randrange: returns a random number below the one that it is given.
        drops: counts the entries that are dropped.
    """

    def __init__(self, bounds: Bounds, randrange: Callable[[int], int], drops: Stamp) -> None:
        self._bounds = bounds
        # Entries of one share.
        self._share = max(1, bounds.number // _SHARES)
        self._randrange = randrange
        self._drops = drops
        self._swept = False

    def tidy_sometimes(self, spool: Directory, now: float, birth: int) -> None:
        """Tidy up after some of the entries that are written, at random.

        Parameters:
            spool: the opened spool.
            now: seconds since the epoch.
            birth: that of the entry just written, in milliseconds since the epoch.
        """
        # To look costs a stat for each entry of a share: so some four looks a share, whichever
        # process writes.
        share = min(self._bounds.number, self._bounds.size // _LARGE) // _SHARES
        if self._randrange(max(1, share // 4)) != 0:
            return
        with contextlib.suppress(OSError):
            if self._is_share_full(spool, now):
                self._rotate(spool, now, birth)
            self._sweep_stamps(spool, now)
            self._sweep_marks(spool, now)

    def drop(self, entries: Iterable[Entry], now: float, spool: Directory) -> None:
        """Remove entries beyond the bounds, and count those that were there."""
        drops = sum(entry.discard(spool) for entry in entries)
        if drops:
            self._drops.set(now, drops)

    def sweep(self, spool: Directory, now: float) -> None:
        """Remove drafts that nobody finished, and what was set aside longer ago than the age limit.

        Once in a process's life, also stamps and marks: on a cluster there may be thousands.
        """
        _sweep_box(spool, TMP, now - _LITTER_AGE)
        _sweep_box(spool, ASIDE, now - self._bounds.age)
        if not self._swept:
            self._swept = True
            self._sweep_stamps(spool, now)
            self._sweep_marks(spool, now)

    def _is_share_full(self, spool: Directory, now: float) -> bool:
        """Return whether `new/` holds its share of the bounds; drop what is too old in it."""
        kept: list[Entry] = []
        for entry in read_box(spool, NEW):
            if self._bounds.exclude(entry.birth, now):
                self.drop([entry], now, spool)
            else:
                kept.append(entry)
        # By their number first: to ask for a size is a call of the disk's.
        if len(kept) >= self._share:
            return True
        size, box = 0, spool.box(NEW)
        for entry in kept:
            with contextlib.suppress(OSError):
                size += box.examine(entry.name, LARGEST).st_size
        return size >= self._bounds.size // _SHARES

    def _rotate(self, spool: Directory, now: float, birth: int) -> None:
        """Close `new/` as a segment, and drop the oldest segments beyond the bounds.

        The segment's name has a time that no entry in it was born after: see `list_segments`.
        """
        moment = max(birth, int(now * 1000), 0)
        try:
            old = spool.box(OLD, makes=True)
            _check_all(spool, NEW)
        except NoDiskError:  # what is not ours is not moved; so `new/` has to hold all
            self.drop(list(read_box(spool, NEW))[: -self._bounds.number], now, spool)
            return
        with contextlib.suppress(OSError):  # another process was faster
            spool.forget(NEW)
            spool.publish(NEW, old, f"{moment:013d}-{os.urandom(4).hex()}")
        spool.box(NEW, makes=True)
        segments = list_segments(spool)
        # Counted in entries, since what is divided is rounded: forty shares of 199 hold but 160.
        most = self._bounds.number * 4 // (5 * self._share)
        for index, segment in enumerate(segments):
            is_old = self._bounds.exclude(segment_moment(segment), now)
            if is_old or index <= len(segments) - most:
                self.drop(read_box(spool, segment), now, spool)
                remove_segment(spool, segment)

    def _sweep_stamps(self, spool: Directory, now: float) -> None:
        """Remove stamps whose moment is long past, whichever host's name they bear.

        A process that sets one at that moment may lose it: that costs one request more.
        """
        names = [name for name in spool.names() if name.startswith(TRANSIENT)]
        for name in self._choose(names):
            with contextlib.suppress(OSError):
                if spool.examine(name, LARGEST_STAMP).st_mtime < now - _STAMP_AGE:
                    spool.remove(name, LARGEST_STAMP)

    def _sweep_marks(self, spool: Directory, now: float) -> None:
        """Remove marks beyond the age limit, and some beyond as many as there may be entries.

        A run that goes on then reports a use once more, if a process of it comes that late.
        """
        with contextlib.suppress(OSError):
            box = spool.box(MARKS)
            names = list(filter(is_mark, box.names()))
            excess = len(names) - self._bounds.number
            moments: dict[str, float] = {}
            for name in self._choose(names):
                with contextlib.suppress(OSError):  # another process sweeps, or it is not ours
                    moments[name] = box.examine(name, 0).st_mtime
            for name in sorted(moments, key=moments.__getitem__):
                if excess > 0 or self._bounds.exclude(int(moments[name] * 1000), now):
                    with contextlib.suppress(OSError):
                        box.remove(name, 0)
                    excess -= 1

    def _choose(self, names: list[str]) -> list[str]:
        """Return as many of the names as one sweep looks at, from a random one on."""
        start = self._randrange(len(names)) if len(names) > _SWEPT else 0
        names.sort()
        return (names[start:] + names[:start])[:_SWEPT]


def remove_segment(spool: Directory, segment: str) -> None:
    """Close a segment, and remove it if it is empty."""
    with contextlib.suppress(OSError):
        spool.forget(segment)
        spool.box(OLD).remove_box(os.path.basename(segment))


def _check_all(spool: Directory, box: str) -> None:
    """Raise `NoDiskError` unless all that lies in a box are entries of ours."""
    for name in spool.box(box).names():
        if parse(spool.path, box, name) is None:
            raise NoDiskError(f"{name} is no entry")
        with contextlib.suppress(FileNotFoundError):  # it was claimed meanwhile
            spool.box(box).examine(name, LARGEST)


def _sweep_box(spool: Directory, box: str, before: float) -> None:
    """Remove entries that were last changed ``before`` that moment, in seconds since the epoch."""
    for entry in itertools.islice(read_box(spool, box), _SWEPT):
        with contextlib.suppress(OSError):
            if spool.box(box).examine(entry.name, LARGEST).st_mtime < before:
                entry.discard(spool)
