"""Each operation answers as the hosted server's does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from local_client import ADD, PLAIN, ask, query

from migas.testing import Fault, Server

CHECK = 'project:"%s",project_version:"%s"'


def check(server: Server, project: str, version: str = "1") -> Any:
    """Return what `check_project` says of a version."""
    document = f"{{check_project({CHECK % (project, version)}){{success flagged latest message}}}}"
    return ask(server, "POST", "/graphql", query(document)).body


def test_only_named_projects_are_registered_where_some_are_named() -> None:
    """Otherwise every owner/repo is; names are case-sensitive."""
    with Server(projects=["a/b"]) as server:
        assert server.answer("{get_projects}").body == {"data": {"get_projects": ["a/b"]}}
        assert server.answer(ADD.replace("a/b", "A/b") % "").body == {
            "data": {"add_project": {"success": False}}
        }
    with Server() as server:
        server.answer(ADD % "")
        assert server.answer("{get_projects}").body == {"data": {"get_projects": ["a/b"]}}


@pytest.mark.parametrize("project", ["a/b", "c/d", "noslash"])
def test_check_project_does_not_know_what_is_registered(project: str) -> None:
    """GitHub alone is asked; where that fails, so does the question."""
    with Server(projects=["a/b"], latest_version="2", bad_versions=["1"]) as server:
        news = {"success": True, "flagged": True, "latest": "2", "message": ""}
        assert check(server, project) == {"data": {"check_project": news}}
        news["flagged"] = False
        assert check(server, project, "2") == {"data": {"check_project": news}}
        server.inject(Fault.look_up())
        failed = check(server, project)
        assert failed["data"] is None
        assert failed["errors"][0]["path"] == ["check_project"]


@pytest.mark.parametrize("project", ["a/\0b", "a/\ud800"], ids=["NUL", "lone surrogate"])
@pytest.mark.parametrize(
    "field",
    [
        f"mutation($p:String!){{x:{(PLAIN % '')[9:-1]}}}",
        f"mutation($p:String!){{x:{(ADD % '')[9:-1]}}}",
        'query($p:String!){x:get_usage(project:"a/b",start:"2026-01-01")}',
    ],
    ids=["add_breadcrumb", "add_project", "get_usage"],
)
def test_a_name_that_the_database_cannot_compare_is_an_error(field: str, project: str) -> None:
    """It is one of that operation, with its path, and no word on what is registered."""
    with Server() as server:
        document = field.replace('"a/b"', "$p")
        told = ask(server, "POST", "/graphql", query(document, variables={"p": project}))
        assert (told.status, told.body["data"]) == (200, None)
        [error] = told.body["errors"]
        assert error["path"] == ["x"]
        assert ("invalid byte sequence" in error["message"]) is ("\0" in project)


def test_an_operation_that_fails_keeps_what_came_before_it() -> None:
    """What came after it is lost (trap 5)."""
    fields = [(PLAIN % f'status_desc:"{index}"')[len("mutation{") : -1] for index in range(3)]
    fields[1] = fields[1].replace('"a/b"', json.dumps("a/\0b"))
    document = "mutation{" + " ".join(f"a{i}:{field}" for i, field in enumerate(fields)) + "}"
    with Server() as server:
        told = ask(server, "POST", "/graphql", query(document))
        assert told.body["errors"][0]["path"] == ["a1"]
        assert [crumb["status_desc"] for crumb in server.crumbs] == ["0"]


def test_an_unregistered_project_is_not_looked_up() -> None:
    """It is refused before anybody is asked for its version (trap 2)."""
    with Server(projects=["c/d"]) as server:
        server.inject(Fault.look_up())
        told = ask(server, "POST", "/graphql", query(ADD % ""))
        assert told.body == {"data": {"add_project": {"success": False}}}


def test_an_old_server_registers_what_it_meets() -> None:
    """It counts no use of what it has not met."""
    usage = '{get_usage(project:"a/b",start:"2026-01-01")}'
    with Server(old=True) as server:
        assert server.answer(usage).body["data"] == {
            "get_usage": {
                "hits": 0,
                "message": 'Project "a/b" is not being tracked',
                "unique": False,
                "success": False,
            }
        }
        server.answer(ADD % ',user_id:"3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"')
        server.answer(ADD % "")
        answer: Any = server.answer(usage).body
        assert (answer["data"]["get_usage"]["hits"], len(server.users)) == (2, 1)
