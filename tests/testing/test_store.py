"""The store counts sessions as the hosted server's dashboard does."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from migas.testing.store import Store, make_row

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, SECOND, THIRD = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


class Days:
    """A clock that a test sets to a day."""

    def __init__(self) -> None:
        self.day = ""

    def __call__(self) -> float:
        """Return that day's last second."""
        return datetime.datetime.fromisoformat(f"{self.day}T23:59:59+00:00").timestamp()


@pytest.fixture
def clock() -> Days:
    """What the store takes for the time."""
    return Days()


@pytest.fixture
def store(clock: Days) -> Iterator[Store]:
    """An empty store."""
    store = Store(clock=clock)
    yield store
    store.close()


def put(store: Store, session: str | None, status: str, version: str = "1", **more: Any) -> None:
    given = {"project": "a/b", "project_version": version, "language": "python", **more}
    rest = {"language_version": "3.11", "session_id": session, "status": status, "is_ci": False}
    assert store.ingest([make_row({**given, **rest})])


def count(
    store: Store, start: str = "2000-01-01", end: str = "2100-01-01"
) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in store.sessions("a/b", start, end)]


def test_a_session_counts_on_the_day_it_began_with_its_latest_status(
    store: Store, clock: Days
) -> None:
    """However many breadcrumbs it has; one without a session is none."""
    clock.day = "2026-01-30"
    put(store, FIRST, "R")
    put(store, SECOND, "R")
    put(store, None, "R")
    clock.day = "2026-01-31"
    put(store, FIRST, "C", "2")
    put(store, THIRD, "F")
    put(store, THIRD, "F", project="other/project")
    assert count(store) == [
        ("2026-01-30", "1", "R", 1),
        ("2026-01-30", "2", "C", 1),
        ("2026-01-31", "1", "F", 1),
    ]
    put(store, SECOND, "C", "2")
    assert count(store)[0] == ("2026-01-30", "2", "C", 2)
    assert [set(row) for row in store.sessions("a/b", "2026-01-31", "2026-02-01")] == [
        {"date", "version", "status", "count"}
    ]


def test_the_last_day_is_not_in_it(store: Store, clock: Days) -> None:
    """The first one is."""
    for number, clock.day in enumerate(("2026-01-30", "2026-01-31", "2026-02-01")):
        put(store, str(uuid.UUID(int=number)), "R")
    assert [day for day, *_ in count(store, "2026-01-31", "2026-02-01")] == ["2026-01-31"]


def test_versions_of_developers_are_left_out(store: Store, clock: Days) -> None:
    """They are those that hold `rc` or `+`."""
    clock.day = "2026-01-30"
    for number, version in enumerate(("1.0", "1.1rc1", "1.1.dev0", "1.1+g123")):
        put(store, str(uuid.UUID(int=number)), "C", version)
    assert [version for _, version, _, _ in count(store)] == ["1.0", "1.1.dev0"]


def test_a_closed_store_can_be_read(store: Store, clock: Days) -> None:
    """Twice closed is closed."""
    clock.day = "2026-01-30"
    put(store, FIRST, "R", user_id=SECOND, user_type="dev", platform="linux", container="docker")
    crumbs, users = store.crumbs(), store.users()
    store.close()
    store.close()
    assert (store.crumbs(), store.users()) == (crumbs, users)
    assert (len(crumbs), len(users)) == (1, 1)
    assert store.await_crumbs(1, 0.0)
