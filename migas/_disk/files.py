"""Works on the files of an opened directory, and lets `ownership` judge what was opened.

Each directory is opened without following a link, and files are named relative to it, so that a
swap in between changes nothing (as Go's `os.Root` does it). Where a system cannot do so (Windows)
each path is looked at before it is used. The door is `directory`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os

from .ownership import POSIX, NoDiskError, check_directory, check_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

#: Whether files can be named relative to an opened directory.
_RELATIVE = os.scandir in os.supports_fd and os.supports_dir_fd.issuperset(
    getattr(os, name, None)
    for name in ("open", "stat", "mkdir", "unlink", "rmdir", "rename", "link", "utime")
)

#: Follows no link, and does not wait for a FIFO's other end.
_SAFELY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


#: Names that are listed of a directory, far more than a box ever holds.
_MOST = 100_000


class Directory:
    """A directory of ours that is open for one batch of work; a context manager.

    A file of ours is a regular one, this user's, with one name, and not larger than the ``limit``
    in bytes that a method is given. Each method raises `OSError`: `NoDiskError` for what is not
    ours, `FileNotFoundError` for what is absent.

    No descriptor is kept for longer, since a host may close all and open its own under the same
    numbers. If it does so during a batch, a file of ours may get into its directory; that is rare,
    as a batch takes about a millisecond, and daemons do so in a child, which has no thread of ours.
    """

    __slots__ = ("_boxes", "_descriptor", "mends", "path", "status")

    def __init__(self, path: str, descriptor: int | None, status: os.stat_result) -> None:
        self.path = path
        self.status = status
        # None: this system names files by whole paths only.
        self._descriptor = descriptor
        self._boxes: dict[str, Directory] = {}
        #: Whether its mode, and its boxes', may be set to those that we give. To look changes none.
        self.mends = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it, and every box of it; the host may have done so already."""
        for box in self._boxes.values():
            box.close()
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, -1  # which each system call refuses
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def box(self, name: str, *, makes: bool = False) -> Directory:
        """Return a directory in this one, which is closed with it.

        ``name`` may be a path below this one; ``makes``: make what is absent.
        """
        opened = self._boxes.get(name)
        if opened is None:
            above, _, last = name.rpartition(os.sep)
            if above:
                return self.box(above, makes=makes).box(last, makes=makes)
            path = os.path.join(self.path, name)
            opened = open_own(path, *self._at(name), makes=makes, mends=self.mends)
            opened.mends = self.mends
            self._boxes[name] = opened
        if opened.mends:
            opened.close_to_others()
        return opened

    def forget(self, name: str) -> None:
        """Close a box; the next use opens what bears its name by then."""
        above, _, last = name.rpartition(os.sep)
        if above:
            self.box(above).forget(last)
        elif name in self._boxes:
            self._boxes.pop(name).close()

    def close_to_others(self) -> None:
        """Take from others what they may do in it. Raises `NoDiskError` if they may still write."""
        if not POSIX or not self.status.st_mode & 0o077:
            return
        place = self.path if self._descriptor is None else self._descriptor
        with contextlib.suppress(OSError):
            os.chmod(place, 0o700)
        # Some file systems know no modes, and show the same one for all files.
        if os.stat(place).st_mode & 0o022:
            raise NoDiskError(f"others may write to {self.path}")

    def names(self, *, bounded: bool = True) -> list[str]:
        """List the names in it, in no order; ``bounded``: no more than a box may ever hold."""
        place = self.path if self._descriptor is None else self._descriptor
        with os.scandir(place) as found:
            return [entry.name for entry in itertools.islice(found, _MOST if bounded else None)]

    def examine(self, name: str, limit: int, links: int = 1) -> os.stat_result:
        """Return the status of a file of ours, which may have as many names as ``links``."""
        at, holder = self._at(name)
        status = os.stat(at, dir_fd=holder, follow_symlinks=False)
        check_file(status, name, limit, links)
        return status

    def read(self, name: str, limit: int, links: int = 1) -> bytes:
        """Return the content of a file of ours, which may have as many names as ``links``."""
        if self._descriptor is None:
            self.examine(name, limit, links)
        at, holder = self._at(name)
        try:
            descriptor = os.open(at, os.O_RDONLY | _SAFELY, dir_fd=holder)
        except OSError:
            self.examine(name, limit, links)  # a link or a socket cannot be opened so
            raise
        try:
            status, content = os.fstat(descriptor), b""
            check_file(status, name, limit, links)
            while part := os.read(descriptor, status.st_size - len(content)):
                content += part
            return content
        finally:
            os.close(descriptor)

    def create(self, name: str, data: bytes) -> None:
        """Write a new file, for its owner alone, whole or not at all.

        There is no fsync: a killed process loses nothing without it, and network disks are slow.
        """
        at, holder = self._at(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY
        descriptor = os.open(at, flags, 0o600, dir_fd=holder)
        try:
            _fill(descriptor, name, data, len(data))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(at, dir_fd=holder)
            raise

    def append(self, name: str, data: bytes, limit: int) -> int:
        """Add to a file of ours, or make it; return its size in bytes before that."""
        # Looked at before it is opened: to open a device for writing is to touch it.
        with contextlib.suppress(FileNotFoundError):
            self.examine(name, limit)
        at, holder = self._at(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _SAFELY
        return _fill(os.open(at, flags, 0o600, dir_fd=holder), name, data, limit)

    def set_time(self, name: str, moment: float) -> None:
        """Set when a file, which this batch has examined, was last changed."""
        at, holder = self._at(name)
        try:
            os.utime(at, (moment, moment), dir_fd=holder, follow_symlinks=holder is None)
        except OverflowError:
            raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW)) from None

    def move(self, name: str, to: Directory, new_name: str, limit: int) -> None:
        """Move a file of ours; a file of ours that has the new name is replaced."""
        self.examine(name, limit)
        with contextlib.suppress(FileNotFoundError):
            to.examine(new_name, limit)
        self.publish(name, to, new_name)

    def publish(self, name: str, to: Directory, new_name: str) -> None:
        """Move what this batch has made or examined to a name that nothing else bears."""
        (at, holder), (new_at, new_holder) = self._at(name), to._at(new_name)
        os.replace(at, new_at, src_dir_fd=holder, dst_dir_fd=new_holder)

    def link(self, name: str, new_name: str) -> None:
        """Give a file that this batch has made a second name, which nothing may bear yet."""
        (at, holder), (new_at, _) = self._at(name), self._at(new_name)
        os.link(at, new_at, src_dir_fd=holder, dst_dir_fd=holder)

    def remove(self, name: str, limit: int, links: int = 1) -> None:
        """Remove a file of ours, which may have as many names as ``links``."""
        self.examine(name, limit, links)
        at, holder = self._at(name)
        os.unlink(at, dir_fd=holder)

    def remove_box(self, name: str) -> None:
        """Remove a directory, unless something lies in it."""
        self.forget(name)
        remove_empty(*self._at(name))

    def _at(self, name: str) -> tuple[str, int | None]:
        """Return the path and the directory by which a system call names a file in this one."""
        if self._descriptor is None:
            return os.path.join(self.path, name), None
        return name, self._descriptor


