"""A question waits for its answer, and no longer than its caller does."""

from __future__ import annotations

import time

import pytest
from support import PATIENCE

from migas._delivery.query import Greeting, reach
from migas._runtime.settings import Settings
from migas.testing import Fault, Server


@pytest.mark.parametrize("geolocation", [True, False])
def test_a_server_that_is_reached_says_whether_it_derives_a_place(geolocation: bool) -> None:
    """As its answer's header does; without an answer nobody knows."""
    with Server(geolocation=geolocation) as server:
        settings = Settings(endpoint=server.endpoint, timeout=float(PATIENCE))
        assert reach(settings, time.monotonic() + PATIENCE) == Greeting("", geolocation)
        server.inject(Fault.status(503))
        told = reach(settings, time.monotonic() + PATIENCE)
        assert told == Greeting("the server answered 503", None)
