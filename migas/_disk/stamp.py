"""The stamp: a moment that a user's processes on one machine share, as a file's mtime.

There is nothing to parse and nothing to lock: a lost update costs one request more. The file's size
counts how often it was set since it was last cleared. What the disk does not take, memory keeps,
for one process: a disk that has become read-only still shows an earlier moment, and some file
systems take a time and keep none (blobfuse2's `utimens`).
"""

from __future__ import annotations

import contextlib
import os

from migas._runtime.namedtuple import NamedTuple

from .directory import file_name, open_directory

#: Seconds, more than floats and a file system's mtimes round a moment by: FAT's are even.
_ROUNDING = 2.5

#: What the stamps' names begin with that say something of the next hours only, on one host each:
#: `Backoff`'s and `Pace`'s in `migas._delivery.throttle`.
TRANSIENT = ("backoff-", "retry-after-", "pace-")

#: Bytes, and so times, that a stamp may have.
LARGEST_STAMP = 1 << 30


class Mark(NamedTuple):
    """What a stamp holds."""

    #: Seconds since the epoch.
    moment: float
    #: Times that it was set.
    times: int


class Stamp:
    """One shared moment in the spool ``directory``.

    Nodes of a cluster share the directory, but not the network that a moment tells of: each
    ``host`` has its own, this machine unless another is named.
    """

    def __init__(self, directory: str, name: str, host: str | None = None) -> None:
        self._directory = directory
        self._name = f"{name}-{file_name(host or _host_name())}"
        self._memory: Mark | None = None

    @property
    def times(self) -> int:
        """How often it was set since it was last cleared."""
        mark = self.read()
        return mark.times if mark else 0

    def read(self) -> Mark | None:
        """Return what the last process to set it has left, or None."""
        marks = self._read_all()
        if not marks:
            return None
        return Mark(max(mark.moment for mark in marks), max(mark.times for mark in marks))

    def _read_all(self) -> list[Mark]:
        """Return what the disk has, and what this process has and the disk did not take."""
        marks = [] if self._memory is None else [self._memory]
        with contextlib.suppress(OSError), open_directory(self._directory) as spool:
            status = spool.examine(self._name, LARGEST_STAMP)
            marks.append(Mark(status.st_mtime, status.st_size))
        return marks

    def remaining(self, now: float, longest: float) -> float:
        """Return the seconds from ``now`` until the moment, or 0.

        A moment more than ``longest`` seconds ahead was set by a wrong clock, and is ignored.
        """
        waits = [mark.moment - now for mark in self._read_all()]
        waits = [wait for wait in waits if 0.0 < wait <= longest + _ROUNDING]
        return min(max(waits, default=0.0), longest)

    def set(self, moment: float, times: int = 1) -> None:
        """Show ``moment`` to every process from now on, and count it ``times`` times."""
        earlier = None
        try:
            with open_directory(self._directory) as spool:
                earlier = spool.append(self._name, b"." * times, LARGEST_STAMP)
                spool.set_time(self._name, moment)
                kept = spool.examine(self._name, LARGEST_STAMP).st_mtime
        except OSError:
            earlier = self.times if earlier is None else earlier
            earlier = max(earlier, self._memory.times if self._memory else 0)
            # A half-made file would show the present moment to everybody.
            self.clear()
            self._memory = Mark(moment, times + earlier)
        else:
            # Another process may have set it since. Then this one waits for its own moment, too.
            is_kept = abs(kept - moment) <= _ROUNDING
            self._memory = None if is_kept else Mark(moment, times + earlier)

    def clear(self) -> None:
        """Forget the moment, and how often it was set."""
        self._memory = None
        with contextlib.suppress(OSError), open_directory(self._directory) as spool:
            spool.remove(self._name, LARGEST_STAMP)


def _host_name() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
