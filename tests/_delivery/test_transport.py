"""Every answer and every failure of a real connection becomes a reply."""

from __future__ import annotations

import base64
import contextlib
import datetime
import errno
import gc
import importlib.util
import json
import socket
import ssl
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING

import pytest
from support import NOWHERE, PATIENCE
from wire import BODY, Connection, Wire, post, say, write

from migas._delivery.parcel import Outcome, Reply
from migas._delivery.transport import Transport
from migas._runtime.log import _HostsOnly
from migas._runtime.version import __version__
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import trustme


def send(server: Server, timeout: float = PATIENCE) -> Outcome:
    return post(server.endpoint, timeout).outcome


def test_an_answer_of_the_server_is_read(server: Server) -> None:
    """A GraphQL answer is one, whatever it says."""
    reply = post(server.endpoint)
    assert reply == Reply(
        Outcome.DELIVERED, answer={"data": {"get_projects": []}}, signed=True, derives_place=False
    )


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


UNSENT = {
    "other JSON": Fault.json({"status": "ok"}),
    "a JSON list": Fault.json([1]),
    "no text": Fault.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff\xfe\x00"),
    "a login page": Fault.page(),
    "an endless page": Fault(lambda _good: (b"HTTP/1.1 200 OK\r\n\r\n", *[b"<p>" * 999] * 99)),
    "half a page": Fault.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n<html>"),
    "another's error": Fault.status(200, '{"errors": [{"message": "no route"}]}'),
    "a proxy's 400": Fault.status(400),
    "a proxy's 413": Fault.status(413),
    "a change of the method": Fault.redirect("/graphql", 303),
}


@pytest.mark.parametrize("fault", UNSENT.values(), ids=UNSENT)
def test_what_no_migas_server_says_is_unsent(server: Server, fault: Fault) -> None:
    """It has not got the breadcrumb, and is not followed anywhere."""
    server.inject(fault)
    reply = post(server.endpoint)
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


SAME = [
    "http://127.0.0.1:{port}/graphql",
    "HTTP://127.0.0.1:{port}/graphql#part",
    "//127.0.0.1:{port}/graphql",
    "graphql",
    "?again",
    "../x/../graphql",
]
ELSEWHERE = {
    "another host": "http://elsewhere.invalid/graphql",
    "another host without a scheme": "//elsewhere.invalid/graphql",
    "another port": NOWHERE,
    "no port": "http://127.0.0.1/graphql",
    "another scheme": "https://127.0.0.1:{port}/graphql",
    "no scheme of the web": "ftp://127.0.0.1:{port}/graphql",
    "another name of the same host": "http://localhost:{port}/graphql",
    "another form of the same host": "http://127.1:{port}/graphql",
    "a dot more": "http://127.0.0.1.:{port}/graphql",
    "a user": "http://user@127.0.0.1:{port}/graphql",
    "a user and a password": "http://user:secret@127.0.0.1:{port}/graphql",
    "an empty user": "http://@127.0.0.1:{port}/graphql",
    "this host as a user": "http://127.0.0.1:{port}@elsewhere.invalid/graphql",
    "two readings": "http://elsewhere.invalid:1\\@127.0.0.1:{port}/graphql",
    "two readings the other way": "http://127.0.0.1:{port}\\@elsewhere.invalid/graphql",
    "a backslash in the path": "/\\elsewhere.invalid/graphql",
    "a tab in the host": "http://127.0.0.1\t.elsewhere.invalid:{port}/graphql",
    "a tab before it": "/\t/elsewhere.invalid/graphql",
    "a control character": "/graphql\x01",
    "a space": "/graph ql",
    "a letter beyond ASCII": "/gr\xe4phql",
    "no address": "http://127.0.0.1:x/graphql",
    "half an address": "http://[::1/graphql",
    "a port of 5,000 digits": "http://127.0.0.1:" + "1" * 5000 + "/graphql",
    "nothing": "",
}


@pytest.mark.parametrize("location", SAME)
def test_a_redirect_to_the_same_origin_is_followed(server: Server, location: str) -> None:
    """However it is written."""
    server.inject([Fault.redirect(location.format(port=server.port), 307), Fault.status(503)])
    reply = post(server.endpoint)
    assert (reply.reason, server.requests) == ("the server answered 503", 2)


