"""The delivery policy, row by row, as it stands in `migas._delivery.policy`."""

from __future__ import annotations

import pytest

from migas._delivery.parcel import Outcome, Reply, Verdict
from migas._delivery.policy import MAX_ATTEMPTS, SILENCE, Exchange, find_failure, judge, waits

NOW = 1_800_000_000.0
D, R, U, N = Outcome.DELIVERED, Outcome.REFUSED, Outcome.UNSENT, Outcome.UNKNOWN
GOOD: dict[str, object] = {"data": {}}

ROWS = {
    "an answer": (Exchange(status=200, content=GOOD), Reply(D, answer=GOOD)),
    "not sent": (Exchange("no route"), Reply(U, "no route")),
    "no answer": (Exchange("silence", whole=True), Reply(N, "silence")),
    "a stale connection": (Exchange("x", whole=True, stale=True), Reply(N, "x", stale=True)),
    "413": (Exchange(status=413), Reply(R, "the request is too large", too_large=True)),
    "408": (Exchange(status=408), Reply(U, "the server answered 408")),
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
    **{
        f"{status}": (Exchange(status=status), Reply(U, f"the server answered {status}"))
        for status in (500, 502, 503, 504, 599)
    },
    **{
        f"{status} of the application": (
            Exchange(status=status, signed=True),
            Reply(R, f"the server answered {status}"),
        )
        for status in (400, 422)
    },
    **{
        f"{status} of somebody else": (
            Exchange(status=status),
            Reply(U, f"the answer was no migas server's ({status})"),
        )
        for status in (200, 204, 301, 302, 307, 400, 401, 403, 404, 407, 422)
    },
    "404 of the application": (
        Exchange(status=404, signed=True),
        Reply(U, "the answer was no migas server's (404)"),
    ),
    "other JSON": (
        Exchange(status=200, content=["data"]),
        Reply(U, "the answer was no migas server's (200)"),
    ),
}


@pytest.mark.parametrize(("exchange", "reply"), ROWS.values(), ids=ROWS)
def test_each_row_of_the_table_holds(exchange: Exchange, reply: Reply) -> None:
    """What happened, and what is made of it."""
    assert judge(exchange, NOW) == reply


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
