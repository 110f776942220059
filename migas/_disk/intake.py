"""The intake: writes new entries into a spool, which it keeps open for several that come at once.

It owns the boxes' making and the order of births. What may go wrong: the disk fails, then nothing
was written and an `OSError` says so; or the host closes the descriptors of a spool that is kept
open, then it is opened once more.
"""

from __future__ import annotations

import contextlib

from .directory import open_directory
from .entry import CUR, NEW, TMP, Entry, make_token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        # Whether a `batch` is under way, and its spool, which the first entry opens.
        self._in_batch = False
        self._kept: Directory | None = None

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Keep the spool open until the block ends, which takes some milliseconds at most.

        Only one thread at a time may write. A signal handler on it may write inside of the block.
        """
        if self._in_batch:
            yield
            return
        self._in_batch = True
        try:
            yield
        finally:
            self._in_batch = False
            self._close()

    def put(self, data: bytes, token: str = "") -> Entry:
        """Write a new pending entry: see `Spool.put`."""
        self._birth = birth = self._next_birth()
        draft = Entry(self._directory, TMP, birth, token or make_token(), 0)
        if self._kept is not None:
            with contextlib.suppress(OSError):
                return self._write(draft, data, self._kept)
            self._close()  # a cleaner may have removed it, or the host have closed its descriptor
        try:
            spool = open_directory(self._directory, makes=True)
            try:
                self._make(spool)
                entry = self._write(draft, data, spool)
            except BaseException:
                spool.close()
                raise
        except OSError:
            self._made = False  # or somebody has removed it since
            raise
        if self._in_batch and self._kept is None:
            self._kept = spool
        else:
            spool.close()
        return entry

    def _write(self, draft: Entry, data: bytes, spool: Directory) -> Entry:
        entry = draft.write(data, spool)
        self._upkeep.tidy_sometimes(spool, self._clock(), draft.birth)
        return entry

    def _close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

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