@pytest.mark.parametrize("location", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_redirect_elsewhere_is_not_followed(
    server: Server, connects: list[object], location: str
) -> None:
    """Nobody else gets the request, and no other way is taken to the same."""
    location = location.format(port=server.port)
    head = f"HTTP/1.1 307 Moved\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n"
    server.inject(Fault.raw(head.encode("latin-1")))
    reply = post(server.endpoint)
    assert reply == Reply(Outcome.UNSENT, "the answer was no migas server's (307)")
    assert (server.requests, connects) == (1, [("127.0.0.1", server.port)])


def test_nothing_is_left_of_a_session_that_is_closed(server: Server) -> None:
    """eventlet, patching later, prints how many locks it cannot replace: the session has three."""
    transport = Transport(server.endpoint)
    transport.send(BODY, PATIENCE)
    session = weakref.ref(transport._session)
    transport.close()
    gc.collect()
    assert session() is None


def test_a_redirect_to_itself_is_not_followed_for_ever(server: Server) -> None:
    """Three times, and then it is no migas server's answer."""
    server.inject(Fault.redirect("/graphql", 307))
    assert send(server) is Outcome.UNSENT
    assert server.requests == 4


def test_a_request_that_is_too_large_says_so(server: Server) -> None:
    """The caller can split it."""
    body = json.dumps({"query": "{get_projects}", "x": "x" * 2500}).encode()
    reply = post(server.endpoint, body=body)
    assert (reply.outcome, reply.too_large, reply.signed) == (Outcome.REFUSED, True, True)


UNKNOWN = {
    "hung up": Fault(),
    "reset": Fault.reset(),
    "half an answer": Fault.truncate(),
    "half a head": Fault.raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "no HTTP": Fault.raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "no content": Fault.raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "an endless answer": Fault.endless(),
    "brackets": Fault.status(200, "[" * 60_000),
    "a script after the answer": Fault(lambda good: (good + b"<script></script>",)),
}


@pytest.mark.parametrize("fault", UNKNOWN.values(), ids=UNKNOWN)
def test_without_an_answer_to_the_whole_request_nobody_knows(server: Server, fault: Fault) -> None:
    """It went out whole, so the server may have stored it."""
    server.inject(fault)
    assert send(server) is Outcome.UNKNOWN
    assert server.requests == 1


def test_a_reset_may_come_before_the_last_byte_has_left(server: Server) -> None:
    """Then the server has not got it; which of the two is faster nobody can say."""
    server.inject(Fault.reset(reads=False))
    reply = post(server.endpoint)
    assert (reply.outcome in (Outcome.UNSENT, Outcome.UNKNOWN), reply.reason) == (
        True,
        "the server hung up",
    )


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
    ("endpoint", "reason"),
    [
        (NOWHERE, "the server refused the connection"),
        ("http://[::1]:9/graphql", "the server refused the connection"),
        ("http://127.0.0.1:99999/graphql", "no such address can be"),
        ("http:///graphql", "no such address can be"),
        ("http://[::1/graphql", "no such address can be"),
        ("", "no such address can be"),
    ],
)
def test_what_reaches_nobody_is_unsent(endpoint: str, reason: str) -> None:
    """Refused, or no address at all; and nothing begins to leave."""
    left: list[bool] = []
    reply = post(endpoint, PATIENCE, lambda: left.append(True))
    assert (reply, left) == (Reply(Outcome.UNSENT, reason), [])


