"""Faults: the ways in which a local server fails when a test asks for it.

A `Fault` is a plain value that says what the server sends in place of a good answer, how the
connection ends, and whether the request is carried out all the same. `Server.inject` takes it, and
the listener carries it out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

from .message import SIGNATURE, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_LOGIN_PAGE = "<!doctype html><title>Welcome</title><form>Please log in to the network</form>"

#: How Python's client of Redis words a write that Redis refuses.
_NO_WRITE = (
    'Command # 1 (ZREMRANGEBYSCORE rate-limit-127.0.0.1 0 1.0) of pipeline caused error: ("%s",)'
)

#: By cause: the error that the hosted server answers while a service of its own is in trouble.
_OUTAGES: dict[str, dict[str, object]] = {
    "redis": {"message": "Error 111 connecting to localhost:6379. Connection refused."},
    "full redis": {
        "message": _NO_WRITE % "command not allowed when used memory > 'maxmemory'.",
    },
    "read-only redis": {"message": _NO_WRITE % "You can't write against a read only replica."},
    "postgresql": {
        "message": "[Errno 111] Connection refused",
        "locations": [{"line": 1, "column": 10}],
        "path": ["a0"],
    },
}


@dataclass(frozen=True)
class Fault:
    """One way to fail, for `Server.inject`.

    The class methods make the faults that networks and servers are known for. A refused connection
    is `Server.stop`. Anything else can be put together from the fields.

    Example:
        >>> import migas
        >>> with Server() as server:
        ...     migas.setup(endpoint=server.endpoint)
        ...     server.inject(Fault.status(503))
        ...     migas.add_project("owner/repo", "1.2.3")["message"]
        'the server answered 503'
    """

    #: Makes what is sent, in pieces, from the bytes of the good answer. These bytes are empty if
    #: the request is not carried out.
    pieces: Callable[[bytes], Iterable[bytes]] = lambda _good: ()
    #: How the connection ends: `close` closes it, `reset` resets it, `hang` holds it open until
    #: the server stops, and `keep` keeps it for the next request, as after a good answer.
    end: str = "close"
    #: Whether the server reads the request at all.
    reads: bool = True
    #: Whether the server carries the request out all the same, and so may store its breadcrumbs.
    stores: bool = False
    #: Seconds before each piece.
    delay: float = 0.0
    #: Whether the server fails to learn a project's latest version. It then stores what stands
    #: before the first `add_project` of a request, and nothing after it.
    look_up_fails: bool = False
    #: Seconds that each look-up of a project's latest version takes.
    look_up_seconds: float = 0.0

    @classmethod
    def hang(cls, *, reads: bool = True, stores: bool = False) -> Fault:
        """Accept the connection and send nothing until the server stops.

        Parameters:
            reads: whether the request is read.
            stores: whether its breadcrumbs are stored.
        """
        return cls(end="hang", reads=reads, stores=stores)

    @classmethod
    def reset(cls, *, reads: bool = True, stores: bool = False) -> Fault:
        """Reset the connection, as a crash or a firewall does.

        Parameters:
            reads: whether the request is read.
            stores: whether its breadcrumbs are stored.
        """
        return cls(end="reset", reads=reads, stores=stores)

    @classmethod
    def raw(cls, data: bytes, *, stores: bool = False) -> Fault:
        """Send ``data``, which need not be HTTP, and close the connection.

        Parameters:
            data: all that is sent.
            stores: whether the request's breadcrumbs are stored.
        """
        return cls(lambda _good: (data,), stores=stores)

    @classmethod
    def truncate(cls, *, stores: bool = True) -> Fault:
        """Close the connection five bytes before the end of a good answer.

        Parameters:
            stores: whether the request's breadcrumbs are stored.
        """
        return cls(lambda good: (good[:-5],), stores=stores)

    @classmethod
    def late(cls, seconds: float) -> Fault:
        """Send the good answer after ``seconds``. The breadcrumbs are stored at once."""
        return cls(lambda good: (good,), "keep", delay=seconds, stores=True)

    @classmethod
    def drip(cls, seconds: float) -> Fault:
        """Send the good answer one byte at a time, ``seconds`` apart, and close the connection."""
        return cls(
            lambda good: (good[n : n + 1] for n in range(len(good))), delay=seconds, stores=True
        )

    @classmethod
    def endless(cls) -> Fault:
        """Send an answer that has no end."""
        return cls(lambda _good: repeat(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 4096))

    @classmethod
    def status(
        cls, status: int, body: str = "", *, retry_after: object = None, signed: bool = False
    ) -> Fault:
        """Answer with an HTTP status.

        Parameters:
            status: the number, such as 429 or 503.
            body: the text that comes with it.
            retry_after: the header of that name: seconds, or a date as HTTP writes it.
            signed: whether the answer bears the migas application's headers, by which it is told
                from a proxy's or a web server's.
        """
        headers = {"Content-Type": "text/plain"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        return cls._answer(status, body, headers, signed=signed)

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Fault:
        """Redirect the client to ``location``, with a status of 301, 302, 303, 307 or 308."""
        return cls._answer(status, "", {"Location": location})

    @classmethod
    def page(cls, html: str = _LOGIN_PAGE) -> Fault:
        """Answer with a page and status 200, as a captive portal does."""
        return cls._answer(200, html, {"Content-Type": "text/html"})

    @classmethod
    def json(cls, value: object, *, signed: bool = False) -> Fault:
        """Answer with JSON and status 200: with a GraphQL answer of one's own, or any other.

        Parameters:
            value: what is written as JSON.
            signed: whether the answer bears the migas application's headers.
        """
        headers = {"Content-Type": "application/json"}
        return cls._answer(200, json.dumps(value), headers, signed=signed)

    @classmethod
    def error(cls, message: str) -> Fault:
        """Refuse the whole request as the schema does: nothing of it is stored.

        Such an error has `locations`, since it is about a place in the document, and no `path`,
        since no operation has run.
        """
        error = {"message": message, "locations": [{"line": 1, "column": 10}]}
        return cls.json({"data": None, "errors": [error]}, signed=True)

    @classmethod
    def outage(cls, cause: str = "redis") -> Fault:
        """Answer as the hosted server does during its own trouble: nothing is stored.

        The status is 200, and the answer looks like a refusal, but the same request is taken as
        soon as the trouble is over. While Redis is in trouble the one error has neither `path` nor
        `locations`; while PostgreSQL is down it has both.

        Parameters:
            cause: "redis" or "postgresql" for one that is down, "full redis" for one that has no
                memory left, or "read-only redis" for a replica. While one of them hangs, so does
                the server: that is `hang`.

        Raises:
            KeyError: the cause is none of these.
        """
        return cls.json({"data": None, "errors": [_OUTAGES[cause]]}, signed=True)

    @classmethod
    def look_up(cls, *, fails: bool = True, seconds: float = 0.0) -> Fault:
        """Make the look-up of a project's latest version fail, or slow, or both.

        The hosted server asks GitHub for it, within 15 ms to 3 s, for each `add_project` and each
        `check_project`. `add_breadcrumb` looks nothing up, so this fault does nothing to it.

        Parameters:
            fails: whether the version remains unknown. Then that operation fails, and with it all
                that come after it in the same request.
            seconds: how long each look-up takes.
        """
        return cls(
            lambda good: (good,),
            "keep",
            stores=True,
            look_up_fails=fails,
            look_up_seconds=seconds,
        )

    @classmethod
    def _answer(
        cls, status: int, body: str, headers: Mapping[str, str], *, signed: bool = False
    ) -> Fault:
        signature = SIGNATURE if signed else {}
        headers = {"Connection": "close", **headers, **signature}
        return cls.raw(Reply(status, body.encode(), headers).encode())
