"""Every answer and every failure of a real connection becomes a reply."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
import trustme
from support import NOWHERE, PATIENCE

from migas._delivery.parcel import Outcome
from migas._delivery.transport import Transport
from migas._runtime.version import __version__
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b'{"query": "{get_projects}"}'


def send(server: Server, timeout: float = PATIENCE) -> Outcome:
    return Transport(server.endpoint).send(BODY, timeout).outcome


def test_an_answer_of_the_server_is_read(server: Server) -> None:
    """A GraphQL answer is one, whatever it says."""
    reply = Transport(server.endpoint).send(BODY, PATIENCE)
    assert reply.outcome is Outcome.DELIVERED
    assert reply.answer == {"data": {"get_projects": []}}


UNSENT = {
    "other JSON": Fault.json({"status": "ok"}),
    "a JSON list": Fault.json([1]),
    "no text": Fault.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff\xfe\x00"),
    "an endless page": Fault.endless(),
    "another host": Fault.redirect("http://elsewhere.invalid/graphql", 307),
    "another port": Fault.redirect(NOWHERE, 308),
    "no address": Fault.redirect("http://127.0.0.1:x/graphql", 307),
    "a change of the method": Fault.redirect("/graphql", 303),
}


@pytest.mark.parametrize("fault", UNSENT.values(), ids=UNSENT)
def test_what_no_migas_server_says_is_unsent(server: Server, fault: Fault) -> None:
    """It has not got the breadcrumb, and is not followed anywhere."""
    server.inject(fault)
    reply = Transport(server.endpoint).send(BODY, PATIENCE)
    assert (reply.outcome, reply.too_large) == (Outcome.UNSENT, False)
    assert "no migas server's" in reply.reason
    assert server.requests == 1


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_server_is_followed(server: Server, status: int) -> None:
    """The request is made again, as it was."""
    server.inject([Fault.redirect("/graphql?moved", status), Fault.redirect("/graphql", status)])
    assert send(server) is Outcome.DELIVERED
    assert [(request.path, request.body) for request in server.received] == [
        ("/graphql", BODY),
        ("/graphql?moved", BODY),
        ("/graphql", BODY),
    ]


def test_a_redirect_to_itself_is_not_followed_for_ever(server: Server) -> None:
    """Three times, and then it is no migas server's answer."""
    server.inject(Fault.redirect("/graphql", 307))
    assert send(server) is Outcome.UNSENT
    assert server.requests == 4


def test_a_request_that_is_too_large_says_so(server: Server) -> None:
    """The caller can split it."""
    body = json.dumps({"query": "{get_projects}", "x": "x" * 2500}).encode()
    reply = Transport(server.endpoint).send(body, PATIENCE)
    assert (reply.outcome, reply.too_large) == (Outcome.REFUSED, True)


UNKNOWN = {
    "hung up": Fault(),
    "reset": Fault.reset(),
    "half an answer": Fault.truncate(),
    "half a head": Fault.raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "no HTTP": Fault.raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
}


@pytest.mark.parametrize("fault", UNKNOWN.values(), ids=UNKNOWN)
def test_without_an_answer_to_the_whole_request_nobody_knows(server: Server, fault: Fault) -> None:
    """It went out whole, so the server may have stored it."""
    server.inject(fault)
    assert send(server) is Outcome.UNKNOWN
    assert server.requests == 1


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_asked(
    server: Server, reads: bool
) -> None:
    """The server is still silent when the caller has its reply."""
    server.inject(Fault.hang(reads=reads))
    assert send(server, 0.5) is Outcome.UNKNOWN


def test_an_answer_that_drips_is_given_up(server: Server) -> None:
    """Each byte comes in time, and all of them together would take an hour."""
    server.inject(Fault.drip(0.05))
    assert send(server, 1.0) is Outcome.UNKNOWN


