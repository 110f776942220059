"""When a server is tried again, how many exits deliver, and how fast requests go."""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas._delivery.throttle import (
    EXITS,
    EXITS_PERIOD,
    FIRST,
    LONGEST,
    LONGEST_DEMAND,
    REQUESTS,
    REQUESTS_PERIOD,
    Backoff,
    Pace,
    Rate,
)
from migas._disk.stamp import Stamp

if TYPE_CHECKING:
    from pathlib import Path

START = 1_800_000_000.0


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def longest(_low: float, high: float) -> float:
    return high


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The directory of a spool."""
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def backoff(spool: Path, clock: Clock) -> Backoff:
    return Backoff(str(spool), clock, longest)


def test_without_a_failure_nobody_waits(backoff: Backoff, spool: Path) -> None:
    """And looking leaves nothing."""
    assert backoff.remaining() == 0.0
    assert list(spool.iterdir()) == []


def test_each_failure_doubles_the_wait_up_to_an_hour(backoff: Backoff, clock: Clock) -> None:
    """From a second on, whichever process failed."""
    waits = []
    for _ in range(15):
        backoff.fail()
        waits.append(round(backoff.remaining()))
        clock.now += backoff.remaining()
    assert waits == [min(FIRST * 2**n, LONGEST) for n in range(15)]


def test_the_jitter_is_full(spool: Path, clock: Clock) -> None:
    """Anything from nothing to the longest, so that no two processes march in step."""
    asked: list[tuple[float, float]] = []

    def record(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    backoff = Backoff(str(spool), clock, record)
    backoff.fail()
    backoff.fail()
    assert asked == [(0.0, 1.0), (0.0, 2.0)]
    assert backoff.remaining() == 0.0


def test_other_processes_know(backoff: Backoff, spool: Path, clock: Clock) -> None:
    """A failure is every process's, and so is the first delivery."""
    other = Backoff(str(spool), clock, longest)
    backoff.fail(demand=100.0)
    assert other.remaining() == backoff.remaining() > 0
    other.succeed()
    assert backoff.remaining() == 0.0
    backoff.fail()
    assert round(backoff.remaining()) == FIRST


def test_a_demand_is_kept_by_whoever_was_asked_by_a_person_too(
    backoff: Backoff, clock: Clock
) -> None:
    """`flush` tries in spite of our own guess, but not while the server has shut its door."""
    backoff.fail()
    assert backoff.remaining(asked=True) == 0.0
    backoff.fail(demand=60.0)
    assert 60.0 <= backoff.remaining(asked=True) <= 120.0
    clock.now += 121.0
    assert backoff.remaining(asked=True) == 0.0


def test_a_demand_is_honoured_for_a_day_at_most(backoff: Backoff) -> None:
    """A server's typing error silences nobody for a year."""
    backoff.fail(demand=365 * 86400.0)
    assert LONGEST_DEMAND <= backoff.remaining() <= 2 * LONGEST_DEMAND


@pytest.mark.parametrize("error", [10 * 365 * 86400.0, 3 * 86400.0])
def test_a_clock_that_was_wrong_blocks_nobody(backoff: Backoff, clock: Clock, error: float) -> None:
    """A stamp that lies further ahead than any is ever set says nothing."""
    clock.now += error
    backoff.fail(demand=60.0)
    clock.now -= error
    assert backoff.remaining() == 0.0


def test_without_a_disk_the_process_itself_remembers(tmp_path: Path, clock: Clock) -> None:
    """And goes on counting."""
    nowhere = Backoff(str(tmp_path / "nowhere"), clock, longest)
    for wait in (1, 2, 4):
        nowhere.fail()
        assert round(nowhere.remaining()) == wait
    nowhere.succeed()
    assert nowhere.remaining() == 0.0
    assert not (tmp_path / "nowhere").exists()


