"""The cleaner: removes what migas made in a spool, name by name, and nothing else.

Anybody may have put anything into a directory: a link to somewhere else, a file of another user, a
directory that is named as a breadcrumb is. So nothing here walks a tree and removes what it finds.
The cleaner knows the names that migas makes, and where. It opens each directory relative to the one
above, without following a link, and checks that it is this user's; in it, it removes regular files
that are this user's, have no other name elsewhere, and bear such a name. All else is left, and
reported with the reason.

Where the system cannot do that (Windows), paths are used, and each is looked at before. Then a
directory may become a link in between; on Windows that takes a process of the same user. Other
processes may use the spool meanwhile: what they add is left, and not reported.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat

from migas._runtime.namedtuple import NamedTuple

from .entry import ASIDE, CUR, NEW, TMP, parse
from .marks import MARKS, is_mark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The directories of entries; that of segments, and the name of each: see `spool`.
_BOXES, _OLD, _SEGMENT = (TMP, NEW, CUR, ASIDE), "old", r"\d{13}-[0-9a-f]{8}"

#: Files whose time and size are all that they say: see `stamp`; and the draft of a tag.
_STAMP = (
    r"(?:backoff|retry-after|pace)-[A-Za-z0-9._-]{0,60}"
    r"|(?:old-server|dropped|refused|unanswered)-all|CACHEDIR\.TAG\.[0-9a-f]{8}"
)

#: The record of what was sent: see `sent_log`.
RECORD = ("sent-earlier.jsonl", "sent.jsonl")

#: What tells backup tools of a cache (https://bford.info/cachedir/), its beginning, bytes to read.
_TAG, _SIGNATURE, _TAG_SIZE = "CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55", 4096

#: The name of a spool in the cache directory: see `spool.directory_for`.
_SPOOL = r"[A-Za-z0-9._-]{0,60}-[0-9a-f]{8}"

#: Whether everything can be done relative to a directory that is open, as on POSIX systems.
_IS_RELATIVE = (
    {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
    and os.listdir in os.supports_fd
    and hasattr(os, "O_NOFOLLOW")
    and hasattr(os, "O_DIRECTORY")
)

#: Opens no link, and does not wait at a FIFO; 0 where the system knows neither.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

#: The bit of a reparse point's tag that makes it another name for something, as a junction is:
#: https://learn.microsoft.com/windows/win32/fileio/reparse-point-tags.
_NAME_SURROGATE = 0x20000000

_LINK, _UNKNOWN = "it is a link", "migas did not make it"


class Left(NamedTuple):
    """One name that was not removed, and why, in words."""

    path: str
    reason: str


class Cleaned(NamedTuple):
    """What became of one spool."""

    directory: str
    #: Pending breadcrumbs that were removed.
    breadcrumbs: int
    #: Files of the record of what was sent that were removed.
    records: int
    #: What lies there still and was to be removed, or is not known to be ours.
    left: tuple[Left, ...]


def clean(directory: str, *, breadcrumbs: bool = True, record: bool = True) -> Cleaned:
    """Remove what migas made in the spool ``directory``, and the directory if nothing is left.

    Parameters:
        directory: the spool's absolute path, or `""`. Its last part may be no link; others may.
        breadcrumbs: remove pending breadcrumbs, drafts, what was set aside, and the stamps.
        record: remove the record of what was sent.

    Returns:
        What was removed and what was left. Nothing is raised: what could not be removed is left.
    """
    if not os.path.isabs(directory):  # what lies in the working directory is nobody's spool
        return Cleaned(directory, 0, 0, ())
    above, name = os.path.split(os.path.normpath(directory))
    cleaning = _Cleaning(breadcrumbs=breadcrumbs, record=record)
    with cleaning.leave(directory), _Folder.open(above) as folder:
        cleaning.clean(folder, name)
    return Cleaned(directory, cleaning.breadcrumbs, cleaning.records, tuple(cleaning.left))


def find_spools(cache: str) -> list[str]:
    """Return the paths of all servers' spools in the directory ``cache``, sorted.

    Others may use it, too. A spool is a directory that is named as one and holds a name that migas
    makes; or a link that is named as one, so that it is reported. Nothing is read through it.
    """
    with contextlib.suppress(OSError), _Folder.open(cache) as folder:
        names = [name for name in folder.list_names() if re.fullmatch(_SPOOL, name, re.ASCII)]
        return [os.path.join(cache, name) for name in names if _is_spool(folder, name)]
    return []


class _Folder:
    """A directory that is open, and what can be done to the names in it; all raise `OSError`."""

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: str) -> Iterator[_Folder]:
        """Open a directory in which spools lie, which is the site's: links are followed."""
        if not _IS_RELATIVE:
            yield cls(path, None)
            return
        try:
            descriptor = os.open(path, os.O_DIRECTORY | os.O_NONBLOCK)
        except NotADirectoryError:
            raise FileNotFoundError(path) from None
        try:
            yield cls(path, descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def enter(self, name: str) -> Iterator[_Folder]:
        """Open a directory of this user's in this one, without following a link."""
        if fault := _find_fault(self.look(name), stat.S_ISDIR):
            raise OSError(fault)
        path = os.path.join(self.path, name)
        if self._descriptor is None:
            yield _Folder(path, None)
            return
        descriptor = os.open(name, os.O_DIRECTORY | _SAFELY, dir_fd=self._descriptor)
        try:
            if fault := _find_fault(os.fstat(descriptor), stat.S_ISDIR):  # it is another by now
                raise OSError(fault)
            yield _Folder(path, descriptor)
        finally:
            os.close(descriptor)

    def list_names(self) -> list[str]:
        """Return the names in it, sorted."""
        return sorted(os.listdir(self.path if self._descriptor is None else self._descriptor))

    def look(self, name: str) -> os.stat_result:
        """Return the status of what bears ``name``; of a link, its own."""
        return os.stat(self._locate(name), dir_fd=self._descriptor, follow_symlinks=False)

    def bears_tag(self) -> bool:
        """Return True if a file of this user's marks the directory as a cache of migas."""
        if _TAG not in self.list_names() or _find_fault(self.look(_TAG), stat.S_ISREG):
            return False
        with open(os.open(self._locate(_TAG), _SAFELY, dir_fd=self._descriptor), "rb") as file:
            text = file.read(_TAG_SIZE)
        return text.startswith(_SIGNATURE) and b"migas" in text

    def unlink(self, name: str) -> None:
        """Remove the name of a file."""
        os.unlink(self._locate(name), dir_fd=self._descriptor)

    def rmdir(self, name: str) -> None:
        """Remove a directory, unless something lies in it: left, or just added by a process."""
        try:
            os.rmdir(self._locate(name), dir_fd=self._descriptor)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # POSIX allows for either
                raise

    def _locate(self, name: str) -> str:
        return os.path.join(self.path, name) if self._descriptor is None else name


class _Cleaning:
    """One cleaning of one spool: what is to go, and what has become of it so far."""

    def __init__(self, *, breadcrumbs: bool, record: bool) -> None:
        self._wants_breadcrumbs = breadcrumbs
        self._wants_record = record
        # An empty `tmp/` beside files that are not ours may be somebody's: of a mail box, say.
        self._removes_boxes = False
        self.breadcrumbs = 0
        self.records = 0
        self.left: list[Left] = []

    def clean(self, above: _Folder, name: str) -> None:
        """Clean the spool that is called ``name``. Raises `OSError` if it cannot be entered."""
        with above.enter(name) as spool:
            names, is_tagged = spool.list_names(), spool.bears_tag()
            self._removes_boxes = is_tagged or all(map(_is_ours, names))
            for found in names:
                if found in RECORD:
                    self.records += self._wants_record and self._remove(spool, found)
                elif self._wants_breadcrumbs and not (found == _TAG and is_tagged):
                    self._clean_name(spool, found)
            if is_tagged and spool.list_names() == [_TAG]:
                self._remove(spool, _TAG)
        above.rmdir(name)

    def _clean_name(self, spool: _Folder, name: str) -> None:
        if name in _BOXES:
            self._empty(spool, name, self._remove_entry)
        elif name == _OLD:
            self._empty(spool, name, self._empty_segment)
        elif name == MARKS:
            self._empty(spool, name, self._remove_mark)
        elif re.fullmatch(_STAMP, name, re.ASCII):
            self._remove(spool, name)
        else:
            self._keep(spool, name, _UNKNOWN)

    def _empty(self, above: _Folder, name: str, visit: Callable[[_Folder, str], object]) -> None:
        """Call ``visit`` for each name in a directory, then remove that if it is empty."""
        with self.leave(os.path.join(above.path, name)):
            with above.enter(name) as folder:
                for found in folder.list_names():
                    visit(folder, found)
            if self._removes_boxes:
                above.rmdir(name)

    def _empty_segment(self, old: _Folder, name: str) -> None:
        if re.fullmatch(_SEGMENT, name, re.ASCII):
            self._empty(old, name, self._remove_entry)
        else:
            self._keep(old, name, _UNKNOWN)

    def _remove_entry(self, box: _Folder, name: str) -> None:
        if not parse("", "", name):
            self._keep(box, name, _UNKNOWN)
        elif self._remove(box, name):
            # What was not written whole, or could not be read, was not pending.
            self.breadcrumbs += os.path.basename(box.path) not in (TMP, ASIDE)

    def _remove_mark(self, box: _Folder, name: str) -> None:
        if is_mark(name):
            self._remove(box, name)
        else:
            self._keep(box, name, _UNKNOWN)

    def _remove(self, folder: _Folder, name: str) -> bool:
        """Remove a file; return False if it is not ours to remove, or gone already."""
        # A race: something else may be put there between the look and the removal. That is fine:
        # then its name is removed, in a directory of ours, and never what it leads to.
        is_removed = False
        with self.leave(os.path.join(folder.path, name)):
            if fault := _find_fault(folder.look(name), stat.S_ISREG):
                self._keep(folder, name, fault)
            else:
                folder.unlink(name)
                is_removed = True
        return is_removed

    def _keep(self, folder: _Folder, name: str, reason: str) -> None:
        self.left.append(Left(os.path.join(folder.path, name), reason))

    @contextlib.contextmanager
    def leave(self, path: str) -> Iterator[None]:
        """Leave ``path``, and note why, if an `OSError` other than its absence stops the block."""
        try:
            yield
        except FileNotFoundError:
            return
        except OSError as error:
            self.left.append(Left(path, error.strerror or str(error)))


def _find_fault(status: os.stat_result, is_kind: Callable[[int], bool]) -> str:
    """Return why what has this status is not ours to touch, or `""`."""
    if stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) & _NAME_SURROGATE:
        return _LINK
    if not is_kind(status.st_mode):
        return "it is no directory" if is_kind is stat.S_ISDIR else "it is no regular file"
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return "it belongs to another user"
    if is_kind is stat.S_ISREG and status.st_nlink != 1:
        return "it has another name elsewhere"
    return ""


def _is_spool(above: _Folder, name: str) -> bool:
    with contextlib.suppress(OSError):
        if _find_fault(above.look(name), stat.S_ISDIR) == _LINK:
            return True
        with above.enter(name) as folder:
            return folder.bears_tag() or any(map(_is_ours, folder.list_names()))
    return False


def _is_ours(name: str) -> bool:
    return name in (*_BOXES, _OLD, MARKS, *RECORD) or bool(re.fullmatch(_STAMP, name, re.ASCII))
