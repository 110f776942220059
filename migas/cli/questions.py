"""The questions: the commands by which a person looks, on this machine and at the server.

None of them changes anything. Each takes the parsed arguments and returns an exit status. With
`--json` it prints one JSON value, in which texts of a server or a file stand as they are; in the
tables they are without what would command a terminal.
"""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING

from migas._agent.process import current_process
from migas._crumb.meanings import FIELDS, SERVER_NOTES
from migas._delivery.throttle import EXITS
from migas._runtime.optout import OPTOUT_VARIABLES
from migas.config import describe_breadcrumb

from . import report, usage
from .layout import shorten
from .runner import LEFT, STOPPED, WELL, WrongError
from .terminal import (
    format_count,
    print_error,
    print_json,
    print_line,
    print_paragraph,
    print_rows,
    show_progress,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from migas._runtime.settings import Settings

    from .report import Status

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
        print_rows(_describe_status(status, settings))
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


def _describe_status(status: Status, settings: Settings) -> list[tuple[str, ...]]:
    """Return the rows of the table that a person sees: a label and a sentence each."""
    return [
        ("telemetry", _describe_consent(status.switched_off_by, settings)),
        ("server", f"{status.endpoint or 'none'}: {_describe_answer(status, settings)}"),
        ("server notes", _describe_notes(status)),
        ("next try", _describe_next_try(status)),
        ("sent at exit", f"{EXITS - status.exits_that_may_deliver} of {EXITS} this hour"),
        ("user id", _describe_user(status)),
        *_describe_place(status),
        *_describe_ignored(status),
        *_describe_pending(status),
        *_describe_sent(status),
    ]


def _describe_consent(off: str, settings: Settings) -> str:
    """Return whether telemetry is on, and what has switched it off."""
    if off in OPTOUT_VARIABLES:
        return f"off, by the variable {off}"
    if off:
        return f"off, by the file {off}" if os.path.isabs(off) else f"off, by {off}"
    if settings.dry_run:
        return "on, but MIGAS_DRY_RUN has breadcrumbs printed, not sent"
    return (
        "on, but MIGAS_TIMEOUT=0 has breadcrumbs kept, not sent" if not settings.timeout else "on"
    )


def _describe_answer(status: Status, settings: Settings) -> str:
    """Return whether the server answers, and why it does not or was not asked."""
    if status.problem != report.NOT_ASKED:
        return status.problem or "it answers"
    if status.switched_off_by:
        return "not asked, since telemetry is off"
    return f"not asked, because of {'MIGAS_DRY_RUN' if settings.dry_run else 'MIGAS_TIMEOUT=0'}"


def _describe_notes(status: Status) -> str:
    """Return what the server notes besides the fields of a breadcrumb."""
    if status.switched_off_by:
        return "nothing, since nothing is sent"
    known = "when a breadcrumb arrives, and your network address"
    if status.server_derives_place:
        return f"{known}, from which it derives city, network operator and coordinates"
    if status.server_derives_place is False:
        return f"{known}; it derives no place from that"
    return f"{known}; it has not said whether it derives a place from that"


def _describe_next_try(status: Status) -> str:
    """Return when the next breadcrumb may be sent."""
    if status.switched_off_by:
        return "none, while telemetry is off"
    seconds = status.next_try_seconds
    wait = f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
    return f"in {wait}: the server could not be reached" if seconds else "at once"


def _describe_place(status: Status) -> list[tuple[str, ...]]:
    """Return what was found of the place that this process runs in, and by which signs."""
    container = f"{status.container}, by {status.container_by}"
    return [
        ("run", status.session_is),
        ("CI", f"yes, by {status.ci_by}" if status.ci_by else "no sign of it"),
        ("container", container if status.container_by else "no sign of one"),
    ]


def _describe_ignored(status: Status) -> Iterator[tuple[str, ...]]:
    """Yield a row for each variable whose value cannot be used."""
    for number, each in enumerate(status.ignored_settings):
        used = each["used"]
        shown = f"{used:g}" if isinstance(used, float) else f"{used}"
        instead = f"{shown} is used" if used is not None else "it counts as not set"
        if each["variable"] == "MIGAS_ENDPOINT":
            instead = "nothing is sent"
        text = f"{each['variable']}: {each['reason']}; {instead}"
        yield ("" if number else "ignored", text)


def _describe_pending(status: Status) -> list[tuple[str, ...]]:
    """Return how many breadcrumbs are pending, and where they are kept."""
    oldest = f", the oldest since {status.waiting_since}" if status.waiting_since else ""
    pending = format_count(status.waiting, "breadcrumb")
    where = [f"in {status.spool}"] if status.spool else []
    where += [f"in memory: {status.spool_problem}"] if status.spool_problem else []
    return [
        ("pending", f"{pending}, {status.waiting_bytes} bytes{oldest}"),
        *(("", place) for place in where),
    ]


def _describe_sent(status: Status) -> list[tuple[str, ...]]:
    """Return how many breadcrumbs are no longer pending, and why."""
    since = f", since {status.delivered_since}" if status.delivered_since else ""
    because = f": {status.refused_because}" if status.refused_because else ""
    return [
        ("delivered", f"{status.delivered}{since}"),
        ("refused", f"{status.refused} by the server{because}"),
        ("dropped", f"{status.dropped} that were too many or too old"),
        ("unanswered", f"{status.unanswered} that were sent three times without an answer"),
    ]


def _describe_user(status: Status) -> str:
    """Return the user's id and where it is kept, or why there is none."""
    if status.user_id is None:
        return report.explain_missing_id()
    return f"{status.user_id} in {status.user_id_file}" if status.user_id_file else status.user_id
