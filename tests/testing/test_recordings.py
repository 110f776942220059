"""The local server answers what the hosted one was recorded to answer."""

from __future__ import annotations

import gzip
import http.client
import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from migas.testing import Fault, Server

RECORDINGS = json.loads((Path(__file__).parents[1] / "data" / "recordings.json").read_text())

#: The projects that the recorded server had registered.
PROJECTS = [
    "nipreps/migas-py",
    "mgxd/migas-py",
    "acme/hostpkg",
    "acme/uncached",
    "nipreps/nipreps",
]

#: A server for each configuration that was recorded.
SERVERS: dict[str, dict[str, Any]] = {
    "registered": {"projects": PROJECTS, "bad_versions": ["0.0.1", "0.0.2"]},
    "limited": {
        "projects": PROJECTS,
        "bad_versions": ["0.0.2", "0.0.1"],
        "limit": 5,
        "window": 1e9,
    },
    "restarted": {"projects": PROJECTS, "bad_versions": ["0.0.2", "0.0.1"]},
    "forbidden": {"projects": PROJECTS, "latest_version": "forbidden"},
    "old": {"old": True, "bad_versions": ["0.0.2", "0.0.1"]},
    "old and limited": {"old": True, "bad_versions": ["0.0.2", "0.0.1"], "limit": 5, "window": 1e9},
}

#: Exchanges that the local server has otherwise, and why.
DIFFERENCES = {
    "http/Accept-Encoding gzip, response over 1000 bytes": (
        "the administrator's operations are not in the schema: register_project and two on tokens"
    ),
    "uncached/aliases good, uncached, good": "a look-up that fails does so for every project",
    "v0.3/get_usage/ok": "an error in that server's own SQL",
    "v0.3/get_usage/unique": "an error in that server's own SQL",
}

#: How many like it the recorder sent before a request that is the fifth, or the sixth.
BEFORE = {"ratelimit/request 5 of limit 5": 3, "v0.3/ratelimit/request 6, limit 5": 5}

#: Bodies that the recordings only describe.
MADE = {
    "gzip of a minimal add_project body": gzip.compress(b'{"query":"{get_projects}"}'),
    "gzip of a minimal REST body": gzip.compress(b"{}"),
    "bytes 7b227175657279223a22fffe227d": bytes.fromhex("7b227175657279223a22fffe227d"),
}

#: Headers that belong to the connection or to the web server, not to the answer.
ELSEWHERE = {"server", "date"}


def choose_server(recording: dict[str, Any]) -> str:
    """Return which of `SERVERS` was recorded."""
    limited = "PER_WINDOW" in recording["config"]
    if recording["server"] == "migas-server 0.3.3":
        return "old and limited" if limited else "old"
    if "recorded as forbidden" in recording["name"]:
        return "forbidden"
    if recording["name"].startswith("client "):
        return "restarted"
    return "limited" if limited else "registered"


def lacks_look_up(recording: dict[str, Any]) -> bool:
    """Whether the recorded server could not reach GitHub for this request."""
    name = recording["name"]
    return "GitHub unreachable" in name or (
        name.startswith("uncached/") and "forbidden" not in name
    )


def send(server: Server, recording: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    request = recording["request"]
    body = MADE.get(request["body"], (request["body"] or "").encode()) or None
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(request["method"], request["path"], body, request["headers"])
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return response.status, headers, content


def replay(server: Server, recording: dict[str, Any]) -> dict[str, Any]:
    """Return what the local server does, in the form of a recording."""
    server.inject([Fault.look_up()] if lacks_look_up(recording) else [])
    crumbs, users = len(server.crumbs), len(server.users)
    status, headers, content = send(server, recording)
    if headers.get("content-encoding") == "gzip":
        content = gzip.decompress(content)
    is_json = content and headers["content-type"] == "application/json"
    if "location" in headers:
        headers["location"] = headers["location"].replace(f"127.0.0.1:{server.port}", "<host>")
    return {
        "status": status,
        "headers": headers,
        "body": json.loads(content) if is_json else content.decode(),
        "crumbs": server.crumbs[crumbs:],
        "users": server.users[users:],
    }


def expect(recording: dict[str, Any], server: Server) -> dict[str, Any]:
    """Return what was recorded, with this server's own number of hits."""
    response = recording["response"]
    body = response["body"]
    usage = (body.get("data") or {}).get("get_usage") if isinstance(body, dict) else None
    if usage and usage["hits"]:
        project = re.search(r"[a-z]+/[a-z-]+", recording["request"]["body"].replace("a/b", ""))
        mine = [crumb for crumb in server.crumbs if project and crumb["project"] == project[0]]
        users = {crumb["user_id"] for crumb in mine} - {None}
        hits = len(users if usage["unique"] else mine)
        body = {"data": {"get_usage": {**usage, "hits": hits}}}
    ingested = recording.get("ingested", {})
    return {"status": response["status"], "headers": response["headers"], "body": body, **ingested}


def compare(observed: dict[str, Any], expected: dict[str, Any]) -> tuple[Any, Any]:
    """Return both, without what no two servers have alike."""
    ignored = set(ELSEWHERE)
    page = "html" in expected["headers"].get("content-type", "")
    if page or "content-encoding" in expected["headers"] or "get_usage" in str(expected["body"]):
        ignored.add("content-length")
    if page:  # the local server's pages are its own, and too short to be compressed
        ignored.add("vary")
        observed, expected = {**observed, "body": ""}, {**expected, "body": ""}
    shown = {name: observed[name] for name in expected}
    for side in (shown, expected):
        side["headers"] = {k: v for k, v in side["headers"].items() if k not in ignored}
    return shown, expected


@pytest.fixture(scope="module")
def exchanges() -> dict[str, tuple[Any, Any]]:
    """What was observed and what was recorded, by name, all replayed in order."""
    found = {}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(Server(**{"latest_version": "0.4.0", **given}))
            for name, given in SERVERS.items()
        }
        for recording in RECORDINGS:
            server = servers[choose_server(recording)]
            for _ in range(BEFORE.get(recording["name"], 0)):
                send(server, recording)
            expected = expect(recording, server)
            found[recording["name"]] = compare(replay(server, recording), expected)
    return found


@pytest.mark.parametrize("name", [entry["name"] for entry in RECORDINGS])
def test_an_exchange_goes_as_recorded(exchanges: dict[str, tuple[Any, Any]], name: str) -> None:
    """Status, headers, body and what was stored are the hosted server's."""
    observed, expected = exchanges[name]
    if name in DIFFERENCES:
        assert observed != expected, f"no difference any more: {DIFFERENCES[name]}"
    else:
        assert observed == expected
