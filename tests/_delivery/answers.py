"""Anything that a server, or somebody in its place, may answer, as `transport` sees it."""

from __future__ import annotations

import json
import os

from hypothesis import strategies as st

from migas._delivery.policy import Exchange

#: Examples of each property of answers; more with MIGAS_TEST_EXAMPLES.
EXAMPLES = int(os.environ.get("MIGAS_TEST_EXAMPLES", "100"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
SENTENCES = st.sampled_from(
    [
        "Invalid project",
        "Cannot query field 'add_breadcrumb'",
        "Error 111 connecting to redis",
        "Syntax Error: Unterminated string.",
    ]
)
ERRORS = st.fixed_dictionaries(
    {},
    optional={
        "message": SENTENCES | JSON,
        "path": st.just(["a0"]) | JSON,
        "locations": st.just([{"line": 1, "column": 2}]) | JSON,
        "extensions": JSON,
    },
)
PARTS = st.fixed_dictionaries(
    {},
    optional={"success": st.booleans() | JSON, "message": SENTENCES | JSON, "bad_versions": JSON},
)
ALIASES = st.sampled_from([f"a{number}" for number in range(6)])
GRAPHQL = st.fixed_dictionaries(
    {},
    optional={
        "data": st.none() | st.dictionaries(ALIASES, PARTS | JSON, max_size=6) | JSON,
        "errors": st.lists(ERRORS, max_size=3) | JSON,
        "extensions": JSON,
    },
)
SHAPED = (GRAPHQL | JSON).map(lambda content: json.dumps(content).encode())
BODIES = st.one_of(
    SHAPED,
    st.binary(max_size=60),
    st.builds(lambda text, cut: text[:cut], SHAPED, st.integers(0, 60)),
    st.builds(lambda text, more: text + more, SHAPED, st.binary(max_size=9)),
    st.builds(
        lambda text, count: text * count, st.sampled_from([b"[", b'{"a":']), st.integers(0, 10_000)
    ),
    st.builds(lambda count: b'{"data":{"a":' + b"9" * count + b"}}", st.integers(0, 9999)),
    st.sampled_from(["utf-16", "utf-32", "latin-1"]).map('{"data":{}}'.encode),
)
EXCHANGES = st.builds(
    Exchange,
    error=st.sampled_from(["", "", "", "it failed"]),
    whole=st.booleans(),
    stale=st.booleans(),
    status=st.none() | st.sampled_from([200, 200, 400, 413, 422, 429]) | st.integers(100, 999),
    signed=st.booleans(),
    encoded=st.sampled_from([False, False, True]),
    retry_after=st.just("")
    | st.text(max_size=30)
    | st.integers(0, 10**9).map(lambda n: str(n) * 999),
    body=BODIES,
)

#: Those that most look like the application's own.
WORDS = st.builds(
    Exchange,
    whole=st.just(True),
    status=st.just(200),
    signed=st.booleans(),
    body=GRAPHQL.map(lambda content: json.dumps(content).encode()),
)
