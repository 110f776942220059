"""The questions: the commands by which a person looks, on this machine and at the server.

None of them changes anything. Each takes the parsed arguments and returns an exit status. With
`--json` it prints one JSON value, in which texts of a server or a file stand as they are; in the
tables they are without what would command a terminal.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from migas._agent.process import current_process
from migas._crumb.meanings import FIELDS, SERVER_NOTES
from migas.config import describe_breadcrumb

from . import report, usage
from .layout import shorten
from .runner import LEFT, STOPPED, WELL, WrongError
from .status import describe
from .terminal import (
    print_error,
    print_json,
    print_line,
    print_paragraph,
    print_rows,
    show_progress,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: Fields that a list of breadcrumbs shows, where any of them has one.
_SHOWN = (
    *("waiting_since", "sent_at", "outcome", "reason", "project", "project_version", "status"),
    *("status_desc", "error_type", "error_desc"),
)


def show_status(options: argparse.Namespace) -> int:
    """Print whether telemetry is on, whether the server answers, and what was found here.

    Parameters:
        options: `json`.

    Returns:
        0 if the server answers, or was not asked since nothing is to be sent; 1 if not.
    """
    settings = current_process().use_settings()
    status = report.report_status(settings)
    if options.json:
        print_json(status._asdict())
    else:
        print_rows(describe(status, settings))
    return LEFT if status.problem not in ("", report.NOT_ASKED) else WELL


def show_fields(options: argparse.Namespace) -> int:
    """Print the fields of a breadcrumb with what the server adds, or the pending or sent ones.

    Parameters:
        options: `json`; `pending` or `sent`, of which one may be true.

    Returns:
        0.
    """
    settings = current_process().use_settings()
    if options.pending:
        _show_breadcrumbs(options, list(report.report_pending(settings)), "nothing is pending")
        return WELL
    if options.sent:
        _show_breadcrumbs(options, list(report.report_sent(settings)), "nothing was sent")
        return WELL
    fields = describe_breadcrumb(settings)
    sign = settings.part.sign if settings.part else ""
    if options.json:
        print_json({**fields, "session_is": sign, "server_notes": dict(SERVER_NOTES)})
        return WELL
    shown = {"project": "owner/repo", "project_version": "1.2.3", **fields}
    values = {name: "-" if value is None else f"{value}" for name, value in shown.items()}
    print_rows([(name, values[name], meaning) for name, meaning in FIELDS.items()])
    print_line("")
    print_paragraph(f"The run of this process is {sign}.")
    print_line("")
    print_paragraph("What the server notes by itself:")
    print_line("")
    print_rows(list(SERVER_NOTES.items()))
    print_line("")
    print_paragraph("Not every server derives a place; `migas status` asks whether this one does.")
    return WELL


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


def _show_breadcrumbs(
    options: argparse.Namespace, crumbs: list[dict[str, object]], none: str
) -> None:
    """Print what tells breadcrumbs apart; all their fields are in the JSON."""
    if options.json:
        print_json(crumbs)
    elif not crumbs:
        print_line(none)
    else:
        names = [name for name in _SHOWN if any(crumb.get(name) for crumb in crumbs)]
        rows = [tuple(_shorten(crumb[name]) for name in names) for crumb in crumbs]
        print_rows(rows, tuple(name.replace("_", " ") for name in names))
        print_line("")
        print_paragraph("All fields of each: --json. What the fields mean: `migas show`.")


def _shorten(value: object) -> str:
    """Return a text, which may be a traceback, as a part of a line."""
    return shorten(f"{value or ''}", 60)


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
