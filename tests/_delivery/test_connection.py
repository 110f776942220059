"""Whatever a server sends is read within bounds, and others can see how far a request has come."""

from __future__ import annotations

import gzip
import itertools
import os
import socket
import ssl
import sys
import threading
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import PATIENCE, await_condition
from wire import BODY, GOOD, SIGNED, Connection, Wire, bound_memory, post, say, write

from migas._delivery.connection import MAX_ANSWER, _Stream
from migas._delivery.parcel import Outcome, Reply
from migas._delivery.progress import Progress
from migas._delivery.transport import Transport
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import trustme

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n" + SIGNED + b"\r\n"
BOMB = gzip.compress(gzip.compress(b" " * 100_000_000, 1))


def ask(serve: Callable[[Connection], None], timeout: float = PATIENCE) -> Reply:
    """Send a request to a server that does what ``serve`` does."""
    with Wire(serve) as server:
        return post(server.endpoint, timeout)


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    "199": b"HTTP/1.1 199 Anything\r\n\r\n",
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
@pytest.mark.parametrize("count", [1, 300])
def test_informational_answers_are_read_past(interim: bytes, count: int) -> None:
    """Of every kind, one or many, before the answer itself."""
    assert ask(say(interim * count, write())).outcome is Outcome.DELIVERED


def test_an_informational_answer_is_none() -> None:
    """After it the server hangs up."""
    reply = ask(say(*INTERIM.values()))
    assert (reply.outcome, reply.reason) == (Outcome.UNKNOWN, "the server hung up")


ENDLESS = {
    "answer": (OK + b"\r\n", b" " * 4096),
    "status line": (b"HTTP/1.1 200 ", b"OK" * 2048),
    "head": (OK, b"X-Filler: nothing\r\n"),
    "header": (OK + b"X-Filler: ", b"x" * 4096),
    "folded header": (OK + b"X-Filler:\r\n", b" x\r\n"),
    "informational answers": (b"", INTERIM["103"]),
    "chunk extension": (CHUNKED + b"2;", b"x" * 4096),
    "chunk extensions": (CHUNKED, b"1;" + b"x" * 200 + b"\r\n \r\n"),
    "trailer": (CHUNKED + b"0\r\n", b"X-Filler: nothing\r\n"),
    "chunk size": (CHUNKED, b"0" * 4096),
}


@pytest.mark.parametrize(("begins", "goes_on"), ENDLESS.values(), ids=ENDLESS)
def test_an_endless_answer_is_left(begins: bytes, goes_on: bytes) -> None:
    """Every byte is counted, of head, framing and body, and memory is taken for no more."""
    with bound_memory(5_000_000):
        reply = ask(say(begins, endless=goes_on))
    assert reply.outcome is Outcome.UNKNOWN


def test_the_longest_answer_is_read() -> None:
    """A byte more is too long."""
    for excess, outcome in ((0, Outcome.DELIVERED), (1, Outcome.UNKNOWN)):
        empty = len(write(b"0" * 10_000)) - 10_000
        body = GOOD + b" " * (MAX_ANSWER - empty - len(GOOD) + excess)
        reply = ask(say(write(body)))
        assert reply.outcome is outcome
        assert reply.reason == ("the answer is too long" if excess else "")


PACKED = {
    "gzip": (b"gzip", gzip.compress(GOOD)),
    "deflate": (b"deflate", zlib.compress(GOOD)),
    "twice": (b"gzip, gzip", BOMB),
    "a bomb": (b"gzip", BOMB),
    "in name": (b"gzip", GOOD),
    "ten thousand times": (b", ".join([b"gzip"] * 10_000), GOOD),
}


@pytest.mark.parametrize("head", [SIGNED, b""], ids=["signed", "unsigned"])
@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED)
def test_nothing_is_unpacked(encoding: bytes, body: bytes, head: bytes) -> None:
    """Nobody asked for it, so it is no answer; and no memory is taken for what it may hold."""
    head = b"Content-Encoding: " + encoding + b"\r\n" + head
    with bound_memory(5_000_000):
        reply = ask(say(write(body, head)))
    assert reply.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("status", [b"307 Moved", b"302 Found", b"500 Oh", b"413 Large"])