def _refuse(*_args: object, **_options: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def _make_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk take nothing more, and still show what it has."""
    really_open = os.open

    def open_to_read(path: str, flags: int, *args: int, **options: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _refuse()
        return really_open(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", open_to_read)
    for name in ("utime", "unlink", "rename", "mkdir"):
        monkeypatch.setattr(os, name, _refuse)


def test_a_disk_that_has_become_read_only_ends_no_wait(
    backoff: Backoff, spool: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still shows an earlier moment; the process itself remembers the later one, and counts."""
    backoff.fail(demand=1.0)
    clock.now += 100.0
    _make_read_only(monkeypatch)
    for wait in (2, 4, 8, 16):
        assert backoff.remaining() == 0.0
        backoff.fail()
        assert round(backoff.remaining()) == wait
        clock.now += 100.0
    backoff.fail(demand=60.0)
    assert backoff.remaining(asked=True) >= 60.0
    assert Backoff(str(spool), clock, longest).remaining() == 0.0


def test_a_file_system_that_keeps_no_times_ends_no_wait(
    backoff: Backoff, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """blobfuse2 answers that it has set one, and has not."""
    monkeypatch.setattr(os, "utime", lambda *_args, **_options: None)
    for wait in (1, 2, 4):
        backoff.fail()
        assert round(backoff.remaining()) == wait
        clock.now += 100.0
        assert backoff.remaining() == 0.0
    backoff.succeed()
    assert backoff.remaining() == 0.0


def test_each_host_of_a_shared_home_has_a_stamp_of_its_own(spool: Path) -> None:
    """A compute node without a route says nothing of the login node's network."""
    stamps = [Stamp(str(spool), "backoff", host) for host in ("node1", "node2", "a/../b")]
    stamps[0].set(START)
    assert [stamp.read() is not None for stamp in stamps] == [True, False, False]
    stamps[2].set(START)
    assert sorted(path.name for path in spool.iterdir() if path.is_file()) == [
        "backoff-a_.._b",
        "backoff-node1",
    ]
    if os.name == "posix":
        assert (spool / "backoff-node1").stat().st_mode & 0o777 == 0o600


def test_ten_exits_deliver_and_then_one_in_six_minutes(spool: Path, clock: Clock) -> None:
    """A person sees each command counted at once; a loop over a thousand files pays for ten."""
    pace = Pace(str(spool), clock)
    assert [pace.take() for _ in range(1000)].count(True) == EXITS
    taken = 0
    for _ in range(360):
        clock.now += 10.0
        taken += Pace(str(spool), clock).take()
    assert taken == EXITS
    clock.now += EXITS_PERIOD
    assert [pace.take() for _ in range(1000)].count(True) == EXITS


@pytest.mark.parametrize("error", [10 * 365 * 86400.0, 2 * EXITS_PERIOD])
def test_a_clock_that_was_wrong_stops_no_exit(spool: Path, clock: Clock, error: float) -> None:
    """The burst begins anew."""
    pace = Pace(str(spool), clock)
    clock.now += error
    while pace.take():
        pass
    clock.now -= error
    assert pace.take()


def _between(share: float, low: float, high: float) -> float:
    return low + share * (high - low)


#: Seconds that pass, or by which somebody sets the clock.
JUMPS = st.floats(-1e6, 1e6) | st.sampled_from([-1e9, 1e9, 0.0, 1.0, 60.0, LONGEST])


@pytest.mark.parametrize("moment", [0.0, 962176.9999999999, START + 0.1, START + 1e-7])
def test_what_rounding_adds_to_the_longest_wait_ends_none(
    backoff: Backoff, clock: Clock, spool: Path, moment: float
) -> None:
    """A stamp keeps nanoseconds, and a float of this size some tenths of a microsecond."""
    clock.now = moment
    backoff.fail(LONGEST_DEMAND)
    assert backoff.remaining() == pytest.approx(LONGEST_DEMAND)
    pace = Pace(str(spool), clock)
    assert [pace.take() for _ in range(2 * EXITS)].count(True) == EXITS


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.none() | st.floats(0.0, 1e7), JUMPS, st.floats(0.0, 1.0)), max_size=20)
)
def test_no_clock_makes_anybody_wait_longer_than_the_longest_back_off(
    tmp_path_factory: pytest.TempPathFactory,
    failures: list[tuple[float | None, float, float]],
) -> None:
    """Nor less than a demand that was made just now, up to a day."""
    clock = Clock()
    directory = str(tmp_path_factory.mktemp("stamps"))
    for count, (demand, jump, luck) in enumerate(failures):
        backoff = Backoff(directory, clock, partial(_between, luck))
        backoff.fail(demand)
        least = min(demand or 0.0, LONGEST_DEMAND)
        # mtimes are kept in nanoseconds, and floats of this size in some tenths of microseconds.
        assert backoff.remaining() >= least - 1e-5
        assert backoff.remaining(asked=True) <= LONGEST_DEMAND
        if all(earlier[0] is None for earlier in failures[: count + 1]):
            assert backoff.remaining() <= min(FIRST * 2.0**count, LONGEST)
        clock.now = max(0.0, clock.now + jump)
        assert 0.0 <= backoff.remaining() <= LONGEST_DEMAND


@pytest.mark.slow
@given(st.lists(st.floats(0.0, 2 * EXITS_PERIOD), max_size=60))
def test_in_any_time_no_more_exits_deliver_than_the_pace_allows(
    tmp_path_factory: pytest.TempPathFactory, pauses: list[float]
) -> None:
    """The burst, and one more for each interval that has passed since."""
    clock = Clock()
    pace = Pace(str(tmp_path_factory.mktemp("stamps")), clock)
    taken: list[float] = []
    for pause in pauses:
        clock.now += pause
        if pace.take():
            taken.append(clock.now)
    for first, start in enumerate(taken):
        for last, end in enumerate(taken[first:], start=1):
            assert last <= EXITS + (end - start) / (EXITS_PERIOD / EXITS) + 1e-6
    assert len(taken) >= min(len(pauses), EXITS)


#: The hosted server's limit for one address (CONTRACT.md, trap 6).
HOSTED_LIMIT = 1000


def test_the_rate_is_below_the_hosted_servers_limit() -> None:
    """Others behind the same address want some of it, too."""
    assert REQUESTS < HOSTED_LIMIT
    assert REQUESTS_PERIOD == 60.0


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 7))
def test_no_period_ever_sees_more_requests_than_allowed(pauses: list[int], limit: int) -> None:
    """However irregularly they are wanted, and none is held back longer than needed."""
    now = 0.0
    rate = Rate(limit, REQUESTS_PERIOD, lambda: now)
    sent: list[float] = []
    for pause in pauses:
        now += pause
        delay = rate.delay()
        assert (delay > 0) == (
            len([moment for moment in sent if moment > now - REQUESTS_PERIOD]) >= limit
        )
        now += delay
        assert rate.delay() == 0
        rate.count()
        sent.append(now)
    for moment in sent:
        assert len([other for other in sent if moment - REQUESTS_PERIOD < other <= moment]) <= limit
