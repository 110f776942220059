"""The numbers: the command `usage`, by which a developer counts the uses of a project.

It asks the server and changes nothing on this machine but the files that its options name. All that
makes no sense, or is missing here, is told before the server is asked. With `--json` it prints one
JSON value, with `--csv` lines for a spreadsheet, otherwise a table.
"""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING

from migas._agent.sessions import NoAnswerError

from . import badge, export, files, groups, picture, table, usage
from .runner import LEFT, STOPPED, WELL, WrongError, explain
from .terminal import print_error, print_json, print_line, print_rows, show_progress

if TYPE_CHECKING:
    import argparse

    from .groups import Group, Row
    from .picture import Picture
    from .usage import Answer, Hits, Period

#: What `--by` may name besides periods. The server shows it with a token alone.
_GROUPS = ("version", "status")


def show_usage(options: argparse.Namespace) -> int:
    """Print how often a project was used; if interrupted, as far as that is known.

    Parameters:
        options: `project`; `since` and `until`, dates or None; `by`; `unique`, `json` and `csv`;
            `plot`, `badge` and `token_file`, names of files or None.

    Returns:
        0 if the server answered all and each file was written; 1 if not; 130 if a Ctrl-C stopped
        it. Raises `WrongError` if it makes no sense.
    """
    today = datetime.datetime.now(datetime.UTC).date()
    until = options.until or today
    since = options.since or until - min(29, until.toordinal() - 1) * usage.DAY
    _check(options, since, until)
    if options.by in _GROUPS:
        return _show_sessions(options, since, until, today)
    return _show_periods(options, since, until, today)


def _check(options: argparse.Namespace, since: datetime.date, until: datetime.date) -> None:
    """Raise `WrongError`, or `ModuleNotFoundError`, for what cannot be done."""
    if not options.project.isprintable():
        raise WrongError("this is no project's name: it holds what cannot be sent")
    if since > until:
        raise WrongError("--since is after --until")
    if options.json and options.csv:
        raise WrongError("--json and --csv are two forms of the same: leave one out")
    if options.plot == "-" and (options.json or options.csv):
        raise WrongError("--plot - draws bars into the table, which --json and --csv have not")
    if options.by in _GROUPS and options.unique:
        raise WrongError(f"--unique counts users, and --by {options.by} sessions: leave one out")
    if options.badge is not None:
        if options.badge == "-":
            raise WrongError("--badge writes a file: name one")
        if options.plot and files.are_one(options.plot, options.badge):
            raise WrongError("--plot and --badge name the same file")
        files.check_place(options.badge)
    if options.plot not in (None, "-"):
        picture.find_kind(options.plot)
        files.check_place(options.plot)
        import matplotlib  # noqa: F401  # what is missing is told before the server is asked


def _show_periods(
    options: argparse.Namespace, since: datetime.date, until: datetime.date, today: datetime.date
) -> int:
    """Count breadcrumbs or users by period."""
    periods = usage.split(since, until, options.by)
    answer, status = _count(options, periods, today)
    if options.json:
        print_json(export.describe_periods(options.project, answer))
    elif options.csv:
        _print_lines(export.write_periods(answer))
    elif answer.answered:
        print_rows(*table.list_periods(answer, bars=options.plot == "-"))
    missing = usage.describe_missing(answer.entries, options.by)
    if not answer.answered:
        return status
    notes = [_name_span(since, until), *filter(None, [missing])]
    label = f"{answer.what} a {options.by}"
    counts = {answer.what: [entry.hits for entry in answer.entries]}
    title = f"{options.project}: {label}"
    drawn = picture.Picture(title, notes, label, periods, counts, today)
    total = None if missing else answer.total
    return max(status, _write_files(options, drawn, answer.what, total))


