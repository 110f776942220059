"""The GraphQL schema of migas-server 0.9.0, and of the old server 0.3.

`SCHEMA` and `OLD_SCHEMA` define the operations and the types of their values. `engine` carries the
operations out, and `scalars` reads the values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from graphql import GraphQLScalarType, GraphQLSchema, build_schema, value_from_ast_untyped

from .scalars import PARSERS

if TYPE_CHECKING:
    from collections.abc import Callable

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


def _build(sdl: str) -> GraphQLSchema:
    """Return the schema of a text in GraphQL's own language, with the parsers of its scalars."""
    schema = build_schema(sdl)
    for name, parser in PARSERS.items():
        scalar = schema.type_map.get(name)
        if isinstance(scalar, GraphQLScalarType):
            _teach(scalar, parser)
    return schema


def _teach(scalar: GraphQLScalarType, parser: Callable[[Any], object]) -> None:
    """Have ``scalar`` read its values by ``parser``, in variables and in documents alike."""

    def parse_literal(node: Any, variables: Any = None) -> object:
        return parser(value_from_ast_untyped(node, variables))

    scalar.parse_value = parser  # type: ignore[method-assign,assignment]  # build_schema() takes no parsers
    scalar.parse_literal = parse_literal  # type: ignore[method-assign]


def _age(sdl: str) -> str:
    """Return the schema of server 0.3, as far as its recorded answers show it.

    Two operations came later. Its ids are texts that may not be null, and its texts take no other
    values.
    """
    sdl = re.sub(r"  check_project.*\n|  add_breadcrumb\([^)]*\).*\n", "", sdl)
    sdl = re.sub(r"(session_id|user_id): String = null", r'\1: String! = ""', sdl)
    return sdl.replace("SafeStr = null", "String = null")


SCHEMA = _build(_SDL)

OLD_SCHEMA = _build(_age(_SDL))
