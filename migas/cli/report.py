"""The report: gathers what `status` and `show` print. It creates and changes nothing.

It reads the spool, its stamps and the record of sent breadcrumbs, and asks the server for an
answer. It owns the keys of `migas status --json`, and what each field of a breadcrumb means.

What may go wrong: other processes change the disk while it is read, so the numbers belong to
moments close together, not to one. Without a home directory there is no spool to report; one that
cannot be used is reported with the reason.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from migas._crumb import breadcrumb
from migas._crumb.environment import Environment, is_persistent
from migas._delivery import query
from migas._delivery.sent_log import Record, write_time
from migas._delivery.throttle import EXITS, Backoff, Pace
from migas._disk import user_id
from migas._disk.directory import find_config, find_earlier_config
from migas._disk.spool import open_spool
from migas._runtime.optout import find_optout
from migas._runtime.settings import hide_credentials
from migas.config import describe_breadcrumb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas._disk.spool import Spool
    from migas._runtime.settings import Settings

#: The meaning of each field of a breadcrumb, for a person.
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

#: The `problem` of a server that was not asked.
NOT_ASKED = "not asked"


class Status(NamedTuple):
    """The state of telemetry for one user, machine and server.

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
    #: Seconds until the back-off ends; 0 if there is none.
    next_try_seconds: int
    #: How many exits of short processes may still send this hour.
    exits_that_may_deliver: int
    #: The user's id, which is a UUID, or None if there is none or none yet.
    user_id: str | None
    #: The file that holds the id, or None if there is no id, or a package or a variable gave it.
    user_id_file: str | None
    #: The spool's directory, which need not exist, or None if there is no home directory.
    spool: str | None
    #: Why new breadcrumbs are kept in memory only, or `""`: they are kept in `spool`.
    spool_problem: str
    #: How many breadcrumbs are pending, with those that a process is sending.
    waiting: int
    #: Their size in bytes.
    waiting_bytes: int
    #: When the oldest of them was made, or None if there are none.
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
    """The anonymous id of this user, with the file that holds it."""

    user_id: str
    #: The file's path.
    file: str


def report_status(settings: Settings) -> Status:
    """Return the state of telemetry. Asks the server for an answer, unless the user has opted out.

    Parameters:
        settings: those of this process. `timeout` limits the wait for the server, in seconds; with
            0, and in a dry run, the server is not asked.

    Returns:
        The state, with numbers of moments close together.
    """
    off, spool = find_optout(os.environ) or settings.off_by, find_spool(settings)
    births, size = _measure(spool)
    sent = list(report_sent(settings))
    reasons = [str(line["reason"]) for line in sent if line["outcome"] == "refused"]
    user, kept = describe_breadcrumb(settings)["user_id"], find_kept_id()
    return Status(
        telemetry="off" if off else "on",
        switched_off_by=off,
        endpoint=hide_credentials(settings.endpoint),
        problem=NOT_ASKED if off else _greet(settings),
        next_try_seconds=round(Backoff(spool.directory).remaining()) if spool else 0,
        exits_that_may_deliver=Pace(spool.directory).count_left() if spool else EXITS,
        user_id=None if user is None else str(user),
        user_id_file=kept.file if kept and kept.user_id == user else None,
        spool=spool.directory if spool else None,
        spool_problem=spool.problem() if spool else "there is no home directory",
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
    """Yield the fields of each pending breadcrumb, and the time since which it is pending.

    Skips files that hold no breadcrumb, and those that another process removes meanwhile.
    """
    spool = find_spool(settings)
    for entry in spool.waiting() if spool else ():
        try:
            crumb = breadcrumb.decode(entry.read())
        except Exception:  # noqa: S112  # it has just been sent; or a parser chokes on what is none
            continue
        yield {"waiting_since": write_time(entry.birth / 1000), **crumb._asdict()}


def report_sent(settings: Settings) -> Iterator[dict[str, object]]:
    """Return the fields of the last sent breadcrumbs, with the time and the outcome of each.

    The record is bounded: it holds some hundred breadcrumbs.
    """
    spool = find_spool(settings)
    return Record(spool.directory).read() if spool else iter(())


def find_spool(settings: Settings) -> Spool | None:
    """Return the spool of the server that ``settings`` name, which need not exist on disk.

    Returns None if there is no home directory.
    """
    spool = open_spool(settings)
    return spool if spool.directory else None


def explain_missing_id() -> str:
    """Return a text that says why this user has no id, such as `none: this is CI`."""
    if Environment.detect(os.environ).is_ci:
        return "none: this is CI"
    config = find_config()
    if not config:
        return "none: there is no home directory"
    if not is_persistent(config):
        return "none: this is a container without a volume"
    return "none yet: the first breadcrumb makes one"


def find_kept_id() -> KeptId | None:
    """Return the user's id as it is kept on disk.

    Looks also where earlier clients kept it. Returns None if there is no id or no home directory.
    """
    for directory in (find_config(), find_earlier_config()):
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
    """Return why the server does not answer, `NOT_ASKED`, or `""` if it answers."""
    if settings.timeout == 0 or settings.dry_run:
        return NOT_ASKED
    try:
        return query.reach(settings, time.monotonic() + settings.timeout)
    except Exception as error:  # whatever a broken installation raises
        return str(error)
