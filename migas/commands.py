"""The commands by which a person looks, asks and refuses."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

from . import report, usage, userdirs
from .agent import count_waiting
from .api import flush as flush_all
from .config import clear_user_id
from .optout import find_optout, lasting, locate_optout
from .process import USER_AGENT, here
from .spool import open_spool

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: Exit statuses: all is well; something is left, or the server does not answer; it makes no sense;
#: a person has stopped it (as a shell says it of a Ctrl-C).
WELL, LEFT, WRONG, STOPPED = 0, 1, 2, 130

#: Seconds between two words of a flush, to a person and to a log.
_TO_TERMINAL, _TO_LOG = 0.5, 60.0


def show_status(options: argparse.Namespace) -> int:
    """Say whether it is on, whether the server answers, and what waits."""
    found = report.report_status(here().use_settings(), USER_AGENT)
    if options.json:
        _print_json(found)
    else:
        _print_rows(_tell_status(found))
    return LEFT if found["problem"] not in ("", "not asked") else WELL


def show_fields(options: argparse.Namespace) -> int:
    """Say what is told, or what waits to be told."""
    settings = here().use_settings()
    if options.waiting:
        waiting = report.report_waiting(settings)
        if options.json:
            _print_json(list(waiting))
        else:
            for crumb in waiting:
                print(json.dumps(crumb))
        return WELL
    fields = report.report_fields(settings)
    if options.json:
        _print_json(fields)
        return WELL
    shown = {"project": "owner/repo", "project_version": "1.2.3", **fields}
    _print_rows([(name, f"{shown[name]}", report.MEANINGS[name]) for name in report.MEANINGS])
    return WELL


def flush(options: argparse.Namespace) -> int:
    """Send everything that waits, and tell now and then how far that is."""
    off = find_optout(os.environ)
    settings = here().use_settings()
    left = count_waiting(settings)
    if not off:
        left = _flush_aloud(left, options.timeout)
    if options.json:
        _print_json({"left": left, "switched_off_by": off})
    elif off:
        print(f"nothing is sent: telemetry is switched off by {off}")
    else:
        print(f"{left} left; see `migas status`" if left else "all is delivered")
    return LEFT if left else WELL


def _flush_aloud(before: int, timeout: float | None) -> int:
    """Flush on another thread, and return what is left; a Ctrl-C reaches this one."""
    results: list[int] = []
    start = time.monotonic()
    thread = threading.Thread(target=lambda: results.append(flush_all(timeout)), daemon=True)
    thread.start()
    is_watched = sys.stderr.isatty()
    while thread.is_alive():
        thread.join(_TO_TERMINAL if is_watched else _TO_LOG)
        if thread.is_alive():
            left = count_waiting(here().use_settings())
            said = _tell_progress(before, left, time.monotonic() - start)
            _overwrite(said) if is_watched else print(said, file=sys.stderr, flush=True)
    if is_watched:
        _overwrite("")
    return results[0] if results else count_waiting(here().use_settings())


def _tell_progress(before: int, left: int, seconds: float) -> str:
    rate = max(0, before - left) / seconds
    due = f", some {left / rate:.0f} s to go" if rate else ""
    return f"{left} of {before} left, {rate:.0f} a second{due}"


def _overwrite(text: str) -> None:
    """Say on a terminal what the next word is to stand over."""
    print(text.ljust(60), end="\r", file=sys.stderr, flush=True)


def show_usage(options: argparse.Namespace) -> int:
    """Say how often a project was used; interrupted, as far as that is known."""
    until = options.until or datetime.datetime.now(datetime.timezone.utc).date()
    since = options.since or until - 29 * usage.DAY
    periods = usage.split(since, until, options.by)
    if not periods:
        print(f"migas: there is no day from {since} to {until}", file=sys.stderr)
        return WRONG
    is_pictured = options.plot not in (None, "-")
    if is_pictured:
        import matplotlib  # noqa: F401  # what is missing is told before the server is asked
    counted, status = _count_aloud(options, periods)
    if options.json:
        _print_json([{"first": f"{p.first}", "last": f"{p.last}", "hits": n} for p, n in counted])
    else:
        bars = usage.draw(counted) if options.plot == "-" else [""] * len(counted)
        rows = [
            (f"{entry.period.first}", f"{entry.hits:>7}", bar)
            for entry, bar in zip(counted, bars, strict=True)
        ]
        if not options.unique:  # who comes twice is counted twice
            rows.append(("all", f"{sum(hits for _, hits in counted):>7}", ""))
        _print_rows(rows)
    if is_pictured and counted:
        label = f"{'users' if options.unique else 'uses'} a {options.by}"
        try:
            usage.plot(counted, options.plot, f"{options.project}: {label}", label)
        except (OSError, ValueError) as error:
            print(f"migas: {options.plot}: {error}", file=sys.stderr)
            return LEFT
    return status


def _count_aloud(
    options: argparse.Namespace, periods: list[usage.Period]
) -> tuple[list[usage.Hits], int]:
    """Ask for each period; on a terminal a person sees how far that is."""
    counted: list[usage.Hits] = []
    is_watched = sys.stderr.isatty()
    status = WELL
    try:
        for hits in usage.count(options.project, periods, unique=options.unique):
            counted.append(hits)
            if is_watched:
                _overwrite(f"{len(counted)} of {len(periods)}")
    except usage.NoAnswerError as error:
        print(f"migas: {error}", file=sys.stderr)
        status = LEFT
    except KeyboardInterrupt:
        status = STOPPED
    if is_watched:
        _overwrite("")
    return counted, status


def opt_out(options: argparse.Namespace) -> int:
    """Say no, for this user and for good."""
    path = locate_optout(os.environ)
    try:
        userdirs.create(os.path.dirname(path))
        with open(path, "w", encoding="utf-8", opener=userdirs.open_private) as file:
            file.write("Telemetry by migas is switched off. `migas optin` takes that back.\n")
    except OSError as error:
        print(f"migas: {error}; set MIGAS_OPTOUT=1 instead", file=sys.stderr)
        return LEFT
    lasting.forget()
    waiting = count_waiting(here().use_settings())
    if options.json:
        _print_json({"switched_off_by": find_optout(os.environ), "waiting": waiting})
        return WELL
    print(f"telemetry is switched off for you, by {path}")
    if waiting:
        print(f"{waiting} breadcrumbs wait, and are not sent; `migas clear spool` removes them")
    return WELL


def opt_in(options: argparse.Namespace) -> int:
    """Take that back."""
    path = locate_optout(os.environ)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        print(f"migas: {error}", file=sys.stderr)
        return LEFT
    lasting.forget()
    off = find_optout(os.environ)
    if options.json:
        _print_json({"switched_off_by": off})
    else:
        print(f"telemetry is still switched off by {off}" if off else "telemetry is on")
    return LEFT if off else WELL


def clear(options: argparse.Namespace) -> int:
    """Remove what waits, or the user's id, once a person has agreed."""
    settings = here().use_settings()
    directory = open_spool(settings).directory
    question = {
        "spool": f"Remove {count_waiting(settings)} breadcrumbs that wait in {directory}?",
        "id": "Forget your anonymous id? You are somebody else then.",
    }[options.what]
    if not options.yes and not _agrees(question):
        return LEFT
    if options.what == "id":
        is_gone = clear_user_id()
    else:
        shutil.rmtree(directory, ignore_errors=True)
        is_gone = not os.path.exists(directory)
    if options.json:
        _print_json({"cleared": is_gone})
    else:
        print("it is gone" if is_gone else "migas: something could not be removed")
    return WELL if is_gone else LEFT


