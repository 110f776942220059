"""The groups: a project's sessions by version or status, and what share of them failed.

The server answers them by day, version and status, in one request. What may go wrong: it accepts no
token, or does not answer.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from migas._agent.sessions import get_sessions
from migas._delivery.rest import MAX_WEEKS

from .usage import DAY

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from .usage import Period

#: The statuses in the order of a run's life. The first three end it.
STATUSES = ("completed", "failed", "suspended", "running")
ENDED = STATUSES[:3]

#: Versions that a picture tells apart, and the share of all sessions that each has at least.
MAX_VERSIONS, LEAST_SHARE = 7, 0.01

#: All other versions in a picture.
OTHERS = "other versions"

#: Days of a picture that shows days, and of one that shows weeks; a longer one shows months.
_MOST_DAYS, _MOST_WEEKS = 62, 400


class Row(NamedTuple):
    """The number of sessions of one day, version and status."""

    date: str
    version: str
    status: str
    sessions: int


class Group(NamedTuple):
    """The sessions of one version or one status."""

    name: str
    #: By status.
    counts: Counter[str]

    @property
    def sessions(self) -> int:
        """Return their number."""
        return self.counts.total()

    @property
    def failed_share(self) -> float | None:
        """Return the failures' share of those that have ended, or None if none has."""
        ended = sum(self.counts[status] for status in ENDED)
        return self.counts["failed"] / ended if ended else None


def fetch(
    project: str, since: datetime.date, until: datetime.date, today: datetime.date, token: str
) -> list[Row]:
    """Return a project's sessions that began on the days from ``since`` to ``until``.

    Parameters:
        project: `owner/repo`.
        since: the first day.
        until: the last day.
        today: the present day in UTC; the server counts weeks up to it.
        token: the project's token.

    Raises `NoAnswerError`.
    """
    weeks = min(max(1, -(-(today - since) // (7 * DAY))), MAX_WEEKS)
    first, last = f"{since}", f"{until}"
    found = [Row(**row) for row in get_sessions(project, weeks, token=token)]
    return [row for row in found if first <= row.date <= last]


def group(rows: Sequence[Row], by: str) -> list[Group]:
    """Return the sessions by version or status, the most first.

    Parameters:
        rows: the sessions.
        by: `version` or `status`.
    """
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        name = row.version if by == "version" else row.status
        counts.setdefault(name, Counter())[row.status] += row.sessions
    groups = [Group(name, statuses) for name, statuses in counts.items()]
    return sorted(groups, key=lambda one: (-one.sessions, one.name))


def unite_groups(groups: Sequence[Group]) -> Group:
    """Return all sessions as one group."""
    counts: Counter[str] = Counter()
    for one in groups:
        counts.update(one.counts)
    return Group("all", counts)


def choose_step(since: datetime.date, until: datetime.date) -> str:
    """Return by what periods a picture shows a span: `day`, `week` or `month`."""
    days = (until - since).days + 1
    if days <= _MOST_DAYS:
        return "day"
    return "week" if days <= _MOST_WEEKS else "month"


def stack(rows: Sequence[Row], by: str, periods: Sequence[Period]) -> dict[str, list[int]]:
    """Return the number of sessions in each period, by version or status.

    Statuses stand in the order of a run's life. Versions stand from old to new. If there are too
    many to tell apart, the rare ones and the older ones are one, before the others.

    Parameters:
        rows: the sessions.
        by: `version` or `status`.
        periods: as `split` makes them, without a gap.
    """
    groups = group(rows, by)
    names = _choose_versions(groups) if by == "version" else _order_statuses(groups)
    stacks = {name: [0] * len(periods) for name in (OTHERS, *names)}
    starts = [f"{period.first}" for period in periods]  # as text they have the same order
    for row in rows:
        name = row.version if by == "version" else row.status
        stacks[name if name in names else OTHERS][bisect_right(starts, row.date) - 1] += (
            row.sessions
        )
    return {name: counts for name, counts in stacks.items() if name in names or any(counts)}


def _order_statuses(groups: Sequence[Group]) -> list[str]:
    names = {one.name for one in groups}
    return [*(status for status in STATUSES if status in names), *sorted(names - set(STATUSES))]


def _choose_versions(groups: Sequence[Group]) -> list[str]:
    """Return the versions that a picture tells apart, from old to new."""
    names = sorted((one.name for one in groups), key=_read_version)
    if len(names) <= MAX_VERSIONS:
        return names
    least = LEAST_SHARE * unite_groups(groups).sessions
    usual = {one.name for one in groups if one.sessions >= least}
    return [name for name in names if name in usual][-MAX_VERSIONS:]


def _read_version(text: str) -> list[tuple[int, int, str]]:
    """Return what versions are sorted by: numbers as such, and words before them.

    Example:
        >>> sorted(["1.10.0", "1.9.0", "1.9.0a1", "main"], key=_read_version)
        ['main', '1.9.0', '1.9.0a1', '1.10.0']
    """
    parts = re.findall(r"[0-9]+|[^0-9.]+", text)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