def test_a_body_that_drips_is_given_up(server: Server) -> None:
    """The head came at once, and would have been a good answer's."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"
    server.inject(Fault(lambda _good: (head, *[b"x"] * 60000), delay=0.05))
    assert send(server, 1.0) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "endpoint",
    [NOWHERE, "http://[::1]:9/graphql", "http://\x7f/graphql", "http://127.0.0.1:99999/graphql"],
)
def test_what_reaches_nobody_is_unsent(endpoint: str) -> None:
    """Refused, unreachable, or no address at all; and nothing begins to leave."""
    left: list[bool] = []
    reply = Transport(endpoint).send(BODY, PATIENCE, lambda: left.append(True))
    assert (reply.outcome, left) == (Outcome.UNSENT, [])


def test_a_name_that_nobody_knows_is_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's refusal, as an offline machine gives it."""

    def look_up(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    reply = Transport("http://migas.invalid/graphql").send(BODY, PATIENCE)
    assert reply.outcome is Outcome.UNSENT


def test_who_forbids_the_first_byte_to_leave_stops_the_request(server: Server) -> None:
    """What the server has read by then is no request, and it does nothing."""

    def forbid() -> None:
        raise FileNotFoundError

    reply = Transport(server.endpoint).send(BODY, PATIENCE, forbid)
    assert reply.outcome is Outcome.UNSENT
    assert not server.received


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """A certificate authority whose certificate lies in `authority.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return authority


@pytest.fixture
def secure_server(authority: trustme.CA) -> Iterator[Server]:
    """A local server that speaks HTTPS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Server(tls=context) as server:
        yield server


def test_a_server_that_cannot_show_who_it_is_gets_nothing(secure_server: Server) -> None:
    """Its certificate is signed by nobody whom this machine knows."""
    left: list[bool] = []
    transport = Transport(secure_server.endpoint)
    reply = transport.send(BODY, PATIENCE, lambda: left.append(True))
    assert (reply.outcome, left) == (Outcome.UNSENT, [])
    assert not secure_server.received


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environments_authorities_are_trusted(
    secure_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """As in an institution that has its own."""
    monkeypatch.setenv(variable, str(tmp_path / "authority.pem"))
    assert send(secure_server) is Outcome.DELIVERED


def test_a_server_without_tls_gets_nothing(server: Server) -> None:
    """Nothing goes out before the server has shown who it is."""
    endpoint = server.endpoint.replace("http:", "https:")
    assert Transport(endpoint).send(BODY, PATIENCE).outcome is Outcome.UNSENT
    assert not server.received


def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is the proxy's to look up."""
    monkeypatch.setenv("HTTP_PROXY", server.endpoint.removesuffix("/graphql"))
    reply = Transport("http://migas.invalid/graphql").send(BODY, PATIENCE)
    assert reply.outcome is Outcome.DELIVERED


@pytest.mark.parametrize("proxy", ["gone", "bad gateway", "drips"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_fails_is_unsent(
    monkeypatch: pytest.MonkeyPatch, server: Server, proxy: str, scheme: str
) -> None:
    """Nothing has reached the server, and the proxy's words are not the server's."""
    monkeypatch.setenv(f"{scheme}_proxy", server.endpoint.removesuffix("/graphql"))
    fault = Fault.drip(0.05) if proxy == "drips" else Fault.status(502)
    server.inject(fault)
    if proxy == "gone":
        server.stop()
    timeout = 1.0 if proxy == "drips" else PATIENCE
    reply = Transport(f"{scheme}://migas.invalid/graphql").send(BODY, timeout)
    # A plain request goes to the proxy itself, and who passes it on nobody knows.
    silent = proxy == "drips" and scheme == "http"
    assert reply.outcome is (Outcome.UNKNOWN if silent else Outcome.UNSENT)


def test_netrc_is_not_read_and_no_cookie_is_kept(server: Server, home: Path) -> None:
    """No password of the user's leaves the machine, and no captive portal is remembered."""
    (home / ".netrc").write_text("default login user password secret\n")
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: portal=1\r\nContent-Length: 6"
    server.inject(Fault.raw(head + b"\r\n\r\n<html>"))
    transport = Transport(server.endpoint)
    for _ in range(2):
        transport.send(BODY, PATIENCE)
    assert len(server.received) == 2
    for request in server.received:
        assert not {"authorization", "cookie"} & set(request.headers)
        assert request.headers["user-agent"] == f"migas-py/{__version__}"


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every connection that this process makes."""
    connects: list[object] = []
    connect = socket.socket.connect

    def count_connect(self: socket.socket, address: tuple[str, int]) -> None:
        connects.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", count_connect)
    return connects


def test_a_connection_is_used_again_until_it_is_closed(
    server: Server, connects: list[object]
) -> None:
    """Requests that follow one another share it; closed, the transport opens another."""
    transport = Transport(server.endpoint)
    for closes, count in ((False, 1), (True, 1), (True, 2)):
        assert transport.send(BODY, PATIENCE).outcome is Outcome.DELIVERED
        assert len(connects) == count
        if closes:
            transport.close()


class Closer:
    """A server that answers the first request well, and hangs up on the next of a connection."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}/graphql"
        self.hung_up = threading.Event()
        self.requests = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._read_request(connection)
            body = b'{"data": {}}'
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            if not self._at_once:
                self._read_request(connection)
            connection.close()
            self.hung_up.set()

    def _read_request(self, connection: socket.socket) -> None:
        data = b""
        while not data.endswith(BODY):
            data += connection.recv(65536)
        self.requests += 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def test_a_connection_that_was_closed_meanwhile_is_not_used() -> None:
    """It is seen before anything goes out on it."""
    server = Closer(at_once=True)
    transport = Transport(server.endpoint)
    for _ in range(2):
        server.hung_up.clear()
        assert transport.send(BODY, PATIENCE).outcome is Outcome.DELIVERED
        assert server.hung_up.wait(PATIENCE)
    assert server.requests == 2
    server.close()


def test_a_connection_that_is_closed_under_a_request_is_called_stale() -> None:
    """Whether the server read it nobody knows; another connection may do at once."""
    server = Closer(at_once=False)
    transport = Transport(server.endpoint)
    replies = [transport.send(BODY, PATIENCE) for _ in range(3)]
    assert [(reply.outcome, reply.stale) for reply in replies] == [
        (Outcome.DELIVERED, False),
        (Outcome.UNKNOWN, True),
        (Outcome.DELIVERED, False),
    ]
    server.close()
