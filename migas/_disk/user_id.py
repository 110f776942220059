"""The user's id: a random UUID, and the one file that keeps it.

The file lies in the user's configuration directory, where earlier clients kept theirs, so that an
id once given stays. It holds a UUID and nothing else, and says nothing about who the user is.

Processes that start at the same moment agree on one id. A file that is not ours, as a link is, is
neither read nor replaced: then the id is derived, and kept nowhere.
"""

from __future__ import annotations

import contextlib
import os
import re

from migas._runtime.identifier import derive_id, make_id, parse_id
from migas._runtime.signals import reraise_from_handler

from .directory import create_directory, open_directory
from .ownership import NoDiskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .files import Directory

_FILE = "user_id"

#: An id on its way: the process's number and a random one.
_DRAFT = rf"{_FILE}\.\d+\.[0-9a-f]{{8}}"

#: Bytes that the file may have.
_LARGEST = 1024


def read(directory: str, *, mends: bool = False) -> str | None:
    """Return the id that ``directory`` keeps, or None if it keeps none. Nothing is made.

    ``mends`` is that of `open_directory`.
    """
    try:
        with open_directory(directory, marked=False, mends=mends) as opened:
            return parse_id(_read(opened).decode())
    except (OSError, ValueError) as error:
        reraise_from_handler(error)
        return None


def clear(directory: str) -> bool:
    """Remove the id that ``directory`` keeps; return False if it could not be removed."""
    try:
        with open_directory(directory, marked=False) as opened:
            drafts = [name for name in opened.names() if re.fullmatch(_DRAFT, name, re.ASCII)]
            with contextlib.suppress(FileNotFoundError):
                opened.remove(_FILE, _LARGEST, links=_count_links(opened))
            for name in drafts:  # those of processes that died while they published an id
                opened.remove(name, _LARGEST)
    except FileNotFoundError:
        return True
    except OSError as error:
        reraise_from_handler(error)
        return not directory
    return True


def locate(directory: str) -> str:
    """Return the path of the file in which ``directory`` keeps the id; it need not exist."""
    return os.path.join(directory, _FILE)


def obtain(directory: str) -> str:
    """Return the user's id, made by the first process that asks.

    Parameters:
        directory: the user's configuration directory, which is made if it is absent; `""` stands
            for none.

    Returns:
        A UUID. If no file can be kept it is a hash of what stays the same between runs: the
        machine's own id, or its name, and the user's number.
    """
    kept = read(directory)
    if kept is not None:
        return kept
    with contextlib.suppress(OSError):
        create_directory(directory)
        with open_directory(directory, marked=False) as opened:
            _keep(opened, make_id())
    return read(directory) or _derive()


def _read(opened: Directory) -> bytes:
    try:
        return opened.read(_FILE, _LARGEST)
    except NoDiskError:
        return opened.read(_FILE, _LARGEST, links=_count_links(opened))


def _count_links(opened: Directory) -> int:
    """Return how many names the file may have: 1, or 2 while a process is publishing it.

    Then the other name is that process's draft, in the same directory. A process that died at that
    moment has left it.
    """
    for name in opened.names():
        if re.fullmatch(_DRAFT, name, re.ASCII):
            with contextlib.suppress(OSError):
                draft = opened.examine(name, _LARGEST, links=2)
                if os.path.samestat(draft, opened.examine(_FILE, _LARGEST, links=2)):
                    return 2
    return 1


def _keep(opened: Directory, user_id: str) -> None:
    draft = f"{_FILE}.{os.getpid()}.{os.urandom(4).hex()}"
    opened.create(draft, f"{user_id}\n".encode())
    try:
        _publish(opened, draft)
    finally:
        with contextlib.suppress(OSError):
            opened.remove(draft, _LARGEST, links=2)


def _publish(opened: Directory, draft: str) -> None:
    # A hard link is made whole or not at all, and never over another: the first process wins, and
    # the losers read its id. A file of ours that holds no id is replaced.
    try:
        opened.link(draft, _FILE)
    except FileExistsError:
        with contextlib.suppress(ValueError):
            parse_id(_read(opened).decode())
            return
        opened.move(draft, opened, _FILE, _LARGEST)
    except OSError:  # a file system without hard links: two first processes may race here
        try:
            opened.examine(_FILE, _LARGEST)
        except FileNotFoundError:
            opened.publish(draft, opened, _FILE)


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
