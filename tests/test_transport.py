"""Every answer and every failure of a real connection becomes a reply."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from conftest import NOWHERE, PATIENCE, http_answer

from migas.outcome import Outcome
from migas.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Weather

    from migas.testing import Server

BODY = b'{"query": "{get_projects}"}'
GOOD = http_answer("200 OK", '{"data": {"get_projects": []}}', "Content-Type: application/json")


def test_an_answer_of_the_server_is_read(server: Server) -> None:
    """A GraphQL answer is one, whatever it says."""
    reply = Transport(server.endpoint, "test").send(BODY, PATIENCE)
    assert reply.outcome is Outcome.DELIVERED
    assert reply.answer == {"data": {"get_projects": []}}


UNSENT = {
    "429": http_answer("429 Too Many Requests", '{"data": null, "errors": []}'),
    "408": http_answer("408 Request Timeout", ""),
    "500": http_answer("500 Internal Server Error", "Internal Server Error"),
    "503": http_answer("503 Service Unavailable", "<html>", "Retry-After: 30"),
    "a login page": http_answer("200 OK", "<html>Log in</html>"),
    "other JSON": http_answer("200 OK", '{"status": "ok"}'),
    "a JSON list": http_answer("200 OK", "[1]"),
    "no text": http_answer("200 OK", b"\xff\xfe\x00"),
    "an endless page": http_answer("200 OK", b"x" * 100_000),
    "302": http_answer("302 Found", "", f"Location: {NOWHERE}"),
    "307": http_answer("307 Temporary Redirect", "", f"Location: {NOWHERE}"),
    "404": http_answer("404 Not Found", "", "X-Backend-Server: migas@0.9"),
    "403 of a proxy": http_answer("403 Forbidden", "no"),
    "400 of a proxy": http_answer("400 Bad Request", "no"),
}


@pytest.mark.parametrize("answer", UNSENT.values(), ids=UNSENT)
def test_what_may_work_later_is_unsent(weather: Callable[..., Weather], answer: bytes) -> None:
    """A server that is busy, and one that is no migas server, have not got it; none is followed."""
    server = weather(answer)
    reply = Transport(server.endpoint, "test").send(BODY, PATIENCE)
    assert (reply.outcome, reply.too_large) == (Outcome.UNSENT, False)
    assert reply.reason
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable Entity"])
def test_what_the_application_itself_refuses_is_refused(
    weather: Callable[..., Weather], status: str
) -> None:
    """Permanent failures are not tried for ever (pain 21)."""
    server = weather(http_answer(status, "no", "X-Backend-Server: migas@0.9"))
    assert Transport(server.endpoint, "test").send(BODY, PATIENCE).outcome is Outcome.REFUSED


def test_a_request_that_is_too_large_says_so(server: Server) -> None:
    """The caller can split it."""
    body = json.dumps({"query": "{get_projects}", "x": "x" * 2500}).encode()
    reply = Transport(server.endpoint, "test").send(body, PATIENCE)
    assert (reply.outcome, reply.too_large) == (Outcome.REFUSED, True)


DEMANDS = {
    "429": ((), 60.0),
    "429 for long": (("Retry-After: 300",), 300.0),
    "429 until 2100": (("Retry-After: Fri, 01 Jan 2100 00:00:00 GMT",), 2_000_000_000.0),
    "429 until 2000": (("Retry-After: Sat, 01 Jan 2000 00:00:00 GMT",), 0.0),
    "429 for nonsense": (("Retry-After: soon",), 60.0),
    "503": ((), None),
    "503 for a while": (("Retry-After: 30",), 30.0),
}


@pytest.mark.parametrize("case", DEMANDS)
def test_a_servers_demand_is_read_in_both_its_forms(
    weather: Callable[..., Weather], case: str
) -> None:
    """Seconds or a date; a 429 without one means a minute (trap 6)."""
    headers, demand = DEMANDS[case]
    server = weather(http_answer(f"{case[:3]} Busy", "", *headers))
    reply = Transport(server.endpoint, "test").send(BODY, PATIENCE)
    assert reply.outcome is Outcome.UNSENT
    if demand is not None and demand > 1e9:
        assert reply.demand is not None
        assert demand < reply.demand < 2 * demand
    else:
        assert reply.demand == demand


UNKNOWN = {
    "hung up": b"",
    "half an answer": GOOD[:-5],
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("answer", UNKNOWN.values(), ids=UNKNOWN)
def test_without_an_answer_to_the_whole_request_nobody_knows(
    weather: Callable[..., Weather], answer: bytes
) -> None:
    """It went out whole, so the server may have stored it."""
    server = weather(answer)
    assert Transport(server.endpoint, "test").send(BODY, PATIENCE).outcome is Outcome.UNKNOWN


def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_asked(
    weather: Callable[..., Weather],
) -> None:
    """The server is still silent when the caller has its reply."""
    server = weather()
    assert Transport(server.endpoint, "test").send(BODY, 0.05).outcome is Outcome.UNKNOWN
    assert not server.released.is_set()


def test_an_answer_that_drips_is_given_up(weather: Callable[..., Weather]) -> None:
    """Each byte comes in time, and all of them together do not."""
    server = weather(GOOD)
    ticks = iter([0.0, 0.0, 100.0, 100.0])
    transport = Transport(server.endpoint, "test", clock=lambda: next(ticks))
    reply = transport.send(BODY, 5.0)
    assert (reply.outcome, reply.reason) == (
        Outcome.UNKNOWN,
        "the server's answer took too long",
    )


@pytest.mark.parametrize(
    "endpoint",
    [NOWHERE, "http://[::1]:9/graphql", "http://\x7f/graphql", "http://127.0.0.1:99999/graphql"],
)
def test_what_reaches_nobody_is_unsent(endpoint: str) -> None:
    """Refused, unreachable, or no address at all."""
    assert Transport(endpoint, "test").send(BODY, PATIENCE).outcome is Outcome.UNSENT


def test_a_tls_failure_is_unsent(weather: Callable[..., Weather]) -> None:
    """Nothing goes out before the server has shown who it is."""
    server = weather(b"no TLS here", reads=False)
    endpoint = server.endpoint.replace("http:", "https:")
    assert Transport(endpoint, "test").send(BODY, PATIENCE).outcome is Outcome.UNSENT


def test_a_name_that_nobody_knows_is_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's refusal, as an offline machine gives it."""

    def look_up(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    reply = Transport("http://migas.invalid/graphql", "test").send(BODY, PATIENCE)
    assert reply.outcome is Outcome.UNSENT


def test_a_proxy_that_is_not_there_is_unsent(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Proxies of the environment are used, and their failure is none of the host's."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert Transport(server.endpoint, "test").send(BODY, PATIENCE).outcome is Outcome.UNSENT
    assert server.requests == 0


def test_netrc_is_not_read_and_no_cookie_is_kept(
    weather: Callable[..., Weather], home: Path
) -> None:
    """No password of the user's leaves the machine, and no captive portal is remembered."""
    (home / ".netrc").write_text("default login user password secret\n")
    server = weather(http_answer("200 OK", "<html>", "Set-Cookie: portal=1"))
    transport = Transport(server.endpoint, "migas-py/test")
    for _ in range(2):
        transport.send(BODY, PATIENCE)
    for request in server.requests:
        assert b"Authorization" not in request
        assert b"Cookie" not in request
        assert b"User-Agent: migas-py/test" in request
    assert len(server.requests) == 2


def test_a_connection_is_used_again_but_not_after_it_was_idle(server: Server) -> None:
    """The server closes idle connections after 5 s; a request on one that is closing is lost."""
    now = 0.0
    transport = Transport(server.endpoint, "test", clock=lambda: now)
    connects: list[object] = []
    connect = socket.socket.connect

    def count_connect(self: socket.socket, address: Any) -> None:
        connects.append(address)
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", count_connect)
        for now, count in ((0.0, 1), (2.9, 1), (6.0, 2)):  # noqa: B007 (the clock reads it)
            assert transport.send(BODY, PATIENCE).outcome is Outcome.DELIVERED
            assert len(connects) == count
    transport.close()
