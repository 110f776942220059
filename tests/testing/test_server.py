"""The local server, where the recordings say nothing of it."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, SlowServer, await_condition

from migas.testing import Server
from migas.testing.schema import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

ADD = (
    'mutation{add_project(p:{project:"a/b",project_version:"1",language:"python",'
    'language_version:"3.11"%s})}'
)


def post(server: Server, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    kind = {"Content-Type": "application/json"}
    connection.request("POST", path, body, {**kind, **headers})
    response = connection.getresponse()
    content = response.read().decode()
    location = response.headers["Location"]
    connection.close()
    return response.status, location or content


def query(text: str) -> bytes:
    return json.dumps({"query": text}).encode()


@pytest.mark.parametrize(
    ("path", "body", "status", "content"),
    [
        ("/", query("{get_projects}"), 405, '{"detail":"Method Not Allowed"}'),
        ("/nope", b"{}", 404, '{"detail":"Not Found"}'),
        ("//graphql", b"{}", 404, '{"detail":"Not Found"}'),
        ("/graphql", b"", 400, "Unable to parse request body as JSON"),
        ("/graphql", b"{", 400, "Unable to parse request body as JSON"),
        ("/graphql", b"{}", 400, "No GraphQL query found in the request"),
        ("/graphql", b'{"query": null}', 400, "No GraphQL query found in the request"),
        ("/graphql", b"[]", 400, "Batching is not enabled"),
        ("/graphql", query("{get_projects}"), 200, '{"data":{"get_projects":[]}}'),
    ],
)
def test_http_is_answered_as_the_hosted_server_does(
    path: str, body: bytes, status: int, content: str
) -> None:
    """The traps 7 and 8 of the contract."""
    with Server() as server:
        assert post(server, path, body) == (status, content)


def test_a_slash_too_many_is_a_redirect_and_another_type_is_refused() -> None:
    """The rest of trap 8, and of trap 7."""
    with Server() as server:
        assert post(server, "/graphql/", b"{}") == (307, server.endpoint)
        answer = post(server, "/graphql", query("{get_projects}"), **{"Content-Type": "text/plain"})
        assert answer == (400, "Unsupported content type")


@pytest.mark.parametrize(("path", "status"), [("/graphql", 405), ("/", 404)])
def test_there_is_nothing_to_get(path: str, status: int) -> None:
    """A browser is told so."""
    with Server() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", path)
        assert connection.getresponse().status == status
        connection.close()


def test_breadcrumbs_outlive_a_stop_and_a_file_outlives_the_server(tmp_path: Path) -> None:
    """In memory as long as the object, in a file for good; the port stays."""
    file = str(tmp_path / "crumbs.sqlite")
    server = Server(database=file)
    server.start()
    port = server.port
    post(server, "/graphql", query(ADD % ""))
    server.stop()
    server.stop()
    server.start()
    assert server.port == port
    post(server, "/graphql", query(ADD % ""))
    assert len(server.crumbs) == server.requests == 2
    server.close()
    with Server(database=file) as again:
        assert len(again.crumbs) == 2


def test_a_stopped_server_hangs_up() -> None:
    """Nobody goes on talking to a server that is down."""
    server = Server()
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"POST /graphql HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        answer = b""
        while not answer.endswith(b"Unsupported content type"):
            answer += connection.recv(10_000)
        server.stop()
        assert connection.recv(10_000) == b""
    server.close()


def test_what_cannot_be_stored_costs_what_comes_after_it() -> None:
    """The answer is a success all the same, and the connection ends (trap 1)."""
    with Server() as server:
        both = f"mutation{{a0:{(ADD % ',user_id:%s')[9:-1]} a1:{(ADD % '')[9:-1]}}}" % '"x"'
        status, content = post(server, "/graphql", query(both))
        assert status == 200
        assert content.count('"success":true') == 2
        assert server.crumbs == []


@pytest.mark.parametrize("way", ["stays", "closes", "resets"])
def test_what_a_client_hung_up_on_is_not_stored(way: str) -> None:
    """A connection that is closed before the answer takes its request with it (trap 9)."""
    body = query(ADD % "")
    head = f"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    request = f"{head}Content-Type: application/json\r\n\r\n".encode() + body
    with SlowServer() as server:
        client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        client.sendall(request)
        if way == "resets":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if way != "stays":
            await_condition(lambda: bool(server.received))
            client.close()
        server.goes_on.set()
        stored = server.answered.get(timeout=PATIENCE).stored
        client.close()
        assert stored is (way == "stays")
        assert len(server.crumbs) == stored


def test_waiting_for_a_breadcrumb_that_does_not_come_is_a_timeout() -> None:
    """A test says what it missed, instead of hanging."""
    with Server() as server, pytest.raises(TimeoutError, match="0 of 1"):
        server.await_crumbs(1, timeout=0.01)


def test_only_named_projects_are_registered_where_some_are_named() -> None:
    """Otherwise every owner/repo is; names are case-sensitive."""
    with Server(projects=["a/b"]) as server:
        body = server.answer("{get_projects}").body
        assert body == {"data": {"get_projects": ["a/b"]}}
        assert server.answer(ADD.replace("a/b", "A/b") % "").body == {
            "data": {"add_project": {"success": False}}
        }
    with Server() as server:
        server.answer(ADD % "")
        assert server.answer("{get_projects}").body == {"data": {"get_projects": ["a/b"]}}


def test_the_schema_is_the_hosted_servers() -> None:
    """Every field and argument that a client of ours uses, by its type."""
    fields = SCHEMA.mutation_type.fields if SCHEMA.mutation_type else {}
    assert {name: str(arg.type) for name, arg in fields["add_breadcrumb"].args.items()} == {
        "project": "String!",
        "project_version": "String!",
        "language": "String!",
        "language_version": "String!",
        "ctx": "ContextInput!",
        "proc": "ProcessInput!",
    }