def test_no_other_body_is_unpacked(status: bytes) -> None:
    """Those that `requests` would read by itself, for the redirect's sake."""
    head = b"Content-Encoding: gzip, gzip\r\nLocation: http://127.0.0.1:9/\r\n"
    with bound_memory(5_000_000):
        reply = ask(say(write(BOMB, head, status)))
    assert reply.outcome is Outcome.UNSENT


def test_an_encoding_that_changes_nothing_is_none() -> None:
    """A server may say so."""
    head = b"Content-Encoding: Identity\r\n"
    assert ask(say(write(GOOD, head))).outcome is Outcome.DELIVERED


FRAMES = {
    "chunks": CHUNKED + b"2\r\n" + GOOD[:2] + b"\r\nA\r\n" + GOOD[2:] + b"\r\n0\r\n\r\n",
    "chunks and a trailer": CHUNKED + b"c\r\n" + GOOD + b"\r\n0\r\nX-Filler: 1\r\n\r\n",
    "the end of the connection": OK + SIGNED + b"\r\n" + GOOD,
    "both lengths": CHUNKED[:-2] + b"Content-Length: 99\r\n\r\nc\r\n" + GOOD + b"\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("answer", FRAMES.values(), ids=FRAMES)
def test_an_answer_may_be_framed_in_other_ways(answer: bytes) -> None:
    """As a server's or a proxy's author likes."""
    assert ask(say(answer)).outcome is Outcome.DELIVERED


BROKEN = {
    "too few bytes": OK + b"Content-Length: 99\r\n" + SIGNED + b"\r\n" + GOOD,
    "a length of 5,000 digits": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + GOOD,
    "two lengths": OK + b"Content-Length: 12, 13\r\n" + SIGNED + b"\r\n" + GOOD[:-1],
    "no last chunk": CHUNKED + b"c\r\n" + GOOD + b"\r\n",
    "half a chunk": CHUNKED + b"ff\r\n" + GOOD,
    "a chunk of no size": CHUNKED + b"x\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "a chunk of less than nothing": CHUNKED + b"-1\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "a chunk of 5,000 digits": CHUNKED + b"f" * 5000 + b"\r\n" + GOOD,
    "a status of 5,000 digits": b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n" + GOOD,
    "another protocol": b"HTTP/3.0 200 OK\r\n\r\n" + GOOD,
    "no protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a hundred headers": OK + b"X-Filler: 1\r\n" * 200 + SIGNED + b"\r\n" + GOOD,
    "half a head": OK + b"Content-",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_none(answer: bytes) -> None:
    """The request went out whole, so nobody knows."""
    reply = ask(say(answer))
    assert reply.outcome is Outcome.UNKNOWN
    # Nothing is found out by an accident of Python's.
    assert not reply.reason.endswith(("ValueError", "TypeError"))


COOKIES = (
    b"Set-Cookie: a=b; expires=Wed, 99 Foo 9999 99:99:99 GMT; max-age=" + b"9" * 5000 + b"\r\n"
)


def test_no_cookie_is_read() -> None:
    """None is even parsed."""
    head = SIGNED + b"Set-Cookie: portal=1\r\n" + COOKIES
    heard = []

    def serve(connection: Connection) -> None:
        for _ in range(2):
            heard.append(connection.read())
            connection.send(write(GOOD, head))

    with Wire(serve) as server:
        transport = Transport(server.endpoint)
        for _ in range(2):
            assert transport.send(BODY, PATIENCE).outcome is Outcome.DELIVERED
        transport.close()
    assert not any(b"\r\ncookie:" in request.lower() for request in heard)
    assert all(b"\r\nAccept-Encoding: identity\r\n" in request for request in heard)


PIECES = st.sampled_from(
    [
        *INTERIM.values(),
        OK,
        CHUNKED,
        SIGNED,
        GOOD,
        b"HTTP/1.1 400 Bad\r\n",
        b"HTTP/1.0 307 Moved\r\nLocation: /graphql\r\n",
        b"Content-Length: 12\r\n",
        b"Content-Encoding: gzip\r\n",
        b"\r\n",
        b"c\r\n",
        b"0\r\n\r\n",
    ]
)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES | st.binary(max_size=30), max_size=12).map(b"".join))
def test_any_bytes_are_an_outcome(answer: bytes) -> None:
    """And none of them discards a breadcrumb that does not bear the application's name."""
    reply = ask(say(answer))
    if reply.outcome is Outcome.REFUSED:
        assert SIGNED.strip() in answer
    if reply.outcome is Outcome.DELIVERED:
        assert GOOD[1:-1] in answer


