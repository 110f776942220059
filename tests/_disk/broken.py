"""A disk that fails: the module `os` of a machine on which calls fail, from one on or once."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: What the door asks of the system.
CALLS = {
    *("access", "chmod", "close", "fstat", "link", "listdir", "lstat", "mkdir", "open", "read"),
    *("replace", "rmdir", "scandir", "stat", "unlink", "utime", "write"),
}

ERRORS = [
    *(errno.ESTALE, errno.EIO, errno.EDQUOT, errno.EROFS, errno.ENOSPC, errno.EACCES),
    *(errno.ENOENT, errno.EEXIST, errno.ETIMEDOUT, errno.EMFILE, errno.EBADF, errno.ELOOP),
]

#: Calls that any operation on a small spool may make.
MOST_CALLS = 400


class BrokenOS:
    """The module `os` of a machine whose disk fails from one call on, or once."""

    def __init__(self) -> None:
        self.number = 0
        self.first: int | None = None
        self.once = False
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        return self._count(name, function) if name in CALLS else function

    def _count(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            index = len(self.calls)
            self.calls.append(name)
            assert index < MOST_CALLS, "it loops"
            fails = self.first is not None and (
                index == self.first if self.once else index >= self.first
            )
            if not fails:
                return function(*args, **kwargs)
            if name == "close":  # the kernel closes it all the same
                function(*args, **kwargs)
            raise OSError(self.number, os.strerror(self.number))

        return call

    def fail(self, number: int, first: int | None, *, once: bool) -> None:
        """Fail from the ``first``th call from now on; None: work."""
        self.number, self.first, self.once = number, first, once
        self.calls.clear()
