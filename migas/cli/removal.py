"""The removal: removes pending breadcrumbs, the record of sent ones, or the user's id.

It owns the command `clear`: it asks first, and then prints which files it removed, which it left,
and why. Which files may be removed, `migas._disk.cleaner` decides.

What may go wrong: nobody answers the question, then nothing is removed; a file cannot be removed,
then the status is 1; root runs the command in another user's home, then it does nothing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from migas._agent.process import current_process
from migas._disk.cleaner import clean, find_spools
from migas.config import clear_user_id

from .report import find_kept_id, find_spool
from .runner import LEFT, WELL, refuse_foreign_home
from .terminal import format_count, print_error, print_json, print_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from migas._disk.cleaner import Cleaned
    from migas._disk.spool import Spool

#: How many names of files that were left are printed; `--json` names all.
_MOST = 20

_ABOUT_ID = (
    "Remove your user id? You get a new random one with the next breadcrumb;"
    " earlier records stay on the server under the old one."
)


def clear(options: argparse.Namespace) -> int:
    """Remove pending breadcrumbs, the record of sent ones, both for every server, or the user's id.

    Parameters:
        options: `what` is `spool`, `record`, `all` or `id`; `yes` asks no question; `json` prints
            JSON.

    Returns:
        0 if nothing is left of it. 1 if something is left, or the person did not agree.

    Raises:
        WrongError: this is root in the home of another user.
    """
    refuse_foreign_home(f"clear {options.what}")
    if options.what == "id":
        return _clear_id(options)
    spool = find_spool(current_process().use_settings())
    if spool is None:
        if options.json:
            return _report(options, [])
        print_line("nothing to remove: there is no home directory, and MIGAS_CACHE_DIR names none")
        return WELL
    directories = [spool.directory]
    if options.what == "all":
        others = find_spools(os.path.dirname(spool.directory))
        directories = sorted({spool.directory, *others})
    if not _agrees(options, _ask(options.what, spool, directories)):
        return LEFT
    cleaned = [
        clean(
            directory,
            breadcrumbs=options.what in ("spool", "all"),
            record=options.what in ("record", "all"),
        )
        for directory in directories
    ]
    return _report(options, cleaned)


def _clear_id(options: argparse.Namespace) -> int:
    """Remove the user's user id, also that of an earlier client."""
    if not _agrees(options, _ABOUT_ID):
        return LEFT
    kept, is_gone = find_kept_id(), clear_user_id()
    if options.json:
        print_json({"cleared": is_gone})
    elif is_gone:
        print_line(f"removed your user id from {kept.file}" if kept else "you have no user id")
    else:
        print_error("your user id could not be removed" + (f": {kept.file}" if kept else ""))
    return WELL if is_gone else LEFT


def _ask(what: str, spool: Spool, directories: Sequence[str]) -> str:
    """Return the question that the person has to agree to."""
    if what == "spool":
        pending = format_count(spool.count(), "pending breadcrumb")
        return f"Remove {pending} from {spool.directory}?"
    if what == "record":
        return f"Remove the record of what was sent from {spool.directory}?"
    servers = format_count(len(directories), "server")
    cache = os.path.dirname(spool.directory)
    return f"Remove all that is pending and the records of {servers} from {cache}?"


def _agrees(options: argparse.Namespace, question: str) -> bool:
    """Ask the person. Returns False for any answer but yes, or if there is nobody to ask."""
    if options.yes:
        return True
    # Nothing but JSON is printed to stdout if JSON is asked for.
    print_line(f"{question} [y/N] ", end="", file=sys.stderr if options.json else sys.stdout)
    try:
        return input().strip().lower() in ("y", "yes")
    # The end of stdin, or no stdin at all, which is an AttributeError on PyPy.
    except (EOFError, RuntimeError, AttributeError):
        print_line("")
        print_error("nothing is removed; --yes does not ask")
        return False
    except KeyboardInterrupt:
        print_line("")
        print_error("nothing is removed")
        raise


def _report(options: argparse.Namespace, cleaned: Sequence[Cleaned]) -> int:
    """Print what was removed and what was left, with reasons, and return the exit status."""
    left = [each for one in cleaned for each in one.left]
    if options.json:
        removed = sum(one.breadcrumbs for one in cleaned)
        names = [each._asdict() for each in left]
        print_json({"cleared": not left, "breadcrumbs": removed, "left": names})
        return LEFT if left else WELL
    for one in cleaned:
        print_line(_describe(one, options.what))
    for each in left[:_MOST]:
        print_error(f"left {each.path}: {each.reason}")
    if len(left) > _MOST:
        print_error(f"left {len(left) - _MOST} more; --json names all")
    return LEFT if left else WELL


def _describe(cleaned: Cleaned, what: str) -> str:
    """Return a sentence that says what was removed from one spool."""
    removed = []
    if what == "spool" or cleaned.breadcrumbs:
        removed.append(format_count(cleaned.breadcrumbs, "breadcrumb"))
    if cleaned.records:
        removed.append("the record of what was sent")
    if not removed:
        return f"nothing to remove in {cleaned.directory}"
    return f"removed {' and '.join(removed)} from {cleaned.directory}"
