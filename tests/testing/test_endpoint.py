"""A GraphQL request is read from HTTP as the hosted server reads it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from local_client import ADD, ask, query

from migas.testing import Server

NAMES = "{get_projects}"

#: Two operations, of which the second may not be executed by a GET.
BOTH = "query A{get_projects} mutation B{add_project" + (ADD % "")[len("mutation{add_project") :]


@pytest.mark.parametrize(
    ("path", "body", "status", "content"),
    [
        ("/graphql", b"", 400, "Unable to parse request body as JSON"),
        ("/graphql", b"{", 400, "Unable to parse request body as JSON"),
        ("/graphql", b"{}", 400, "No GraphQL query found in the request"),
        ("/graphql", b'{"query": ""}', 400, "No GraphQL query found in the request"),
        ("/graphql", b"[]", 400, "Batching is not enabled"),
        ("/graphql", b"5", 500, "Internal Server Error"),
        ("/graphql", b"[" * 100_000, 500, "Internal Server Error"),
        ("/graphql", b'{"query": %s}' % (b"9" * 5000), 500, "Internal Server Error"),
        (
            "/graphql?query=nope",
            b'{"query": "{get_projects}"}',
            200,
            {"data": {"get_projects": []}},
        ),
        ("/graphql?query={get_projects}", b"{}", 400, "No GraphQL query found in the request"),
    ],
)
def test_a_body_is_read(path: str, body: bytes, status: int, content: object) -> None:
    """What can be no request is refused in the hosted server's words, or breaks it as well."""
    with Server() as server:
        told = ask(server, "POST", path, body)
        assert (told.status, told.body) == (status, content)
        assert ("X-Backend-Server" in told.headers) is (status != 500)


@pytest.mark.parametrize(
    ("name", "words"),
    [("query", "a string"), ("variables", "an object"), ("extensions", "an object")],
)
@pytest.mark.parametrize("value", [5, 0, True, [], "{}", {}, None])
def test_each_member_of_a_request_has_a_type(name: str, words: str, value: object) -> None:
    """A text in place of the variables is refused, and the connection stays."""
    fits = value is None or type(value) is {"a string": str, "an object": dict}[words]
    with Server() as server:
        told = ask(server, "POST", "/graphql", {**query(NAMES), name: value})
        problem = f"The GraphQL operation's `{name}` must be {words} or null, if provided."
        assert (told.body == problem) is not fits
        assert told.status == (400 if not fits or name == "query" else 200) or value == "{}"


@pytest.mark.parametrize(
    ("operation", "status", "stored"),
    [(None, 200, 0), ("A", 200, 0), ("B", 200, 1), ("C", 400, 0), ("", 400, 0), (5, 400, 0)],
)
def test_an_operation_is_chosen_by_its_name(operation: object, status: int, stored: int) -> None:
    """Without a name the first one is executed."""
    with Server() as server:
        told = ask(server, "POST", "/graphql", query(BOTH, operationName=operation))
        assert (told.status, len(server.crumbs)) == (status, stored)
        if status == 400:
            assert told.body == f'Unknown operation named "{operation}".'


@pytest.mark.parametrize(
    ("parameters", "status", "body"),
    [
        ({"query": NAMES}, 200, {"data": {"get_projects": []}}),
        ({"query": NAMES, "variables": "{}"}, 200, {"data": {"get_projects": []}}),
        ({"query": NAMES, "variables": "x"}, 400, "Unable to parse request body as JSON"),
        (
            {"query": NAMES, "variables": "5"},
            400,
            "The GraphQL operation's `variables` must be an object or null, if provided.",
        ),
        (
            {"query": NAMES, "variables": ""},
            400,
            "The GraphQL operation's `variables` must be an object or null, if provided.",
        ),
        ({"query": NAMES, "operationName": "x"}, 400, 'Unknown operation named "x".'),
        ({"query": ""}, 400, "No GraphQL query found in the request"),
        ({}, 400, "No GraphQL query found in the request"),
        ({"query": ADD % ""}, 400, "mutations are not allowed when using GET"),
        ({"query": BOTH, "operationName": "B"}, 400, "mutations are not allowed when using GET"),
        ({"query": BOTH, "operationName": "A"}, 200, {"data": {"get_projects": []}}),
    ],
)
def test_a_question_may_stand_in_the_address(
    parameters: dict[str, str], status: int, body: object
) -> None:
    """A mutation may not."""
    text = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    with Server() as server:
        told = ask(server, "GET", f"/graphql?{text}")
        assert (told.status, told.body) == (status, body)
        assert server.crumbs == []


def test_variables_may_stand_in_the_address() -> None:
    """As JSON."""
    document = 'query($p:String!){check_project(project:$p,project_version:"1"){success}}'
    variables = quote('{"p":"a/b"}')
    with Server() as server:
        told = ask(server, "GET", f"/graphql?query={quote(document)}&variables={variables}")
        assert told.body == {"data": {"check_project": {"success": True}}}


@pytest.mark.parametrize(("accepted", "status"), [("text/html", 200), ("application/json", 400)])
def test_a_browser_is_shown_a_page(accepted: str, status: int) -> None:
    """It says what it is; a program is told that its question is missing."""
    with Server() as server:
        told = ask(server, "GET", "/graphql", Accept=accepted)
        assert (told.status, "local migas server" in told.body) == (status, status == 200)


def test_what_is_too_large_is_refused_by_its_bytes() -> None:
    """Up to 2,500 are taken (trap 6)."""
    with Server() as server:
        for extra, status in ((0, 200), (1, 413)):
            spare = 2500 - len(b'{"query": "{get_projects}", "x": ""}') + extra
            told = ask(server, "POST", "/graphql", {**query(NAMES), "x": "x" * spare})
            assert told.status == status
        [error] = told.body["errors"]
        assert error == {"message": "Request body (2501) exceeds maximum size (2500)"}
