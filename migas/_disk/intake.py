"""The intake: writes new entries into a spool.

It owns the boxes' making and the order of births. What may go wrong: the disk fails, then nothing
was written and an `OSError` says so.
"""

from __future__ import annotations

from .directory import open_directory
from .entry import CUR, NEW, TMP, Entry, make_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .files import Directory
    from .upkeep import Upkeep

#: Milliseconds by which a clock may step back while entries of one process keep their order.
_STEP = 60_000


class Intake:
    """Writes the entries of one process into one spool.

    Parameters:
        directory: the spool's path, or `""`: then there is no disk.
        upkeep: tidies up after some of the entries.
        clock: the time in seconds since the epoch.
    """

    def __init__(self, directory: str, upkeep: Upkeep, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._upkeep = upkeep
        self._clock = clock
        self._made = False
        self._birth = -1

    def put(self, data: bytes, token: str = "") -> Entry:
        """Write a new pending entry: see `Spool.put`."""
        self._birth = birth = self._next_birth()
        draft = Entry(self._directory, TMP, birth, token or make_token(), 0)
        try:
            with open_directory(self._directory, makes=True) as spool:
                self._make(spool)
                entry = draft.write(data, spool)
                self._upkeep.tidy_sometimes(spool, self._clock(), birth)
        except OSError:
            self._made = False  # or somebody has removed it since
            raise
        return entry

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
