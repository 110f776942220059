"""The report: what a person may look at. Nothing is created by looking."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from migas._crumb import breadcrumb
from migas._delivery import query
from migas._delivery.sent_log import Record, write_time
from migas._delivery.throttle import Backoff, Pace
from migas._delivery.writer import describe
from migas._disk import user_id
from migas._disk.directory import find_config, find_earlier_config
from migas._disk.spool import open_spool
from migas._runtime.optout import find_optout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas._runtime.settings import Settings

#: What each field of a breadcrumb says, for a person.
MEANINGS = {
    "project": "the package that is used, as owner/repo",
    "project_version": "its version",
    "language": "the language that it is written in",
    "language_version": "the interpreter's version",
    "platform": "the operating system, as Python names it",
    "container": "the container around it, if any",
    "is_ci": "whether a CI service runs it",
    "status": "how the run goes: R running, C completed, F failed, S suspended",
    "status_desc": "the same in the package's own words",
    "error_type": "the kind of an error",
    "error_desc": "an error's text, without paths, names and addresses",
    "user_type": "general, dev or ci, as the package says",
    "user_id": "a random number in place of the user",
    "session_id": "a random number in place of the run",
}


def report_status(settings: Settings) -> dict[str, object]:
    """Say whether telemetry is on, whether the server answers, and what waits for it."""
    off = find_optout(os.environ)
    spool = open_spool(settings)
    births, sizes = [], []
    for entry in spool.waiting():
        try:
            sizes.append(os.stat(entry.path).st_size)
        except OSError:  # it has just been sent
            continue
        births.append(entry.birth)
    sent = list(Record(spool.directory).read())
    reasons = [line["reason"] for line in sent if line["outcome"] == "refused"]
    known = describe(settings)["user_id"]
    return {
        "telemetry": "off" if off else "on",
        "switched_off_by": off,
        "endpoint": settings.endpoint,
        "problem": (off and "not asked") or _greet(settings),
        "next_try_seconds": round(Backoff(spool.directory).remaining()),
        "exits_that_may_deliver": Pace(spool.directory).count_left(),
        "user_id": known,
        "user_id_file": _find_file(known),
        "spool": spool.directory,
        "waiting": len(births),
        "waiting_bytes": sum(sizes),
        "waiting_since": write_time(min(births) / 1000) if births else None,
        "delivered": sum(line["outcome"] == "delivered" for line in sent),
        "delivered_since": sent[0]["sent_at"] if sent else None,
        "refused": spool.refused,
        "refused_because": next(reversed(reasons), None),
        "dropped": spool.dropped,
        "unanswered": spool.unanswered,
    }


def report_fields(settings: Settings) -> dict[str, object]:
    """Say what every breadcrumb of this process would tell."""
    return describe(settings)


def report_waiting(settings: Settings) -> Iterator[dict[str, object]]:
    """List the breadcrumbs on disk, each with the moment since when it waits."""
    for entry in open_spool(settings).waiting():
        try:
            crumb = breadcrumb.decode(entry.read())
        except (OSError, ValueError):  # it has just been sent, or is none
            continue
        yield {"waiting_since": write_time(entry.birth / 1000), **crumb._asdict()}


def report_sent(settings: Settings) -> Iterator[dict[str, object]]:
    """List the latest breadcrumbs that left, each with the moment and what became of it."""
    return Record(open_spool(settings).directory).read()


def _greet(settings: Settings) -> str:
    if settings.timeout == 0 or settings.dry_run:
        return "not asked"
    try:
        return query.reach(settings, time.monotonic() + settings.timeout)
    except Exception as error:  # whatever a broken installation raises
        return str(error)


def _find_file(known: object) -> str | None:
    for directory in (find_config(), find_earlier_config()):
        if known is not None and user_id.read(directory) == known:
            return user_id.locate(directory)
    return None
