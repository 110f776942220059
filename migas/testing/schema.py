"""The GraphQL schema of migas-server 0.9.0, and what its fields do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    execute_sync,
    parse,
    validate,
    value_from_ast_untyped,
)

from .scalars import PARSERS

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Collection, Mapping

    from .store import Store

_SDL = '''
directive @oneOf on INPUT_OBJECT

"""String value that safely coerces non-string types"""
scalar SafeStr
"""Version information (PEP440 compliant)"""
scalar Version
"""Date and time information in UTC"""
scalar DateTime
scalar JSON

enum User { general dev ci }
enum Container { unknown docker apptainer }
enum Status {
  R running C completed F failed S suspended
  pending @deprecated success @deprecated error @deprecated
}

type Query {
  get_projects: [String!]!
  check_project(project: String!, project_version: String!): CheckProjectResult!
  get_usage(
    project: String!, start: DateTime!, end: DateTime = null, unique: Boolean! = false
  ): JSON!
}
type CheckProjectResult { success: Boolean! latest: String! flagged: Boolean! message: String! }

type Mutation {
  add_breadcrumb(
    project: String!, project_version: String!, language: String!, language_version: String!,
    ctx: ContextInput!, proc: ProcessInput!
  ): BreadcrumbResult!
  add_project(p: ProjectInput!): JSON!
}
type BreadcrumbResult { success: Boolean! message: String! }

input ContextInput {
  session_id: String = null
  user_id: String = null
  user_type: User! = general
  platform: String! = "unknown"
  container: Container! = unknown
  is_ci: Boolean! = false
}
input ProcessInput {
  status: Status! = R
  status_desc: SafeStr = null
  error_type: SafeStr = null
  error_desc: SafeStr = null
}
input ProjectInput {
  project: String!
  project_version: Version!
  language: String!
  language_version: Version!
  session_id: String = null
  user_id: String = null
  user_type: User! = general
  platform: String! = "unknown"
  container: Container! = unknown
  is_ci: Boolean! = false
  status: Status! = R
  status_desc: SafeStr = null
  error_type: SafeStr = null
  error_desc: SafeStr = null
}
'''

#: The long and the older names of a status mean one of its letters.
_LETTERS = {
    "running": "R",
    "pending": "R",
    "completed": "C",
    "success": "C",
    "failed": "F",
    "error": "F",
    "suspended": "S",
}


class Projects(NamedTuple):
    """The projects that the server knows, and what it says of their versions."""

    #: None: every `owner/repo` is registered.
    names: Collection[str] | None
    latest_version: str
    bad_versions: tuple[str, ...]

    def __contains__(self, project: object) -> bool:
        if self.names is None:
            return str(project).count("/") == 1 and not str(project).startswith("/")
        return project in self.names


class Answered(NamedTuple):
    """The answer to a request, and the rows that it asks to store."""

    body: dict[str, object]
    rows: list[dict[str, object]]


class _Root:
    """The resolvers of one request."""

    def __init__(self, store: Store, projects: Projects, *, look_up_fails: bool, old: bool) -> None:
        self._store = store
        self._projects = projects
        self._look_up_fails = look_up_fails
        self._old = old
        self.rows: list[dict[str, object]] = []

    def get_projects(self, _info: object) -> list[str]:
        if self._projects.names is not None:
            return list(self._projects.names)
        return list(dict.fromkeys(str(crumb["project"]) for crumb in self._store.crumbs()))

    def check_project(self, _info: object, project: str, project_version: str) -> object:
        known = project in self._projects
        return {
            "success": known,
            "flagged": known and project_version in self._projects.bad_versions,
            "latest": self._projects.latest_version if known else "unknown",
            "message": "" if known else "Project is not registered.",
        }

    def get_usage(
        self,
        _info: object,
        project: str,
        start: datetime.datetime,
        unique: bool,
        end: datetime.datetime | None = None,
    ) -> object:
        known = project in self._projects
        last = None if end is None else end.timestamp()
        return {
            "hits": self._store.usage(project, start.timestamp(), last, unique) if known else 0,
            "message": "" if known else f'Project "{project}" is not being tracked',
            "unique": unique,
            "success": known,
        }

    def add_project(self, _info: object, p: Mapping[str, Any]) -> object:
        if self._look_up_fails:
            raise GraphQLError("Cannot connect to host api.github.com:443")
        if self._old and "/" not in p["project"]:
            raise GraphQLError("Invalid project specified.")
        if p["project"] not in self._projects:
            return {"success": False}
        self._take(p)
        return {
            "bad_versions": list(self._projects.bad_versions),
            "cached": True,
            "latest_version": self._projects.latest_version,
            "message": "",
            "success": True,
        }

    def add_breadcrumb(
        self, _info: object, ctx: Mapping[str, Any], proc: Mapping[str, Any], **given: Any
    ) -> object:
        if given["project"] not in self._projects:
            slash = "/" in given["project"]
            message = "Project is not yet registered." if slash else ""
            return {"success": False, "message": message}
        # This operation does not keep the user's type.
        self._take({**given, **ctx, **proc, "user_type": "general"})
        return {"success": True, "message": ""}

    def _take(self, given: Mapping[str, Any]) -> None:
        row = {"session_id": None, "user_id": None, **given}
        row["version"] = row.pop("project_version")
        row["status"] = _LETTERS.get(row["status"], row["status"])
        for name in ("status_desc", "error_type", "error_desc"):
            row.setdefault(name, None)
        self.rows.append(row)


class Engine:
    """Answers GraphQL requests from a store."""

    def __init__(self, store: Store, projects: Projects, *, old: bool = False) -> None:
        self._store = store
        self._projects = projects
        self._old = old
        self._schema = OLD_SCHEMA if old else SCHEMA

    def answer(
        self,
        query: str,
        variables: Mapping[str, Any] | None,
        operation: str | None,
        refusal: str | None = None,
        *,
        look_up_fails: bool = False,
    ) -> Answered:
        """Execute a request; nothing is stored yet. ``refusal``: valid or not, it is refused."""
        try:
            document = parse(query)
        except GraphQLError:
            return Answered(_failure({"message": "No GraphQL document available"}), [])
        errors = validate(self._schema, document)
        if errors:
            return Answered(_failure(*(error.formatted for error in errors)), [])
        if refusal is not None:
            return Answered(_failure({"message": refusal}), [])
        root = _Root(self._store, self._projects, look_up_fails=look_up_fails, old=self._old)
        result = execute_sync(
            self._schema,
            document,
            root_value=root,
            variable_values=dict(variables or {}),
            operation_name=operation,
        )
        if not isinstance(result, ExecutionResult):  # none of the schema's fields is awaitable
            raise TypeError(result)
        if result.errors:
            return Answered(_failure(*(error.formatted for error in result.errors)), root.rows)
        return Answered({"data": result.data}, root.rows)


def _failure(*errors: object) -> dict[str, object]:
    return {"data": None, "errors": list(errors)}


def _build(sdl: str) -> GraphQLSchema:
    schema = build_schema(sdl)
    for name, parser in PARSERS.items():
        scalar = schema.type_map[name]
        if not isinstance(scalar, GraphQLScalarType):
            raise TypeError(name)
        _teach(scalar, parser)
    return schema


def _teach(scalar: GraphQLScalarType, parser: Callable[[Any], object]) -> None:
    def parse_literal(node: Any, variables: Any = None) -> object:
        return parser(value_from_ast_untyped(node, variables))

    scalar.parse_value = parser  # type: ignore[method-assign,assignment]  # build_schema() takes no parsers
    scalar.parse_literal = parse_literal  # type: ignore[method-assign]


SCHEMA = _build(_SDL)

#: Of server 0.3, as far as a client can tell: what came later is missing.
OLD_SCHEMA = _build(re.sub(r"  check_project.*\n|  add_breadcrumb\([^)]*\).*\n", "", _SDL))
