"""The GraphQL engine of the local server: executes a document and collects the rows to store.

Nothing is stored here. The rows are returned with the answer, since the hosted server stores them
after it has answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import (
    ExecutionResult,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
    parse,
    validate,
)

from .schema import OLD_SCHEMA, SCHEMA
from .store import check_text, make_row

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Collection, Mapping

    from graphql import DocumentNode

    from .store import Store

#: The hosted server's message if it cannot reach GitHub.
_NO_LOOK_UP = "Cannot connect to host api.github.com:443 ssl:default [Name or service not known]"

#: The hosted server's latest version of a project if GitHub has refused to name one.
_FORBIDDEN = "forbidden"


class OperationError(Exception):
    """The document has no operation of the name that the request gives."""


class Projects(NamedTuple):
    """The registered projects, and the news of their versions."""

    #: Their names. None: every `owner/repo` is registered.
    names: Collection[str] | None
    #: The latest version of each project.
    latest_version: str
    #: The versions that their developers warn of.
    bad_versions: tuple[str, ...]

    def __contains__(self, project: object) -> bool:
        if self.names is None:
            return str(project).count("/") == 1 and not str(project).startswith("/")
        return project in self.names

    @property
    def is_answered(self) -> bool:
        """Whether GitHub has named a latest version."""
        return self.latest_version != _FORBIDDEN


class Answer(NamedTuple):
    """The answer to a GraphQL request."""

    body: dict[str, object]
    #: False if a breadcrumb could not be stored, or if the client has hung up.
    stored: bool


class Answered(NamedTuple):
    """The answer to a GraphQL request, and the rows that it asks to store."""

    body: dict[str, object]
    rows: list[dict[str, object]]


class _Root:
    """The resolvers of one request."""

    def __init__(
        self, store: Store, projects: Projects, look_up: Callable[[], bool], *, old: bool
    ) -> None:
        self._store = store
        self._projects = projects
        self._look_up = look_up
        self._old = old
        self.rows: list[dict[str, object]] = []

    def get_projects(self, _info: object) -> list[str]:
        """Return the names of the registered projects, or of those that have a breadcrumb."""
        if self._projects.names is not None:
            return list(self._projects.names)
        return self._store.projects()

    def check_project(self, _info: object, project: str, project_version: str) -> object:
        """Return the news of a version.

        GitHub alone is asked, so an unregistered project is answered like any other.
        """
        del project
        self._await_look_up()
        return {
            "success": self._projects.is_answered,
            "flagged": project_version in self._projects.bad_versions,
            "latest": self._projects.latest_version,
            "message": "",
        }

    def get_usage(
        self,
        _info: object,
        project: str,
        start: datetime.datetime,
        unique: bool,
        end: datetime.datetime | None = None,
    ) -> object:
        """Return the number of a project's breadcrumbs, or of its users."""
        known = self._is_tracked(project)
        last = None if end is None else end.timestamp()
        return {
            "hits": self._store.usage(project, start.timestamp(), last, unique) if known else 0,
            "message": "" if known else f'Project "{project}" is not being tracked',
            "unique": unique,
            "success": known,
        }

    def add_project(self, _info: object, p: Mapping[str, Any]) -> object:
        """Take a breadcrumb, and return the news of its version.

        If the look-up of that version fails, the breadcrumb is not taken.
        """
        if self._old and "/" not in p["project"]:
            raise GraphQLError("Invalid project specified.")
        if not self._is_registered(p["project"]):
            return {"success": False}
        self._await_look_up()
        # An id that is not given is an empty text to the old server.
        empty = {"user_id", "session_id"} if self._old else ()
        self.rows.append(make_row({k: v for k, v in p.items() if v or k not in empty}))
        return {
            "bad_versions": list(self._projects.bad_versions),
            "cached": True,
            "latest_version": self._projects.latest_version,
            "message": "",
            "success": self._projects.is_answered,
        }

    def add_breadcrumb(
        self, _info: object, ctx: Mapping[str, Any], proc: Mapping[str, Any], **given: Any
    ) -> object:
        """Take a breadcrumb. Its user's type is not kept."""
        if not self._is_registered(given["project"]):
            slash = "/" in given["project"]
            message = "Project is not yet registered." if slash else ""
            return {"success": False, "message": message}
        self.rows.append(make_row({**given, **ctx, **proc, "user_type": "general"}))
        return {"success": True, "message": ""}

    def _await_look_up(self) -> None:
        """Wait for the look-up of the latest version. Raises `GraphQLError` if it fails."""
        if not self._look_up():
            raise GraphQLError(_NO_LOOK_UP)

    def _is_registered(self, project: str) -> bool:
        """Return whether the server takes breadcrumbs of ``project``.

        Raises `ValueError` for a name that its database cannot compare.
        """
        check_text(project)
        return project in self._projects

    def _is_tracked(self, project: str) -> bool:
        """Return whether the server counts the uses of ``project``.

        The old server registers a project by its first breadcrumb.
        """
        if self._old:
            return project in self._store.projects()
        return self._is_registered(project)