def _agrees(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there to ask
        print("\nmigas: nothing is removed; --yes does not ask", file=sys.stderr)
        return False


def _tell_status(found: dict[str, object]) -> list[tuple[str, ...]]:
    off, problem = found["switched_off_by"], found["problem"]
    seconds = int(str(found["next_try_seconds"]))
    minutes = f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
    since = f", the oldest since {found['waiting_since']}" if found["waiting"] else ""
    kept = f" in {found['user_id_file']}" if found["user_id_file"] else ""
    return [
        ("telemetry", f"off, by {off}" if off else "on"),
        ("server", f"{found['endpoint']}: {problem or 'it answers'}"),
        ("next try", f"in {minutes}: it could not be reached" if seconds else "at once"),
        ("exits", f"{found['exits_that_may_deliver']} more may deliver this hour; others wait"),
        ("user id", f"{found['user_id'] or 'none yet, or none where nothing lasts'}{kept}"),
        ("waiting", f"{found['waiting']} breadcrumbs, {found['waiting_bytes']} bytes{since}"),
        ("", f"in {found['spool']}"),
        ("refused", f"{found['refused']} by the server"),
        ("dropped", f"{found['dropped']} beyond the bounds"),
        ("unanswered", f"{found['unanswered']} sent three times without an answer"),
    ]


def _print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
