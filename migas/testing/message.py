"""The requests and replies of the local server, as plain values.

The listener reads a `Request` from a connection and writes a `Reply` to it. Everything between the
two, the rules of GraphQL and of REST, works on these values and knows no socket.
"""

from __future__ import annotations

import http.client
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Bytes of a body that the hosted server takes. It answers 413 to a larger one.
MAX_BODY = 2500

#: Headers of each answer by the migas application (since 0.9). An answer by the web server before
#: it bears none of them.
SIGNATURE: Mapping[str, str] = MappingProxyType(
    {
        "X-Backend-Server": "migas@0.9",
        "X-Backend-Geolocation": "false",
        "X-Backend-Mode": "production",
    }
)

_JSON = MappingProxyType({"Content-Type": "application/json"})
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Request(NamedTuple):
    """A request as it arrived."""

    #: The request's target: a path and, after a `?`, a query string.
    path: str
    #: The headers by their names in lower case.
    headers: Mapping[str, str]
    #: The body, put together from its chunks if it came in chunks.
    body: bytes
    method: str = "POST"

    @property
    def route(self) -> str:
        """The path alone, decoded."""
        return unquote(self.path.partition("?")[0])

    @property
    def parameters(self) -> dict[str, str]:
        """The query string's parameters. Of several that have one name the last counts."""
        query = self.path.partition("?")[2]
        return dict(parse_qsl(query, keep_blank_values=True))


class Connection(NamedTuple):
    """The circumstances of a request that its answer may depend on."""

    #: The client's address.
    client: str
    #: Returns True once the client has hung up.
    is_gone: Callable[[], bool]
    #: Takes as long as the look-up of a project's latest version does. Returns False if it fails.
    look_up: Callable[[], bool]


class Reply(NamedTuple):
    """An answer that has yet to be written."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = _NOTHING
    #: Whether the server hangs up after it.
    last: bool = False

    def encode(self, *, bodiless: bool = False) -> bytes:
        """Return the bytes that go over the wire.

        Parameters:
            bodiless: leave out the body, as an answer to a HEAD request does (RFC 9110, 9.3.2).
        """
        phrase = http.client.responses.get(self.status, "Unknown")
        lines = [f"HTTP/1.1 {self.status} {phrase}", f"Content-Length: {len(self.content)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        return head + (b"" if bodiless else self.content)


class RefusedError(Exception):
    """Raised in place of a good answer, with the answer that is given instead."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def reply_text(status: int, text: str) -> Reply:
    """Return an answer of plain text."""
    return Reply(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})


def reply_page(html: str) -> Reply:
    """Return an answer of a page for browsers, with status 200."""
    return Reply(200, html.encode(), {"Content-Type": "text/html; charset=utf-8"})


def reply_graphql(status: int, body: object) -> Reply:
    """Return an answer of JSON as the hosted server's GraphQL writes it: with blanks, in ASCII."""
    return Reply(status, json.dumps(body).encode(), _JSON)


def reply_rest(status: int, body: object, **headers: str) -> Reply:
    """Return an answer of JSON as the rest of the hosted server writes it: compact, in UTF-8.

    Raises `ValueError` for a lone surrogate and for NaN, which cannot be written so.
    """
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Reply(status, text.encode(), {**_JSON, **headers})
