"""The stamp: a moment that a user's processes on one machine share, as a file's mtime.

There is nothing to parse and nothing to lock: a lost update costs one request more. The file's size
counts how often it was set since it was last cleared. Where the disk cannot keep a stamp, memory
does, for one process.
"""

from __future__ import annotations

import contextlib
import os

from migas._runtime.namedtuple import NamedTuple

from .directory import file_name, open_directory

#: Seconds, far more than those by which floats and a file system's mtimes round a moment.
_ROUNDING = 1.0

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
        try:
            with open_directory(self._directory) as spool:
                status = spool.examine(self._name, LARGEST_STAMP)
        except OSError:
            return self._memory
        return Mark(status.st_mtime, status.st_size)

    def remaining(self, now: float, longest: float) -> float:
        """Return the seconds from ``now`` until the moment, or 0.

        A moment more than ``longest`` seconds ahead was set by a wrong clock, and is ignored.
        """
        mark = self.read()
        wait = mark.moment - now if mark else 0.0
        return min(wait, longest) if 0.0 < wait <= longest + _ROUNDING else 0.0

    def set(self, moment: float, times: int = 1) -> None:
        """Show ``moment`` to every process from now on, and count it ``times`` times."""
        earlier = None
        try:
            with open_directory(self._directory) as spool:
                earlier = spool.append(self._name, b"." * times, LARGEST_STAMP)
                spool.set_time(self._name, moment)
        except OSError:
            earlier = self.times if earlier is None else earlier
            # A half-made file would show the present moment to everybody.
            self.clear()
            self._memory = Mark(moment, times + earlier)

    def clear(self) -> None:
        """Forget the moment, and how often it was set."""
        self._memory = None
        with contextlib.suppress(OSError), open_directory(self._directory) as spool:
            spool.remove(self._name, LARGEST_STAMP)


def _host_name() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
