"""The local server answers what the hosted one was recorded to answer."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from migas.testing import Server

RECORDINGS = json.loads((Path(__file__).parents[1] / "data" / "recordings.json").read_text())

#: The projects that the recorded server had registered.
PROJECTS = [
    "nipreps/migas-py",
    "mgxd/migas-py",
    "acme/hostpkg",
    "acme/uncached",
    "nipreps/nipreps",
]

BAD_VERSIONS = ["0.0.1", "0.0.2"]

#: Recorded entries that the local server answers differently on purpose, and why.
DIFFERENCES = {
    "size/rest body of 2500 bytes": "REST is not served: no client of ours speaks it",
    "size/rest body of 2501 bytes": "REST is not served: no client of ours speaks it",
}


def replay(server: Server, recording: dict[str, Any]) -> tuple[int, Any]:
    request = recording["request"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(
            request["method"], request["path"], request["body"].encode(), request["headers"]
        )
        response = connection.getresponse()
        content = response.read().decode()
    finally:
        connection.close()
    is_json = response.headers["Content-Type"] == "application/json"
    return response.status, json.loads(content) if is_json else content


def expected_body(recording: dict[str, Any], crumbs: list[dict[str, object]]) -> Any:
    """The recorded body; the number of hits depends on what this server has stored so far."""
    body = recording["response"]["body"]
    usage = (body.get("data") or {}).get("get_usage") if isinstance(body, dict) else None
    if not usage or not usage["hits"]:
        return body
    mine = [crumb for crumb in crumbs if crumb["project"] == "acme/hostpkg"]
    users = {crumb["user_id"] for crumb in mine} - {None}
    return {"data": {"get_usage": {**usage, "hits": len(users if usage["unique"] else mine)}}}


@pytest.fixture(scope="module")
def exchanges() -> dict[str, tuple[object, object]]:
    """What was observed and what was recorded, by name, all replayed to one server in order."""
    found: dict[str, tuple[object, object]] = {}
    with Server(projects=PROJECTS, latest_version="0.4.0", bad_versions=BAD_VERSIONS) as server:
        for recording in RECORDINGS:
            crumbs, users = server.crumbs, server.users
            answer = replay(server, recording)
            observed = (*answer, server.crumbs[len(crumbs) :], server.users[len(users) :])
            expected = (
                recording["response"]["status"],
                expected_body(recording, crumbs),
                recording["ingested"]["crumbs"],
                recording["ingested"]["users"],
            )
            found[recording["name"]] = observed, expected
    return found


@pytest.mark.parametrize("name", [entry["name"] for entry in RECORDINGS])
def test_an_exchange_goes_as_recorded(
    exchanges: dict[str, tuple[object, object]], name: str
) -> None:
    """Status, body and what was stored are the hosted server's, but for the listed differences."""
    observed, expected = exchanges[name]
    if name in DIFFERENCES:
        assert observed != expected, f"no difference any more: {DIFFERENCES[name]}"
    else:
        assert observed == expected