def open_own(
    path: str, at: str, holder: int | None, *, makes: bool = False, mends: bool = False
) -> Directory:
    """Open a directory of ours without following a link.

    Parameters:
        path: the whole path.
        at: the path relative to ``holder``, a directory's descriptor.
        makes: make it if it is absent.
        mends: give it back to its owner if its mode keeps the owner out. ``makes`` implies that.
    """
    mends = mends or makes
    try:
        return _enter(path, at, holder, mends=mends)
    except FileNotFoundError:
        if not makes:
            raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(at, 0o700, dir_fd=holder)
    except PermissionError:
        if not mends:
            raise
    restore_mode(path, at, holder)
    return _enter(path, at, holder, mends=mends)


def _enter(path: str, at: str, holder: int | None, *, mends: bool) -> Directory:
    if not _RELATIVE:
        status = os.lstat(path)
        check_directory(status, path)
        return Directory(path, None, status)
    try:
        descriptor = os.open(at, os.O_RDONLY | os.O_DIRECTORY | _SAFELY, dir_fd=holder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NoDiskError(f"{path} is a link, or no directory") from None
        raise
    try:
        status = os.fstat(descriptor)
        check_directory(status, path)
        if mends and POSIX and status.st_mode & 0o500 != 0o500:  # a umask of 0177
            os.chmod(descriptor, 0o700)
    except BaseException:
        os.close(descriptor)
        raise
    return Directory(path, descriptor, status)


def remove_empty(at: str, holder: int | None) -> None:
    """Remove a directory, unless something lies in it: left, or just added by a process."""
    try:
        os.rmdir(at, dir_fd=holder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # POSIX allows for either
            raise


def restore_mode(path: str, at: str, holder: int | None) -> None:
    """Give a directory of ours back to its owner, from whom a umask of 0777 has taken it, say.

    Raises `OSError` if something else keeps this user out.
    """
    status = os.stat(at, dir_fd=holder, follow_symlinks=False)
    check_directory(status, path)
    # Linux before glibc 2.32 changes no mode without following links.
    with contextlib.suppress(NotImplementedError, ValueError):
        if POSIX and status.st_mode & 0o700 != 0o700:
            os.chmod(at, 0o700, dir_fd=holder, follow_symlinks=False)


def _fill(descriptor: int, name: str, data: bytes, limit: int) -> int:
    """Write to a file that was opened for it, and close it; return its size before, in bytes."""
    try:
        status = os.fstat(descriptor)
        check_file(status, name, limit, 1)
        if POSIX and status.st_mode & 0o600 != 0o600:  # a umask of 0777
            os.chmod(descriptor, 0o600)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    # A full disk may be reported as late as here.
    os.close(descriptor)
    return status.st_size
