"""Paths lead to answers as at the hosted server."""

from __future__ import annotations

import pytest
from local_client import ADD, ask, query

from migas.testing import Server


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/graphql/", "/graphql"),
        ("/graphql/?a=b", "/graphql?a=b"),
        ("/api/breadcrumb/?wait=true", "/api/breadcrumb?wait=true"),
        ("/api/auth/projects/", "/api/auth/projects"),
    ],
)
def test_a_slash_too_many_is_redirected(path: str, location: str) -> None:
    """To the same host, with the same method (trap 8)."""
    with Server() as server:
        told = ask(server, "POST", path, query(ADD % ""))
        assert (told.status, told.body) == (307, "")
        assert told.headers["Location"] == f"http://127.0.0.1:{server.port}{location}"
        assert "Content-Type" not in told.headers


@pytest.mark.parametrize(
    "path", ["/nope", "/nope/", "//graphql", "/graphql/more", "/api", "/api/usage"]
)
def test_there_is_nothing_elsewhere(path: str) -> None:
    """No path is guessed at."""
    with Server() as server:
        told = ask(server, "POST", path, query(ADD % ""))
        assert (told.status, told.body) == (404, {"detail": "Not Found"})


def test_an_old_server_has_no_rest() -> None:
    """It says what it is at a place that the new one lacks."""
    with Server(old=True) as server:
        assert ask(server, "POST", "/api/breadcrumb", {}).status == 404
        assert ask(server, "GET", "/info").body["version"] == "0.3.3"
    with Server() as server:
        assert ask(server, "GET", "/info").status == 404


def test_what_is_large_is_compressed_for_a_client_that_takes_it() -> None:
    """Others get it as it is."""
    field = (ADD % "")[len("mutation{") : -1]
    document = f"mutation{{{' '.join(f'a{index}:{field}' for index in range(10))}}}"
    with Server() as server:
        for accepted, coding in (("identity", None), ("gzip, deflate", "gzip")):
            told = ask(server, "POST", "/graphql", query(document), Accept_Encoding=accepted)
            assert told.headers["Content-Encoding"] == coding
            assert told.headers["Vary"] == "Accept-Encoding"
            assert len(told.body["data"]) == 10