class Reader:
    """A sending thread that gets no processor: it has sent its request, and reads nothing yet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_held, self.goes_on = threading.Event(), threading.Event()
        self.seen: list[bool] = []
        self.replies: list[Reply] = []
        read = _Stream.readinto

        def hold_up(stream: _Stream, buffer: object) -> int | None:
            self.is_held.set()
            assert self.goes_on.wait(PATIENCE)
            return read(stream, buffer)

        monkeypatch.setattr(_Stream, "readinto", hold_up)

    def start(self, transport: Transport) -> None:
        """Send a request, and look for an answer before its first byte leaves."""

        def look() -> None:
            self.seen.append(transport.has_answer())

        def send() -> None:
            self.replies.append(transport.send(BODY, PATIENCE, look))

        self._thread = threading.Thread(target=send, daemon=True)
        self._thread.start()
        assert self.is_held.wait(PATIENCE)

    def stop(self) -> None:
        """Let it read."""
        self.goes_on.set()
        self._thread.join(PATIENCE)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """A reader that is held up."""
    return Reader(monkeypatch)


def test_an_answer_that_is_there_is_seen(reader: Reader) -> None:
    """Before anybody has read it, while the request is under way, and not before its last byte."""
    may_answer = threading.Event()

    def serve(connection: Connection) -> None:
        connection.read()
        assert may_answer.wait(PATIENCE)
        connection.send(write())

    with Wire(serve) as server:
        transport = Transport(server.endpoint)
        assert not transport.has_answer()
        reader.start(transport)
        assert not transport.has_answer()
        may_answer.set()
        await_condition(transport.has_answer)
        assert transport.has_answer()  # it took nothing out of the socket
        reader.stop()
        assert reader.seen == [False]
        assert [reply.outcome for reply in reader.replies] == [Outcome.DELIVERED]
        assert not transport.has_answer()
        transport.close()
        assert not transport.has_answer()


def test_an_answer_is_seen_on_a_kept_connection(reader: Reader) -> None:
    """The second request goes out on the first one's."""
    may_answer = threading.Event()

    def serve(connection: Connection) -> None:
        connection.read()
        connection.send(write())
        connection.read()
        assert may_answer.wait(PATIENCE)
        connection.send(write())

    with Wire(serve) as server:
        transport = Transport(server.endpoint)
        reader.start(transport)
        reader.stop()
        reader.is_held.clear()
        reader.goes_on.clear()
        reader.start(transport)
        assert not transport.has_answer()
        may_answer.set()
        await_condition(transport.has_answer)
        reader.stop()
        assert [reply.outcome for reply in reader.replies] == [Outcome.DELIVERED] * 2
        assert server.connections == 1
        transport.close()


