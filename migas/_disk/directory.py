"""The user's directories: where they are, and how one is made without surprise."""

from __future__ import annotations

import os
import re
import stat

import platformdirs


def find_cache() -> str:
    """Name the directory for what may be lost."""
    return platformdirs.user_cache_dir("migas", appauthor=False)


def find_config() -> str:
    """Name the directory for what should stay."""
    return platformdirs.user_config_dir("migas", appauthor=False)


def find_earlier_config() -> str:
    """Name the directory in which earlier clients kept theirs, on every system."""
    return os.path.join(os.path.expanduser("~"), ".config", "migas")


def create_directory(path: str) -> None:
    """Make ``path``, for its owner alone, but never the home that it lies in.

    Raises `OSError` where that cannot be, or where others could write to what is there.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        home = os.path.expanduser("~")
        if path.startswith(os.path.join(home, "")) and not os.path.isdir(home):
            raise FileNotFoundError(f"there is no home directory {home}") from None
        _make(path)
        status = os.stat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{path} is in the way")
    if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
        raise PermissionError(f"{path} is not this user's alone")


def _make(path: str) -> None:
    # One by one, since os.makedirs() makes what lies on the way as the umask says: a daemon's is 0.
    parent = os.path.dirname(path)
    if parent not in ("", path) and not os.path.isdir(parent):
        _make(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def file_name(text: str) -> str:
    """Make ``text`` fit for a part of a file's name, on any system."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text)[-60:]


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner may read: an `opener` for `open`."""
    return os.open(path, flags, 0o600)


def is_on_root_file_system(path: str, root: str = "/") -> bool:
    """Return True if ``path`` lies on the same file system as ``root``, or if nobody can tell.

    A path that does not exist yet is judged by the nearest directory above it that does: that is
    where it would be made. Nothing is opened, and links are followed.

    Parameters:
        path: an absolute path.
        root: the root directory of this machine or container; another one only in tests.
    """
    while path != os.path.dirname(path) and not os.path.exists(path):
        path = os.path.dirname(path)
    try:
        return os.stat(path).st_dev == os.stat(root).st_dev
    except OSError:
        return True
