"""Sessions are counted for who shows a token, and the token is shown to the server alone."""

from __future__ import annotations

import datetime
import doctest
import logging
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PATIENCE

import migas
from migas._agent import sessions
from migas._delivery import rest
from migas._delivery.connection import MAX_ANSWER, MAX_LIST
from migas._delivery.parcel import Outcome
from migas._delivery.policy import Exchange, judge_list
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Host

    from migas.typedefs import Status

#: What must be seen nowhere.
TOKEN = "m_Very-Secret_0123456789"

OTHER = "m_Other-Secret_0123456789"


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that counts sessions for a token, which is in the environment."""
    tokens = {TOKEN: "owner/repo", OTHER: "owner/other"}
    with Server(tokens=tokens, projects=["owner/repo", "owner/other"]) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        monkeypatch.setenv("MIGAS_TOKEN", TOKEN)
        yield server


def add(*statuses: Status, version: str = "1.2.3") -> None:
    """Report a session with these statuses, one after the other."""
    session = str(uuid.uuid4())
    for status in statuses:
        migas.add_project("owner/repo", version, status=status, session_id=session)
        assert migas.flush(PATIENCE) == 0


def fail(project: str = "owner/repo") -> str:
    """Return the reason why there are no sessions, which holds no token."""
    with pytest.raises(migas.NoAnswerError) as caught:
        migas.get_sessions(project)
    assert "Secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_sessions_are_counted_by_day_version_and_status(counting: Server) -> None:
    """With the status of the latest breadcrumb, in words; the token may be given."""
    assert migas.get_sessions("owner/repo") == []
    add("R", "C")
    add("R", "F")
    add("R", version="1.2.2")
    add("R", "C")
    since = counting.requests
    found = migas.get_sessions("owner/repo", weeks=1)
    day = found[0]["date"]
    assert found == [
        {"date": day, "version": "1.2.2", "status": "running", "sessions": 1},
        {"date": day, "version": "1.2.3", "status": "completed", "sessions": 2},
        {"date": day, "version": "1.2.3", "status": "failed", "sessions": 1},
    ]
    assert f"{datetime.date.fromisoformat(str(day))}" == day
    assert migas.get_sessions("owner/other", token=f"{OTHER}\n") == []
    assert counting.requests == since + 2


def test_the_docstrings_examples_run() -> None:
    """Of the function and of what it calls."""
    for module in (sessions, rest):
        results = doctest.testmod(module)
        assert (results.attempted > 0, results.failed) == (True, 0)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("MIGAS_TOKEN", "", "set MIGAS_TOKEN"),
        ("MIGAS_TOKEN", "m_Secret m_Secret", "holds a space"),
        ("MIGAS_TOKEN", "m_Secret\nX-Header: y", "holds a space"),
        ("MIGAS_TOKEN", "m_Secret\N{SNOWMAN}", "holds a space"),
        ("MIGAS_OPTOUT", "1", "switched off by MIGAS_OPTOUT"),
        ("MIGAS_DRY_RUN", "1", "MIGAS_DRY_RUN is set"),
        ("MIGAS_TIMEOUT", "0", "MIGAS_TIMEOUT is 0"),
        ("MIGAS_ENDPOINT", "nonsense", "switched off by MIGAS_ENDPOINT"),
    ],
)
def test_what_cannot_be_asked_is_not(
    counting: Server, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    """As `get_usage` does not ask where nothing is sent."""
    monkeypatch.setenv(variable, value)
    assert reason in fail()
    assert counting.requests == 0


@pytest.mark.parametrize(
    ("token", "project", "reason"),
    [
        (f"{TOKEN}x", "owner/repo", "the server does not know the token"),
        (OTHER, "owner/repo", "the token is for another project"),
        (TOKEN, "owner/repo?weeks=x#", "the token is for another project"),
        (TOKEN, "owner", "the server does not know the project"),
    ],
)
def test_a_refusal_is_one_sentence(
    counting: Server, monkeypatch: pytest.MonkeyPatch, token: str, project: str, reason: str
) -> None:
    """Whatever the project is called, the token reads its own alone."""
    monkeypatch.setenv("MIGAS_TOKEN", token)
    assert fail(project) == reason
    assert counting.requests == 1


@pytest.mark.parametrize("project", ["../api", "owner/..", "owner/repo/x", "", "owner/\udcff"])
def test_no_projects_name_leads_to_another_address(
    counting: Server, monkeypatch: pytest.MonkeyPatch, project: str
) -> None:
    """It is not asked for."""
    monkeypatch.setenv("MIGAS_TOKEN", TOKEN)
    assert fail(project) == "a project's name is owner/repo"
    assert counting.requests == 0


def test_an_unknown_project_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own token, as after its registration has been taken back."""
    with Server(tokens={TOKEN: "owner/repo"}, projects=[]) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        monkeypatch.setenv("MIGAS_TOKEN", TOKEN)
        assert fail() == "the server does not know the project"