def _count(
    options: argparse.Namespace, periods: list[Period], today: datetime.date
) -> tuple[Answer, int]:
    """Ask the server for each period; return the answers and an exit status."""
    # A user of two periods is one user in all.
    whole = [usage.Period(periods[0].first, periods[-1].last)] if options.unique else []
    found: list[Hits] = []
    reason, status = "", WELL
    try:
        with show_progress(len(periods), f"{options.by}s") as progress:
            for hits in usage.count(options.project, [*periods, *whole], unique=options.unique):
                found.append(hits)
                progress.update(min(len(found), len(periods)))
    except NoAnswerError as error:
        reason, status = f"{error}", LEFT
        print_error(reason)
    except KeyboardInterrupt:
        reason, status = "interrupted", STOPPED
    found += [usage.Hits(period, None) for period in [*periods, *whole][len(found) :]]
    entries = found[: len(periods)]
    total = found[-1].hits if options.unique else usage.add_up(entries)
    what = "users" if options.unique else "breadcrumbs"
    return usage.Answer(what, options.by, today, entries, total, reason), status


def _show_sessions(
    options: argparse.Namespace, since: datetime.date, until: datetime.date, today: datetime.date
) -> int:
    """Count sessions by version or status."""
    token = _find_token(options)
    span = since, until
    try:
        rows = groups.fetch(options.project, since, until, today, token)
    except NoAnswerError as error:
        print_error(f"{error}")
        if options.json:
            print_json(export.describe_silence(options.project, options.by, span, f"{error}"))
        return LEFT
    found = groups.group(rows, options.by)
    if options.json:
        print_json(export.describe_sessions(options.project, options.by, span, found, rows))
    elif options.csv:
        _print_lines(export.write_sessions(rows))
    elif found:
        print_rows(*table.list_groups(found, options.by, bars=options.plot == "-"))
        _print_lines(["", *table.explain_groups(found, options.by)])
    else:
        print_line(f"no sessions: {_name_span(since, until)}")
    drawn = _picture_sessions(options, (since, until, today), rows, found)
    total = groups.unite_groups(found).sessions
    return _write_files(options, drawn, "sessions", total)


def _print_lines(lines: list[str]) -> None:
    for line in lines:
        print_line(line)


def _find_token(options: argparse.Namespace) -> str:
    """Return the token, or raise `WrongError` if there is none."""
    if options.token_file is not None:
        return files.read_token(options.token_file)
    token = os.environ.get("MIGAS_TOKEN", "").strip()
    if not token:
        raise WrongError(
            f"--by {options.by} needs the project's token, which the server's administrator"
            " issues: set MIGAS_TOKEN to it, or write it into a file for --token-file"
        )
    return token


def _picture_sessions(
    options: argparse.Namespace,
    span: tuple[datetime.date, datetime.date, datetime.date],
    rows: list[Row],
    found: list[Group],
) -> Picture:
    """Return the picture of sessions by version or status, for a span and the present day."""
    since, until, today = span
    step = groups.choose_step(since, until)
    periods = usage.split(since, until, step)
    notes = [_name_span(since, until)]
    if options.by == "status" and found:
        notes += table.explain_groups(found, options.by)
    label = f"sessions a {step}"
    title = f"{options.project}: {label}, by {options.by}"
    stacks = groups.stack(rows, options.by, periods)
    return picture.Picture(title, notes, label, periods, stacks, today)


def _name_span(since: datetime.date, until: datetime.date) -> str:
    return f"{since} (UTC)" if since == until else f"{since} to {until} (UTC)"


def _write_files(options: argparse.Namespace, drawn: Picture, what: str, total: int | None) -> int:
    """Write the picture and the badge that the options name; return an exit status.

    Parameters:
        options: `plot` and `badge`.
        drawn: what the picture shows.
        what: what is counted.
        total: how many; None: that is not known, so that an earlier badge stays.
    """
    status = WELL
    since, until = drawn.periods[0].first, drawn.periods[-1].last
    if options.plot not in (None, "-"):
        kind = picture.find_kind(options.plot)
        status = max(status, _write(options.plot, picture.render(drawn, kind)))
    if options.badge is not None and total is None:
        print_error(f"{options.badge}: not written, since the number is partial")
        return LEFT
    if options.badge is not None and total is not None:
        content = badge.make(what, total, since, until, drawn.today)
        status = max(status, _write(options.badge, content))
    return status


def _write(path: str, content: bytes) -> int:
    """Write a file; return an exit status."""
    try:
        files.write(path, content)
    except OSError as error:
        print_error(f"{path}: {error.strerror or explain(error)}")
        return LEFT
    return WELL
