"""The files that a person names: a token's file is read, a picture and a badge are written.

A file is written beside its place first, and then takes it in one step: a web server that hands it
out, or a reader, sees the old one or the new one. What may go wrong: others can read a token; a
directory is not there, or cannot be written, which is looked for before the server is asked.
"""

from __future__ import annotations

import os
import stat
import time

from .runner import WrongError

#: Bytes of a token's file that are read. The server's tokens have 45.
_MAX_TOKEN = 4096


def read_token(path: str) -> str:
    """Return the token in a file, without what blanks surround it.

    Raises `WrongError` if the file cannot be read, holds nothing, or belongs to this user and may
    be read or changed by others, as `ssh` refuses a key. (Another user's file, as a secret that is
    mounted into a container, is for its owner to look after.)
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_MAX_TOKEN + 1)
    except OSError as error:
        # Without the name: somebody may have given the token in its place.
        raise WrongError(f"the file that --token-file names: {error.strerror}") from None
    is_ours = hasattr(os, "getuid") and status.st_uid == os.getuid()
    if is_ours and stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        raise WrongError(f"{path}: others may read or change this token: run `chmod 600 {path}`")
    # Windows' editors write a byte order mark.
    token = content.decode("utf-8-sig", errors="replace").strip()
    if len(content) > _MAX_TOKEN:
        raise WrongError(f"{path}: this is longer than any token")
    if not token:
        raise WrongError(f"{path}: there is no token in this file")
    return token


def are_one(path: str, other: str) -> bool:
    """Return True if two names are one file's."""
    return os.path.realpath(path) == os.path.realpath(other)


def check_place(path: str) -> None:
    """Raise `WrongError` if a file cannot be written, as far as that can be known beforehand."""
    target = os.path.realpath(path)
    directory = os.path.dirname(target)
    if not os.path.isdir(directory):
        raise WrongError(f"{path}: there is no directory {directory}")
    exists = os.path.lexists(target)
    if exists and not os.path.isfile(target):
        raise WrongError(f"{path}: this is no regular file")
    if not os.access(directory, os.W_OK | os.X_OK) or (exists and not os.access(target, os.W_OK)):
        raise WrongError(f"{path}: this may not be written")


def write(path: str, content: bytes) -> None:
    """Write a file, or replace one, whose permissions are kept. Raises `OSError`.

    A link is followed: what it names is replaced.
    """
    target = os.path.realpath(path)
    name = f".migas-{os.getpid()}-{time.time_ns()}.tmp"
    part = os.path.join(os.path.dirname(target), name)
    try:
        # 0o666 as any new file: the user's umask takes away what others may not do.
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            os.chmod(part, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(part, target)
    except BaseException:
        if os.path.lexists(part):
            os.unlink(part)
        raise
