"""The limit counts as the hosted server does (trap 6)."""

from __future__ import annotations

import pytest
from local_client import ADD, PLAIN, ask, query

from migas.testing import Server
from migas.testing.limit import Limit


class Clock:
    """Shows the time that a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_client_may_make_so_many_requests_within_a_window() -> None:
    """The one after them is refused, and another client's is not."""
    limit = Limit(3, 60.0, Clock())
    assert [limit.refuses("a") for _ in range(4)] == [False, False, False, True]
    assert not limit.refuses("b")


def test_a_window_slides() -> None:
    """A request counts for as long as the window lasts, and no longer."""
    clock = Clock()
    limit = Limit(2, 60.0, clock)
    assert not limit.refuses("a")
    clock.now += 59
    assert not limit.refuses("a")
    clock.now += 1
    assert not limit.refuses("a")
    assert limit.refuses("a")


def test_a_refused_request_counts_as_well() -> None:
    """A client that goes on asking stays refused; one that waits a window starts from nothing."""
    clock = Clock()
    limit = Limit(2, 60.0, clock)
    refused = []
    for _ in range(20):
        refused.append(limit.refuses("a"))
        clock.now += 20
    assert refused == [False, False] + [True] * 18
    clock.now += 60
    assert [limit.refuses("a") for _ in range(3)] == [False, False, True]


def test_without_a_limit_nothing_is_counted() -> None:
    """That is how a local server starts."""
    limit = Limit(None, 60.0, Clock())
    assert not any(limit.refuses("a") for _ in range(5000))


@pytest.mark.parametrize("document", [ADD % "", PLAIN % ""])
def test_a_server_refuses_what_is_beyond_its_limit(document: str) -> None:
    """By GraphQL and by REST alike, without a word on when to come again, and nothing is stored."""
    body = {"project": "a/b", "project_version": "1"}
    with Server(limit=2, window=1e9) as server:
        assert ask(server, "POST", "/graphql", query(document)).status == 200
        assert ask(server, "POST", "/api/breadcrumb", body).status == 202
        refused = ask(server, "POST", "/graphql", query(document))
        assert (refused.status, refused.headers["Retry-After"]) == (429, None)
        assert refused.body == {
            "data": None,
            "errors": [{"message": "Too many requests, wait a minute."}],
        }
        assert ask(server, "POST", "/api/breadcrumb", body).status == 429
        assert ask(server, "GET", "/").status == 200
        behind = {"X_Forwarded_For": "192.0.2.7, 192.0.2.1"}
        assert ask(server, "POST", "/graphql", query(document), **behind).status == 200
        assert len(server.crumbs) == 3


def test_several_operations_of_a_request_count_once() -> None:
    """The limit is on requests, not on breadcrumbs (trap 5)."""
    field = (PLAIN % "")[len("mutation{") : -1]
    aliases = " ".join(f"a{index}:{field}" for index in range(10))
    with Server(limit=1, window=1e9) as server:
        assert ask(server, "POST", "/graphql", query(f"mutation{{{aliases}}}")).status == 200
        assert len(server.crumbs) == 10
        assert ask(server, "POST", "/graphql", query(PLAIN % "")).status == 429
