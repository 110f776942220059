"""The numbers: the command `usage`, by which a developer counts the uses of a project.

It asks the server and changes nothing on this machine. With `--json` it prints one JSON value.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from . import usage
from .runner import LEFT, STOPPED, WELL, WrongError
from .terminal import print_error, print_json, print_rows, show_progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def show_usage(options: argparse.Namespace) -> int:
    """Print how many breadcrumbs of a project arrived; if interrupted, as far as that is known.

    Parameters:
        options: `json`; `project`; `since` and `until`, dates or None; `by`, `unique` and `plot`.

    Returns:
        0 if the server answered for each period and the picture, if any, was written; 1 if not; 130
        if a Ctrl-C stopped it. Raises `WrongError` if there is no day to ask for.
    """
    until = options.until or datetime.datetime.now(datetime.UTC).date()
    since = options.since or until - min(29, until.toordinal() - 1) * usage.DAY
    if since > until:
        raise WrongError("--since is after --until")
    periods = usage.split(since, until, options.by)
    if options.plot not in (None, "-"):
        import matplotlib  # noqa: F401  # what is missing is told before the server is asked
    counted, status = _count(options, periods)
    if options.json:
        print_json([{"first": f"{p.first}", "last": f"{p.last}", "hits": n} for p, n in counted])
    else:
        _print_usage(options, counted)
    if options.plot not in (None, "-") and counted and not _draw(options, counted):
        return LEFT
    return status


def _count(
    options: argparse.Namespace, periods: Sequence[usage.Period]
) -> tuple[list[usage.Hits], int]:
    """Ask the server for each period; return the answers and an exit status."""
    counted: list[usage.Hits] = []
    try:
        with show_progress(len(periods), f"{options.by}s") as progress:
            for hits in usage.count(options.project, periods, unique=options.unique):
                counted.append(hits)
                progress.update(len(counted))
    except usage.NoAnswerError as error:
        print_error(f"{error}")
        return counted, LEFT
    except KeyboardInterrupt:
        return counted, STOPPED
    return counted, WELL


def _draw(options: argparse.Namespace, counted: Sequence[usage.Hits]) -> bool:
    """Draw the picture that `--plot` names; return False if it cannot be written."""
    label = f"{_name_hits(options)} a {options.by}"
    try:
        usage.plot(counted, options.plot, f"{options.project}: {label}", label)
    except (OSError, ValueError) as error:
        print_error(f"{options.plot}: {error}")
        return False
    return True


def _print_usage(options: argparse.Namespace, counted: Sequence[usage.Hits]) -> None:
    """Print a row for each period: its first day, its hits, and a bar if `--plot -` asks for it."""
    bars = usage.draw(counted) if options.plot == "-" else [""] * len(counted)
    rows = [
        (f"{entry.period.first}", f"{entry.hits:>7}", bar)
        for entry, bar in zip(counted, bars, strict=True)
    ]
    if rows and not options.unique:  # a user of two periods would be counted twice
        rows.append(("all", f"{sum(hits for _, hits in counted):>7}", ""))
    if rows:
        print_rows(rows, ("from", _name_hits(options), ""))


def _name_hits(options: argparse.Namespace) -> str:
    """Return what the server counts: not runs, of which each may report several breadcrumbs."""
    return "users" if options.unique else "breadcrumbs"
