"""The status in words: the lines that `migas status` prints of what `report` has gathered.

Nothing here is found out, and nothing is trusted: a reason may be the server's own words, which
`terminal` makes harmless when it prints them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from migas._delivery.throttle import EXITS
from migas._runtime.optout import OPTOUT_VARIABLES

from .report import NOT_ASKED, explain_missing_id
from .terminal import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas._runtime.settings import Settings

    from .report import Status


def describe(status: Status, settings: Settings) -> list[tuple[str, ...]]:
    """Return the rows of the table: a label and a sentence each.

    Parameters:
        status: the state.
        settings: those of this process, which say why the server was not asked.
    """
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
        return f"off, by {'the file ' if os.sep in off else ''}{off}"
    if settings.dry_run:
        return "on, but MIGAS_DRY_RUN has breadcrumbs printed, not sent"
    if settings.timeout == 0:
        return "on, but MIGAS_TIMEOUT=0 has breadcrumbs kept, not sent"
    return "on"


def _describe_answer(status: Status, settings: Settings) -> str:
    """Return whether the server answers, and why it does not or was not asked."""
    if status.problem != NOT_ASKED:
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
    return f"in {wait}, since the last one failed" if seconds else "at once"


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
    oldest = f", the oldest since {status.pending_since}" if status.pending_since else ""
    pending = format_count(status.pending, "breadcrumb")
    where = [f"in {status.spool}"] if status.spool else []
    where += [f"in memory: {status.spool_problem}"] if status.spool_problem else []
    return [
        ("pending", f"{pending}, {status.pending_bytes} bytes{oldest}"),
        *(("", place) for place in where),
    ]


def _describe_sent(status: Status) -> list[tuple[str, ...]]:
    """Return how many breadcrumbs are no longer pending, and why."""
    since = f", since {status.delivered_since}" if status.delivered else ""
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
        return explain_missing_id()
    return f"{status.user_id} in {status.user_id_file}" if status.user_id_file else status.user_id
