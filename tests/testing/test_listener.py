"""The listener speaks HTTP/1.1 as the hosted server's web server does."""

from __future__ import annotations

import json

import pytest
from local_client import PLAIN, ask, query, send_raw

from migas.testing import Server

BODY = json.dumps(query(PLAIN % "")).encode()

CLOSE = "Connection: close\r\n"


def write(headers: str, body: bytes = b"", line: str = "POST /graphql HTTP/1.1") -> bytes:
    kind = "Content-Type: application/json\r\n"
    return f"{line}\r\nHost: a\r\n{kind}{headers}\r\n".encode() + body


def in_chunks(*sizes: int, extension: str = "", trailer: str = "") -> bytes:
    """Return the body in chunks of such sizes, and one more for the rest."""
    pieces, rest = [], BODY
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    pieces.append(rest)
    chunks = [f"{len(piece):x}{extension}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    return b"".join(chunks) + f"0\r\n{trailer}\r\n".encode()


@pytest.mark.parametrize(
    "body",
    [
        in_chunks(),
        in_chunks(1, 20, 3),
        in_chunks(7, extension=';name="value"'),
        in_chunks(7, trailer="Expires: never\r\nX: y\r\n"),
    ],
    ids=["one", "several", "with extensions", "with a trailer"],
)
@pytest.mark.parametrize("coding", ["chunked", "Chunked"])
def test_a_body_may_come_in_chunks(body: bytes, coding: str) -> None:
    """The breadcrumb is stored, and the connection goes on after the last chunk."""
    first = write(f"Transfer-Encoding: {coding}\r\n", body)
    second = write(f"{CLOSE}Content-Length: {len(BODY)}\r\n", BODY)
    with Server() as server:
        assert send_raw(server, first + second).count(b'"success": true') == 2
        assert len(server.crumbs) == 2
        assert [request.body for request in server.received] == [BODY, BODY]


@pytest.mark.parametrize(
    "data",
    [
        b"rubbish\r\n\r\n",
        write("Content-Length: 0\r\n", line="POST graphql HTTP/1.1"),
        write("Content-Length: 0\r\n", line="FOO /graphql HTTP/1.1"),
        write("", line="GET /no pe HTTP/1.1"),
        write("", line=f"GET /{'a' * 70_000} HTTP/1.1"),
        write("Content-Length: x\r\n"),
        write("Content-Length: -1\r\n"),
        write("Content-Length: +1\r\n", b"{"),
        write("Content-Length: 1_0\r\n", b"{}" * 5),
        write("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", in_chunks()),
        write("Transfer-Encoding: gzip\r\n"),
        write("Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"),
        write("Transfer-Encoding: chunked\r\n", b"1\r\n{}\r\n0\r\n\r\n"),
    ],
    ids=lambda data: repr(data[:40] + data[-40:]),
)
def test_what_is_no_http_is_refused(data: bytes) -> None:
    """By a bare 400 that the application has not signed (trap 15), and nothing is read after it."""
    with Server() as server:
        answer = send_raw(server, data + write(f"{CLOSE}Content-Length: {len(BODY)}\r\n", BODY))
        head, _, content = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request")
        assert content == b"Invalid HTTP request received."
        assert b"X-Backend" not in head
        assert server.crumbs == []


@pytest.mark.parametrize("method", ["HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE"])
@pytest.mark.parametrize(
    ("path", "status", "allowed"),
    [
        ("/", 405, "GET"),
        ("/graphql", 405, "GET"),
        ("/api/breadcrumb", 405, "POST"),
        ("/api/usage/a/b", 405, "GET"),
        ("/api/auth/projects", 405, "GET"),
        ("/nope", 404, None),
        ("/graphql/", 307, None),
    ],
)
def test_a_method_that_is_not_there_is_not_allowed(
    method: str, path: str, status: int, allowed: str | None
) -> None:
    """The answer names one that is, and an answer to HEAD has no body."""
    with Server() as server:
        told = ask(server, method, path)
        assert (told.status, told.headers["Allow"]) == (status, allowed)
        details = {404: {"detail": "Not Found"}, 405: {"detail": "Method Not Allowed"}}
        assert told.body == ("" if method == "HEAD" else details.get(status, ""))
        assert int(told.headers["Content-Length"]) == {404: 22, 405: 31, 307: 0}[status]
        assert server.received[-1].method == method


def test_an_answer_to_head_has_no_body() -> None:
    """Its headers say how long that would have been (RFC 9110, 9.3.2)."""
    with Server() as server:
        answer = send_raw(server, write(CLOSE, line="HEAD /nope HTTP/1.1"))
        head, _, content = answer.partition(b"\r\n\r\n")
        assert content == b""
        assert b"Content-Length: 22" in head


def test_a_client_of_a_proxy_sends_the_whole_address() -> None:
    """Its path counts, and is what a test reads."""
    line = "POST http://elsewhere.example/graphql?a=b HTTP/1.1"
    with Server() as server:
        send_raw(server, write(f"{CLOSE}Content-Length: {len(BODY)}\r\n", BODY, line))
        assert len(server.crumbs) == 1
        assert server.received[0].path == "/graphql?a=b"


def test_a_client_that_hangs_up_in_its_body_stores_nothing() -> None:
    """Nor does one that hangs up in a chunk."""
    half = BODY[: len(BODY) // 2]
    with Server() as server:
        for sent in (
            write(f"Content-Length: {len(BODY)}\r\n", half),
            write("Transfer-Encoding: chunked\r\n", b"%x\r\n" % len(BODY) + half),
            write("Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n" % (len(BODY), BODY)),
        ):
            assert send_raw(server, sent, ends=True) == b""
        assert server.crumbs == []
        assert not server.received
