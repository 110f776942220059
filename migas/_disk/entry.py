"""The entry: one breadcrumb's file in a spool, immutable, that moves from box to box by renaming.

Its name says what has to be known of it without a look inside: when it was born, how often it may
have been sent, and whose it is until when. The file's times say nothing: a network's disk shows
each node for a while those that it has seen before.
"""

from __future__ import annotations

import contextlib
import os
import re

from migas._runtime.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Being written, waiting, being sent, and put aside for a person to read.
TMP, NEW, CUR, ASIDE = "tmp", "new", "cur", "aside"

#: Seconds for which a claim holds; far longer than a request may take.
LEASE = 120.0

#: Bytes of a file that is no entry.
_HUGE = 65536

_NAME = r"(\d{13})-([0-9a-f]{16})-(\d{1,3})(?:-(\d{13})-([0-9a-f]{8}))?\.json"


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
    #: Milliseconds since the epoch at which a claim is over, and whose it is, at random.
    until: int = 0
    holder: str = ""

    @property
    def is_on_disk(self) -> bool:
        """True: a later process finds it."""
        return True

    @property
    def path(self) -> str:
        """Where the file lies, unless another process has moved it."""
        claim = f"-{self.until:013d}-{self.holder}" if self.holder else ""
        name = f"{self.birth:013d}-{self.token}-{self.attempts}{claim}.json"
        return os.path.join(self.directory, self.box, name)

    def read(self) -> bytes:
        """Return the content, or the beginning of what is no entry's. Raises `OSError`."""
        with open(self.path, "rb") as file:
            return file.read(_HUGE)

    def publish(self) -> Entry:
        """Let a draft wait, or remove it and raise `OSError`."""
        try:
            return self._move(NEW, 0)
        except OSError:
            try:
                os.unlink(self.path)
            except FileNotFoundError:
                # It was moved all the same: a network's disk may say no to what it has done, where
                # `new/` is renamed at that moment (seen on GlusterFS). Written anew it would be
                # sent twice. Or its person has just removed it.
                return self._replace(box=NEW)
            raise

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
        # A name that nobody else gives it. The kernel takes a rename from one name of a file to
        # another of the same file for done, without asking the disk (rename(2)); and a network's
        # disk may show a node both the old name and the one that another node has just given it.
        # So both would have claimed it (seen on GlusterFS).
        until, holder = max(0, int((now + LEASE) * 1000)), os.urandom(4).hex()
        return self._rename(self._replace(box=CUR, attempts=attempts, until=until, holder=holder))

    def is_claimed(self, now: float) -> bool:
        """Say whether somebody has it; a clock that was wrong may have set any end to that."""
        return now < self.until / 1000 <= now + 2 * LEASE

    def release(self, attempts: int) -> Entry | None:
        """Let the entry wait again, and say that it may have been sent so often."""
        return self._move_quietly(NEW, attempts)

    def discard(self) -> bool:
        """Remove the entry, and say whether it was there."""
        try:
            os.unlink(self.path)
        except OSError:
            return False
        return True

    def set_aside(self) -> None:
        """Put the entry where nobody claims it again, for a person or a newer version to read."""
        make_box(self.directory, ASIDE)
        self._move_quietly(ASIDE, self.attempts)

    def _move_quietly(self, box: str, attempts: int) -> Entry | None:
        with contextlib.suppress(OSError):
            return self._move(box, attempts)
        return None

    def _move(self, box: str, attempts: int) -> Entry:
        """Move the file to where nobody claims it, as only one process can. Raises `OSError`."""
        return self._rename(self._replace(box=box, attempts=attempts, until=0, holder=""))

    def _rename(self, moved: Entry) -> Entry:
        try:
            os.rename(self.path, moved.path)
        except FileNotFoundError:
            if moved.box != NEW:
                raise
            # Somebody has rotated, and not yet made the new `new/`.
            make_box(self.directory, NEW)
            os.rename(self.path, moved.path)
        return moved


class MemoryEntry(NamedTuple):
    """An entry that is in memory alone, since no disk can be written. Nobody else can claim it."""

    token: str
    attempts: int = 0

    @property
    def is_on_disk(self) -> bool:
        """False: it ends with this process."""
        return False

    def claim(self, _now: float) -> MemoryEntry:
        """Return the entry: it is this process's."""
        return self

    def attempt(self, _now: float, attempts: int) -> MemoryEntry:
        """Return the entry with the times that it may have been sent."""
        return self._replace(attempts=attempts)

    def release(self, attempts: int) -> MemoryEntry:
        """Return the entry with the times that it may have been sent."""
        return self._replace(attempts=attempts)

    def discard(self) -> bool:
        """Return True: it is gone with its parcel."""
        return True


def make_token() -> str:
    """Return a new random token."""
    return os.urandom(8).hex()


def parse(directory: str, box: str, name: str) -> Entry | None:
    """Return the entry that bears ``name``, or None: it is none."""
    match = re.fullmatch(_NAME, name, re.ASCII)  # compiled when a name is first read
    if match is None:
        return None
    birth, token, attempts, until, holder = match.groups("")
    return Entry(directory, box, int(birth), token, int(attempts), int(until or 0), holder)


def make_box(directory: str, box: str) -> None:
    """Make a box, for its owner alone, if that can be."""
    with contextlib.suppress(OSError):
        os.mkdir(os.path.join(directory, box), 0o700)


def read_box(directory: str, box: str, *, tidies: bool) -> Iterator[Entry]:
    """Yield the entries in a box; ``tidies``: what is none is moved out of their way."""
    for name in list_names(os.path.join(directory, box)):
        entry = parse(directory, box, name)
        if entry is not None:
            yield entry
        elif tidies and not name.startswith("."):  # as network file systems name theirs
            make_box(directory, ASIDE)
            with contextlib.suppress(OSError):
                os.rename(os.path.join(directory, box, name), os.path.join(directory, ASIDE, name))


def list_names(path: str) -> Iterator[str]:
    """Read the names in a directory as they are asked for; none where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                yield entry.name
    except OSError:
        return
