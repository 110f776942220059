"""The site finds what answers a request by its path and method, and signs the answer.

An exception from below is answered as the hosted server answers its own ones: by a bare 500, after
which the connection is closed.
"""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, NamedTuple

from .message import SIGNATURE, RefusedError, Reply, reply_page, reply_rest, reply_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from .endpoint import Endpoint
    from .message import Connection, Request
    from .rest import Rest

    Handler: TypeAlias = Callable[[Request, Connection], Reply]

_PAGE = """<!doctype html><title>migas</title>
<p>This is a local <a href="https://github.com/nipreps/migas-server">migas server</a>.</p>
"""

#: The old server's answer to `GET /info`.
_INFO = {
    "package": "migas",
    "version": "0.3.3",
    "message": "Visit /graphql for GraphiQL interface",
}

#: Bytes of a body that the hosted server compresses for a client that takes gzip.
_LARGE = 1000


class _Route(NamedTuple):
    """The handler for a path and a method."""

    #: A regular expression for the whole path.
    pattern: str
    method: str
    handler: Handler


class Site:
    """Answers requests of every kind.

    Parameters:
        endpoint: answers GraphQL.
        rest: answers REST. None: this is a server 0.3, which knows none and signs nothing.
        places: whether the server says that it derives a place from a client's address.
        scheme: `http` or `https`.
    """

    def __init__(self, endpoint: Endpoint, rest: Rest | None, *, places: bool, scheme: str) -> None:
        self._routes = [
            _Route("/", "GET", lambda _request, _connection: reply_page(_PAGE)),
            _Route("/graphql", "GET", endpoint.get),
            _Route("/graphql", "POST", endpoint.post),
        ]
        self._signature: Mapping[str, str] = {}
        if rest is None:
            self._routes.append(_Route("/info", "GET", lambda _r, _c: reply_rest(200, _INFO)))
        else:
            self._routes += [
                _Route("/api/breadcrumb", "POST", rest.add_breadcrumb),
                _Route("/api/usage/[^/]+/[^/]+", "GET", rest.get_usage),
                _Route("/api/auth/projects", "GET", rest.get_projects),
            ]
            self._signature = {**SIGNATURE, "X-Backend-Geolocation": str(places).lower()}
        self._scheme = scheme

    def respond(self, request: Request, connection: Connection) -> Reply:
        """Return the answer to a request."""
        try:
            reply = _compress(request, self._answer(request, connection))
        except RefusedError as refused:
            reply = refused.reply
        except Exception:
            return reply_text(500, "Internal Server Error")._replace(last=True)
        return reply._replace(headers={**reply.headers, **self._signature})

    def _answer(self, request: Request, connection: Connection) -> Reply:
        """Return the answer without the application's signature."""
        found = self._find(request.route)
        for route in found:
            if route.method == request.method:
                return route.handler(request, connection)
        if found:
            return reply_rest(405, {"detail": "Method Not Allowed"}, Allow=found[0].method)
        return self._redirect(request) or reply_rest(404, {"detail": "Not Found"})

    def _redirect(self, request: Request) -> Reply | None:
        """Return a redirect if the path is right but for a slash at its end, or None."""
        path, mark, query = request.path.partition("?")
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        if not self._find(other):
            return None
        host = request.headers.get("host", "127.0.0.1")
        return Reply(307, headers={"Location": f"{self._scheme}://{host}{other}{mark}{query}"})

    def _find(self, path: str) -> list[_Route]:
        """Return the routes of a path, one for each method."""
        return [route for route in self._routes if re.fullmatch(route.pattern, path)]


def _compress(request: Request, reply: Reply) -> Reply:
    """Return ``reply``, compressed if it is large and the client takes that."""
    if len(reply.content) < _LARGE:
        return reply
    headers = {**reply.headers, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return reply._replace(headers=headers)
    headers["Content-Encoding"] = "gzip"
    return reply._replace(content=gzip.compress(reply.content), headers=headers)
