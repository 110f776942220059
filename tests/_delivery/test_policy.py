"""The delivery policy, row by row as in `migas._delivery.policy`, and for anything else."""

from __future__ import annotations

import json

import pytest
from answers import EXAMPLES, EXCHANGES, JSON
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import bound_memory

from migas._delivery.parcel import Outcome, Reply, Verdict
from migas._delivery.policy import (
    MAX_ATTEMPTS,
    MAX_DEPTH,
    SILENCE,
    Exchange,
    find_failure,
    judge,
    read_json,
    read_retry_after,
    waits,
)

NOW = 1_800_000_000.0
D, R, U, N = Outcome.DELIVERED, Outcome.REFUSED, Outcome.UNSENT, Outcome.UNKNOWN
GOOD: dict[str, object] = {"data": {"a0": {"success": True}}}
ERROR: dict[str, object] = {"data": None, "errors": [{"message": "Invalid project"}]}
MYSTERY = "the server's answer is not understood"
STRANGER = "the answer was no migas server's"
PAGE = b"\n<!doctype html><title>Welcome</title>"


def answer(content: object, *, signed: bool = True, status: int = 200) -> Exchange:
    """An answer that came whole."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Exchange(whole=True, status=status, signed=signed, body=body)


ROWS = {
    # The application's word
    "an answer": (answer(GOOD), Reply(D, answer=GOOD, signed=True)),
    "an answer with errors": (answer(ERROR), Reply(D, answer=ERROR, signed=True)),
    "an old server's answer": (answer(GOOD, signed=False), Reply(D, answer=GOOD)),
    "an answer with a byte order mark": (
        answer(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()),
        Reply(D, answer=GOOD, signed=True),
    ),
    "413 of the application": (
        answer(b"", status=413),
        Reply(R, "the request is too large", too_large=True, signed=True),
    ),
    **{
        f"{status} of the application": (
            answer(b"", status=status),
            Reply(R, f"the server answered {status}", signed=True),
        )
        for status in (400, 422)
    },
    # Not sent
    "no route": (Exchange("no route"), Reply(U, "no route")),
    "a stale connection, not whole": (Exchange("x", stale=True), Reply(U, "x", stale=True)),
    "an answer too early": (
        Exchange("too early", status=200, signed=True, body=json.dumps(GOOD).encode()),
        Reply(U, "too early", signed=True),
    ),
    "413 too early": (
        Exchange("too early", status=413, signed=True),
        Reply(U, "too early", signed=True),
    ),
    # Not now
    **{
        f"{status}": (Exchange(status=status), Reply(U, f"the server answered {status}"))
        for status in (408, 425, 500, 502, 503, 504, 599)
    },
    "500 of the application": (
        Exchange(status=500, signed=True),
        Reply(U, "the server answered 500", signed=True),
    ),
    "429": (Exchange(status=429), Reply(U, "the server answered 429", demand=SILENCE)),
    "429 for long": (
        Exchange(status=429, retry_after="300"),
        Reply(U, "the server answered 429", demand=300.0),
    ),
    "429 for nonsense": (
        Exchange(status=429, retry_after="soon"),
        Reply(U, "the server answered 429", demand=SILENCE),
    ),
    "503 until then": (
        Exchange(status=503, retry_after="Fri, 15 Jan 2027 09:00:00 GMT"),
        Reply(U, "the server answered 503", demand=3600.0),
    ),
    "503 until long ago": (
        Exchange(status=503, retry_after="Sat, 01 Jan 2000 00:00:00 GMT"),
        Reply(U, "the server answered 503", demand=0.0),
    ),
    "503 until no date": (
        Exchange(status=503, retry_after="Sat, 99 Jan 99999 00:00:00 GMT"),
        Reply(U, "the server answered 503"),
    ),
    "503 until a time in no zone": (
        Exchange(status=503, retry_after=f"Fri, 15 Jan 2027 09:00:00 +{'9' * 20}"),
        Reply(U, "the server answered 503"),
    ),
    "503 in the middle of a body": (
        Exchange("cut off", whole=True, status=503),
        Reply(U, "the server answered 503"),
    ),
    # Somebody else's
    **{
        f"{status} of somebody else": (
            Exchange(whole=True, status=status),
            Reply(U, f"{STRANGER} ({status})"),
        )
        for status in (301, 302, 307, 400, 403, 404, 413, 422)
    },
    "401 of somebody else": (
        Exchange(whole=True, status=401),
        Reply(U, "the server wants other credentials (401)"),
    ),
    "407 of a proxy": (
        Exchange(whole=True, status=407),
        Reply(U, "the proxy wants credentials (407)"),
    ),
    "404 of the application": (
        answer(b"", status=404),
        Reply(U, "the server answered 404", signed=True),
    ),
    "somebody else's error": (
        answer(ERROR, signed=False),
        Reply(U, f"{STRANGER} (200)", answer=ERROR),
    ),
    **{
        f"unsigned {name}": (answer(body, signed=False), Reply(U, f"{STRANGER} (200)"))
        for name, body in {
            "page": PAGE,
            "text": b"Please log in",
            "JSON list": [1],
            "JSON of another kind": {"status": "ok"},
            "JSON null": b"null",
            "empty data": {"data": None},
            "number of 5,000 digits": b"1" * 5000,
        }.items()
    },
    "the beginning of a page": (
        Exchange("cut off", whole=True, status=200, body=PAGE),
        Reply(U, f"{STRANGER} (200)"),
    ),
    # Nobody knows
    "no answer": (Exchange("silence", whole=True), Reply(N, "silence")),
    "a stale connection": (Exchange("x", whole=True, stale=True), Reply(N, "x", stale=True)),
    "no answer and no reason": (Exchange(whole=True), Reply(N, MYSTERY)),
    **{
        f"{status}": (Exchange(whole=True, status=status), Reply(N, MYSTERY))
        for status in (101, 103, 200, 202, 204, 206)
    },
    "half an answer": (
        Exchange("cut off", whole=True, status=200, body=b'{"data": {}'),
        Reply(N, "cut off"),
    ),
    "half a text": (
        Exchange("cut off", whole=True, status=200, body=b"Please log"),
        Reply(N, "cut off"),
    ),
    "a good answer that was announced as longer": (
        Exchange("cut off", whole=True, status=200, signed=True, body=b'{"data": {}}'),
        Reply(N, "cut off", signed=True),
    ),
    "compressed": (
        Exchange(whole=True, status=200, encoded=True, body=b"\x1f\x8b\x08"),
        Reply(N, MYSTERY),
    ),
    "a good answer that is compressed in name": (
        Exchange(whole=True, status=200, signed=True, encoded=True, body=b'{"data": {}}'),
        Reply(N, MYSTERY, signed=True),
    ),
    "a good answer with 201": (answer(GOOD, status=201), Reply(N, MYSTERY, signed=True)),
    **{
        f"signed {name}": (answer(body), Reply(N, MYSTERY, signed=True))
        for name, body in {
            "nothing": b"",
            "page": PAGE,
            "text": b"OK",
            "script after the answer": json.dumps(GOOD).encode() + b"<script></script>",
            "JSON list": [GOOD],
            "JSON of another kind": {"status": "ok"},
            "empty data": {"data": None},
            "empty errors": {"data": None, "errors": []},
            "errors of no kind": {"errors": ["Invalid project"]},
            "errors without a message": {"errors": [{"path": ["a0"]}]},
            "errors in a text": {"errors": "Invalid project"},
            "brackets": b"[" * 60_000,
            "deep answer": b'{"data": {"a0": ' + b"[" * 60_000 + b"]" * 60_000 + b"}}",
            "number of 5,000 digits": b'{"data": {"a0": ' + b"1" * 5000 + b"}}",
            "endless number": b'{"data": {"a0": 1e999}}',
            "no number": b'{"data": {"a0": NaN}}',
            "half a surrogate pair": b'{"data": {"a0": "\\ud800"}}',
            "other encoding": json.dumps(GOOD).encode("utf-16"),
            "no text": b"\xff\xfe\x00",
        }.items()
    },
    **{
        f"unsigned {name}": (answer(body, signed=False), Reply(N, MYSTERY))
        for name, body in {
            "brackets": b"[" * 60_000,
            "script after the answer": json.dumps(GOOD).encode() + b"<script></script>",
        }.items()
    },
}


@pytest.mark.parametrize(("exchange", "reply"), ROWS.values(), ids=ROWS)
def test_each_row_of_the_table_holds(exchange: Exchange, reply: Reply) -> None:
    """What happened, and what is made of it."""
    assert judge(exchange, NOW) == reply


def bears_a_word(exchange: Exchange) -> bool:
    """Return whether an answer's body is one that GraphQL's specification knows."""
    try:
        content = json.loads(exchange.body)
        errors = content.get("errors")
        return isinstance(content.get("data"), dict) or (
            exchange.signed and bool(errors) and all("message" in error for error in errors)
        )
    except Exception:
        return False


@settings(max_examples=EXAMPLES)
@given(EXCHANGES)
def test_only_what_the_table_names_leaves_the_disk(exchange: Exchange) -> None:
    """Whatever comes back is judged, and only the application's own clear word discards.

    What may have arrived is sent three times at most, and every other failure waits.
    """
    reply = judge(exchange, NOW)
    came_whole = exchange.status is not None and not exchange.error
    if reply.outcome is D:
        assert came_whole
        assert exchange.status == 200
        assert bears_a_word(exchange)
        json.dumps(reply.answer, ensure_ascii=False, allow_nan=False).encode()
    if reply.outcome is R:
        assert exchange.signed
        assert exchange.status in (400, 413, 422)
        assert exchange.whole or not exchange.error
    if reply.outcome is N:
        assert exchange.whole or not exchange.error
        assert [waits(N, attempts) for attempts in (1, 2, 3)] == [True, True, False]
    if exchange.error and not exchange.whole:
        assert reply.outcome is U
    assert reply.too_large is (reply.outcome is R and exchange.status == 413)
    assert reply.demand is None or 0 <= reply.demand < float("inf")
    assert reply.outcome in (D, R, U, N)
    assert bool(reply.reason) is (reply.outcome is not D)


@given(st.text())
def test_any_demand_is_read(value: str) -> None:
    """It is a number of seconds that can be added to a clock, or none."""
    seconds = read_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.slow
@given(JSON)
def test_json_is_read(value: object) -> None:
    """What JSON can say without doubt comes as it is, and what is deep or endless does not."""
    try:
        text = json.dumps(value, allow_nan=False)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        assert read_json(json.dumps(value).encode()) is None
        return
    assert read_json(text.encode()) == value


def test_depth_is_measured_outside_of_strings() -> None:
    """Brackets in an error message are no depth, nor are those that stand side by side."""
    text = '[{\\"' * 500
    flat: list[list[int]] = [[] for _ in range(500)]
    assert read_json(json.dumps({"message": text, "list": flat}).encode())
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read_json(deepest) is not None
    assert read_json(b"[" + deepest + b"]") is None


@pytest.mark.slow
def test_reading_takes_no_memory_to_speak_of() -> None:
    """An answer of the greatest length, made to be dear: some of it is copied, and no more."""
    bodies = [b"[" * 65536, b'{"a":' * 13107, b'"' * 65536, b"[" * 99 + b"0," * 30000]
    with bound_memory(4_000_000):
        for body in bodies:
            judge(answer(body), NOW)


def test_what_was_not_answered_waits_until_it_was_sent_three_times() -> None:
    """What the server has, or has refused, does not."""
    assert [waits(N, n) for n in range(5)] == [True] * MAX_ATTEMPTS + [False] * 2
    assert waits(U, 0)
    assert not waits(D, 0)
    assert not waits(R, 0)


def test_one_failure_is_enough_to_leave_the_server_alone() -> None:
    """A refusal is none: the server is there."""
    failure = Verdict(N, "silence")
    assert find_failure([Verdict(D), failure, Verdict(U)]) is failure
    assert find_failure([Verdict(D), Verdict(R)]) is None


@pytest.mark.parametrize(
    ("header", "derives_place"),
    [("true", True), (" True ", True), ("false", False), ("", None), ("\x1b[2J", None)],
)
def test_a_server_says_whether_it_derives_a_place(header: str, derives_place: bool | None) -> None:
    """Only the application's word counts, and only two words are known."""
    good = answer(GOOD)._replace(place=header)
    assert judge(good, 0.0).derives_place is derives_place
    assert judge(good._replace(signed=False), 0.0).derives_place is None
    assert judge(good._replace(status=503), 0.0).derives_place is None
