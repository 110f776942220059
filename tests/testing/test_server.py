"""The local server, where the recordings say nothing of it."""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from local_client import ADD, ask, query
from support import PATIENCE, SlowServer, await_condition

from migas.testing import Server

if TYPE_CHECKING:
    from pathlib import Path

    from migas.testing.server import Answer

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"


def test_breadcrumbs_outlive_a_stop_and_a_file_outlives_the_server(tmp_path: Path) -> None:
    """In memory as long as the object, in a file for good; the port stays."""
    file = str(tmp_path / "crumbs.sqlite")
    server = Server(database=file)
    server.start()
    port = server.port
    ask(server, "POST", "/graphql", query(ADD % ""))
    server.stop()
    server.stop()
    server.start()
    assert server.port == port
    ask(server, "POST", "/graphql", query(ADD % ""))
    assert len(server.crumbs) == server.requests == 2
    server.close()
    with Server(database=file) as again:
        assert len(again.crumbs) == 2


def test_what_arrived_can_be_read_after_the_end() -> None:
    """A test may look at it outside of the `with` block."""
    with Server() as server:
        ask(server, "POST", "/graphql", query(ADD % ',user_id:"%s"' % UUID))
    assert [crumb["project"] for crumb in server.crumbs] == ["a/b"]
    assert [user["user_id"] for user in server.users] == [UUID]
    assert server.await_crumbs(1) == server.crumbs
    server.close()
    assert len(server.crumbs) == 1


@pytest.mark.parametrize(("geolocation", "header"), [(False, "false"), (True, "true")])
def test_a_server_says_if_it_derives_places(geolocation: bool, header: str) -> None:
    """By a header of each answer, an error's as well; an old server signs nothing (trap 20)."""
    with Server(geolocation=geolocation) as server:
        for path in ("/", "/graphql", "/nope", "/api/usage/a/b"):
            assert ask(server, "GET", path).headers["X-Backend-Geolocation"] == header
    with Server(old=True, geolocation=geolocation) as server:
        told = ask(server, "POST", "/graphql", query(ADD % ""))
        assert told.body["data"]["add_project"]["success"]
        assert not [name for name in told.headers if name.startswith("X-")]


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
        told = ask(server, "POST", "/graphql", query(both))
        assert told.status == 200
        assert [answer["success"] for answer in told.body["data"].values()] == [True, True]
        assert server.crumbs == []


@pytest.mark.parametrize("way", ["stays", "closes", "resets"])
def test_what_a_client_hung_up_on_is_not_stored(way: str) -> None:
    """A connection that is closed before the answer takes its request with it (trap 9)."""
    body = json.dumps(query(ADD % "")).encode()
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


class StoppingServer(Server):
    """A server that begins to stop while it answers."""

    def answer(self, *args: Any, **kwargs: Any) -> Answer:
        """Answer as a server does whose connections have yet to be closed."""
        assert self._http is not None
        self._http.stopped.set()
        return super().answer(*args, **kwargs)


def test_what_is_answered_during_a_stop_is_not_stored() -> None:
    """Nobody gets that answer: the server's end hangs up."""
    with StoppingServer() as server:
        ask(server, "POST", "/graphql", query(ADD % ""))
        assert server.crumbs == []


def test_waiting_for_a_breadcrumb_that_does_not_come_is_a_timeout() -> None:
    """A test says what it missed, instead of hanging."""
    with Server() as server, pytest.raises(TimeoutError, match="0 of 1"):
        server.await_crumbs(1, timeout=0.01)
