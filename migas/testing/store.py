"""The store: the local server's breadcrumbs and users, in SQLite."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from typing import TYPE_CHECKING

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

#: What the columns of the hosted server's database hold, in characters.
_VERSION_WIDTH, _LANGUAGE_WIDTH, _PLATFORM_WIDTH = 24, 32, 64


class Store:
    """Breadcrumbs and users, in ``path`` or, without one, in memory."""

    def __init__(self, path: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # Guards the one connection, which the server's threads share; told of each new crumb.
        self._changed = threading.Condition()
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database; what lay in memory is gone."""
        with self._changed:
            self._db.close()

    def ingest(self, rows: Sequence[Mapping[str, object]]) -> bool:
        """Store ``rows`` in order; False: one cannot be stored, nor any after it.

        So does the hosted server, whose background task dies of what its database refuses.
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
        rows = self._select(f"SELECT {', '.join(_CRUMB)} FROM crumbs ORDER BY idx")
        crumbs = [dict(zip(_CRUMB, row, strict=True)) for row in rows]
        return [{**crumb, "is_ci": bool(crumb["is_ci"])} for crumb in crumbs]

    def users(self) -> list[dict[str, object]]:
        """Return every user as first seen."""
        rows = self._select(f"SELECT {', '.join(_USER)} FROM users ORDER BY rowid")
        return [dict(zip(_USER, row, strict=True)) for row in rows]

    def await_crumbs(self, count: int, timeout: float) -> bool:
        """Wait until there are ``count`` breadcrumbs, at most ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.crumbs()) >= count, timeout)

    def usage(self, project: str, start: float, end: float | None, unique: bool) -> int:
        """Count uses, or with ``unique`` the users known by an id, from ``start`` to ``end``."""
        what = "COUNT(DISTINCT user_id)" if unique else "COUNT(*)"
        rows = self._select(
            f"SELECT {what} FROM crumbs WHERE project = ? AND timestamp BETWEEN ? AND ?",
            (project, start, self._clock() if end is None else end),
        )
        return int(str(rows[0][0]))

    def _select(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
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
            if "\0" in value:
                raise ValueError("a NUL in a text")
            value.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
    return checked
