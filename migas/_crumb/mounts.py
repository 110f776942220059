"""The mounts: which file system a path lies on, by the kernel's own list.

The list is `/proc/self/mountinfo`, see proc_pid_mountinfo(5). It is the only place that tells what
a container's directories are outside of it. What may go wrong: a system other than Linux has no
such list, a sandbox may hide it, and a line may have any form. Then there are no mounts, or fewer.
"""

from __future__ import annotations

import os
import re

from migas._runtime.namedtuple import NamedTuple
from migas._runtime.signals import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Mount(NamedTuple):
    """One line of the list."""

    #: The directory of the mounted file system that is seen at `point`: `/` if it is all of it.
    root: str
    #: The directory on which it is mounted.
    point: str
    #: The file system's type, as `ext4`, `tmpfs` or `fuse.sshfs`.
    kind: str
    #: The file system's own options, separated by commas.
    options: str


def read_mounts(root: str = "/") -> list[Mount]:
    """Return the mounts that this process sees, or an empty list if the system tells none.

    ``root`` is the root directory of this machine or container; another one only in tests.
    """
    try:
        with open(os.path.join(root, "proc", "self", "mountinfo"), "rb") as file:
            lines = os.fsdecode(file.read()).split("\n")
    except OSError as error:
        reraise_from_handler(error)
        return []
    return [mount for mount in map(parse, lines) if mount is not None]


def parse(line: str) -> Mount | None:
    r"""Return what one line of the list says, or None if it has another form.

    Example:
        >>> parse(r"36 35 98:0 /jane /home\040dirs/jane rw shared:1 - ext4 /dev/sda rw")
        Mount(root='/jane', point='/home dirs/jane', kind='ext4', options='rw')
    """
    # Between the mount's own options and the dash there are any number of optional fields.
    here, dash, there = line.partition(" - ")
    ours, theirs = here.split(" "), there.split(" ")
    if not dash or len(ours) < 6 or len(theirs) < 3:
        return None
    return Mount(_unescape(ours[3]), _unescape(ours[4]), theirs[0], _unescape(theirs[2]))


def find_mount(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """Return the mount that a path lies on: the one with the longest mount point above it.

    Parameters:
        path: an absolute path without links, which need not exist.
        mounts: in the kernel's order. Of two on one directory the later one hides the other.
    """
    found = None
    for mount in mounts:
        above = mount.point.rstrip("/") + "/"
        is_longer = found is None or len(mount.point) >= len(found.point)
        if is_longer and f"{path}/".startswith(above):
            found = mount
    return found


def _unescape(field: str) -> str:
    # A space, a tab, a newline, a backslash or a hash is a backslash and three octal digits.
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