def test_an_old_server_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no REST."""
    with Server(old=True) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        monkeypatch.setenv("MIGAS_TOKEN", TOKEN)
        assert fail() == rest_reason()


def rest_reason() -> str:
    return "the server counts no sessions: it is older than migas-server 0.7, or none (404)"


#: A good answer that ends too early.
CUT_OFF = Fault.raw(
    b"HTTP/1.1 200 OK\r\nX-Backend-Server: migas@0.9\r\nContent-Length: 99\r\n\r\n[]"
)

ROW = {"date": "2026-01-31", "version": "1", "status": "C", "count": 1}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.status(503), "the server answered 503"),
        (Fault.status(429, signed=True), "the server answered 429"),
        (Fault.status(422, signed=True), "the server answered 422"),
        (Fault.status(401), "the server wants other credentials (401)"),
        (Fault.status(404), rest_reason()),
        (Fault.page(), "the answer was no migas server's (200)"),
        (Fault.json([ROW]), "the answer was no migas server's (200)"),
        (Fault.truncate(), "the server hung up"),
        (CUT_OFF, "the server hung up"),
        (Fault.raw(b"nonsense\r\n\r\n"), "the answer is no HTTP"),
        (Fault(), "the server hung up"),
        (Fault.json({"data": {}}, signed=True), "the server's answer is not understood"),
        *(
            (Fault.json([rubbish], signed=True), rest.NO_SESSIONS)
            for rubbish in (
                None,
                {},
                {**ROW, "count": "1"},
                {**ROW, "count": -1},
                {**ROW, "count": True},
                {**ROW, "count": 2**53 + 1},
                {**ROW, "version": "1" * 5000},
                {**ROW, "date": "2026-02-30"},
                {**ROW, "date": "20260131"},
                {**ROW, "date": None},
                {**ROW, "status": 1},
            )
        ),
    ],
)
def test_no_answer_is_explained(counting: Server, fault: Fault, reason: str) -> None:
    """An empty list would say that there were no sessions."""
    counting.inject(fault)
    assert fail() == reason


def test_a_silent_server_is_waited_for_no_longer_than_the_timeout(
    counting: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every question."""
    counting.inject(Fault.hang())
    monkeypatch.setenv("MIGAS_TIMEOUT", "0.2")
    assert fail().startswith("no answer")


def test_what_the_server_answers_in_two_parts_is_added_up(counting: Server) -> None:
    """One part comes from its cache. Statuses of a later server stay as they are."""
    rows = [{**ROW, "count": 2}, {**ROW, "status": "X"}, {**ROW, "date": "2026-01-30"}, ROW]
    counting.inject(Fault.json(rows, signed=True))
    found = migas.get_sessions("owner/repo")
    assert [(row["date"], row["status"], row["sessions"]) for row in found] == [
        ("2026-01-30", "completed", 1),
        ("2026-01-31", "X", 1),
        ("2026-01-31", "completed", 3),
    ]


