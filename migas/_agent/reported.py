"""The reported uses: what a process hands to its workers, so that these do not report it again.

This module owns the variable `MIGAS_TOLD`, and the short keys in it by which repeats are known.

What may go wrong: a host empties the environment, or reports more than `MAX_USES` uses. Then a
worker reports a use that its parent has reported.
"""

from __future__ import annotations

import sys

from migas._runtime.settings import HANDED_DOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Any

    from migas._runtime.launch import Part

#: The variable that holds the reported uses of a process and its parents, separated by `;`.
TOLD = HANDED_DOWN[-1]

#: How many uses the variable holds at most, and characters of each. The C library never frees an
#: old value of a variable, so a host that reports ever new uses must not grow it without end.
MAX_USES, _MAX_USE = 50, 120


class Reported:
    """The uses that this process has reported, and those that its parents had.

    Parameters:
        environ: the environment that workers inherit. It is read here once.
        lock: a reentrant lock of this process's, see `Process`. A variable cannot be changed in one
            step: of two threads that do, one would undo what the other has added.
        part: the part that this process has in a run.
    """

    def __init__(
        self, environ: MutableMapping[str, str], lock: Any, part: Part | None = None
    ) -> None:
        self._environ = environ
        self._lock = lock
        self._part = part
        self._by_parents = frozenset(_read_uses(environ) if part and part.is_continued else ())
        # The keys are this process's own uses, in order. Changed under the lock.
        self._own: dict[str, None] = {}

    def may_report(self, use: str) -> bool:
        """Return False if this worker's parent process has already reported the use.

        Otherwise the use counts as reported, and this process's own workers do not repeat it.

        Parameters:
            use: made by `make_use_key`.
        """
        if use in self._by_parents and self._part and self._part.is_continued_now():
            return False
        # Without the lock, since nearly every call ends here.
        if use and use not in self._own and not self._is_full():
            with self._lock:
                if not self._is_full():
                    self._own[use] = None
                    self._hand_down()
        return True

    def may_report_breadcrumb(self, project: object, version: object, *words: object) -> bool:
        """Return `may_report` for a breadcrumb's use.

        The arguments are those of `make_use_key`, which is called only where it matters.
        """
        if self._is_full() and not self._by_parents:
            return True
        return self.may_report(make_use_key(project, version, *words))

    def withdraw(self, use: str) -> None:
        """Forget a use of this process's own: it is not reported after all."""
        with self._lock:
            self._own.pop(use, None)
            uses = _read_uses(self._environ)
            if use in uses:
                self._environ[TOLD] = ";".join(other for other in uses if other != use)
            self._hand_down()

    def _is_full(self) -> bool:
        """Return True if no further use is remembered."""
        return len(self._own) >= MAX_USES

    def _hand_down(self) -> None:
        """Add this process's uses to the variable, with the lock held.

        Only the first `MAX_USES` are kept, which are those of the host's own import. A signal
        handler on this thread may add a use between the reading and the writing, so that is done
        until nothing is missing.
        """
        while True:
            uses = _read_uses(self._environ)
            missing = [use for use in tuple(self._own) if use not in uses][: MAX_USES - len(uses)]
            if not missing:
                break
            self._environ[TOLD] = ";".join([*uses, *missing])
        share_with_fork_server()


def share_with_fork_server() -> None:
    """Have children of a fork server get the variables, too, if the host uses `multiprocessing`.

    A fork server that begins later has the variables from the beginning.
    """
    if "multiprocessing.reduction" in sys.modules:
        from migas._runtime.forkserver import share

        share()


def make_use_key(project: object, version: object, *words: object) -> str:
    """Return a short key for detecting repeats, or `""` if project or version is not a plain str.

    Example:
        >>> make_use_key("owner/repo", "1.2.3", "R", None)
        'owner/repo 1.2.3 R'
    """
    # No str() of a caller's own objects: it may do anything, and this is the caller's thread.
    if type(project) is not str or type(version) is not str:
        return ""
    text = " ".join([project, version, *[word for word in words if type(word) is str]])
    return ascii(text)[1:-1].replace(";", ",")[:_MAX_USE]


def _read_uses(environ: Mapping[str, str]) -> list[str]:
    return [use for use in environ.get(TOLD, "").split(";") if use]
