"""The cleaner: removes what migas made in a spool, name by name, and nothing else.

Anybody may have put anything into a directory. So nothing here walks a tree and removes what it
finds: the cleaner knows the names that migas makes, and where, and the disk's door tells it whether
what bears such a name is ours. All else is left, and reported with the reason.

Other processes may use the spool meanwhile: what they add is left, and not reported.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

from migas._runtime.namedtuple import NamedTuple

from .directory import STAMP, TAG, list_names, open_directory
from .entry import ASIDE, CUR, NEW, OLD, TMP, is_segment, parse
from .files import remove_empty
from .marks import MARKS, is_mark
from .ownership import ForeignError, NoDiskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .files import Directory

#: The record of what was sent: see `sent_log`.
RECORD = ("sent-earlier.jsonl", "sent.jsonl")

#: The name of a spool in the cache directory: see `spool.directory_for`.
_SPOOL = r"[A-Za-z0-9._-]{0,60}-[0-9a-f]{8}"

#: Bytes: what bears a name of ours in a spool of ours goes, however large it is.
_ANY_SIZE = sys.maxsize


class Left(NamedTuple):
    """One name that was not removed, and why, in words."""

    path: str
    reason: str


class Cleaned(NamedTuple):
    """What became of one spool."""

    directory: str
    #: Pending breadcrumbs that were removed.
    breadcrumbs: int
    #: Files of the record of what was sent that were removed.
    records: int
    #: What lies there still and was to be removed, or is not known to be ours.
    left: tuple[Left, ...]


def clean(directory: str, *, breadcrumbs: bool = True, record: bool = True) -> Cleaned:
    """Remove what migas made in the spool ``directory``, and the directory if nothing is left.

    Parameters:
        directory: the spool's absolute path, or `""`. Its last part may be no link; others may.
        breadcrumbs: remove pending breadcrumbs, drafts, what was set aside, marks, and stamps.
        record: remove the record of what was sent.

    Returns:
        What was removed and what was left: a directory that is no spool of ours as a whole.
        Nothing is raised: what could not be removed is left.
    """
    if not os.path.isabs(directory):  # what lies in the working directory is nobody's spool
        return Cleaned(directory, 0, 0, ())
    cleaning = _Cleaning(breadcrumbs=breadcrumbs, record=record)
    with cleaning.leave(directory):
        with open_directory(directory) as spool:
            is_empty = cleaning.clean(spool)
        if is_empty:
            remove_empty(directory, None)
    return Cleaned(directory, cleaning.breadcrumbs, cleaning.records, tuple(cleaning.left))


def find_spools(cache: str) -> list[str]:
    """Return the paths of all servers' spools in the directory ``cache``, sorted.

    Others may use it, too. A spool is named as one, and is neither empty nor another program's. If
    that cannot be told, as of a link, it is among them, and `clean` says why. Nothing is changed.
    """
    paths = [
        os.path.join(cache, name)
        for name in list_names(cache)
        if re.fullmatch(_SPOOL, name, re.ASCII)
    ]
    return sorted(filter(_may_be_spool, paths))


def _may_be_spool(path: str) -> bool:
    try:
        with open_directory(path) as spool:
            return bool(spool.names())
    except (FileNotFoundError, ForeignError):
        return False
    except NoDiskError:
        return os.path.islink(path) or os.path.isdir(path)
    except OSError:
        return True


class _Cleaning:
    """One cleaning of one spool: what is to go, and what has become of it so far."""

    def __init__(self, *, breadcrumbs: bool, record: bool) -> None:
        self._wants_breadcrumbs = breadcrumbs
        self._wants_record = record
        self.breadcrumbs = 0
        self.records = 0
        self.left: list[Left] = []

    def clean(self, spool: Directory) -> bool:
        """Remove what is to go from a spool, and its mark if nothing else is left.

        Returns True if the spool is empty then.
        """
        for name in sorted(spool.names(bounded=False)):
            if name in RECORD:
                self.records += self._wants_record and self._remove(spool, name)
            elif self._wants_breadcrumbs and name != TAG:
                self._clean_name(spool, name)
        if spool.names() == [TAG]:
            self._remove(spool, TAG)
        return not spool.names()

    def _clean_name(self, spool: Directory, name: str) -> None:
        if name in (TMP, NEW, CUR, ASIDE):
            self._empty(spool, name, self._remove_entry)
        elif name == OLD:
            self._empty(spool, name, self._empty_segment)
        elif name == MARKS:
            self._empty(spool, name, self._remove_mark)
        elif re.fullmatch(STAMP, name, re.ASCII):
            self._remove(spool, name)
        else:
            self._keep(spool, name)

    def _empty(
        self, above: Directory, name: str, visit: Callable[[Directory, str], object]
    ) -> None:
        """Call ``visit`` for each name in a directory, then remove that if it is empty."""
        with self.leave(os.path.join(above.path, name)):
            box = above.box(name)
            for found in sorted(box.names(bounded=False)):
                visit(box, found)
            if not box.names():
                above.remove_box(name)

    def _empty_segment(self, old: Directory, name: str) -> None:
        if is_segment(name):
            self._empty(old, name, self._remove_entry)
        else:
            self._keep(old, name)

    def _remove_entry(self, box: Directory, name: str) -> None:
        if not parse("", "", name):
            self._keep(box, name)
        elif self._remove(box, name):
            # What was not written whole, or could not be read, was not pending.
            self.breadcrumbs += os.path.basename(box.path) not in (TMP, ASIDE)

    def _remove_mark(self, box: Directory, name: str) -> None:
        if is_mark(name):
            self._remove(box, name)
        else:
            self._keep(box, name)

    def _remove(self, folder: Directory, name: str) -> bool:
        """Remove a file; return False if it is not ours to remove, or gone already."""
        # A race: something else may be put there between the look and the removal. That is fine:
        # then its name is removed, in a directory of ours, and never what it leads to.
        path = os.path.join(folder.path, name)
        try:
            folder.remove(name, _ANY_SIZE)
        except OSError as error:
            self._note(error, path)
            return False
        return True

    def _keep(self, folder: Directory, name: str) -> None:
        self.left.append(Left(os.path.join(folder.path, name), "migas did not make it"))

    @contextlib.contextmanager
    def leave(self, path: str) -> Iterator[None]:
        """Leave ``path``, and note why, if an `OSError` stops the block."""
        try:
            yield
        except OSError as error:
            self._note(error, path)

    def _note(self, error: OSError, path: str) -> None:
        if not isinstance(error, FileNotFoundError):  # what is absent is not left
            self.left.append(Left(path, _describe(error, path)))


def _describe(error: OSError, path: str) -> str:
    """Return what is wrong with ``path``, without naming it once more."""
    reason = error.strerror or str(error)
    for name in path, os.path.basename(path):
        if reason.startswith(f"{name} "):
            return f"it{reason.removeprefix(name)}"
    return reason
