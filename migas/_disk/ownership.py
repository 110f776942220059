"""Judges by the status of a directory or a file whether it is ours.

It has to be this user's. A link, a device, a FIFO and what has other names, too, are nobody's
that we may use: what is done to one of them is done to something else.
"""

from __future__ import annotations

import os
import stat

#: Whether files have owners and modes here.
POSIX = hasattr(os, "geteuid")


class NoDiskError(OSError):
    """There is no disk for us: what lies there is not ours, or there is no place for it.

    To ask again changes nothing, unlike after any other `OSError`.
    """


class ForeignError(NoDiskError):
    """The directory is another program's, or nobody can tell whose it is."""


def check_directory(status: os.stat_result, path: str) -> None:
    """Raise `NoDiskError` unless ``status`` is that of a real directory of this user's."""
    # A junction is a link of Windows' that looks like a directory: IO_REPARSE_TAG_MOUNT_POINT.
    is_junction = getattr(status, "st_reparse_tag", 0) == 0xA0000003
    if is_junction or not stat.S_ISDIR(status.st_mode):
        raise NoDiskError(f"{path} is a link, or no directory")
    if POSIX and status.st_uid != os.geteuid():
        raise NoDiskError(f"{path} belongs to another user")


def check_file(status: os.stat_result, name: str, limit: int, links: int) -> None:
    """Raise `NoDiskError` unless ``status`` is that of a file of ours: see `files.Directory`."""
    if not stat.S_ISREG(status.st_mode):
        raise NoDiskError(f"{name} is no regular file")
    if POSIX and status.st_uid != os.geteuid():
        raise NoDiskError(f"{name} belongs to another user")
    if status.st_nlink > links:
        raise NoDiskError(f"{name} has other names, too")
    if status.st_size > limit:
        raise NoDiskError(f"{name} is larger than any of ours")
