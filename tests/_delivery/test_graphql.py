"""Documents that the server takes, and answers read for what they mean."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest

from migas._crumb.breadcrumb import Breadcrumb, sanitize
from migas._delivery import graphql
from migas._delivery.graphql import (
    encode_breadcrumbs,
    encode_project,
    format_date,
    read_answer,
)
from migas._delivery.parcel import Outcome, Reply, Verdict
from migas.testing import Server

D, R, U, AGAIN = Outcome.DELIVERED, Outcome.REFUSED, Outcome.UNSENT, Outcome.RESEND
IDS: dict[str, Any] = {
    "user_id": "11111111-1111-4111-8111-111111111111",
    "session_id": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
}


def crumb(project: str = "owner/repo", **fields: object) -> Breadcrumb:
    version = fields.pop("version", "1.0.0")
    defaults = {"language": "python", "language_version": "3.11.7", "platform": "linux"}
    return sanitize(project, version, fields, defaults).breadcrumb


def exchange(server: Server, batch: list[Breadcrumb], *, alone: bool = False) -> list[Verdict]:
    """Send to a real engine, and read its answer."""
    request = json.loads((encode_project if alone else encode_breadcrumbs)(batch))
    answer = server.answer(request["query"], request["variables"])
    reply = Reply(D, answer=answer.body, signed=True)
    return read_answer(reply, len(batch), alone=alone, trusted=False)


def read(
    answer: dict[str, Any],
    count: int = 1,
    *,
    alone: bool = False,
    signed: bool = True,
    trusted: bool = False,
) -> list[Outcome]:
    """Read an answer to ``count`` breadcrumbs."""
    verdicts = read_answer(
        Reply(D, answer=answer, signed=signed), count, alone=alone, trusted=trusted
    )
    return outcomes(verdicts)


def outcomes(verdicts: list[Verdict]) -> list[Outcome]:
    return [verdict.outcome for verdict in verdicts]


@pytest.mark.parametrize("alone", [True, False])
def test_every_field_arrives(alone: bool) -> None:
    """Quotes, newlines and any script travel as variables."""
    text = "quote \" back\\slash ' \nline\ttab é 漢字 😀 {x} #c $v \u2028"
    fields: dict[str, Any] = {
        **IDS,
        "status": "F",
        "error_type": "E",
        "error_desc": text,
        "status_desc": "d",
    }
    fields |= {"is_ci": True, "container": "docker", "user_type": "dev"}
    with Server() as server:
        assert outcomes(exchange(server, [crumb(**fields)], alone=alone)) == [D]
        [stored], [user] = server.crumbs, server.users
    assert stored["error_desc"] == text
    assert {name: stored[name] for name in IDS} == IDS
    assert (stored["status"], stored["is_ci"], stored["error_type"]) == ("F", True, "E")
    # The server keeps the user's type with add_project alone.
    assert (user["container"], user["user_type"]) == ("docker", "dev" if alone else "general")


def test_several_are_told_apart_by_alias() -> None:
    """One unregistered project among others is refused alone; its reason is the server's."""
    with Server(projects=["a/b"]) as server:
        verdicts = exchange(server, [crumb("a/b"), crumb("a/x"), crumb("a/b"), crumb("x")])
        assert outcomes(verdicts) == [D, R, D, R]
        assert len(server.crumbs) == 2
        [alone] = exchange(server, [crumb("a/x")], alone=True)
    assert verdicts[1].reason == "Project is not yet registered."
    assert verdicts[3].reason == alone.reason == "The project is not registered."
    assert alone.outcome is R


@pytest.mark.parametrize("version", ["1.2.3.dirty", "unknown", "not a version", "3.13.0rc1+"])
def test_a_version_that_pep_440_does_not_know_is_taken_plain(version: str) -> None:
    """`add_project` refuses it, and `add_breadcrumb` takes any text (trap 4)."""
    for fields in {"version": version}, {"language_version": version}:
        with Server() as server:
            assert outcomes(exchange(server, [crumb(**fields)], alone=True)) == [AGAIN]
            assert outcomes(exchange(server, [crumb(**fields)])) == [D]


def test_what_crumbs_share_is_passed_once() -> None:
    """Sixteen of one run fit into one request (CONTRACT.md, sizes)."""
    body = encode_breadcrumbs([crumb(**IDS) for _ in range(graphql.MAX_BATCH)])
    assert len(body) <= graphql.MAX_BODY
    assert body.count(IDS["user_id"].encode()) == 1


def test_crumbs_of_several_runs_share_what_they_can() -> None:
    """Ten of ten runs fit into one request, and each keeps its own session."""
    sessions = [str(uuid.UUID(int=n)) for n in range(10)]
    fields = {"user_id": IDS["user_id"], "container": "docker", "is_ci": True}
    batch = [crumb(session_id=session, **fields) for session in sessions]
    body = encode_breadcrumbs(batch)
    assert len(body) <= graphql.MAX_BODY
    assert body.count(IDS["user_id"].encode()) == 1
    with Server() as server:
        assert outcomes(exchange(server, batch)) == [D] * 10
        assert [crumb["session_id"] for crumb in server.crumbs] == sessions
        assert {crumb["is_ci"] for crumb in server.crumbs} == {True}
        assert server.users[0]["container"] == "docker"


