"""The store: the local server's breadcrumbs and users, in SQLite.

It takes and refuses what the hosted server's PostgreSQL does. One connection to the database serves
all of the server's threads. What is stored can still be read after the store is closed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SCHEMA = """
CREATE TABLE IF NOT EXISTS crumbs (
    idx INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL,
    project TEXT NOT NULL, version TEXT NOT NULL, language TEXT NOT NULL,
    language_version TEXT NOT NULL, session_id TEXT, user_id TEXT, status TEXT NOT NULL,
    status_desc TEXT, error_type TEXT, error_desc TEXT, is_ci INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    user_id TEXT PRIMARY KEY, user_type TEXT NOT NULL, platform TEXT NOT NULL,
    container TEXT NOT NULL, geoloc_idx INTEGER);
"""
_CRUMB = (
    "project",
    "version",
    "language",
    "language_version",
    "session_id",
    "user_id",
    "status",
    "status_desc",
    "error_type",
    "error_desc",
    "is_ci",
)
_USER = ("user_id", "user_type", "platform", "container", "geoloc_idx")

_SESSION = ("date", "version", "status", "count")

#: Counts sessions by the day of their first breadcrumb, and by version and status of their latest.
_SESSIONS = """
SELECT date(began, 'unixepoch') AS day, last.version, last.status, COUNT(*)
FROM (
    SELECT MIN(timestamp) AS began, MAX(idx) AS latest FROM crumbs
    WHERE project = ? AND session_id IS NOT NULL GROUP BY session_id
) JOIN crumbs AS last ON last.idx = latest
WHERE day >= ? AND day < ? AND instr(last.version, 'rc') = 0 AND instr(last.version, '+') = 0
GROUP BY day, last.version, last.status ORDER BY day, last.version, last.status
"""

#: What the columns of the hosted server's database hold, in characters.
_VERSION_WIDTH, _LANGUAGE_WIDTH, _PLATFORM_WIDTH = 24, 32, 64

#: The long and the older names of a status mean one of its letters.
_LETTERS = {
    "running": "R",
    "pending": "R",
    "completed": "C",
    "success": "C",
    "failed": "F",
    "error": "F",
    "suspended": "S",
}


class Store:
    """Breadcrumbs and users.

    Parameters:
        path: the SQLite file that keeps them. None: memory.
        clock: returns the time of arrival, in seconds since the epoch.
    """

    def __init__(self, path: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # Guards the one connection, which the server's threads share. Notified of each new crumb.
        self._changed = threading.Condition()
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False)
        self._db.executescript(_SCHEMA)
        #: The breadcrumbs and users of a store that has been closed.
        self._left: tuple[list[dict[str, object]], list[dict[str, object]]] | None = None

    def close(self) -> None:
        """Close the database. `crumbs` and `users` still return what was in it."""
        with self._changed:
            if self._left is None:
                self._left = self._read_crumbs(), self._read_users()
                self._db.close()

    def ingest(self, rows: Sequence[Mapping[str, object]]) -> bool:
        """Store ``rows`` in order. Returns False if one of them cannot be stored.

        None after that one is stored either: the hosted server's background task dies of what its
        database refuses.
        """
        with self._changed:
            for row in rows:
                try:
                    self._insert(_checked(row))
                except ValueError:
                    return False
                self._changed.notify_all()
        return True

    def crumbs(self) -> list[dict[str, object]]:
        """Return every breadcrumb, in order of arrival."""
        with self._changed:
            return self._read_crumbs() if self._left is None else list(self._left[0])

    def users(self) -> list[dict[str, object]]:
        """Return every user, with what its first breadcrumb said of it."""
        with self._changed:
            return self._read_users() if self._left is None else list(self._left[1])

    def projects(self) -> list[str]:
        """Return the projects that have a breadcrumb, in order of their first one."""
        rows = self._select("SELECT project FROM crumbs GROUP BY project ORDER BY MIN(idx)")
        return [str(project) for (project,) in rows]

    def await_crumbs(self, count: int, timeout: float) -> bool:
        """Wait until there are ``count`` breadcrumbs. Returns False after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.crumbs()) >= count, timeout)

    def usage(self, project: str, start: float, end: float | None, unique: bool) -> int:
        """Count a project's breadcrumbs, or its users.

        Parameters:
            project: the project's name.
            start: the first moment, in seconds since the epoch.
            end: the last moment. None: now.
            unique: count the distinct ids of users instead. A breadcrumb without one counts for
                nobody.
        """
        what = "COUNT(DISTINCT user_id)" if unique else "COUNT(*)"
        rows = self._select(
            f"SELECT {what} FROM crumbs WHERE project = ? AND timestamp BETWEEN ? AND ?",
            (project, start, self._clock() if end is None else end),
        )
        return int(str(rows[0][0]))

    def sessions(self, project: str, start: str, end: str) -> list[dict[str, object]]:
        """Count a project's sessions by day, version and status.

        A session counts for the day on which it began, with version and status of its latest
        breadcrumb. Versions that hold `rc` or `+` are left out. Each row has `date`, `version`,
        `status` and `count`.

        Parameters:
            project: the project's name.
            start: the first day, as `YYYY-MM-DD`.
            end: the day after the last one.
        """
        rows = self._select(_SESSIONS, (project, start, end))
        return [dict(zip(_SESSION, row, strict=True)) for row in rows]

    def _read_crumbs(self) -> list[dict[str, object]]:
        rows = self._select(f"SELECT {', '.join(_CRUMB)} FROM crumbs ORDER BY idx")
        crumbs = [dict(zip(_CRUMB, row, strict=True)) for row in rows]
        return [{**crumb, "is_ci": bool(crumb["is_ci"])} for crumb in crumbs]

    def _read_users(self) -> list[dict[str, object]]:
        rows = self._select(f"SELECT {', '.join(_USER)} FROM users ORDER BY rowid")
        return [dict(zip(_USER, row, strict=True)) for row in rows]

    def _select(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._changed:
            return self._db.execute(query, values).fetchall()

    def _insert(self, row: Mapping[str, object]) -> None:
        with self._db:
            if row["user_id"] is not None:
                self._db.execute(
                    "INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?, NULL)",
                    [row[name] for name in _USER[:-1]],
                )
            self._db.execute(
                f"INSERT INTO crumbs (timestamp, {', '.join(_CRUMB)})"
                f" VALUES ({', '.join('?' * (len(_CRUMB) + 1))})",
                [int(self._clock()), *(row[name] for name in _CRUMB)],
            )


def make_row(given: Mapping[str, Any]) -> dict[str, object]:
    """Return a breadcrumb, given by the names of a request's fields, as `Store.ingest` takes it."""
    names = ("session_id", "user_id", "status_desc", "error_type", "error_desc")
    row = {**dict.fromkeys(names), **given}
    row["version"] = row.pop("project_version")
    row["status"] = _LETTERS.get(row["status"], row["status"])
    return row


def check_text(text: str) -> None:
    """Raise `ValueError` for a text that PostgreSQL refuses: with a NUL, or a lone surrogate."""
    if "\0" in text:
        raise ValueError('invalid byte sequence for encoding "UTF8": 0x00')
    text.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError


def _checked(row: Mapping[str, object]) -> dict[str, object]:
    """Return ``row`` as PostgreSQL would store it. Raises `ValueError` for what it refuses."""
    checked = dict(row)
    for name in ("user_id", "session_id"):
        if row[name] is not None:
            checked[name] = str(uuid.UUID(str(row[name])))
    for name in ("version", "language_version"):
        checked[name] = str(row[name])[:_VERSION_WIDTH]
    if len(str(row["language"])) > _LANGUAGE_WIDTH:
        raise ValueError("language is too long")
    if row["user_id"] is not None and len(str(row["platform"])) > _PLATFORM_WIDTH:
        raise ValueError("platform is too long")
    for value in checked.values():
        if isinstance(value, str):
            check_text(value)
    return checked
