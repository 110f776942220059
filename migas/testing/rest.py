"""The REST interface of the local server: stores a breadcrumb, and counts sessions for a token.

A breadcrumb is checked in the hosted server's order: JSON, limit, size, fields, project. A method
raises `RefusedError` for a request that is answered by an error.
"""

from __future__ import annotations

import datetime
import json
import re
from email.message import Message
from typing import TYPE_CHECKING, Any

from .limit import TOO_MANY
from .message import MAX_BODY, RefusedError, Reply, Request, reply_rest
from .model import note_missing, read_breadcrumb, read_date, read_flag, read_number
from .store import check_text, make_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .engine import Projects
    from .limit import Limit
    from .message import Connection
    from .model import Errors
    from .store import Store

# Any other version is stored as "unknown". (The recordings show that of an empty text, of blanks
# and of parentheses.)
_VERSION = re.compile(r"[0-9A-Za-z.+!_-]+", re.ASCII)


class Rest:
    """Answers REST requests.

    Parameters:
        store: keeps the breadcrumbs.
        projects: the registered projects.
        limit: counts the breadcrumbs, and refuses them.
        tokens: the project that each token may read.
    """

    def __init__(
        self, store: Store, projects: Projects, limit: Limit, tokens: Mapping[str, str]
    ) -> None:
        self._store = store
        self._projects = projects
        self._limit = limit
        self._tokens = tokens

    def add_breadcrumb(self, request: Request, connection: Connection) -> Reply:
        """Store the breadcrumb of a `POST /api/breadcrumb`.

        The answer is a 202, or with `?wait=true` a 200 once the breadcrumb is stored and a 500 if
        it cannot be. The hosted server stores it even if the client has hung up.
        """
        body = _read_json(request)
        if self._limit.refuses(connection.client):
            raise _refuse(429, TOO_MANY)
        size = len(request.body)
        if size > MAX_BODY:
            raise _refuse(413, f"Request body ({size}) exceeds maximum size ({MAX_BODY})")
        wait, given = _read_breadcrumb(request, body)
        if "/" not in given["project"]:
            raise _refuse(400, "Invalid project format (expected owner/repo).")
        check_text(given["project"])
        if given["project"] not in self._projects:
            raise _refuse(400, "Project is not registered.")
        stored = self._store.ingest([make_row(given)])
        if wait and not stored:
            return reply_rest(500, {"success": False, "message": "Error during ingestion."})
        reply = reply_rest(200 if wait else 202, {"success": True, "message": ""})
        return reply._replace(last=not stored)

    def get_usage(self, request: Request, _connection: Connection) -> Reply:
        """Answer `GET /api/usage/{owner}/{repo}` with sessions by date, version and status.

        The query string's `weeks` says how many weeks up to today are counted, by default one; with
        a date as `since`, only days before that date. A token of another project is answered 403.
        More weeks than the calendar has are an exception, as they are of the hosted server's.
        """
        readable = self._read_token(request)
        weeks, end = _read_period(request)
        project = request.route.removeprefix("/api/usage/")
        if project != readable:
            raise _refuse(403, f"Token does not have access to project {project}.")
        if project not in self._projects:
            raise _refuse(404, f"Project {project} not found.")
        start = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(weeks=weeks)
        return reply_rest(200, self._store.sessions(project, start.isoformat(), end.isoformat()))

    def get_projects(self, request: Request, _connection: Connection) -> Reply:
        """Answer `GET /api/auth/projects` with the projects that the token may read."""
        return reply_rest(200, {"projects": [self._read_token(request)]})

    def _read_token(self, request: Request) -> str:
        """Return the project that the request's token may read."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _refuse(401, "Missing or malformed Authorization header.")
        if token not in self._tokens:
            raise _refuse(401, "Invalid or insufficient token.")
        return self._tokens[token]


def _refuse(status: int, detail: object) -> RefusedError:
    """Return the exception that answers with an error."""
    return RefusedError(reply_rest(status, {"detail": detail}))


def _read_period(request: Request) -> tuple[int, datetime.date]:
    """Return the number of weeks, and the day after the last one that is wanted."""
    query = request.parameters
    errors: Errors = []
    weeks = 1
    if "weeks" in query:
        weeks = read_number(query["weeks"], ("query", "weeks"), errors)
    end = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)
    if "since" in query:
        end = read_date(query["since"], ("query", "since"), errors)
    if errors:
        raise _refuse(422, errors)
    return weeks, end


def _read_json(request: Request) -> object:
    """Return the body's JSON, or its text if its content type is another. None: it is empty."""
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
        raise _refuse(422, [{**problem, "input": {}, "ctx": {"error": error.msg}}]) from None
    except (ValueError, RecursionError):
        raise _refuse(400, "There was an error parsing the body") from None


def _read_breadcrumb(request: Request, body: object) -> tuple[bool, dict[str, Any]]:
    """Return whether the client waits, and the breadcrumb's fields."""
    errors: Errors = []
    wait = read_flag(request.parameters.get("wait", "false"), ("query", "wait"), errors)
    fields: dict[str, Any] = {}
    if request.body:
        fields = read_breadcrumb(body, errors)
    else:
        note_missing(errors, ("body",), None)
    if errors:
        raise _refuse(422, errors)
    given = {**fields, **fields.pop("ctx"), **fields.pop("proc")}
    for name in ("project_version", "language_version"):
        if not _VERSION.fullmatch(given[name]):
            given[name] = "unknown"
    # The user's type is not kept.
    return wait, {**given, "user_type": "general"}
