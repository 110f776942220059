"""REST of the migas server: writes the addresses to ask, and reads the lists that are answered.

What may go wrong: a list may hold anything. One that does not hold sessions counts as no answer.
"""

from __future__ import annotations

import datetime
from collections import Counter
from urllib.parse import quote

from .parcel import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .parcel import Reply

#: The most weeks that can be asked for: a century. The server fails before the year 1.
MAX_WEEKS = 5200

#: Characters of a version or a status, at most: the server's database holds 24 and 10.
_LONGEST = 255

#: The greatest number that is believed. Sums of such can be printed, and drawn.
MOST = 2**53

#: The reason where an answer holds no sessions, or what is none.
NO_SESSIONS = "the server's answer holds no list of sessions"

_STATUSES = {"R": "running", "C": "completed", "F": "failed", "S": "suspended"}


def locate_sessions(project: str, weeks: int) -> str:
    """Return the address, from the server's root on, of a project's sessions.

    Example:
        >>> locate_sessions("owner/repo", 4)
        '/api/usage/owner/repo?weeks=4'
    """
    return f"/api/usage/{quote(project)}?weeks={weeks}"


def read_sessions(reply: Reply) -> list[dict[str, object]] | None:
    """Return the sessions of an answer by day, version and status, in this order.

    Each has `date`, `version`, `status` and `sessions`. The server answers some days in two parts,
    one of which comes from its cache: they are added up here. Returns None if there is no answer,
    or if it holds anything else.
    """
    rows = reply.answer.get("rows")
    if reply.outcome is not Outcome.DELIVERED or not isinstance(rows, list):
        return None
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        if not _is_session(row):
            return None
        status = _STATUSES.get(row["status"], row["status"])
        counted[row["date"], row["version"], status] += row["count"]
    names = ("date", "version", "status")
    return [
        {**dict(zip(names, key, strict=True)), "sessions": count}
        for key, count in sorted(counted.items())
    ]


def _is_session(row: object) -> bool:
    """Return whether a part of the answer counts sessions of one day, version and status."""
    if not isinstance(row, dict):
        return False
    day, count = row.get("date"), row.get("count")
    texts = (row.get("version"), row.get("status"))
    return (
        all(isinstance(text, str) and len(text) <= _LONGEST for text in texts)
        and type(count) is int  # and no bool
        and 0 <= count <= MOST
        and isinstance(day, str)
        and _is_day(day)
    )


def _is_day(text: str) -> bool:
    """Return whether a text is a date as `2026-01-31`."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
