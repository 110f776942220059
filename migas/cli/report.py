"""The report: what a person may look at. Nothing is created by looking.

It reads the spool, its stamps and the record of what was sent, and asks the server whether it
answers. Other processes change what lies on disk while it is read, so the numbers are those of
moments close together. Where the system names no home directory there is no disk to report of.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from migas._crumb import breadcrumb
from migas._crumb.environment import Environment
from migas._delivery import query
from migas._delivery.sent_log import Record, write_time
from migas._delivery.throttle import EXITS, Backoff, Pace
from migas._delivery.writer import is_persistent
from migas._disk import user_id
from migas._disk.directory import find_config, find_earlier_config
from migas._disk.spool import open_spool
from migas._runtime.optout import find_optout
from migas.config import describe_breadcrumb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas._disk.spool import Spool
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

#: What stands for the server's problem if it was not asked.
NOT_ASKED = "not asked"


class Status(NamedTuple):
    """The state of telemetry for this user, on this machine, towards one server.

    The fields are the keys of `migas status --json`; times are ISO 8601 in UTC.
    """

    #: `on` or `off`.
    telemetry: str
    #: The variable or the file that opts out, or `""`.
    switched_off_by: str
    #: The server's GraphQL address.
    endpoint: str
    #: Why the server does not answer, `NOT_ASKED`, or `""`: it answers.
    problem: str
    #: Seconds until it is tried again; 0 if nothing keeps a process from it.
    next_try_seconds: int
    #: Exits of short processes that may still deliver this hour.
    exits_that_may_deliver: int
    #: The user's id, which is a UUID, or None if there is none or none yet.
    user_id: str | None
    #: The file that keeps the id, or None: there is no id, or a package or a variable gave it.
    user_id_file: str | None
    #: The spool's directory, which need not exist, or None: there is no home directory.
    spool: str | None
    #: Breadcrumbs that are pending, also those that a process is sending.
    waiting: int
    #: Their size in bytes.
    waiting_bytes: int
    #: When the oldest of them was made, or None.
    waiting_since: str | None
    #: Breadcrumbs that the server took, as far back as the record of what was sent goes.
    delivered: int
    #: When the first breadcrumb of that record was sent, or None.
    delivered_since: str | None
    #: Breadcrumbs that the server refused, of all time.
    refused: int
    #: The server's reason for the last refusal in the record, or None.
    refused_because: str | None
    #: Breadcrumbs that were removed unsent, since the spool's bounds were reached, of all time.
    dropped: int
    #: Breadcrumbs that count as delivered, since they were sent three times without an answer.
    unanswered: int


class KeptId(NamedTuple):
    """The anonymous id of this user, as it is kept."""

    user_id: str
    #: The file's path.
    file: str


def report_status(settings: Settings) -> Status:
    """Return the state of telemetry; the server is asked unless nothing is to be sent.

    Parameters:
        settings: those of this process; `timeout` bounds how long the server is waited for.
    """
    off, spool = find_optout(os.environ), find_spool(settings)
    births, size = _measure(spool)
    sent = list(report_sent(settings))
    reasons = [str(line["reason"]) for line in sent if line["outcome"] == "refused"]
    user, kept = describe_breadcrumb(settings)["user_id"], find_kept_id()
    return Status(
        telemetry="off" if off else "on",
        switched_off_by=off,
        endpoint=settings.endpoint,
        problem=NOT_ASKED if off else _greet(settings),
        next_try_seconds=round(Backoff(spool.directory).remaining()) if spool else 0,
        exits_that_may_deliver=Pace(spool.directory).count_left() if spool else EXITS,
        user_id=None if user is None else str(user),
        user_id_file=kept.file if kept and kept.user_id == user else None,
        spool=spool.directory if spool else None,
        waiting=len(births),
        waiting_bytes=size,
        waiting_since=write_time(min(births) / 1000) if births else None,
        delivered=sum(line["outcome"] == "delivered" for line in sent),
        delivered_since=str(sent[0]["sent_at"]) if sent else None,
        refused=spool.refused if spool else 0,
        refused_because=reasons[-1] if reasons else None,
        dropped=spool.dropped if spool else 0,
        unanswered=spool.unanswered if spool else 0,
    )


def report_pending(settings: Settings) -> Iterator[dict[str, object]]:
    """Yield the fields of each pending breadcrumb, and since when it is pending.

    A file that is no breadcrumb, or is gone by the time that it is read, is passed over.
    """
    spool = find_spool(settings)
    for entry in spool.waiting() if spool else ():
        try:
            crumb = breadcrumb.decode(entry.read())
        except Exception:  # noqa: S112  # it has just been sent; or a parser chokes on what is none
            continue
        yield {"waiting_since": write_time(entry.birth / 1000), **crumb._asdict()}


def report_sent(settings: Settings) -> Iterator[dict[str, object]]:
    """Return the fields of the latest breadcrumbs that were sent, with time and outcome.

    The record is bounded: it goes back some hundred breadcrumbs.
    """
    spool = find_spool(settings)
    return Record(spool.directory).read() if spool else iter(())


def find_spool(settings: Settings) -> Spool | None:
    """Return the spool of the server that ``settings`` name, or None if there is no home directory.

    The spool need not exist; nothing is made.
    """
    try:
        return open_spool(settings)
    except (OSError, RuntimeError):  # the latter is how platformdirs reports that there is no home
        return None


def explain_missing_id() -> str:
    """Return that this user has no id, and why: nothing outlives this run, or nothing was sent."""
    environment = Environment.detect(os.environ)
    if environment.is_ci:
        return "none: this is CI"
    try:
        lasts = is_persistent(find_config())
    except (OSError, RuntimeError):
        return "none: there is no home directory"
    if not lasts:
        return "none: this is a container without a volume"
    return "none yet: the first breadcrumb makes one"


def find_kept_id() -> KeptId | None:
    """Return the user's id that is kept on disk, or None."""
    try:
        directories = (find_config(), find_earlier_config())
    except (OSError, RuntimeError):  # there is no home directory
        return None
    for directory in directories:
        if (found := user_id.read(directory)) is not None:
            return KeptId(found, user_id.locate(directory))
    return None


def _measure(spool: Spool | None) -> tuple[list[int], int]:
    """Return when each pending breadcrumb was made, and the bytes that all of them take."""
    births, size = [], 0
    for entry in spool.waiting() if spool else ():
        try:
            size += len(entry.read())
        except OSError:  # it has just been sent
            continue
        births.append(entry.birth)
    return births, size


def _greet(settings: Settings) -> str:
    """Return why the server does not answer, `NOT_ASKED`, or `""`."""
    if settings.timeout == 0 or settings.dry_run:
        return NOT_ASKED
    try:
        return query.reach(settings, time.monotonic() + settings.timeout)
    except Exception as error:  # whatever a broken installation raises
        return str(error)
