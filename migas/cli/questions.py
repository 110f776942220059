"""The questions: the commands by which a person looks, on this machine and at the server.

None of them changes anything. Each takes the parsed arguments and returns an exit status. With
`--json` it prints one JSON value, in which texts of a server or a file stand as they are; in the
tables they are without what would command a terminal.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from migas._agent.process import current_process
from migas._delivery.throttle import EXITS
from migas.config import describe_breadcrumb

from . import report
from .runner import LEFT, WELL
from .terminal import format_count, print_json, print_line, print_rows

if TYPE_CHECKING:
    import argparse

    from .report import Status

#: Fields that a list of breadcrumbs shows, where any of them has one.
_SHOWN = (
    *("waiting_since", "sent_at", "outcome", "reason", "project", "project_version", "status"),
    *("status_desc", "error_type", "error_desc"),
)


def show_status(options: argparse.Namespace) -> int:
    """Print whether telemetry is on, whether the server answers, and what is pending.

    Parameters:
        options: `json`.

    Returns:
        0 if the server answers, or was not asked since nothing is to be sent; 1 if not.
    """
    status = report.report_status(current_process().use_settings())
    if options.json:
        print_json(status._asdict())
    else:
        print_rows(_describe_status(status))
    return LEFT if status.problem not in ("", report.NOT_ASKED) else WELL


def show_fields(options: argparse.Namespace) -> int:
    """Print the fields that a breadcrumb has, or the breadcrumbs that are pending or were sent.

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
        print_json({**fields, "session_is": sign})
        return WELL
    shown = {"project": "owner/repo", "project_version": "1.2.3", **fields}
    values = {name: "-" if value is None else f"{value}" for name, value in shown.items()}
    print_rows([(name, values[name], meaning) for name, meaning in report.MEANINGS.items()])
    print_line("")
    print_line(f"The session of this process is {sign}.")
    return WELL


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
        print_line("Each field of each: --json. What they mean: `migas show`.")


def _shorten(value: object) -> str:
    """Return a text, which may be a traceback, as a part of a line."""
    return textwrap.shorten(f"{value or ''}", 60, placeholder="…")


def _describe_status(status: Status) -> list[tuple[str, ...]]:
    """Return the rows of the table that a person sees: a label and a sentence each."""
    seconds = status.next_try_seconds
    wait = f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
    oldest = f", the oldest since {status.waiting_since}" if status.waiting_since else ""
    since = f", since {status.delivered_since}" if status.delivered_since else ""
    because = f": {status.refused_because}" if status.refused_because else ""
    pending = format_count(status.waiting, "breadcrumb")
    exits = f"{EXITS - status.exits_that_may_deliver} of {EXITS} this hour"
    where = [f"in {status.spool}"] if status.spool else []
    where += [f"in memory: {status.spool_problem}"] if status.spool_problem else []
    return [
        ("telemetry", f"off, by {status.switched_off_by}" if status.switched_off_by else "on"),
        ("server", f"{status.endpoint or 'none'}: {status.problem or 'it answers'}"),
        ("next try", f"in {wait}: it could not be reached" if seconds else "at once"),
        ("sent at exit", exits),
        ("user id", _describe_user(status)),
        ("pending", f"{pending}, {status.waiting_bytes} bytes{oldest}"),
        *(("", place) for place in where),
        ("delivered", f"{status.delivered}{since}"),
        ("refused", f"{status.refused} by the server{because}"),
        ("dropped", f"{status.dropped} beyond the bounds"),
        ("unanswered", f"{status.unanswered} sent three times without an answer"),
    ]


def _describe_user(status: Status) -> str:
    """Return the user's id and where it is kept, or why there is none."""
    if status.user_id is None:
        return report.explain_missing_id()
    return f"{status.user_id} in {status.user_id_file}" if status.user_id_file else status.user_id
