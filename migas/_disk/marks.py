"""The marks: which of the processes of one run reports a use, decided on the disk that they share.

A mark is an empty file with a name that nobody can read anything from. Whoever creates it is the
one; a file system creates a file for one process only, on a network's disk as well. Nothing is ever
read from a mark. It is of no use when its run has ended, and is removed when it is older than a
breadcrumb may be, see `upkeep`.
"""

from __future__ import annotations

import re

from .directory import open_directory

#: The box of a spool that holds them.
MARKS = "marks"

#: A mark's name.
is_mark = re.compile(r"[0-9a-f]{32}", re.ASCII).fullmatch


class UnsureError(OSError):
    """The disk has failed while it made a mark, which may be there nevertheless."""


def make_mark(directory: str, name: str) -> bool:
    """Return True if this process has made the mark, False if another one has.

    Parameters:
        directory: the spool's path; `""` where there is no disk.
        name: 32 hexadecimal digits.

    Raises:
        OSError: nothing can be made there. `UnsureError` if the mark may be there nevertheless.
    """
    with open_directory(directory, makes=True) as spool:
        box = spool.box(MARKS, makes=True)
        try:
            box.create(name, b"")
        except FileExistsError:
            return False
        except FileNotFoundError:  # the box has gone, or this node does not see it yet
            raise
        except OSError as error:
            raise UnsureError(error.errno, error.strerror) from error
    return True


def has_mark(directory: str, name: str) -> bool:
    """Return True if a process has made the mark. The arguments are those of `make_mark`.

    Raises:
        OSError: the spool cannot be read.
    """
    with open_directory(directory) as spool, spool.box(MARKS) as box:
        try:
            box.examine(name, 0)
        except FileNotFoundError:
            return False
    return True
