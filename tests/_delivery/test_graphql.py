"""Documents that the server takes, and answers read for what they mean."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from migas._crumb.breadcrumb import sanitize
from migas._delivery import graphql
from migas._delivery.graphql import (
    Operation,
    encode_breadcrumbs,
    format_date,
    is_pep440,
    read_breadcrumbs,
)
from migas._delivery.parcel import Outcome, Reply, Verdict
from migas.testing import Server

D, R, U, AGAIN = Outcome.DELIVERED, Outcome.REFUSED, Outcome.UNSENT, Outcome.RESEND
IDS: dict[str, Any] = {
    "user_id": "11111111-1111-4111-8111-111111111111",
    "session_id": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
}


def operation(project: str = "owner/repo", *, asks: bool = False, **fields: object) -> Operation:
    version = fields.pop("version", "1.0.0")
    defaults = {"language": "python", "language_version": "3.11.7", "platform": "linux"}
    return Operation(sanitize(project, version, fields, defaults).breadcrumb, asks)


def exchange(server: Server, operations: list[Operation]) -> list[Verdict]:
    """Send to a real engine, and read its answer."""
    request = json.loads(encode_breadcrumbs(operations))
    answer = server.answer(request["query"], request["variables"])
    return read_breadcrumbs(Reply(D, answer=answer.body), operations)


def outcomes(verdicts: list[Verdict]) -> list[Outcome]:
    return [verdict.outcome for verdict in verdicts]


@pytest.mark.parametrize("asks", [True, False])
def test_every_field_arrives(asks: bool) -> None:
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
        assert outcomes(exchange(server, [operation(asks=asks, **fields)])) == [D]
        [crumb], [user] = server.crumbs, server.users
    assert crumb["error_desc"] == text
    assert {name: crumb[name] for name in IDS} == IDS
    assert (crumb["status"], crumb["is_ci"], crumb["error_type"]) == ("F", True, "E")
    # The server keeps the user's type with add_project alone.
    assert (user["container"], user["user_type"]) == ("docker", "dev" if asks else "general")


def test_several_are_told_apart_by_alias() -> None:
    """One unregistered project among others is refused alone; its reason is the server's."""
    with Server(projects=["a/b"]) as server:
        batch = [operation("a/b"), operation("a/x"), operation("a/b", asks=True), operation("x")]
        batch.append(operation("a/x", asks=True))
        verdicts = exchange(server, batch)
        assert outcomes(verdicts) == [D, R, D, R, R]
        assert len(server.crumbs) == 2
    assert verdicts[1].reason == "Project is not yet registered."
    assert verdicts[3].reason == verdicts[4].reason == "The project is not registered."
    assert verdicts[2].news["latest_version"] == "unknown"


def test_plain_ones_stand_before_those_that_ask() -> None:
    """A look-up that fails takes only what stands after it (trap 5)."""
    batch = [operation(asks=True), operation(status="C"), operation(asks=True), operation()]
    query = json.loads(encode_breadcrumbs(batch))["query"]
    assert [query.index(f"a{i}:") for i in (1, 3, 0, 2)] == sorted(
        query.index(f"a{i}:") for i in range(4)
    )


@pytest.mark.parametrize("version", ["1.2.3.dirty", "unknown", "not a version", "3.13.0rc1+"])
def test_a_version_that_would_cost_the_request_goes_without_asking(version: str) -> None:
    """add_project refuses all for one such version, add_breadcrumb takes any text (trap 4)."""
    with Server() as server:
        batch = [operation(asks=True), operation(asks=True, version=version)]
        batch.append(operation(asks=True, language_version=version))
        assert outcomes(exchange(server, batch)) == [D, D, D]
        assert sorted(str(crumb["version"]) for crumb in server.crumbs) == sorted(
            ["1.0.0", version, "1.0.0"]
        )


def test_what_crumbs_share_is_passed_once() -> None:
    """Sixteen of one run fit into one request (CONTRACT.md, sizes)."""
    batch = [operation(asks=False, **IDS) for _ in range(graphql.MAX_BATCH)]
    body = encode_breadcrumbs(batch)
    assert len(body) <= graphql.MAX_BODY
    assert body.count(IDS["user_id"].encode()) == 1


def test_crumbs_of_several_runs_share_what_they_can() -> None:
    """Ten of ten runs fit into one request, and each keeps its own session."""
    sessions = [str(uuid.UUID(int=n)) for n in range(10)]
    fields = {"user_id": IDS["user_id"], "container": "docker", "is_ci": True}
    batch = [operation(asks=False, session_id=session, **fields) for session in sessions]
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
    [verdict] = read_breadcrumbs(Reply(D, answer={"data": {"a0": answer}}), [operation(asks=True)])
    assert verdict.outcome is D
    assert verdict.news["latest_version"] == "forbidden"