class Engine:
    """Executes GraphQL requests.

    Parameters:
        store: the breadcrumbs that are there already.
        projects: the registered projects.
        old: whether this is a server 0.3.
    """

    def __init__(self, store: Store, projects: Projects, *, old: bool = False) -> None:
        self._store = store
        self._projects = projects
        self._old = old
        self._schema = OLD_SCHEMA if old else SCHEMA

    def answer(
        self,
        query: str,
        variables: Mapping[str, Any] | None,
        operation: object,
        refusal: str | None = None,
        *,
        look_up: Callable[[], bool] = lambda: True,
    ) -> Answered:
        """Execute a request. Nothing is stored yet.

        Parameters:
            query: the document.
            variables: its variables.
            operation: the name of the operation to execute. None: the first one.
            refusal: the reason why the request is refused, or None. It gives way to the errors of
                a document that is not valid, as at the hosted server.
            look_up: see `Connection`.

        Raises `OperationError` if there is no operation of that name.
        """
        try:
            document = parse(query)
        except GraphQLError as error:
            # The hosted server loses the syntax error on its way.
            lost = {"message": "No GraphQL document available"}
            return Answered(_failure(error.formatted if self._old else lost), [])
        node = _find_operation(document, operation)
        errors = validate(self._schema, document)
        if errors:
            return Answered(_failure(*(error.formatted for error in errors)), [])
        if refusal is not None:
            return Answered(_failure({"message": refusal}), [])
        name = node.name.value if node is not None and node.name else None
        return self._execute(document, variables, name, look_up)

    def _execute(
        self,
        document: DocumentNode,
        variables: Mapping[str, Any] | None,
        name: str | None,
        look_up: Callable[[], bool],
    ) -> Answered:
        root = _Root(self._store, self._projects, look_up, old=self._old)
        result = execute_sync(
            self._schema,
            document,
            root_value=root,
            variable_values=dict(variables or {}),
            operation_name=name,
        )
        if not isinstance(result, ExecutionResult):  # none of the schema's fields is awaitable
            raise TypeError(result)
        if result.errors:
            return Answered(_failure(*(error.formatted for error in result.errors)), root.rows)
        return Answered({"data": result.data}, root.rows)


def is_mutation(query: str, operation: object) -> bool:
    """Return whether the operation that a request names, or the first one, is a mutation."""
    try:
        node = _find_operation(parse(query), operation)
    except GraphQLError:
        return False
    return node is not None and node.operation is OperationType.MUTATION


def _find_operation(document: DocumentNode, wanted: object) -> OperationDefinitionNode | None:
    """Return the operation of a name, or the first one if ``wanted`` is None.

    Returns None if the document has none at all. Raises `OperationError` if it has others.
    """
    nodes = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    for node in nodes:
        if wanted is None or (node.name is not None and node.name.value == wanted):
            return node
    if wanted is None:
        return None
    raise OperationError(f'Unknown operation named "{wanted}".')


def _failure(*errors: object) -> dict[str, object]:
    return {"data": None, "errors": list(errors)}
