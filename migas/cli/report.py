"""The report: gathers what `status` and `show` print. It creates and changes nothing.

It reads the spool, its stamps and the record of sent breadcrumbs, and asks the server for an
answer. It owns the keys of `migas status --json`, and what this process is found to run in.

What may go wrong: other processes change the disk while it is read, so the numbers belong to
moments close together, not to one. Without a home directory there is no spool to report; one that
cannot be used is reported with the reason.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from migas._crumb import breadcrumb
from migas._crumb.environment import find_ci, is_persistent, look_for_container
from migas._delivery import query
from migas._delivery.defaults import describe_breadcrumb
from migas._delivery.sent_log import Record, write_time
from migas._delivery.throttle import EXITS, Backoff, Pace
from migas._disk import user_id
from migas._disk.directory import find_config, find_earlier_config
from migas._disk.spool import open_spool
from migas._runtime.optout import find_optout
from migas._runtime.settings import hide_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas._disk.spool import Spool
    from migas._runtime.settings import Settings

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
    pending: int
    #: Their size in bytes.
    pending_bytes: int
    #: When the oldest of them was made, or None if there are none.
    pending_since: str | None
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
    #: True if the server says that it derives a place from an address, False if it says that it
    #: does not; None if it says neither, does not answer or was not asked.
    server_derives_place: bool | None
    #: The variable by which a CI service is known, or `""`: there is no sign of one.
    ci_by: str
    #: The kind of container as breadcrumbs have it, `unknown` if there is no sign of one.
    container: str
    #: The variable or the file by which a container is known, or `""`.
    container_by: str
    #: Whose session this process has, and by which sign.
    session_is: str
    #: The variables whose values cannot be used.
    ignored_settings: list[dict[str, object]]


class Ignored(NamedTuple):
    """A variable whose value cannot be used."""

    variable: str
    #: Why it cannot.
    reason: str
    #: The value that is used in its place; None: the variable counts as not set.
    used: object


class KeptId(NamedTuple):
    """The user id of this user, with the file that holds it."""

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
    greeting = query.Greeting(NOT_ASKED) if off else _greet(settings)
    container, sign = look_for_container(os.environ)
    return Status(
        telemetry="off" if off else "on",
        switched_off_by=off,
        endpoint=hide_credentials(settings.endpoint),
        problem=greeting.problem,
        next_try_seconds=round(Backoff(spool.directory).remaining()) if spool else 0,
        exits_that_may_deliver=Pace(spool.directory).count_left() if spool else EXITS,
        user_id=None if user is None else str(user),
        user_id_file=kept.file if kept and kept.user_id == user else None,
        spool=spool.directory if spool else None,
        spool_problem=spool.problem() if spool else "there is no home directory",
        pending=len(births),
        pending_bytes=size,
        pending_since=write_time(min(births) / 1000) if births else None,
        delivered=sum(line["outcome"] == "delivered" for line in sent),
        delivered_since=str(sent[0]["sent_at"]) if sent else None,
        refused=spool.refused if spool else 0,
        refused_because=reasons[-1] if reasons else None,
        dropped=spool.dropped if spool else 0,
        unanswered=spool.unanswered if spool else 0,
        server_derives_place=greeting.derives_place,
        ci_by=find_ci(os.environ),
        container=container,
        container_by=sign,
        session_is=settings.part.sign if settings.part else "its own",
        ignored_settings=[each._asdict() for each in list_ignored(settings)],
    )


def report_pending(settings: Settings) -> tuple[list[dict[str, object]], int]:
    """Return the fields of each pending breadcrumb, with the time since which it is pending.

    And how many more files are pending that cannot be read: of a newer version, say. What another
    process sends meanwhile is not among them.
    """
    spool = find_spool(settings)
    found: list[dict[str, object]] = []
    unread = 0
    for entry in spool.list_pending() if spool else ():
        try:
            crumb = breadcrumb.decode(entry.read())
        except FileNotFoundError:
            continue
        except Exception:  # a parser may choke on what is no breadcrumb
            unread += 1
            continue
        found.append({"pending_since": write_time(entry.birth / 1000), **crumb._asdict()})
    return found, unread


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
    if find_ci(os.environ):
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
    for entry in spool.list_pending() if spool else ():
        try:
            size += len(entry.read())
        except OSError:  # it has just been sent
            continue
        births.append(entry.birth)
    return births, size


def list_ignored(settings: Settings) -> Iterator[Ignored]:
    """Yield each variable whose value cannot be used, and the value that is used instead."""
    for problem in settings.problems:
        effect, _, reason = problem.partition(": ")
        variable = effect.partition(" ")[0]
        name = variable.removeprefix("MIGAS_").lower()
        yield Ignored(variable, reason, getattr(settings, name, None) or None)


def _greet(settings: Settings) -> query.Greeting:
    """Return the server's answer; one that is `NOT_ASKED` if nothing is sent from here."""
    if settings.timeout == 0 or settings.dry_run:
        return query.Greeting(NOT_ASKED)
    try:
        return query.reach(settings, time.monotonic() + settings.timeout)
    except Exception as error:  # whatever a broken installation raises
        return query.Greeting(str(error))