def test_a_name_that_nobody_knows_is_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's refusal, as an offline machine gives it."""

    def look_up(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    reply = post("http://migas.invalid/graphql")
    assert reply == Reply(Outcome.UNSENT, "the server's name is not known")


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(),
        BrokenPipeError(errno.EPIPE, "a pipe of the caller's"),
        ConnectionResetError(errno.ECONNRESET, "a connection of the caller's"),
        TimeoutError(),
        MemoryError(),
        RecursionError(),
        StopIteration(),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no pair"),
        Exception(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_who_forbids_the_first_byte_to_leave_stops_the_request(
    server: Server, error: Exception
) -> None:
    """What the server has read by then is no request, and it does nothing."""

    def forbid() -> None:
        raise error

    transport = Transport(server.endpoint)
    for _ in range(2):
        reply = transport.send(BODY, PATIENCE, forbid)
        words = "the request was stopped before it left"
        assert reply == Reply(Outcome.UNSENT, words)
        assert transport.send(BODY, PATIENCE).outcome is Outcome.DELIVERED
    transport.close()
    assert len(server.received) == 2


@pytest.mark.parametrize(
    "error", [MemoryError, RecursionError, UnicodeError, KeyError, AssertionError, SystemError]
)
def test_whatever_is_raised_becomes_a_reply(
    server: Server, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """By a broken library, or for lack of memory: UNSENT before the last byte, UNKNOWN after it."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(socket, "getaddrinfo", fail)
        assert post(server.endpoint).outcome is Outcome.UNSENT
    transport = Transport(server.endpoint)
    for place, outcome in (
        ("migas._delivery.connection._Stream.readinto", Outcome.UNKNOWN),
        ("migas._delivery.connection._Response.begin", Outcome.UNKNOWN),
        ("urllib3.response.HTTPResponse.stream", Outcome.UNKNOWN),
        ("requests.models.PreparedRequest.prepare", Outcome.UNSENT),
    ):
        with monkeypatch.context() as broken:
            broken.setattr(place, fail)
            reply = transport.send(BODY, PATIENCE)
        assert (reply.outcome, bool(reply.reason)) == (outcome, True)
    assert transport.send(BODY, PATIENCE).outcome is Outcome.DELIVERED
    transport.close()


def test_an_interruption_passes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the host's, and not ours to keep."""

    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    transport = Transport(server.endpoint)
    with pytest.raises(KeyboardInterrupt):
        transport.send(BODY, PATIENCE, interrupt)
    with monkeypatch.context() as broken:
        broken.setattr("migas._delivery.connection._Stream.readinto", interrupt)
        with pytest.raises(KeyboardInterrupt):
            transport.send(BODY, PATIENCE)
    assert transport.send(BODY, PATIENCE).outcome is Outcome.DELIVERED
    transport.close()


def test_a_request_whose_end_has_not_left_is_unsent() -> None:
    """The server reads no more than its head, says nothing, and its system takes no more."""
    goes_on = threading.Event()

    def serve(_connection: Connection) -> None:
        assert goes_on.wait(PATIENCE)

    with Wire(serve) as server:
        reply = post(server.endpoint, 1.0, body=b"x" * 50_000_000)
        goes_on.set()
    assert (reply.outcome, reply.reason) == (
        Outcome.UNSENT,
        "the server was not reached in time",
    )


@pytest.mark.parametrize("status", [b"200 OK", b"413 Large", b"400 Bad"])
def test_an_answer_to_a_part_of_a_request_counts_for_nothing(status: bytes) -> None:
    """The application has not seen the whole, so it cannot mean it."""

    def serve(connection: Connection) -> None:
        connection.sock.recv(1000)
        connection.send(write(status=status))
        connection.sock.shutdown(socket.SHUT_WR)
        connection.sock.recv(1000)

    with Wire(serve) as server:
        reply = post(server.endpoint, PATIENCE, body=b"x" * 50_000_000)
    assert reply.outcome is Outcome.UNSENT


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """A certificate authority whose certificate lies in `authority.pem`."""
    authority: trustme.CA = pytest.importorskip("trustme", exc_type=ImportError).CA()
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
    reply = post(secure_server.endpoint, PATIENCE, lambda: left.append(True))
    assert reply == Reply(Outcome.UNSENT, "the server's certificate is not trusted")
    assert not left
    assert not secure_server.received


CERTIFICATES = {
    "expired": ("127.0.0.1", -9, -2, "the server's certificate has expired"),
    "early": ("127.0.0.1", 2, 9, "the server's certificate is not valid yet"),
    "another address": ("127.0.0.9", -9, 9, "the server's certificate is for another "),
    "a name": ("migas.example", -9, 9, "the server's certificate is for another "),
}


@pytest.mark.parametrize("certificate", CERTIFICATES)
def test_a_certificate_that_is_no_good_is_named(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: str
) -> None:
    """It is signed by somebody whom this machine trusts, and yet it does not hold."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    name, begin, end, words = CERTIFICATES[certificate]
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    issued = authority.issue_cert(name, not_before=now + begin * day, not_after=now + end * day)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    with Server(tls=context) as server:
        reply = post(server.endpoint)
        assert reply.outcome is Outcome.UNSENT
        assert reply.reason.startswith(words)
        assert not server.received


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environments_authorities_are_trusted(
    secure_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """As in an institution that has its own."""
    monkeypatch.setenv(variable, str(tmp_path / "authority.pem"))
    assert send(secure_server) is Outcome.DELIVERED


def test_a_server_that_wants_a_certificate_gets_nothing(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS 1.3 the request has left whole when the client hears of that."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode, context.minimum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_3
    left: list[bool] = []

    def serve(connection: Connection) -> None:
        received, answered = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(received, answered, server_side=True)
        while data := connection.sock.recv(65536):
            # The handshake's second part, too: from then on the client only reads.
            received.write(data)
            with contextlib.suppress(ssl.SSLError):
                tls.do_handshake()
            connection.sock.sendall(answered.read())

    with Wire(serve) as server:
        endpoint = server.endpoint.replace("http:", "https:")
        reply = post(endpoint, PATIENCE, lambda: left.append(True))
    assert left
    assert reply == Reply(Outcome.UNSENT, "the server wants a certificate from its clients")


def test_a_server_without_tls_gets_nothing(server: Server) -> None:
    """Nothing goes out before the server has shown who it is."""
    endpoint = server.endpoint.replace("http:", "https:")
    reply = post(endpoint)
    assert reply == Reply(Outcome.UNSENT, "no secure connection could be made")
    assert not server.received


def test_a_server_that_is_silent_on_tls_is_given_up() -> None:
    """The time to connect is over; nothing has left."""
    over = threading.Event()

    def serve(_connection: Connection) -> None:
        assert over.wait(PATIENCE)

    with Wire(serve) as server:
        reply = post(server.endpoint.replace("http:", "https:"), 0.5)
        over.set()
    assert reply == Reply(Outcome.UNSENT, "the server was not reached in time")


def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is the proxy's to look up."""
    monkeypatch.setenv("HTTP_PROXY", server.endpoint.removesuffix("/graphql"))
    reply = post("http://migas.invalid/graphql")
    assert reply.outcome is Outcome.DELIVERED


def drip(connection: Connection) -> None:
    """Answer a byte at a time, for hours."""
    connection.read()
    while True:
        connection.send(b"H")
        time.sleep(0.05)


PROXIES: dict[str, tuple[Callable[[Connection], None] | None, str, str]] = {
    "gone": (None, "the proxy was not reached", "the proxy was not reached"),
    "bad gateway": (
        say(write(b"<html>", b"", b"502 Bad Gateway")),
        "the proxy answered 502",
        "the server answered 502",
    ),
    "credentials": (
        say(write(b"<html>", b"", b"407 Who?")),
        "the proxy wants credentials",
        "the proxy wants credentials (407)",
    ),
    "silent": (drip, "the proxy was not reached", "no answer came in time"),
    "hangs up": (say(), "the proxy was not reached", "the server hung up"),
    "hangs up in the tunnel": (
        say(b"HTTP/1.1 200 OK\r\n\r\n"),
        "the server hung up",
        "",
    ),
}


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, proxy: str, scheme: str
) -> None:
    """Nothing has reached the server, and the proxy's words are not the server's.

    A plain request goes to the proxy itself, and whether that passes it on nobody knows.
    """
    serve, *words = PROXIES[proxy]
    if not words[scheme == "http"]:
        pytest.skip("there is no tunnel for a plain request")
    unknown = scheme == "http" and proxy in ("silent", "hangs up")
    with Wire(serve or say()) as server:
        if serve is None:
            server.close()
        address = server.endpoint.replace("//", "//user:secret@").removesuffix("/graphql")
        monkeypatch.setenv(f"{scheme}_proxy", address)
        timeout = 1.0 if proxy == "silent" else PATIENCE
        reply = post(f"{scheme}://migas.invalid/graphql", timeout)
    outcome = Outcome.UNKNOWN if unknown else Outcome.UNSENT
    assert reply == Reply(outcome, words[scheme == "http"])


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("socks5://127.0.0.1:9", "there is no support for this kind of proxy"),
        ("http://", "the proxy's address makes no sense"),
        ("gopher://127.0.0.1:9", "there is no support for this kind of proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, words: str
) -> None:
    """What stands in the environment may be anything."""
    if "socks" in variable and importlib.util.find_spec("socks"):
        pytest.skip("SOCKS is supported here")
    monkeypatch.setenv("ALL_PROXY", variable)
    reply = post("http://migas.invalid/graphql")
    assert reply == Reply(Outcome.UNSENT, words)


ENDPOINTS = [
    ("127.0.0.1", "", "/graphql", None),
    ("127.0.0.1", "", "/prefix/of/a/proxy/graphql", None),
    ("::1", "", "/graphql", None),
    ("127.0.0.1", "user:secret@", "/graphql", b"user:secret"),
    ("::1", "user:secret@", "/prefix/graphql", b"user:secret"),
    ("127.0.0.1", "us%40er:%3As%2Fcr%C3%A9t%25@", "/graphql", "us@er::s/crét%".encode()),
    ("127.0.0.1", "user:50%@", "/graphql", b"user:50%"),
    ("127.0.0.1", "user:se@cret@", "/graphql", b"user:se@cret"),
    ("127.0.0.1", "token@", "/graphql", b"token:"),
    ("127.0.0.1", ":secret@", "/graphql", b":secret"),
]


@pytest.mark.parametrize(("host", "credentials", "path", "shown"), ENDPOINTS)
def test_an_endpoint_is_used_as_it_stands(
    host: str, credentials: str, path: str, shown: bytes | None
) -> None:
    """With its address, port, path and credentials, also where it is redirected within itself."""
    moved = write(b"", b"Location: ?moved\r\n", b"308 Moved")
    answers = iter([moved, write()])

    def serve(connection: Connection) -> None:
        connection.read()
        connection.send(next(answers))

    try:
        server = Wire(serve, host)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        origin = server.endpoint.removesuffix("/graphql")
        reply = post(origin.replace("//", f"//{credentials}") + path)
        assert reply.outcome is Outcome.DELIVERED
    for request, target in zip(server.requests, (path, f"{path}?moved"), strict=True):
        lines = request.decode().split("\r\n\r\n")[0].split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        assert lines[0] == f"POST {target} HTTP/1.1"
        assert headers["Host"] == origin.removeprefix("http://")
        token = "Basic " + base64.b64encode(shown).decode() if shown is not None else None
        assert headers.get("Authorization") == token


FAILURES: dict[str, Callable[[Connection], None]] = {
    "hung up": lambda connection: connection.sock.close(),
    "redirected": say(write(b"", b"Location: http://127.0.0.1:9/\r\n", b"307 Moved")),
    "refused": say(write(b"", b"", b"401 No")),
    "not understood": say(write(b"<html>")),
}


@pytest.mark.parametrize("serve", FAILURES.values(), ids=FAILURES)
def test_no_credentials_stand_in_a_reason(serve: Callable[[Connection], None]) -> None:
    """Nor in what anybody could print of the transport."""
    with Wire(serve) as server:
        transport = Transport(server.endpoint.replace("//", "//user:secret@"))
        reply = transport.send(BODY, PATIENCE)
        transport.close()
    assert reply.reason
    assert "secret" not in f"{reply} {transport}"
    reply = post("http://user:secret@127.0.0.1:9/graphql")
    assert reply == Reply(Outcome.UNSENT, "the server refused the connection")


def test_netrc_is_not_read_and_no_cookie_is_kept(server: Server, home: Path) -> None:
    """No password of the user's leaves the machine, and no captive portal is remembered."""
    (home / ".netrc").write_text("default login user password secret\n")
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: portal=1\r\nContent-Length: 6"
    server.inject(Fault.raw(head + b"\r\n\r\n<html>"))
    transport = Transport(server.endpoint)
    for _ in range(2):
        transport.send(BODY, PATIENCE)
    transport.close()
    assert len(server.received) == 2
    for request in server.received:
        assert not {"authorization", "cookie"} & set(request.headers)
        assert request.headers["user-agent"] == f"migas-py/{__version__}"


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
        with contextlib.suppress(OSError):  # Windows: a listener ends when it is closed
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
    transport.close()
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
    transport.close()
    server.close()


def test_no_library_logs_what_we_do() -> None:
    """Each logger of urllib3's that is there drops what is said on our threads."""
    modules = {name: module for name, module in sys.modules.items() if name.startswith("urllib3.")}
    loggers = [each.log for each in modules.values() if hasattr(each, "log")]
    assert "urllib3.response" in [logger.name for logger in loggers]
    assert all(isinstance(logger.isEnabledFor, _HostsOnly) for logger in loggers)
