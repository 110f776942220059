"""What `usage` prints for programs: one JSON object, or CSV.

A number that the server has not given is null, or an empty cell. Versions come from those who
report a use: none can command a spreadsheet or a terminal.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from .groups import STATUSES, unite_groups
from .usage import describe_missing

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Sequence

    from .groups import Group, Row
    from .usage import Answer

#: A spreadsheet takes a cell that begins with one of these for a formula
#: (https://owasp.org/www-community/attacks/CSV_Injection). No version does.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_PLURALS = {"version": "versions", "status": "statuses"}


def describe_periods(project: str, answer: Answer) -> dict[str, object]:
    """Return what JSON says of the periods of a project."""
    entries = answer.entries
    return {
        "project": project,
        "counted": answer.what,
        "by": answer.by,
        "since": f"{entries[0].period.first}",
        "until": f"{entries[-1].period.last}",
        "complete": not answer.reason and not describe_missing(entries, answer.by),
        "asked": len(entries),
        "answered": answer.answered,
        "message": answer.reason,
        "total": answer.total,
        "periods": [
            {
                "first": f"{first}",
                "last": f"{last}",
                "hits": hits,
                "running": first <= answer.today <= last,
            }
            for (first, last), hits in entries
        ],
    }


def describe_sessions(
    project: str,
    by: str,
    span: tuple[datetime.date, datetime.date],
    groups: Sequence[Group],
    rows: Sequence[Row],
) -> dict[str, object]:
    """Return what JSON says of the sessions of a project.

    Parameters:
        project: `owner/repo`.
        by: `version` or `status`.
        span: the first and the last day.
        groups: the sessions by version or status.
        rows: the same by day, version and status.
    """
    total = unite_groups(groups)
    return {
        **describe_silence(project, by, span, ""),
        "complete": True,
        "total": total.sessions,
        "failed_share": total.failed_share,
        _PLURALS[by]: [_describe_group(one, by) for one in groups],
        "sessions": [row._asdict() for row in rows],
    }


def describe_silence(
    project: str, by: str, span: tuple[datetime.date, datetime.date], reason: str
) -> dict[str, object]:
    """Return what JSON says of sessions that the server has not answered; ``reason``: why not."""
    return {
        "project": project,
        "counted": "sessions",
        "by": by,
        "since": f"{span[0]}",
        "until": f"{span[1]}",
        "complete": False,
        "message": reason,
        "total": None,
        "failed_share": None,
        _PLURALS[by]: None,
        "sessions": None,
    }


def write_periods(answer: Answer) -> list[str]:
    """Return the lines of CSV, with one for each period."""
    return _write(
        ("first", "last", answer.what, "running"),
        (
            (
                f"{first}",
                f"{last}",
                "" if hits is None else f"{hits}",
                f"{first <= answer.today <= last}".lower(),
            )
            for (first, last), hits in answer.entries
        ),
    )


def write_sessions(rows: Sequence[Row]) -> list[str]:
    """Return the lines of CSV, with one for each day, version and status."""
    cells = ((row.date, row.version, row.status, f"{row.sessions}") for row in rows)
    return _write(("date", "version", "status", "sessions"), cells)


def _describe_group(one: Group, by: str) -> dict[str, object]:
    described: dict[str, object] = {by: one.name, "sessions": one.sessions}
    if by == "version":
        described |= {status: one.counts[status] for status in STATUSES}
        described["failed_share"] = one.failed_share
    return described


def _write(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_make_harmless(cell) for cell in row] for row in rows)
    return text.getvalue().splitlines()


def _make_harmless(cell: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in cell)
    return f"'{printable}" if cell.startswith(_FORMULA) else printable
