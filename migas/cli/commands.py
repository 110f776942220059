"""The commands by which a person looks, asks and refuses."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

from migas._agent.agent import count_pending
from migas._agent.process import here
from migas._delivery.sent_log import FILES, Record
from migas._disk.directory import create_directory, open_private
from migas._disk.spool import open_spool
from migas._runtime.optout import find_optout, lasting, locate_optout
from migas.config import clear_user_id
from migas.operations import flush as flush_all

from . import report, usage
from .terminal import print_rows, show_progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

#: Exit statuses: all is well; something is left, or the server does not answer; it makes no sense;
#: a person has stopped it (as a shell says it of a Ctrl-C).
WELL, LEFT, WRONG, STOPPED = 0, 1, 2, 130

#: What a list of breadcrumbs shows of them, where any has it.
_TELLING = (
    *("waiting_since", "sent_at", "outcome", "reason", "project", "project_version", "status"),
    *("status_desc", "error_type", "error_desc"),
)


def show_status(options: argparse.Namespace) -> int:
    """Say whether it is on, whether the server answers, and what waits."""
    found = report.report_status(here().use_settings())
    if options.json:
        _print_json(found)
    else:
        print_rows(_tell_status(found))
    return LEFT if found["problem"] not in ("", "not asked") else WELL


def show_fields(options: argparse.Namespace) -> int:
    """Say what is told, what waits to be told, or what has been told."""
    settings = here().use_settings()
    if options.waiting:
        _show_crumbs(options, list(report.report_waiting(settings)), "nothing waits")
        return WELL
    if options.sent:
        _show_crumbs(options, list(report.report_sent(settings)), "nothing has left")
        return WELL
    fields = report.report_fields(settings)
    if options.json:
        _print_json(fields)
        return WELL
    shown = {"project": "owner/repo", "project_version": "1.2.3", **fields}
    values = {name: "-" if value is None else f"{value}" for name, value in shown.items()}
    print_rows([(name, values[name], meaning) for name, meaning in report.MEANINGS.items()])
    return WELL


def _show_crumbs(options: argparse.Namespace, crumbs: list[dict[str, object]], none: str) -> None:
    """Print what tells breadcrumbs apart; what else they say is in the JSON."""
    if options.json:
        _print_json(crumbs)
    elif not crumbs:
        print(none)
    else:
        names = [name for name in _TELLING if any(crumb.get(name) for crumb in crumbs)]
        rows = [tuple(_shorten(crumb[name]) for name in names) for crumb in crumbs]
        print_rows(rows, tuple(name.replace("_", " ") for name in names))
        print("\nEach field of each: --json. What they mean: `migas show`.")


def _shorten(value: object) -> str:
    """Write a text, which may be a traceback, on a part of a line."""
    return textwrap.shorten(f"{value or ''}", 60, placeholder="…")


def flush(options: argparse.Namespace) -> int:
    """Send everything that waits, and tell now and then how far that is."""
    off = find_optout(os.environ)
    settings = here().use_settings()
    left = count_pending(settings)
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
    thread = threading.Thread(target=lambda: results.append(flush_all(timeout)), daemon=True)
    thread.start()
    with show_progress(before, "breadcrumbs") as progress:
        while thread.is_alive():
            thread.join(progress.pause)
            if thread.is_alive():
                # Others may have added to it since.
                left = count_pending(here().use_settings())
                progress.update(max(0, before - left))
    return results[0] if results else count_pending(here().use_settings())


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
        print_rows(rows)
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
    """Ask for each period, and tell how far that is."""
    counted: list[usage.Hits] = []
    try:
        with show_progress(len(periods), f"{options.by}s") as progress:
            for hits in usage.count(options.project, periods, unique=options.unique):
                counted.append(hits)
                progress.update(len(counted))
    except usage.NoAnswerError as error:
        print(f"migas: {error}", file=sys.stderr)
        return counted, LEFT
    except KeyboardInterrupt:
        return counted, STOPPED
    return counted, WELL


def opt_out(options: argparse.Namespace) -> int:
    """Say no, for this user and for good."""
    path = locate_optout(os.environ)
    try:
        create_directory(os.path.dirname(path))
        with open(path, "w", encoding="utf-8", opener=open_private) as file:
            file.write("Telemetry by migas is switched off. `migas optin` takes that back.\n")
    except OSError as error:
        print(f"migas: {error}; set MIGAS_OPTOUT=1 instead", file=sys.stderr)
        return LEFT
    lasting.forget()
    waiting = count_pending(here().use_settings())
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
    """Remove what waits, the record of what has left, or the user's id, once a person agrees."""
    settings = here().use_settings()
    directory = open_spool(settings).directory
    question = {
        "spool": f"Remove {count_pending(settings)} breadcrumbs that wait in {directory}?",
        "record": f"Remove the record of what has left from {directory}?",
        "id": "Forget your anonymous id? You are somebody else then.",
    }[options.what]
    if not options.yes and not _agrees(question):
        return LEFT
    remove: dict[str, Callable[[str], bool]] = {
        "spool": _clear_spool,
        "record": _clear_record,
        "id": lambda _: clear_user_id(),
    }
    is_gone = remove[options.what](directory)
    if options.json:
        _print_json({"cleared": is_gone})
    else:
        print("it is gone" if is_gone else "migas: something could not be removed")
    return WELL if is_gone else LEFT


def _clear_spool(directory: str) -> bool:
    """Remove all that lies there but the record."""
    if not os.path.isdir(directory):
        return True
    try:
        for name in set(os.listdir(directory)).difference(FILES):
            path = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        os.rmdir(directory)
    return True


def _clear_record(directory: str) -> bool:
    try:
        Record(directory).clear()
    except OSError:
        return False
    return True


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
    known = f", since {found['delivered_since']}" if found["delivered_since"] else ""
    because = f": {found['refused_because']}" if found["refused_because"] else ""
    kept = f" in {found['user_id_file']}" if found["user_id_file"] else ""
    return [
        ("telemetry", f"off, by {off}" if off else "on"),
        ("server", f"{found['endpoint']}: {problem or 'it answers'}"),
        ("next try", f"in {minutes}: it could not be reached" if seconds else "at once"),
        ("exits", f"{found['exits_that_may_deliver']} more may deliver this hour; others wait"),
        ("user id", f"{found['user_id'] or 'none yet, or none where nothing lasts'}{kept}"),
        ("waiting", f"{found['waiting']} breadcrumbs, {found['waiting_bytes']} bytes{since}"),
        ("", f"in {found['spool']}"),
        ("delivered", f"{found['delivered']}{known}"),
        ("refused", f"{found['refused']} by the server{because}"),
        ("dropped", f"{found['dropped']} beyond the bounds"),
        ("unanswered", f"{found['unanswered']} sent three times without an answer"),
    ]


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