@pytest.mark.slow
def test_a_list_may_be_long_but_not_endless(counting: Server) -> None:
    """A year of many versions is more than any other answer."""
    rows = [{**ROW, "version": f"{number}"} for number in range(MAX_ANSWER // 50)]
    counting.inject(Fault.json(rows, signed=True))
    assert len(migas.get_sessions("owner/repo", weeks=52)) == len(rows)
    counting.inject(Fault.json(["1" * MAX_LIST], signed=True))
    assert fail() == "the answer is too long"


@pytest.mark.parametrize("weeks", [0, -1, 5201, 1.5, "4", None])
def test_weeks_are_a_number_from_one_to_a_century(counting: Server, weeks: object) -> None:
    """Anything else is a mistake in the program that asks."""
    with pytest.raises(ValueError, match="no whole number from 1 to 5200"):
        migas.get_sessions("owner/repo", weeks)  # type: ignore[arg-type]
    assert counting.requests == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_carries_a_token_elsewhere(counting: Server, status: int) -> None:
    """Not to another port of the same machine, nor to another scheme."""
    with Server(tokens={TOKEN: "owner/repo"}) as elsewhere:
        base = elsewhere.endpoint.removesuffix("/graphql")
        for location in (
            f"{base}/api/usage/owner/repo",
            base.replace("127.0.0.1", "localhost"),
            base.replace("http:", "https:"),
            f"//127.0.0.1:{elsewhere.port}/",
            f"http://127.0.0.1:{counting.port}@127.0.0.1:{elsewhere.port}/",
        ):
            counting.inject(Fault.redirect(location, status))
            assert f"({status})" in fail()
        assert elsewhere.requests == 0


def test_a_redirect_within_the_server_is_followed(counting: Server) -> None:
    """With the token, which that server knows already."""
    counting.inject([Fault.redirect("/api/usage/owner/repo", 307)])
    assert migas.get_sessions("owner/repo") == []
    shown = [request.headers["authorization"] for request in counting.received]
    assert shown == [f"Bearer {TOKEN}"] * 2


def test_credentials_in_the_endpoint_give_way_to_the_token(
    counting: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request has one header for both."""
    address = counting.endpoint.replace("://", "://user:password@")
    monkeypatch.setenv("MIGAS_ENDPOINT", address)
    assert migas.get_sessions("owner/repo") == []
    assert counting.received[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_no_log_holds_a_token(counting: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Also where a host listens to everything."""
    with caplog.at_level(logging.DEBUG):
        assert migas.get_sessions("owner/repo") == []
        counting.inject(Fault.status(500))
        fail()
    assert "Secret" not in caplog.text


@pytest.mark.slow
def test_no_traceback_holds_a_token(counting: Server, host: Host) -> None:
    """Nor do the variables of its frames, which some tools print."""
    counting.stop()
    ended = host.run(
        """
import sys, traceback, migas
def show(kind, error, trace):
    print(*traceback.TracebackException(kind, error, trace, capture_locals=True).format())
sys.excepthook = show
migas.setup()
migas.print_config()
migas.get_sessions('owner/repo')
""",
        {"MIGAS_LOG_LEVEL": "DEBUG", "PYTHONUNBUFFERED": "1"},
    )
    assert ended.status == 1
    assert "NoAnswerError: the server refused the connection" in ended.out
    assert "Secret" not in ended.out + ended.err


@pytest.mark.slow
@given(
    st.builds(
        Exchange,
        error=st.sampled_from(["", "the server hung up"]),
        whole=st.booleans(),
        status=st.none() | st.sampled_from([100, 200, 204, 301, 401, 403, 404, 429, 500]),
        signed=st.booleans(),
        encoded=st.booleans(),
        body=st.binary() | st.sampled_from([b"[]", b"[1]", b"[null]", b'[{"date":1}]', b"[" * 200]),
    )
)
def test_whatever_is_seen_is_a_list_of_the_servers_or_a_reason(exchange: Exchange) -> None:
    """Nothing is raised, and nothing but a signed list counts as one."""
    reply = judge_list(exchange, 0.0)
    found = rest.read_sessions(reply)
    if reply.outcome is Outcome.DELIVERED and "rows" in reply.answer:
        assert (exchange.status, exchange.signed, exchange.error) == (200, True, "")
    else:
        assert found is None
        assert reply.reason
