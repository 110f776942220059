"""Faults of the local server look as the hosted server's own do, where it has them."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
from local_client import ADD, PLAIN, Told, ask, query
from support import PATIENCE, await_condition

from migas.testing import Fault, Server

RECORDINGS = json.loads((Path(__file__).parents[1] / "data" / "recordings.json").read_text())


def send(server: Server, count: int = 1) -> Told:
    """Send a request of several breadcrumbs."""
    fields = PLAIN[len("mutation{") : -1] % ""
    aliases = " ".join(f"a{index}:{fields}" for index in range(count))
    return ask(server, "POST", "/graphql", query(f"mutation{{{aliases}}}"))


OUTAGES = {
    "redis": ({"message"}, "Error 111 connecting to "),
    "full redis": ({"message"}, "Command # 1 (ZREMRANGEBYSCORE "),
    "read-only redis": ({"message"}, "Command # 1 (ZREMRANGEBYSCORE "),
    "postgresql": ({"message", "locations", "path"}, "[Errno 111] Connection refused"),
}


@pytest.mark.parametrize(("cause", "shape"), OUTAGES.items(), ids=OUTAGES)
def test_an_outage_is_answered_as_by_a_server_without_a_service(
    cause: str, shape: tuple[set[str], str]
) -> None:
    """Status 200, signed, no data, and an error of the shape and words that a real one has."""
    with Server() as server:
        server.inject([Fault.outage(cause)])
        status, headers, content = send(server, 2)
        assert (status, headers["X-Backend-Server"]) == (200, "migas@0.9")
        [error] = content.pop("errors")
        assert content == {"data": None}
        assert set(error) == shape[0]
        assert error["message"].startswith(shape[1])
        assert server.crumbs == []
        send(server, 2)
        assert len(server.crumbs) == 2


def test_an_error_has_the_shape_of_the_schemas_refusals() -> None:
    """That shape is `locations` and no `path`, signed, whatever the message says."""
    recorded = [
        entry["response"]["body"]
        for entry in RECORDINGS
        if entry["name"].startswith(("add_project/bad status", "add_breadcrumb/bad status"))
    ]
    with Server() as server:
        server.inject(Fault.error("Value 'X' does not exist"))
        status, headers, content = send(server)
        assert (status, headers["X-Backend-Server"]) == (200, "migas@0.9")
        for body in recorded:
            assert content.keys() == body.keys()
            assert content["errors"][0].keys() == body["errors"][0].keys()
            assert content["data"] is body["data"] is None
        assert content["errors"][0]["message"] == "Value 'X' does not exist"
        assert server.crumbs == []


@pytest.mark.parametrize("signed", [False, True])
def test_an_answer_is_signed_if_it_is_asked_for(signed: bool) -> None:
    """A proxy's answer bears no signature, the application's own does (trap 15)."""
    with Server() as server:
        server.inject([Fault.json({}, signed=signed), Fault.status(413, "{}", signed=signed)])
        for _ in range(2):
            _, headers, _ = send(server)
            assert ("X-Backend-Server" in headers) is signed


@pytest.mark.parametrize("fails", [False, True])
def test_a_look_up_takes_its_time(fails: bool) -> None:
    """Each `add_project` takes so long, whether its look-up fails or not (trap 3)."""
    with Server() as server:
        server.inject([Fault.look_up(fails=fails, seconds=0.2)])
        start = time.monotonic()
        told = ask(server, "POST", "/graphql", query(ADD % ""))
        assert time.monotonic() - start >= 0.2
        assert (told.body["data"] is None) is fails
        assert len(server.crumbs) == (not fails)


def test_each_add_project_looks_up() -> None:
    """Two in one request take twice as long; what stands between them looks nothing up."""
    fields = (ADD % "")[len("mutation{") : -1]
    plain = (PLAIN % "")[len("mutation{") : -1]
    with Server() as server:
        server.inject([Fault.look_up(fails=False, seconds=0.1)])
        start = time.monotonic()
        told = ask(
            server, "POST", "/graphql", query(f"mutation{{a:{fields} b:{plain} c:{fields}}}")
        )
        assert time.monotonic() - start >= 0.2
        assert [answer["success"] for answer in told.body["data"].values()] == [True] * 3


def test_add_breadcrumb_looks_nothing_up() -> None:
    """It is answered while the same look-up would hang longer than any client waits."""
    with Server() as server:
        server.inject(Fault.look_up(seconds=1e6))
        assert send(server).body["data"]["a0"]["success"]
        assert len(server.crumbs) == 1


def test_a_slow_look_up_ends_with_the_server() -> None:
    """Its thread does not outlive it, and nothing is stored."""
    server = Server()
    server.start()
    server.inject(Fault.look_up(fails=False, seconds=1e6))
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        body = json.dumps(query(ADD % "")).encode()
        head = "POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await_condition(lambda: bool(server.received))
        server.close()
        assert connection.recv(10_000) == b""
    assert server.crumbs == []
