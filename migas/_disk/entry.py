"""The entry: one breadcrumb's file in a spool, immutable, that moves from box to box by renaming.

The file name carries all that has to be known: the time of birth, the attempts to send it, and the
current claim. Times of files are not used: network file systems cache them on each node.

An entry is a value. Its file may be moved or removed by another process at any time, and then each
method fails or returns nothing.
"""

from __future__ import annotations

import contextlib
import os
import re

from migas._runtime.namedtuple import NamedTuple

from .directory import open_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from .files import Directory

#: The boxes: being written, pending, being sent, kept for a person to read, and older segments.
TMP, NEW, CUR, ASIDE, OLD = "tmp", "new", "cur", "aside", "old"

#: Seconds for which a claim holds; far longer than a request may take.
LEASE = 120.0

#: Seconds ahead at which a claim ends at most, by a clock that may be wrong.
_LONGEST_CLAIM = 86400.0

#: Bytes that an entry may have.
LARGEST = 65536

#: The newest form of an entry's content that this version reads: `breadcrumb.FORMAT`.
FORMAT = 1

_NAME = r"(\d{13})-([0-9a-f]{16})-(\d{1,3})(?:-(\d{13})-([0-9a-f]{8}))?\.json"

_SEGMENT = r"\d{13}-[0-9a-f]{8}"


class Entry(NamedTuple):
    """One file of a spool.

    Methods that take ``within`` work in a spool that is open already, for a batch of several; else
    they open it themselves.
    """

    #: The spool's path.
    directory: str
    #: `tmp`, `new`, `cur`, `aside`, or a segment's path below `old`.
    box: str
    #: Milliseconds since the epoch.
    birth: int
    token: str
    #: Times that it may have been sent without an answer.
    attempts: int
    #: Milliseconds since the epoch at which a claim ends, and a random id of who holds it.
    until: int = 0
    holder: str = ""
    #: The file's content, if it was read before it was claimed.
    content: bytes | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        claim = f"-{self.until:013d}-{self.holder}" if self.holder else ""
        return f"{self.birth:013d}-{self.token}-{self.attempts}{claim}.json"

    @property
    def is_on_disk(self) -> bool:
        """True: a later process finds it."""
        return True

    @property
    def path(self) -> str:
        """Where the file lies, unless another process has moved it."""
        return os.path.join(self.directory, self.box, self.name)

    def read(self, within: Directory | None = None) -> bytes:
        """Return the content, 64 KiB at most. Raises `OSError`."""
        if self.content is not None:
            return self.content
        with self._open(within) as spool:
            return spool.box(self.box).read(self.name, LARGEST)

    def is_there(self, within: Directory | None = None) -> bool:
        """Return whether the file is there, and ours."""
        with contextlib.suppress(OSError), self._open(within) as spool:
            spool.box(self.box).examine(self.name, LARGEST)
            return True
        return False

    def write(self, data: bytes, within: Directory) -> Entry:
        """Write a draft and make it pending; return the entry, or remove it and raise `OSError`."""
        drafts = within.box(TMP, makes=True)
        drafts.create(self.name, data)
        try:
            return self._rename(self._replace(box=NEW), within)
        except OSError:
            try:
                drafts.remove(self.name, LARGEST)
            except FileNotFoundError:
                # It was moved all the same: a network's disk may deny what it has done, if `new/`
                # is renamed at that moment (seen on GlusterFS). Written again it would be sent
                # twice. But not if all of `tmp/` is gone, as an unmounted disk is.
                within.forget(TMP)
                within.box(TMP)
                return self._replace(box=NEW)
            raise

    def claim(self, now: float, within: Directory | None = None) -> Entry | None:
        """Take the entry for `LEASE` seconds; return None if another process was faster.

        ``now`` is in seconds since the epoch.
        """
        try:
            return self.attempt(now, self.attempts, within)
        except OSError:
            return None

    def attempt(self, now: float, attempts: int, within: Directory | None = None) -> Entry:
        """Claim the entry, or renew its claim, and note how often it may have been sent.

        Raises `OSError` if another process has it.
        """
        # A name that nobody else gives it. The kernel takes a rename from one name of a file to
        # another of the same file for done, without asking the disk (rename(2)); and a network's
        # disk may show a node both the old name and the one that another node has just given it.
        # So both would have claimed it (seen on GlusterFS).
        until, holder = max(0, int((now + LEASE) * 1000)), os.urandom(4).hex()
        claimed = self._replace(box=CUR, attempts=attempts, until=until, holder=holder)
        with self._open(within) as spool:
            if self.content is None:  # what was read has been examined
                spool.box(self.box).examine(self.name, LARGEST)
            return self._rename(claimed, spool)

    def is_claimed(self, now: float) -> bool:
        """Return whether a claim holds; one that ends too late was made by a wrong clock.

        A clock that is some hours ahead, as by a time zone, makes one that is waited for: to take
        it back while it is being sent would send it twice.
        """
        return now < self.until / 1000 <= now + _LONGEST_CLAIM

    def release(self, attempts: int, within: Directory | None = None) -> Entry | None:
        """Make the entry pending again, and note how often it may have been sent.

        It returns to the segment that holds its age, so that all go by birth. Returns None if it
        is gone, or the disk fails.
        """
        with contextlib.suppress(OSError), self._open(within) as spool:
            for segment in list_segments(spool):
                if self.birth <= segment_moment(segment):
                    # Its last entry may just have been claimed, and the segment removed.
                    with contextlib.suppress(OSError):
                        return self._move(segment, attempts, spool)
                    break
            return self._move(NEW, attempts, spool)
        return None

    def discard(self, within: Directory | None = None) -> bool:
        """Remove the entry; return whether it was there."""
        try:
            with self._open(within) as spool:
                spool.box(self.box).remove(self.name, LARGEST)
        except OSError:
            return False
        return True

    def set_aside(self, within: Directory | None = None) -> None:
        """Put the entry where nobody claims it again, for a person to read."""
        with contextlib.suppress(OSError), self._open(within) as spool:
            self._move(ASIDE, self.attempts, spool)

    def _open(self, within: Directory | None) -> AbstractContextManager[Directory]:
        if within is not None:
            return contextlib.nullcontext(within)
        return open_directory(self.directory)

    def _move(self, box: str, attempts: int, spool: Directory) -> Entry:
        """Move the file to a box where nobody claims it, as only one process can."""
        moved = self._replace(box=box, attempts=attempts, until=0, holder="")
        source = spool.box(self.box)
        source.move(self.name, spool.box(box, makes=box in (NEW, ASIDE)), moved.name, LARGEST)
        return moved

    def _rename(self, moved: Entry, spool: Directory) -> Entry:
        """Move the file, which was examined, to a name that nothing else bears."""
        for is_last in (False, True):
            target = spool.box(moved.box, makes=True)
            try:
                spool.box(self.box).publish(self.name, target, moved.name)
                break
            except FileNotFoundError:
                if is_last:
                    raise
                # A cleaner has removed the box, or somebody has rotated it and removed the segment.
                spool.forget(moved.box)
        return moved


