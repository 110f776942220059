"""The GraphQL endpoint: reads a GraphQL request from HTTP and answers it.

What can be wrong with a request is found in the hosted server's order: the content type, the JSON,
the types of its members, and only then the limits and the document itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from .engine import OperationError, is_mutation
from .limit import TOO_MANY
from .message import MAX_BODY, reply_graphql, reply_page, reply_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .engine import Answer
    from .limit import Limit
    from .message import Connection, Reply, Request

_PAGE = """<!doctype html><title>GraphQL</title>
<p>This is a local migas server. POST GraphQL requests to this address.</p>
"""

_UNREADABLE = "Unable to parse request body as JSON"

#: The members of a request, the type that each must have, and the server's words for that type.
_MEMBERS: tuple[tuple[str, type, str], ...] = (
    ("query", str, "a string"),
    ("variables", dict, "an object"),
    ("extensions", dict, "an object"),
)


class Answers(Protocol):
    """The type of `Server.answer`."""

    def __call__(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation: Any = None,
        refusal: str | None = None,
        *,
        look_up: Callable[[], bool] = ...,
        is_gone: Callable[[], bool] = ...,
    ) -> Answer:
        """Answer the request."""


class Endpoint:
    """Answers GraphQL requests over HTTP.

    Parameters:
        answer: answers what has been read.
        limit: counts the requests that hold a GraphQL document. Others are refused before.
        old: whether this is a server 0.3.
    """

    def __init__(self, answer: Answers, limit: Limit, *, old: bool = False) -> None:
        self._answer = answer
        self._limit = limit
        self._old = old

    def post(self, request: Request, connection: Connection) -> Reply:
        """Answer a request whose body holds the document and its variables.

        Raises an exception for JSON that is neither an object nor a list, and for bytes that are no
        text: those are errors of the hosted server's own.
        """
        kind = request.headers.get("content-type", "").partition(";")[0]
        if "application/json" not in kind:
            if self._old:
                return reply_text(415, "Unsupported Media Type")
            return reply_text(400, "Unsupported content type")
        try:
            asked = json.loads(request.body)
        except json.JSONDecodeError:
            return reply_text(400, _UNREADABLE)
        if isinstance(asked, list):
            return reply_text(400, "Batching is not enabled")
        return self._execute(asked, request, connection)

    def get(self, request: Request, connection: Connection) -> Reply:
        """Answer a query that stands in the address, or a browser's visit with a page."""
        asked: dict[str, Any] = dict(request.parameters)
        accepted = request.headers.get("accept", "")
        if "query" not in asked and ("text/html" in accepted or "*/*" in accepted):
            return reply_page(_PAGE)
        if asked.get("variables"):
            try:
                asked["variables"] = json.loads(asked["variables"])
            except json.JSONDecodeError:
                return reply_text(400, _UNREADABLE)
        return self._execute(asked, request, connection)

    def _execute(self, asked: dict[str, Any], request: Request, connection: Connection) -> Reply:
        """Answer a request whose members are in ``asked``."""
        for name, kind, words in _MEMBERS:
            if not isinstance(asked.get(name), (kind, type(None))):
                problem = f"`{name}` must be {words} or null, if provided."
                return reply_text(400, f"The GraphQL operation's {problem}")
        query, operation = asked.get("query"), asked.get("operationName")
        if not query:
            return reply_text(400, "No GraphQL query found in the request")
        status, refusal = self._find_refusal(request, connection)
        try:
            if request.method == "GET" and is_mutation(query, operation):
                return reply_text(400, "mutations are not allowed when using GET")
            answer = self._answer(
                query,
                asked.get("variables"),
                operation,
                refusal,
                look_up=connection.look_up,
                is_gone=connection.is_gone,
            )
        except OperationError as error:
            return reply_text(400, str(error))
        return reply_graphql(status, answer.body)._replace(last=not answer.stored)

    def _find_refusal(self, request: Request, connection: Connection) -> tuple[int, str | None]:
        """Return the answer's status, and the reason why the request is refused or None."""
        if self._limit.refuses(connection.client):
            return 429, TOO_MANY
        if len(request.body) > MAX_BODY:
            return 413, f"Request body ({len(request.body)}) exceeds maximum size ({MAX_BODY})"
        return 200, None
