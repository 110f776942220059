"""The identity: a random anonymous user id, and the one file that keeps it.

The file lies in the user's configuration directory, where earlier clients kept theirs, so that an
id once given stays. It holds a UUID and nothing else, and says nothing about who the user is.
"""

from __future__ import annotations

import contextlib
import os

from migas._runtime.settings import derive_id, make_id, parse_id

from .directory import create_directory

_FILE = "user_id"


def read(directory: str) -> str | None:
    """Return the id that ``directory`` keeps, or None; nothing is created."""
    try:
        with open(locate(directory), encoding="utf-8") as file:
            return parse_id(file.read(64))
    except (OSError, ValueError):
        return None


def clear(directory: str) -> bool:
    """Remove what ``directory`` keeps; False: that could not be."""
    try:
        os.unlink(locate(directory))
    except FileNotFoundError:
        return True
    except OSError:
        return not os.path.exists(locate(directory))
    return True


def locate(directory: str) -> str:
    """Name the file in which ``directory`` keeps the id, which need not be there."""
    return os.path.join(directory, _FILE)


def obtain(directory: str) -> str:
    """Return the user's id, made by whichever process is the first to ask.

    Where nothing can be kept the id is a hash of what stays the same between runs: the machine's
    own id, or its name, and the user's number.
    """
    kept = read(directory)
    if kept is not None:
        return kept
    with contextlib.suppress(OSError):
        _keep(directory, make_id())
    return read(directory) or _derive()


def _keep(directory: str, user_id: str) -> None:
    create_directory(directory)
    path = locate(directory)
    draft = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(user_id + "\n")
        _publish(draft, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(draft)


def _publish(draft: str, path: str) -> None:
    # A hard link is made whole or not at all, and never over another: the first process wins, and
    # the losers read its id. What stands there already but holds no id is replaced.
    try:
        os.link(draft, path)
    except FileExistsError:
        if read(os.path.dirname(path)) is None:
            os.replace(draft, path)
    except OSError:  # a file system without hard links: two first processes may race here
        if not os.path.exists(path):
            os.replace(draft, path)


def _derive() -> str:
    import hashlib

    seed = f"migas:{_machine()}:{os.getuid() if hasattr(os, 'getuid') else ''}"
    return derive_id(hashlib.sha256(seed.encode()).digest())


def _machine() -> str:
    import platform

    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            return file.read().strip()
    # Not uuid.getnode(), which may start other programs to learn the network card's address.
    return platform.node()
