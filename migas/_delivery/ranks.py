"""The ranks: decides with the other processes of a run which of them reports a use.

The first to come does: rank 0 may be another program. Who that is, a mark on the disk that they
share decides, see `marks`. It goes on as ever, and each of its calls counts; the others' calls that
say the same do not. Nodes that share no disk report a use each.

A rank may be a shell that runs several programs, each of which is a use. So the first to come makes
two marks more, of its rank and of itself; those that the same rank runs later find its rank's mark,
but none of their own, and report. The other ranks find neither, and leave all of them to that rank.

What may go wrong: no mark can be made, then this process reports; or the one that has made a mark
is killed before its breadcrumb is on disk, then that use is lost.
"""

from __future__ import annotations

import re

from migas._runtime import log
from migas._runtime.identifier import digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas._crumb.breadcrumb import Breadcrumb

#: How many uses of one process are compared: ever new ones would fill a disk.
_MOST = 1000

#: What a run of `track` says of its time, which each rank measures for itself: see `run`.
_DURATION = re.compile(r" after \d+:\d\d:\d\d$", re.ASCII)


#: What the further marks of the first to come are made for.
_KINDS = ("rank", "program")


class Ranks:
    """Knows the uses that this process reports, and those that another process of its run does.

    Parameters:
        scope: what the processes of the run have in common; `""`: this process is alone.
        make_mark: makes the mark of a name on the disk that they share, see `marks.make_mark`.
        has_mark: returns True if that mark is there.
        find_program: returns what names this process's rank, and the program in it; None if that is
            not known. See `ancestor.find_program`.
    """

    def __init__(
        self,
        scope: str,
        make_mark: Callable[[str], bool],
        has_mark: Callable[[str], bool] = lambda _name: False,
        find_program: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        self._scope = scope
        self._make_mark = make_mark
        self._has_mark = has_mark
        self._find_program = find_program
        # By the mark's name: True if this process reports the use.
        self._known: dict[str, bool] = {}

    def is_reporter(self, crumb: Breadcrumb) -> bool:
        """Return True if this process reports the breadcrumb's use."""
        if not self._scope:
            return True
        name = self._name(crumb)
        if name not in self._known:
            if len(self._known) >= _MOST:
                return True
            self._known[name] = self._make(name)
        return self._known[name]

    def _make(self, name: str) -> bool:
        try:
            return self._is_first(name)
        except OSError as error:
            log.say(log.DEBUG, "no mark can be made for a use: %s", error)
            return True

    def _is_first(self, name: str) -> bool:
        """Return True if this is the first to come, or a later program of that one's rank."""
        is_first, found = self._make_mark(name), self._find_program()
        if found is None:
            return is_first
        rank, program = (digest(name, *pair).hex() for pair in zip(_KINDS, found, strict=True))
        if not is_first:
            return self._has_mark(rank) and self._make_mark(program)
        if found[0] != found[1]:
            # In this order: another process of this program that finds the rank's mark is to find
            # the program's, too. If this one is killed before it has made both, what the rank runs
            # later does not report.
            self._make_mark(program)
            self._make_mark(rank)
        return True

    def _name(self, crumb: Breadcrumb) -> str:
        words = (
            self._scope,
            crumb.session_id,  # a host may name one for a part of its work
            crumb.project,
            crumb.project_version,
            crumb.status,
            _DURATION.sub("", crumb.status_desc or ""),
            crumb.error_type,
            crumb.error_desc,
        )
        return digest(*[str(word or "") for word in words]).hex()
