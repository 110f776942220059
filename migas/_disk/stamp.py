"""The stamp: a moment that a user's processes on one machine share, as a file's mtime.

Nothing to parse and nothing to lock: a lost update costs one request more. The file's size counts
how often it was set since it was last cleared.
"""

from __future__ import annotations

import contextlib
import os

from migas._runtime.namedtuple import NamedTuple

from .directory import file_name, open_private

#: Seconds, far more than those by which floats and a file system's mtimes round a moment.
_ROUNDING = 1.0


class Mark(NamedTuple):
    """What a stamp says."""

    #: Seconds since the epoch.
    moment: float
    #: Times that it was set.
    times: int


class Stamp:
    """One shared moment, kept in ``directory``, or in memory where that cannot be written."""

    def __init__(self, directory: str, name: str, host: str | None = None) -> None:
        # Nodes of a cluster share the directory, but not the network that a moment tells of.
        node = file_name(host or _host_name())
        self._path = os.path.join(directory, f"{name}-{node}")
        self._memory: Mark | None = None

    @property
    def times(self) -> int:
        """How often it was set since it was last cleared."""
        mark = self.read()
        return mark.times if mark else 0

    def read(self) -> Mark | None:
        """Return what the last process to set it said, or None."""
        try:
            status = os.stat(self._path)
        except OSError:
            return self._memory
        return Mark(status.st_mtime, status.st_size)

    def remaining(self, now: float, longest: float) -> float:
        """Return the seconds until the moment, at most the ``longest`` that it is ever set ahead.

        One that lies further ahead was set by a clock that was wrong, and says nothing.
        """
        mark = self.read()
        wait = mark.moment - now if mark else 0.0
        return min(wait, longest) if 0.0 < wait <= longest + _ROUNDING else 0.0

    def set(self, moment: float, times: int = 1) -> None:
        """Say ``moment`` to every process from now on, and count it ``times`` times."""
        earlier = self.times
        try:
            with open(self._path, "ab", opener=open_private) as file:
                file.write(b"." * times)
            os.utime(self._path, (moment, moment))
        except (OSError, OverflowError):
            # A half-made file would say "now" to everybody.
            self.clear()
            self._memory = Mark(moment, times + earlier)

    def clear(self) -> None:
        """Say nothing any more."""
        self._memory = None
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def _host_name() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