class MemoryEntry(NamedTuple):
    """An entry that is in memory alone, since no disk can be written. Nobody else can claim it."""

    token: str
    attempts: int = 0

    @property
    def is_on_disk(self) -> bool:
        """False: it ends with this process."""
        return False

    def attempt(self, _now: float, attempts: int, _within: object = None) -> MemoryEntry:
        """Return the entry with the times that it may have been sent."""
        return self._replace(attempts=attempts)

    def release(self, attempts: int, _within: object = None) -> MemoryEntry:
        """Return the entry with the times that it may have been sent."""
        return self._replace(attempts=attempts)

    def discard(self, _within: object = None) -> bool:
        """Return True: it is gone with its parcel."""
        return True


def make_token() -> str:
    """Return a new random token."""
    return os.urandom(8).hex()


def parse(directory: str, box: str, name: str) -> Entry | None:
    """Return the entry that bears ``name``, or None if no entry does."""
    match = re.fullmatch(_NAME, name, re.ASCII)  # compiled when a name is first read
    if match is None:
        return None
    birth, token, attempts, until, holder = match.groups("")
    return Entry(directory, box, int(birth), token, int(attempts), int(until or 0), holder)


def read_box(spool: Directory, box: str) -> Iterator[Entry]:
    """Yield the entries that a box holds now, by birth; none if it cannot be read.

    What bears no entry's name is passed over.
    """
    try:
        names = sorted(spool.box(box).names())  # a name begins with the birth
    except OSError:
        return
    for name in names:
        entry = parse(spool.path, box, name)
        if entry is not None:
            yield entry


def list_segments(spool: Directory) -> list[str]:
    """List the segments as paths below the spool, from the oldest on."""
    try:
        names = spool.box(OLD).names()
    except OSError:
        return []
    return [os.path.join(OLD, name) for name in sorted(names) if is_segment(name)]


def is_segment(name: str) -> bool:
    """Return True if a directory in `old/` with this name is a segment."""
    return re.fullmatch(_SEGMENT, name, re.ASCII) is not None


def segment_moment(segment: str) -> int:
    """Return when a segment was closed: milliseconds since the epoch; no entry is younger."""
    return int(os.path.basename(segment).partition("-")[0])


def has_newer_form(content: bytes) -> bool:
    """Return whether only a newer version reads an entry's content."""
    import json  # loaded by now: breadcrumbs are made with it

    try:
        form = json.loads(content)["format"]
    except Exception:  # a file may hold anything, and a parser may choke on it
        return False
    return type(form) is int and form > FORMAT
