"""Sessions are put together by version or status, as a table and a picture show them."""

from __future__ import annotations

import datetime
import doctest
import uuid
from collections import Counter

import pytest

import migas
from migas.cli import badge, groups, table, usage
from migas.cli.groups import Group, Row
from migas.testing import Fault, Server

DAY = datetime.date(2026, 4, 1)


@pytest.mark.parametrize("module", [groups, table, badge], ids=lambda module: module.__name__)
def test_the_docstrings_examples_run(module: object) -> None:
    """As they stand there."""
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert (results.attempted > 0, results.failed) == (True, 0)


def rows(*versions: str, status: str = "completed", sessions: int = 1) -> list[Row]:
    return [Row(f"{DAY}", version, status, sessions) for version in versions]


def test_shares_are_of_what_has_ended() -> None:
    """A session that has not reported its end may fail yet."""
    found = rows("1") + rows("1", status="failed") + rows("1", status="running", sessions=98)
    [one] = groups.group(found, "version")
    assert (one.sessions, one.failed_share) == (100, 0.5)
    assert Group("1", Counter(running=3)).failed_share is None
    assert groups.group([], "version") == []


def test_a_status_of_a_later_server_has_its_place() -> None:
    """After those that are known."""
    found = rows("1", status="new") + rows("1", status="failed") + rows("1", status="completed")
    stacks = groups.stack(found, "status", [usage.Period(DAY, DAY)])
    assert stacks == {"completed": [1], "failed": [1], "new": [1]}


def test_periods_hold_their_days() -> None:
    """The first and the last of them included."""
    periods = usage.split(DAY, DAY + 30 * usage.DAY, "week")
    found = [
        Row(f"{day}", "1", "completed", 1)
        for period in periods
        for day in {period.first, period.last}
    ]
    assert groups.stack(found, "version", periods) == {"1": [2, 2, 2, 2, 2]}


def test_versions_that_are_too_many_are_put_together() -> None:
    """The rare and the old ones, so that the newest is always seen."""
    few = rows(*(f"1.{number}" for number in range(7)))
    assert list(groups.stack(few, "version", [usage.Period(DAY, DAY)])) == [
        f"1.{number}" for number in range(7)
    ]
    many = rows(*(f"1.{number}" for number in range(12)), sessions=100) + rows("9.9")
    stacks = groups.stack(many, "version", [usage.Period(DAY, DAY)])
    assert stacks == {groups.OTHERS: [501], **{f"1.{n}": [100] for n in range(5, 12)}}


@pytest.mark.parametrize(
    ("days", "step"), [(1, "day"), (62, "day"), (63, "week"), (400, "week"), (401, "month")]
)
def test_a_picture_has_few_bars(days: int, step: str) -> None:
    """At most 62."""
    assert groups.choose_step(DAY, DAY + (days - 1) * usage.DAY) == step


@pytest.mark.parametrize(
    ("since", "weeks"),
    [(0, 1), (7, 1), (8, 2), (29, 5), (-3, 1), (10**5, 5200)],
)
def test_as_many_weeks_are_asked_for_as_it_takes(
    since: int, weeks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server counts them from today, and other days are left out here."""
    today = datetime.date(2026, 11, 26)
    row = {"version": "1", "status": "C", "count": 1}
    days = [today - number * usage.DAY for number in (since - 1, since, since + 1)]
    with Server() as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        answer = [{**row, "date": f"{day}"} for day in days]
        server.inject(Fault.json(answer, signed=True))
        first = today - since * usage.DAY
        found = groups.fetch("owner/repo", first, first, today, "any")
        assert [one.date for one in found] == [f"{first}"]
        assert server.received[-1].path.endswith(f"?weeks={weeks}")


def test_todays_sessions_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the local server counts them."""
    with Server(tokens={"any": "owner/repo"}) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        migas.add_project("owner/repo", "1", status="C", session_id=f"{uuid.UUID(int=1)}")
        assert migas.flush() == 0
        today = datetime.datetime.now(datetime.UTC).date()
        found = groups.fetch("owner/repo", today - usage.DAY, today + usage.DAY, today, "any")
        assert [one[1:] for one in found] == [("1", "completed", 1)]
