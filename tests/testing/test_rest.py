"""REST is answered as the hosted server does, where the recordings say nothing of it."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import sqlite3
import uuid
from typing import TYPE_CHECKING

import pytest
from local_client import ask
from support import PATIENCE

from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The least that a breadcrumb needs.
LEAST = {"project": "a/b", "project_version": "1"}

TOKENS = {"secret": "a/b", "other": "c/d", "unknown": "x/y"}


def detail(kind: str, place: list[str], message: str, value: object) -> dict[str, object]:
    return {"type": kind, "loc": place, "msg": f"Input should be {message}", "input": value}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((text, True) for text in ("TRUE", "yes", "on", "t", "y", 1, 1.0, True)),
        ("off", False),
        (0, False),
    ],
)
def test_a_truth_value_has_many_forms(written: object, meant: bool) -> None:
    """In the body and in the address alike."""
    with Server() as server:
        told = ask(server, "POST", "/api/breadcrumb", {**LEAST, "ctx": {"is_ci": written}})
        assert told.status == 202
        assert [crumb["is_ci"] for crumb in server.crumbs] == [meant]
        if isinstance(written, str):
            told = ask(server, "POST", f"/api/breadcrumb?wait={written}", LEAST)
            assert told.status == (200 if meant else 202)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            {**LEAST, "ctx": {"is_ci": 2}},
            detail(
                "bool_parsing",
                ["body", "ctx", "is_ci"],
                "a valid boolean, unable to interpret input",
                2,
            ),
        ),
        (
            {**LEAST, "ctx": {"is_ci": None}},
            detail("bool_type", ["body", "ctx", "is_ci"], "a valid boolean", None),
        ),
        (
            {**LEAST, "ctx": {"platform": None}},
            detail("string_type", ["body", "ctx", "platform"], "a valid string", None),
        ),
        (
            {**LEAST, "proc": "R"},
            detail(
                "model_attributes_type",
                ["body", "proc"],
                "a valid dictionary or object to extract fields from",
                "R",
            ),
        ),
    ],
)
def test_a_field_of_another_type_is_refused(body: object, problem: object) -> None:
    """The answer says which, and nothing is stored."""
    with Server() as server:
        told = ask(server, "POST", "/api/breadcrumb?wait=true", body)
        assert (told.status, told.body) == (422, {"detail": [problem]})
        assert server.crumbs == []


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """First of the address, then of the body, in the order of the fields."""
    with Server() as server:
        told = ask(server, "POST", "/api/breadcrumb?wait=maybe", {"proc": {"status": "X"}})
        assert told.status == 422
        assert [problem["loc"] for problem in told.body["detail"]] == [
            ["query", "wait"],
            ["body", "project"],
            ["body", "project_version"],
            ["body", "proc", "status"],
        ]


def test_an_id_may_be_null() -> None:
    """So may the texts about a process."""
    with Server() as server:
        body = {**LEAST, "ctx": {"user_id": None}, "proc": {"error_desc": None}}
        assert ask(server, "POST", "/api/breadcrumb?wait=true", body).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {**LEAST, "project": "a/\0b"},
        {**LEAST, "project": "a/\ud800"},
        {**LEAST, "proc": {"error_desc": "\ud800"}},
    ],
    ids=["NUL in a name", "lone surrogate in a name", "lone surrogate elsewhere"],
)
def test_a_text_that_it_cannot_compare_or_write_breaks_it(body: object) -> None:
    """It answers 500, unsigned, and hangs up."""
    with Server() as server:
        told = ask(server, "POST", "/api/breadcrumb?wait=true", body)
        assert (told.status, told.body) == (500, "Internal Server Error")
        assert "X-Backend-Server" not in told.headers


@pytest.mark.parametrize("wait", ["", "?wait=true"])
def test_a_client_that_hangs_up_has_told_its_use(wait: str) -> None:
    """By REST all is stored that has arrived, whoever reads the answer (trap 9)."""
    body = json.dumps(LEAST).encode()
    head = f"POST /api/breadcrumb{wait} HTTP/1.1\r\nContent-Type: application/json\r\n"
    with Server() as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert len(server.await_crumbs(1, PATIENCE)) == 1


@pytest.mark.parametrize("name", ["application/vnd.api+json", "Application/JSON; charset=utf-8"])
def test_json_goes_by_several_names(name: str) -> None:
    """In any case."""
    with Server() as server:
        told = ask(server, "POST", "/api/breadcrumb", LEAST, **{"Content-Type": name})
        assert told.status == 202


@pytest.fixture
def used(tmp_path: Path) -> Iterator[Server]:
    """A server that knows of a session today, one nine days ago, and one fifty days ago."""
    path = str(tmp_path / "server.sqlite")
    with (
        Server(database=path, tokens=TOKENS, projects=["a/b", "c/d"]) as server,
        contextlib.closing(sqlite3.connect(path)) as database,
    ):
        for number, age in enumerate((50, 9, 0)):
            moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=age)
            database.execute(
                "INSERT INTO crumbs (project, version, language, language_version, status, is_ci,"
                " timestamp, session_id) VALUES ('a/b', ?, 'python', '3.12', 'C', 0, ?, ?)",
                (str(age), int(moment.timestamp()), str(uuid.UUID(int=number))),
            )
        database.commit()
        yield server


def read_ages(server: Server, query: str) -> list[str]:
    """Return the ages in days of the sessions that are counted."""
    told = ask(server, "GET", f"/api/usage/a/b{query}", Authorization="Bearer secret")
    assert told.status == 200
    assert all(session["count"] == 1 and session["status"] == "C" for session in told.body)
    return [session["version"] for session in told.body]


def test_sessions_are_counted_by_weeks(used: Server) -> None:
    """Without a number of them one is; today is among them."""
    assert read_ages(used, "") == ["0"]
    assert read_ages(used, "?weeks=1") == ["0"]
    assert read_ages(used, "?weeks=2") == ["9", "0"]
    assert read_ages(used, "?weeks=100") == ["50", "9", "0"]
    assert read_ages(used, "?weeks=0") == ["0"]
    assert read_ages(used, "?weeks=-1") == []


def test_the_calendar_bounds_the_weeks(used: Server) -> None:
    """More than it has are an error of the server's own, as of the hosted one's."""
    told = ask(used, "GET", f"/api/usage/a/b?weeks={10**9}", Authorization="Bearer secret")
    assert told.status == 500


def test_only_days_before_a_date_are_answered(used: Server) -> None:
    """The weeks are those before today all the same."""
    told = ask(used, "GET", "/api/usage/a/b?weeks=8", Authorization="Bearer secret")
    cut = told.body[1]["date"]
    assert read_ages(used, f"?weeks=8&since={cut}") == ["50"]
    assert read_ages(used, f"?weeks=6&since={cut}") == []


@pytest.mark.parametrize(
    ("path", "token", "status", "message"),
    [
        ("/api/usage/a/b", None, 401, "Missing or malformed Authorization header."),
        ("/api/usage/a/b", "Basic c2VjcmV0", 401, "Missing or malformed Authorization header."),
        ("/api/usage/a/b", "Bearer ", 401, "Missing or malformed Authorization header."),
        ("/api/usage/a/b", "Bearer wrong", 401, None),
        ("/api/usage/a/b", "Bearer other", 403, "Token does not have access to project a/b."),
        ("/api/usage/a/unknown", "Bearer secret", 403, None),
        ("/api/usage/x/y", "Bearer unknown", 404, "Project x/y not found."),
        ("/api/auth/projects", None, 401, "Missing or malformed Authorization header."),
        ("/api/auth/projects", "Bearer wrong", 401, None),
    ],
)
def test_a_token_reads_one_project(
    used: Server, path: str, token: str | None, status: int, message: str | None
) -> None:
    """And what nobody knows is not found."""
    headers = {} if token is None else {"Authorization": token}
    told = ask(used, "GET", path, **headers)
    assert told.status == status
    assert message in (None, told.body["detail"])


def test_a_token_says_what_it_reads(used: Server) -> None:
    """That is a list of one."""
    told = ask(used, "GET", "/api/auth/projects", Authorization="Bearer other")
    assert (told.status, told.body) == (200, {"projects": ["c/d"]})


@pytest.mark.parametrize("query", ["weeks=x", "weeks=", "weeks=1.5", "since=x", "since=2026-13-01"])
def test_what_is_no_number_or_date_is_refused(used: Server, query: str) -> None:
    """The answer says where it stands."""
    told = ask(used, "GET", f"/api/usage/a/b?{query}", Authorization="Bearer secret")
    assert told.status == 422
    name, _, value = query.partition("=")
    assert [(p["loc"], p["input"]) for p in told.body["detail"]] == [(["query", name], value)]
