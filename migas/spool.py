"""The spool: a directory of small immutable files that processes and nodes share.

Its rules are Maildir's (https://cr.yp.to/proto/maildir.html): a file is written in `tmp/`, waits
in `new/`, and is claimed by renaming it into `cur/`. There is no lock, since advisory locks fail or
hang on the network file systems of clusters; a rename has one winner everywhere.
"""

from __future__ import annotations

import binascii
import contextlib
import itertools
import os
import random
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from . import userdirs
from .stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TMP, _NEW, _CUR, _ASIDE = "tmp", "new", "cur", "aside"

#: Seconds for which a claim holds; far longer than a request may take.
LEASE = 120.0

#: What a spool holds at most, or, since it is looked at as a whole only now and then, a little
#: more: breadcrumbs, bytes, and seconds of age.
MAX_COUNT, MAX_BYTES, MAX_AGE = 10_000, 20_000_000, 30 * 86400.0

#: One put in so many looks at the whole. A full listing takes some 10 ms where it is due.
_PUTS_PER_PURGE = 500

#: Seconds after which a file that nobody finished writing is litter.
_LITTER_AGE = 3600.0

_NAME = re.compile(r"(\d{13})-([0-9a-f]{16})-(\d{1,3})\.json", re.ASCII)


def directory_for(endpoint: str, cache_dir: str | None) -> str:
    """Name the spool of one server: no breadcrumb goes to another than the one it was meant for."""
    host = userdirs.file_name(endpoint.partition("://")[2].partition("/")[0])
    # A checksum is enough to tell one user's few servers apart, and is there without an import.
    digest = f"{binascii.crc32(endpoint.encode()):08x}"
    return os.path.join(cache_dir or userdirs.cache(), f"{host}-{digest}")


class Entry(NamedTuple):
    """One file of a spool."""

    directory: str
    #: `tmp`, `new`, `cur` or `aside`.
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
        """Return the content. Raises `OSError`."""
        with open(self.path, "rb") as file:
            return file.read()

    def claim(self, now: float) -> Entry | None:
        """Take the entry for `LEASE` seconds, or return None: another process was faster."""
        try:
            # The lease is set before the rename, so that no claimed file ever lacks one.
            os.utime(self.path, (now, now + LEASE))
            return self.move(_CUR)
        except OSError:
            return None

    def release(self, *, attempted: bool = False) -> Entry | None:
        """Let the entry wait again; ``attempted`` counts a request that may have arrived."""
        return self._move_quietly(_NEW, self.attempts + attempted)

    def discard(self) -> None:
        """Remove the entry: the server has it, or will never take it."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def set_aside(self) -> None:
        """Put the entry where nobody claims it again, for a person or a newer version to read."""
        with contextlib.suppress(OSError):
            os.makedirs(os.path.join(self.directory, _ASIDE), mode=0o700, exist_ok=True)
        self._move_quietly(_ASIDE, self.attempts)

    def _move_quietly(self, box: str, attempts: int) -> Entry | None:
        with contextlib.suppress(OSError):
            return self.move(box, attempts)
        return None

    def move(self, box: str, attempts: int | None = None) -> Entry:
        """Move the file, as only one process can. Raises `OSError`."""
        moved = self._replace(box=box, attempts=self.attempts if attempts is None else attempts)
        os.rename(self.path, moved.path)
        return moved


class Spool:
    """The breadcrumbs on disk that wait for one server."""

    def __init__(
        self,
        directory: str,
        clock: Callable[[], float] = time.time,
        dice: Callable[[int], int] = random.randrange,
    ) -> None:
        self.directory = directory
        self._clock = clock
        self._dice = dice
        self._made = False
        # Of all hosts that share the directory.
        self._drops = Stamp(directory, "dropped", "all")

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
            entry = draft.move(_NEW)
        except OSError:
            draft.discard()
            raise
        if self._dice(_PUTS_PER_PURGE) == 0:
            self.purge()
        return entry

    def claim(self, limit: int) -> list[Entry]:
        """Claim some waiting entries, at most ``limit``, looking at no more than that."""
        now = self._clock()
        claims = [entry.claim(now) for entry in self._look(_NEW, limit)]
        return [entry for entry in claims if entry is not None]

    def take(self, entry: Entry) -> Entry | None:
        """Claim one entry, or return None: another process has it."""
        return entry.claim(self._clock())

    def recover(self, limit: int) -> None:
        """Let entries wait again whose claimer died, looking at no more than ``limit``.

        Nobody knows whether the dead had sent them, so that counts as an attempt.
        """
        now = self._clock()
        for entry in self._look(_CUR, limit):
            with contextlib.suppress(OSError):
                ends = os.stat(entry.path).st_mtime
                # A lease that ends later than any can was set by a clock that is wrong.
                if not now < ends <= now + 2 * LEASE:
                    entry.release(attempted=True)
        self._sweep(now, limit)

    def purge(
        self,
        max_count: int = MAX_COUNT,
        max_bytes: int = MAX_BYTES,
        max_age: float = MAX_AGE,
    ) -> None:
        """Drop the oldest of what waits until the rest is within bounds; drops are counted."""
        now, size, drops = self._clock(), 0, 0
        newest_first = sorted(self._look(_NEW, None), key=lambda entry: -entry.birth)
        for count, entry in enumerate(newest_first, start=1):
            with contextlib.suppress(OSError):
                size += os.stat(entry.path).st_size
            if count > max_count or size > max_bytes or now - entry.birth / 1000 > max_age:
                entry.discard()
                drops += 1
        if drops:
            self._drops.set(now, drops)

    @property
    def dropped(self) -> int:
        """How many entries were dropped so far, for a person to read."""
        mark = self._drops.read()
        return mark.times if mark else 0

    def waiting(self) -> Iterator[Entry]:
        """List every entry that is not delivered yet, for a person to read; nothing is made."""
        yield from self._look(_NEW, None)
        yield from self._look(_CUR, None)

    def _look(self, box: str, limit: int | None) -> Iterator[Entry]:
        for name in _names(os.path.join(self.directory, box), limit):
            match = _NAME.fullmatch(name)
            if match:
                birth, token, attempts = match.groups()
                yield Entry(self.directory, box, int(birth), token, int(attempts))

    def _sweep(self, now: float, limit: int) -> None:
        box = os.path.join(self.directory, _TMP)
        for name in _names(box, limit):
            path = os.path.join(box, name)
            with contextlib.suppress(OSError):
                if now - os.stat(path).st_mtime > _LITTER_AGE:
                    os.unlink(path)

    def _make(self) -> None:
        if self._made:
            return
        userdirs.create(self.directory)
        for box in (_TMP, _NEW, _CUR):
            os.makedirs(os.path.join(self.directory, box), mode=0o700, exist_ok=True)
        self._made = True


def _names(box: str, limit: int | None) -> list[str]:
    try:
        with os.scandir(box) as entries:
            return [entry.name for entry in itertools.islice(entries, limit)]
    except OSError:
        return []
