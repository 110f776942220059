"""The fault: what a local server does in place of a good answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_LOGIN_PAGE = "<!doctype html><title>Welcome</title><form>Please log in to the network</form>"


@dataclass(frozen=True)
class Fault:
    """One way to fail, to be given to `Server.inject`.

    The class methods make those that networks and servers are known for; a connection that is
    refused is `Server.stop`. Whatever else may go wrong can be put together from the fields.

    Example:
        >>> import migas
        >>> with Server() as server:
        ...     migas.setup(endpoint=server.endpoint)
        ...     server.inject(Fault.status(503))
        ...     migas.add_project("owner/repo", "1.2.3")["message"]
        'the server answered 503'
    """

    #: What is sent, in pieces, made of the bytes of the good answer.
    pieces: Callable[[bytes], Iterable[bytes]] = lambda _good: ()
    #: How it ends: `close` hangs up, `reset` does so rudely, `hang` waits for the server's stop,
    #: and `keep` for the next request, as after a good answer.
    end: str = "close"
    #: Whether the request is read at all.
    reads: bool = True
    #: Whether what the request asks for is done all the same.
    stores: bool = False
    #: Seconds before each piece.
    delay: float = 0.0
    #: Whether the server cannot learn a project's latest version: it stores what stands before the
    #: first `add_project` of a request, and nothing after it.
    look_up_fails: bool = False

    @classmethod
    def hang(cls, *, reads: bool = True, stores: bool = False) -> Fault:
        """Accept the connection and never say a word."""
        return cls(end="hang", reads=reads, stores=stores)

    @classmethod
    def reset(cls, *, reads: bool = True, stores: bool = False) -> Fault:
        """Break the connection off, as a crash or a firewall does."""
        return cls(end="reset", reads=reads, stores=stores)

    @classmethod
    def raw(cls, data: bytes, *, stores: bool = False) -> Fault:
        """Send ``data``, which need not be HTTP, and hang up."""
        return cls(lambda _good: (data,), stores=stores)

    @classmethod
    def truncate(cls, *, stores: bool = True) -> Fault:
        """Hang up in the middle of a good answer."""
        return cls(lambda good: (good[:-5],), stores=stores)

    @classmethod
    def late(cls, seconds: float) -> Fault:
        """Give the good answer after ``seconds``."""
        return cls(lambda good: (good,), "keep", delay=seconds, stores=True)

    @classmethod
    def drip(cls, seconds: float) -> Fault:
        """Give the good answer a byte at a time, one in so many ``seconds``."""
        return cls(
            lambda good: (good[n : n + 1] for n in range(len(good))), delay=seconds, stores=True
        )

    @classmethod
    def endless(cls) -> Fault:
        """Never come to the end of an answer."""
        return cls(lambda _good: repeat(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 4096))

    @classmethod
    def status(
        cls, status: int, body: str = "", *, retry_after: object = None, signed: bool = False
    ) -> Fault:
        """Answer with an HTTP status.

        Parameters:
            status: such as 429 or 503.
            body: the text that comes with it.
            retry_after: the header of that name: seconds, or a date as HTTP writes it.
            signed: bear the header by which the migas application is told from a web server.
        """
        headers = {"Content-Type": "text/plain"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        if signed:
            headers["X-Backend-Server"] = "migas@0.9"
        return cls._answer(status, body, headers)

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Fault:
        """Send the client elsewhere."""
        return cls._answer(status, "", {"Location": location})

    @classmethod
    def page(cls, html: str = _LOGIN_PAGE) -> Fault:
        """Answer as a captive portal does: with a page, and status 200."""
        return cls._answer(200, html, {"Content-Type": "text/html"})

    @classmethod
    def json(cls, value: object) -> Fault:
        """Answer with JSON of any other kind, or with a GraphQL answer of one's own."""
        return cls._answer(200, json.dumps(value), {"Content-Type": "application/json"})

    @classmethod
    def error(cls, message: str) -> Fault:
        """Refuse the whole request, as GraphQL does where it does not fit the schema."""
        return cls.json({"data": None, "errors": [{"message": message}]})

    @classmethod
    def look_up(cls) -> Fault:
        """Fail to learn a project's latest version: the first `add_project` ends the request."""
        return cls(lambda good: (good,), "keep", stores=True, look_up_fails=True)

    @classmethod
    def _answer(cls, status: int, body: str, headers: Mapping[str, str]) -> Fault:
        return cls.raw(write_answer(status, body, {"Connection": "close", **headers}))


def write_answer(status: int, body: str, headers: Mapping[str, str]) -> bytes:
    """Write an HTTP answer as it goes over the wire."""
    content = body.encode()
    phrase = HTTPStatus(status).phrase
    lines = [f"HTTP/1.1 {status} {phrase}", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content