def failure(alias: str) -> dict[str, Any]:
    return {"data": None, "errors": [{"message": "no GitHub", "path": [alias]}]}


def test_a_look_up_that_fails_spares_what_stood_before_it() -> None:
    """What stood before is stored; the rest is not, and goes once more (traps 3 and 5)."""
    batch = [operation(asks=True), operation(), operation(asks=True), operation(asks=True)]
    verdicts = read_breadcrumbs(Reply(D, answer=failure("a2")), batch)
    assert outcomes(verdicts) == [D, D, AGAIN, AGAIN]
    assert verdicts[2].reason == "no GitHub"


def test_a_plain_crumb_alone_whose_operation_fails_waits() -> None:
    """There is no other form to try at once."""
    assert outcomes(read_breadcrumbs(Reply(D, answer=failure("a0")), [operation()])) == [U]


REFUSAL = {"data": None, "errors": [{"message": "Value 'X' does not exist"}]}


@pytest.mark.parametrize(
    ("batch", "outcome"),
    [
        ([operation()], R),
        ([operation(asks=True)], AGAIN),
        ([operation(asks=True, version="unknown")], R),
        ([operation(), operation()], AGAIN),
    ],
    ids=["one plain", "one that asks", "one that cannot ask", "two"],
)
def test_a_request_that_the_schema_refuses_goes_once_more_in_parts(
    batch: list[Operation], outcome: Outcome
) -> None:
    """Nothing of it is stored, whoever was to blame; a plain one alone is to blame (trap 5)."""
    verdicts = read_breadcrumbs(Reply(D, answer=REFUSAL), batch)
    assert outcomes(verdicts) == [outcome] * len(batch)
    assert {verdict.reason for verdict in verdicts} == {"Value 'X' does not exist"}


@pytest.mark.parametrize(
    "answer",
    [{"data": {}}, {"data": {"a0": 5}}, {"data": {"a0": None}}],
)
def test_an_answer_without_ones_alias_says_nothing(answer: dict[str, Any]) -> None:
    """The breadcrumb waits."""
    assert outcomes(read_breadcrumbs(Reply(D, answer=answer), [operation()])) == [U]


@pytest.mark.parametrize("answer", [{"errors": []}, {"data": None}, {"errors": ["x"]}])
def test_an_answer_that_means_nothing_is_no_verdict_on_the_project(answer: dict[str, Any]) -> None:
    """Two go once more alone."""
    verdicts = read_breadcrumbs(Reply(D, answer=answer), [operation(), operation()])
    assert outcomes(verdicts) == [AGAIN, AGAIN]


@pytest.mark.parametrize("outcome", [U, R, Outcome.UNKNOWN])
def test_a_request_that_failed_failed_for_all(outcome: Outcome) -> None:
    """What befell the request befell each breadcrumb in it."""
    verdicts = read_breadcrumbs(Reply(outcome, "why"), [operation(), operation()])
    assert verdicts == [Verdict(outcome, "why")] * 2


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
    ],
)
def test_a_date_that_the_server_would_not_understand_is_the_callers_error(value: object) -> None:
    """The message says what is wrong, or which forms are right."""
    with pytest.raises(ValueError, match=r"is no date: .*(YYYY-MM-DD|must|range|hour|day|month)"):
        format_date(value)


@given(
    st.one_of(
        st.from_regex(r"\A[v0-9.!+\-_a-z]{1,12}\Z"),
        st.sampled_from(["1.0", "v1.2.3", "1.2.3-rc1", "0+unknown", "22.0.0.dev5+g1.d2", "1.0-1"]),
    )
)
def test_what_is_taken_for_a_pep_440_version_is_one(version: str) -> None:
    """A wrong yes would cost a request; a wrong no costs nothing but version news."""
    if is_pep440(version):
        Version(version)


@pytest.mark.parametrize(
    "version", ["1.0", "v1.2.3", "1.2.3-rc1", "0+unknown", "22.0.0.dev5+g1a2b.d2023", "2023.1"]
)
def test_the_versions_that_projects_have_are_recognised(version: str) -> None:
    """Each of these was taken by the hosted server."""
    assert is_pep440(version)
    try:
        Version(version)
    except InvalidVersion:
        pytest.fail("packaging disagrees")
