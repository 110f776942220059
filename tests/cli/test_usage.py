"""Which periods a project's usage is asked for, and what becomes of each answer."""

from __future__ import annotations

import datetime
import doctest
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import migas
from migas._agent.sessions import NoAnswerError
from migas._delivery.graphql import MAX_BODY
from migas._delivery.usage import MAX_QUESTIONS, encode_usages
from migas.cli import usage
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

DATES = st.dates(datetime.date(1990, 1, 1), datetime.date(2100, 1, 1))

TODAY = datetime.datetime.now(datetime.UTC).date()


def test_the_docstrings_examples_run() -> None:
    """As they stand there."""
    results = doctest.testmod(usage)
    assert (results.attempted > 0, results.failed) == (True, 0)


@pytest.mark.parametrize("by", ["day", "week", "month"])
def test_time_ends_with_the_year_9999(by: str) -> None:
    """No calendar knows a day after it; nor one before the first year."""
    last = datetime.date.max
    assert usage.split(last, last, by) == [usage.Period(last, last)]
    first = datetime.date.min
    assert usage.split(first, first, by) == [usage.Period(first, first)]


@given(DATES, st.integers(0, 800), st.sampled_from(["day", "week", "month"]))
def test_periods_cover_each_day_once(since: datetime.date, days: int, by: str) -> None:
    """Whatever the span, and each ends where the calendar says."""
    until = since + days * usage.DAY
    periods = usage.split(since, until, by)
    covered = [
        period.first + n * usage.DAY
        for period in periods
        for n in range((period.last - period.first).days + 1)
    ]
    assert covered == [since + n * usage.DAY for n in range(days + 1)]
    starts = {period.first for period in periods[1:]}
    assert all(by != "week" or day.weekday() == 0 for day in starts)
    assert all(by != "month" or day.day == 1 for day in starts)


@pytest.mark.slow
def test_the_servers_limit_is_kept(server: Server) -> None:
    """A range of many years waits between two requests of ten periods, rather than be refused."""
    naps: list[float] = []
    periods = [usage.Period(TODAY, TODAY)] * 8021
    server.inject(Fault.json({"data": dict.fromkeys((f"a{n}" for n in range(10)), ONE)}))
    counted = usage.count("owner/repo", periods, sleep=naps.append, clock=lambda: 0.0)
    assert sum(hits or 0 for _, hits in counted) == 8021
    assert [nap > 0 for nap in naps] == [False] * 800 + [True] * 3
    assert server.requests == 803


ONE = {"hits": 1, "message": "", "unique": False, "success": True}


def answer(*answers: Mapping[str, object] | None) -> Fault:
    """Answer each of a request's questions otherwise."""
    return Fault.json({"data": {f"a{index}": each for index, each in enumerate(answers)}})


def ask(count: int) -> tuple[list[int | None], str]:
    """Return the answers to so many periods, and why there are no more of them."""
    found = []
    try:
        for entry in usage.count("owner/repo", [usage.Period(TODAY, TODAY)] * count):
            found.append(entry.hits)  # noqa: PERF401  # what was found before a failure counts
    except NoAnswerError as error:
        return found, f"{error}"
    return found, ""


@pytest.mark.parametrize("unique", [True, False])
def test_several_periods_are_one_request(server: Server, unique: bool) -> None:
    """Each under an alias, and within the server's bound for any name that GitHub allows."""
    for _ in range(2):
        migas.add_project("owner/repo", "1", user_id=f"{uuid.UUID(int=1)}")
    assert migas.flush() == 0
    before = server.requests
    day = usage.Period(TODAY, TODAY + usage.DAY)
    periods = [usage.Period(day.first - 9 * usage.DAY, day.first - usage.DAY), day] * 6
    found = [entry.hits for entry in usage.count("owner/repo", periods, unique=unique)]
    assert found == [0, 1 if unique else 2] * 6
    assert server.requests == before + 2
    longest = f"{'o' * 39}/{'r' * 100}"
    spans = [("2026-01-01", "2026-01-01T23:59:59Z")] * MAX_QUESTIONS
    assert len(encode_usages(longest, spans, unique)) < MAX_BODY / 2


def test_what_a_request_leaves_open_is_none(server: Server) -> None:
    """Never 0; its other answers count, and no other request follows."""
    server.inject([answer(*[ONE] * 10), answer(ONE, None, ONE), None])
    found, reason = ask(23)
    assert found == [1] * 11 + [None, 1] + [None] * 7
    assert reason == "the server's answer holds neither data nor an error"
    assert server.requests == 2


@pytest.mark.parametrize("hits", ["many", None, 1.5, [1], -1])
def test_an_answer_that_is_no_number_is_none(server: Server, hits: object) -> None:
    """A server may answer anything."""
    server.inject(answer({**ONE, "hits": hits}))
    assert ask(1) == ([None], "the server's answer names no number of hits")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.status(503), "the server answered 503"),
        (answer({"success": False}), "the server does not know the project"),
        (Fault.error("Syntax Error"), "Syntax Error"),
        (Fault(), "the server hung up"),
    ],
)
def test_why_there_is_no_answer_is_said(server: Server, fault: Fault, reason: str) -> None:
    """In the server's words, where it has some."""
    server.inject(fault)
    assert ask(2) == ([None, None], reason)


def test_a_project_that_is_not_registered_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hosted server words it."""
    with Server(projects=[]) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        assert ask(1) == ([None], 'Project "owner/repo" is not being tracked')


def test_a_question_is_a_query_of_the_recorded_form(server: Server) -> None:
    """The name goes as a variable: nothing in it is read as GraphQL."""
    name = 'owner/repo"){__typename}#'
    list(usage.count(name, [usage.Period(TODAY, TODAY)]))
    asked: Any = json.loads(server.received[-1].body)
    assert asked["variables"] == {"p": name}
    assert asked["query"] == (
        f'query($p:String!){{a0:get_usage(project:$p,start:"{TODAY}",end:"{TODAY}T23:59:59Z")}}'
    )
