"""The inspection: the commands by which a person looks, on this machine and at the server.

None of them changes anything. Each takes the parsed arguments and returns an exit status. With
`--json` it prints one JSON value, in which texts of a server or a file stand as they are; in the
tables they are without what would command a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migas._agent.process import current_process
from migas._crumb.meanings import FIELDS, SERVER_NOTES
from migas._delivery.defaults import describe_breadcrumb
from migas._runtime.launch import Part

from . import report
from .layout import shorten
from .runner import LEFT, WELL
from .status import describe
from .terminal import format_count, print_error, print_json, print_line, print_paragraph, print_rows

if TYPE_CHECKING:
    import argparse

#: Fields that a list of breadcrumbs shows, where any of them has one.
_SHOWN = (
    *("pending_since", "sent_at", "outcome", "reason", "project", "project_version", "status"),
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
        pending, unread = report.report_pending(settings)
        _show_breadcrumbs(options, pending, f"nothing {'readable ' * (unread > 0)}is pending")
        if unread and not options.json:
            files = format_count(unread, "pending file")
            print_error(f"{files} cannot be read: of a newer version, or no breadcrumb")
        return WELL
    if options.sent:
        _show_breadcrumbs(options, list(report.report_sent(settings)), "nothing was sent")
        return WELL
    fields = describe_breadcrumb(settings)
    sign = settings.part.sign if settings.part else ""
    if options.json:
        print_json({**fields, "session_is": sign, "server_notes": dict(SERVER_NOTES)})
        return WELL
    if off := current_process().find_refusal():
        print_paragraph(f"Telemetry is off, by {off}. If it were on, this would be sent:")
        print_line("")
    shown = {"project": "owner/repo", "project_version": "1.2.3", **fields}
    values = {name: "-" if value is None else f"{value}" for name, value in shown.items()}
    print_rows([(name, values[name], meaning) for name, meaning in FIELDS.items()])
    print_line("")
    if sign == Part.sign:
        print_paragraph("This process is a run of its own.")
    else:
        print_paragraph(f"The run of this process is {sign}.")
    print_line("")
    print_paragraph("What the server notes by itself:")
    print_line("")
    print_rows(list(SERVER_NOTES.items()))
    print_line("")
    print_paragraph("Not every server derives a place; `migas status` asks whether this one does.")
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
        print_paragraph("All fields of each: --json. What the fields mean: `migas show`.")


def _shorten(value: object) -> str:
    """Return a text, which may be a traceback, as a part of a line."""
    return shorten(f"{value or ''}", 60)