def test_success_false_with_news_is_stored_all_the_same() -> None:
    """The server took the crumb, and only failed to learn the latest version (trap 2)."""
    answer = {"bad_versions": [], "latest_version": "forbidden", "success": False}
    reply = Reply(D, answer={"data": {"a0": answer}}, signed=True)
    [verdict] = read_answer(reply, 1, alone=True, trusted=False)
    assert verdict.outcome is D
    assert verdict.news["latest_version"] == "forbidden"


def failure(message: str = "bad", **error: object) -> dict[str, Any]:
    return {"data": None, "errors": [{"message": message, **error}]}


PLACE = {"locations": [{"line": 1, "column": 10}]}
BY_SCHEMA = failure("Value 'X' does not exist", **PLACE)
BY_LOOK_UP = failure("no GitHub", **PLACE, path=["a0"])
BY_SYNTAX = failure("No GraphQL document available")
OUTAGE = failure("Error 111 connecting to redis:6379. Connection refused.")
ELSEWHERE = {"message": "Invalid project specified.", **PLACE, "path": ["a0"]}


@pytest.mark.parametrize(
    ("answer", "one", "two", "alone"),
    [
        (BY_SCHEMA, R, AGAIN, AGAIN),
        (BY_SYNTAX, R, AGAIN, AGAIN),
        (BY_LOOK_UP, U, U, AGAIN),
        (OUTAGE, U, U, U),
        ({"errors": []}, U, U, U),
        ({"data": None}, U, U, U),
        ({"errors": ["x"]}, U, U, U),
    ],
    ids=["schema", "syntax", "look-up", "outage", "no error", "nothing", "no object"],
)
def test_an_error_for_the_whole_request_is_a_refusal_only_by_the_schema(
    answer: dict[str, Any], one: Outcome, two: Outcome, alone: Outcome
) -> None:
    """It refuses one that is alone and plain; else all go once more, alone and plain (trap 16)."""
    assert read(answer) == [one]
    assert read(answer, 2) == [two, two]
    assert read(answer, alone=True) == [alone]
    for is_alone in (False, True):
        assert read(answer, alone=is_alone, signed=False) == [U], "nobody has signed it"


def test_an_old_servers_words_are_known_by_themselves() -> None:
    """It signs nothing (trap 15)."""
    assert read({"data": None, "errors": [ELSEWHERE]}, alone=True, signed=False) == [R]
    assert read(BY_SCHEMA, alone=True, signed=False, trusted=True) == [R]
    assert read(BY_LOOK_UP, alone=True, signed=False, trusted=True) == [U]
    unknown = failure("Cannot query field 'add_breadcrumb' on type 'Mutation'.", **PLACE)
    assert graphql.lacks_add_breadcrumb(Reply(D, answer=unknown))
    assert not graphql.lacks_add_breadcrumb(Reply(D, answer=BY_SCHEMA))


@pytest.mark.parametrize("answer", [{"data": {}}, {"data": {"a0": 5}}, {"data": {"a0": None}}])
def test_an_answer_without_ones_alias_says_nothing(answer: dict[str, Any]) -> None:
    """The application may have taken it, so it is sent three times at most."""
    assert read(answer) == [Outcome.UNKNOWN]
    assert read(answer, signed=False) == [U]


def test_a_refusal_of_one_that_nobody_has_signed_is_none() -> None:
    """Only the application discards (pain 57)."""
    answer = {"data": {"a0": {"success": False, "message": "no"}}}
    assert read(answer) == [R]
    assert read(answer, signed=False) == [U]


def test_a_signed_400_for_several_does_not_say_whom_it_is_about() -> None:
    """So each goes alone, and only what is refused alone is discarded."""
    reply = Reply(R, "the server answered 400", signed=True)
    for count, outcome in ((1, R), (2, Outcome.RESEND)):
        verdicts = read_answer(reply, count, alone=False, trusted=False)
        assert verdicts == [Verdict(outcome, "the server answered 400")] * count


@pytest.mark.parametrize("outcome", [U, Outcome.UNKNOWN])
def test_a_request_that_failed_failed_for_all(outcome: Outcome) -> None:
    """What befell the request befell each breadcrumb in it."""
    verdicts = read_answer(Reply(outcome, "why", demand=6.0), 2, alone=False, trusted=False)
    assert verdicts == [Verdict(outcome, "why", demand=6.0)] * 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.date(26, 1, 31), "0026-01-31"),
        (datetime.datetime(26, 1, 31), "0026-01-31T00:00:00Z"),  # noqa: DTZ001 (UTC by contract)
        (
            datetime.datetime(
                2026, 1, 31, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))
            ),
            "2026-01-31T10:00:00Z",
        ),
    ],
)
def test_a_date_is_written_as_the_server_reads_it(value: object, text: str) -> None:
    """UTC, whole seconds (trap 14)."""
    assert format_date(value) == text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2026-13-01",
        "2026-02-30",
        "01/02/2026",
        "2026-1-1",
        "2026-01-01 00:00:00",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T25:00:00Z",
        "२०२६-01-01",
        20260101,
        None,
        datetime.datetime.min.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=14))),
    ],
)
def test_a_date_that_the_server_would_not_understand_is_the_callers_error(value: object) -> None:
    """The message says what is wrong, or which forms are right."""
    with pytest.raises(ValueError, match=r"is no date: .*(YYYY-MM-DD|must|range|hour|day|month)"):
        format_date(value)
