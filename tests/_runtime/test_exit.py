"""How long an exit goes on to start requests."""

from __future__ import annotations

import pytest

from migas._runtime.exit import RESERVE, ROUNDS, Exit


class Moment:
    """A monotonic clock that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def ending(moment: Moment) -> Exit:
    """An exit that has two seconds, and has just begun."""
    ending = Exit(2.0, moment)
    ending.begin(2.0, sends=True)
    return ending


def find_last_start(ending: Exit, moment: Moment) -> float:
    """Return with how many seconds left no request starts any more."""
    while ending.may_start_request():
        moment.now += 0.01
    return ending.deadline - moment.now


def test_a_server_that_nobody_has_met_has_half_of_the_budget(ending: Exit, moment: Moment) -> None:
    """For all that is known it takes as long."""
    assert find_last_start(ending, moment) == pytest.approx(1.0, abs=0.011)


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(0.001, 2.0 * RESERVE), (0.1, ROUNDS * 0.1), (0.9, 1.0)],
    ids=["quick", "slow", "slower than half of it"],
)
def test_an_answer_has_several_times_what_the_slowest_has_taken(
    ending: Exit, moment: Moment, seconds: float, left: float
) -> None:
    """But never less than a tenth of the budget, and never more than half of it."""
    ending.note_request(seconds)
    ending.note_request(seconds / 2)
    assert find_last_start(ending, moment) == pytest.approx(left, abs=0.011)


def test_where_nothing_is_sent_none_starts(moment: Moment) -> None:
    """After a Ctrl-C, or with no time at all, however quick the server was."""
    for seconds, sends in (1.0, False), (0.0, True):
        ending = Exit(1.0, moment)
        ending.note_request(0.001)
        ending.begin(seconds, sends=sends)
        assert not ending.may_start_request()
