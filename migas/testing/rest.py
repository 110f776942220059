"""The REST interface of the local server: a breadcrumb to store, and sessions to count.

A `Rest` answers what comes below `/api`. What is wrong with a breadcrumb is found in the hosted
server's order: a body that is no JSON, the limit, the size, the fields, the project.
"""

from __future__ import annotations

import datetime
import json
import re
from email.message import Message
from typing import TYPE_CHECKING, Any

from .limit import TOO_MANY
from .message import MAX_BODY, Reply, Request, reply_rest
from .model import miss, read_breadcrumb, read_flag, read_number
from .scalars import parse_moment
from .store import check_text, make_row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .engine import Projects
    from .limit import Limit
    from .message import Connection
    from .model import Errors
    from .store import Store

# Another version is stored as "unknown". (Recorded: a blank and a parenthesis make it another, and
# so does an empty text.)
_VERSION = re.compile(r"[0-9A-Za-z.+!_-]+", re.ASCII)

_DAY = datetime.timedelta(days=1)


class _RefusalError(Exception):
    """A request that is answered by an error."""

    def __init__(self, status: int, detail: object) -> None:
        super().__init__(detail)
        self.reply = reply_rest(status, {"detail": detail})


class Rest:
    """Answers REST requests.

    Parameters:
        store: where breadcrumbs go, and what questions are answered from.
        projects: what is registered.
        limit: how many breadcrumbs a client may send.
        tokens: the project that each token may read.
        today: returns the present day in UTC.
    """

    def __init__(
        self,
        store: Store,
        projects: Projects,
        limit: Limit,
        tokens: Mapping[str, str],
        today: Callable[[], datetime.date] = lambda: datetime.datetime.now(
            datetime.timezone.utc
        ).date(),
    ) -> None:
        self._store = store
        self._projects = projects
        self._limit = limit
        self._tokens = tokens
        self._today = today

    def add_breadcrumb(self, request: Request, connection: Connection) -> Reply:
        """Store the breadcrumb of a `POST /api/breadcrumb`.

        The answer is a 202, or with `?wait=true` a 200 once the breadcrumb is stored and a 500 if
        it cannot be. The hosted server stores it even if the client has hung up.
        """
        try:
            return self._add_breadcrumb(request, connection)
        except _RefusalError as refusal:
            return refusal.reply

    def get_usage(self, request: Request, _connection: Connection) -> Reply:
        """Answer `GET /api/usage/{owner}/{repo}` with the project's sessions.

        They are those of the last `weeks` before the day `since`, by default all until today. Each
        is counted by date, version and status.
        """
        try:
            return reply_rest(200, self._count_sessions(request))
        except _RefusalError as refusal:
            return refusal.reply

    def get_projects(self, request: Request, _connection: Connection) -> Reply:
        """Answer `GET /api/auth/projects` with the projects that the token may read."""
        try:
            return reply_rest(200, {"projects": [self._read_token(request)]})
        except _RefusalError as refusal:
            return refusal.reply

    def _add_breadcrumb(self, request: Request, connection: Connection) -> Reply:
        body = _read_json(request)
        if self._limit.refuses(connection.client):
            raise _RefusalError(429, TOO_MANY)
        if len(request.body) > MAX_BODY:
            raise _RefusalError(
                413, f"Request body ({len(request.body)}) exceeds maximum size ({MAX_BODY})"
            )
        wait, given = _read_breadcrumb(request, body)
        if "/" not in given["project"]:
            raise _RefusalError(400, "Invalid project format (expected owner/repo).")
        check_text(given["project"])
        if given["project"] not in self._projects:
            raise _RefusalError(400, "Project is not registered.")
        stored = self._store.ingest([make_row(given)])
        if wait and not stored:
            return reply_rest(500, {"success": False, "message": "Error during ingestion."})
        reply = reply_rest(200 if wait else 202, {"success": True, "message": ""})
        return reply._replace(last=not stored)

    def _count_sessions(self, request: Request) -> list[dict[str, object]]:
        readable = self._read_token(request)
        weeks, end = self._read_period(request)
        project = request.route.removeprefix("/api/usage/")
        if project not in self._projects:
            raise _RefusalError(404, "Project is not registered.")
        if project != readable:
            raise _RefusalError(401, "Invalid token.")
        start = datetime.date.min if weeks is None else end - 7 * weeks * _DAY
        return self._store.sessions(project, start.isoformat(), end.isoformat())

    def _read_token(self, request: Request) -> str:
        """Return the project that the request's token may read."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _RefusalError(401, "Missing or malformed Authorization header.")
        if token not in self._tokens:
            raise _RefusalError(401, "Invalid token.")
        return self._tokens[token]

    def _read_period(self, request: Request) -> tuple[int | None, datetime.date]:
        """Return how many weeks are asked for, and the day after the last one."""
        query = request.parameters
        errors: Errors = []
        weeks, end = None, self._today() + _DAY
        if "weeks" in query:
            weeks = read_number(query["weeks"], ("query", "weeks"), errors)
        if "since" in query:
            try:
                end = parse_moment(query["since"]).date()
            except ValueError as error:
                place = ("query", "since")
                problem = {
                    "type": "date_parsing",
                    "loc": place,
                    "msg": f"Input should be a valid date, {error}",
                }
                errors.append({**problem, "input": query["since"]})
        if errors:
            raise _RefusalError(422, errors)
        return weeks, end


def _read_json(request: Request) -> object:
    """Return what a body holds: its JSON, or its text if it is said to be of another type."""
    if not request.body:
        return None
    header = Message()
    header["Content-Type"] = request.headers.get("content-type", "text/plain")
    kind = header.get_content_type()
    if kind != "application/json" and not re.fullmatch(r"application/.*\+json", kind):
        return request.body.decode()
    try:
        return json.loads(request.body)
    except json.JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error"}
        raise _RefusalError(422, [{**problem, "input": {}, "ctx": {"error": error.msg}}]) from None
    except (ValueError, RecursionError):
        raise _RefusalError(400, "There was an error parsing the body") from None


def _read_breadcrumb(request: Request, body: object) -> tuple[bool, dict[str, Any]]:
    """Return whether the client waits, and the breadcrumb's fields."""
    errors: Errors = []
    wait = read_flag(request.parameters.get("wait", "false"), ("query", "wait"), errors)
    fields: dict[str, Any] = {}
    if request.body:
        fields = read_breadcrumb(body, errors)
    else:
        miss(errors, ("body",), None)
    if errors:
        raise _RefusalError(422, errors)
    given = {**fields, **fields.pop("ctx"), **fields.pop("proc")}
    for name in ("project_version", "language_version"):
        if not _VERSION.fullmatch(given[name]):
            given[name] = "unknown"
    # The user's type is not kept.
    return wait, {**given, "user_type": "general"}