def test_an_answer_is_seen_through_tls(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is there, though nobody can tell it from a ticket before it is read."""
    authority: trustme.CA = pytest.importorskip("trustme", exc_type=ImportError).CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    with Server(tls=context) as server:
        transport = Transport(server.endpoint)
        reader.start(transport)
        await_condition(transport.has_answer)
        reader.stop()
        assert [reply.outcome for reply in reader.replies] == [Outcome.DELIVERED]
        transport.close()


@pytest.mark.parametrize("piece", [INTERIM["100"], b"HTTP/1.1 200"], ids=["1xx", "some"])
def test_a_part_of_an_answer_that_is_read_is_no_answer(piece: bytes) -> None:
    """The server has to be waited for, not the thread that reads."""
    has_sent, goes_on = threading.Event(), threading.Event()

    def serve(connection: Connection) -> None:
        connection.read()
        connection.send(piece)
        has_sent.set()
        assert goes_on.wait(PATIENCE)

    with Wire(serve) as server:
        transport = Transport(server.endpoint)
        sending = threading.Thread(target=transport.send, args=(BODY, PATIENCE))
        sending.start()
        assert has_sent.wait(PATIENCE)
        progress = transport._progress
        await_condition(lambda: progress.received == len(piece) and progress._is_reading)
        assert not transport.has_answer()
        goes_on.set()
        sending.join(PATIENCE)
        assert not transport.has_answer()
        transport.close()


@pytest.mark.parametrize(("reads", "expected"), [(0, False), (1, True), (16, True), (17, False)])
def test_an_answer_that_drips_is_none(reads: int, expected: bool) -> None:
    """What was read of another counts: its thread may have no processor for the rest."""
    progress = Progress()
    progress.begin(PATIENCE, 65536)
    progress.finish_sending()
    for _ in range(reads):
        progress.begin_read()
        progress.end_read(1)
    assert progress.has_answer() == expected


def test_a_server_that_hangs_up_has_no_answer(reader: Reader) -> None:
    """Its end of the connection can be read, and holds nothing."""
    has_hung_up = threading.Event()

    def serve(connection: Connection) -> None:
        connection.read()
        connection.sock.shutdown(socket.SHUT_WR)
        has_hung_up.set()
        assert reader.goes_on.wait(PATIENCE)

    with Wire(serve) as server:
        transport = Transport(server.endpoint)
        reader.start(transport)
        assert has_hung_up.wait(PATIENCE)
        assert not transport.has_answer()
        reader.stop()
        assert [reply.outcome for reply in reader.replies] == [Outcome.UNKNOWN]
        transport.close()


@pytest.mark.slow
def test_whoever_asks_changes_nothing() -> None:
    """Another thread asks all the time, while requests come, go, and are hung up on."""
    answers = itertools.cycle([write(), b"", write(head=SIGNED + b"Connection: close\r\n")])

    def serve(connection: Connection) -> None:
        while True:
            connection.read()
            answer = next(answers)
            connection.send(answer)
            if b"close" in answer or not answer:
                return

    with Wire(serve) as server:
        transport, over = Transport(server.endpoint), threading.Event()

        def look() -> None:
            while not over.is_set():
                transport.has_answer()

        looking = threading.Thread(target=look)
        looking.start()
        outcomes = [transport.send(BODY, PATIENCE).outcome for _ in range(300)]
        over.set()
        looking.join(PATIENCE)
        assert outcomes == [Outcome.DELIVERED, Outcome.UNKNOWN, Outcome.DELIVERED] * 100
        transport.close()


def test_a_look_leaves_a_socket_of_the_hosts_as_it_is() -> None:
    """The host's socket has taken the number of ours; it waits as before, and has all its bytes."""
    host, peer = socket.socketpair()
    with host, peer:
        progress = Progress()
        progress.sock, progress.whole = host, True
        assert not progress.has_answer()
        peer.sendall(b"x")
        assert progress.has_answer()
        if sys.platform != "win32":  # which shows no socket's mode
            assert os.get_blocking(host.fileno())
        assert host.recv(2) == b"x"


def test_a_look_never_waits_where_the_host_has_set_a_timeout() -> None:
    """The host has given all new sockets ten minutes."""
    ours, peer = socket.socketpair()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(600)
    try:
        progress = Progress()
        seen: list[bool] = []
        progress.sock, progress.whole = ours, True
        looking = threading.Thread(target=lambda: seen.append(progress.has_answer()), daemon=True)
        looking.start()
        looking.join(PATIENCE)
        assert seen == [False]
    finally:
        socket.setdefaulttimeout(before)
        peer.close()
        ours.close()
