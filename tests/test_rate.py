"""How many requests a minute a process sends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migas.rate import PERIOD, REQUESTS, Rate

#: The hosted server's limit for one address (CONTRACT.md, trap 6).
HOSTED_LIMIT = 1000


def test_the_rate_is_below_the_hosted_servers_limit() -> None:
    """Others behind the same address want some of it, too."""
    assert REQUESTS < HOSTED_LIMIT
    assert PERIOD == 60.0


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 7))
def test_no_period_ever_sees_more_requests_than_allowed(pauses: list[int], limit: int) -> None:
    """However irregularly they are wanted, and none is held back longer than needed."""
    now = 0.0
    rate = Rate(limit, PERIOD, lambda: now)
    sent: list[float] = []
    for pause in pauses:
        now += pause
        delay = rate.delay()
        assert (delay > 0) == (len([moment for moment in sent if moment > now - PERIOD]) >= limit)
        now += delay
        assert rate.delay() == 0
        rate.count()
        sent.append(now)
    for moment in sent:
        assert len([other for other in sent if moment - PERIOD < other <= moment]) <= limit
