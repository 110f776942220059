"""Pending breadcrumbs go by birth, wherever they lie and whatever the file system's order is."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from planting import crumb
from support import ROOMY

from migas._crumb import breadcrumb
from migas._disk.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support import Host

    from migas.testing import Server

#: File systems that may be there, by a directory on each: each lists names in its own order.
PLACES = {"tmpfs": "/dev/shm", "the temporary directory's": None, "the working directory's": "."}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory on a file system of one kind or another."""
    above = PLACES[request.param]
    if above is not None and not os.access(above, os.W_OK):
        pytest.skip("it is not there")
    with tempfile.TemporaryDirectory(dir=above, prefix=".migas-test-") as directory:
        yield Path(directory).resolve()


def drain(spool: Spool, limit: int = 16) -> list[str]:
    """Claim all, request by request, and return the versions in order."""
    found = []
    while claimed := spool.claim(limit):
        for entry in claimed:
            found.append(breadcrumb.decode(entry.read()).project_version)
            entry.discard()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [200, 4000, 40_000], ids=["many segments", "some", "none"])
def test_each_run_starts_before_it_ends(place: Path, number: int) -> None:
    """300 runs of R then C, in no more than a millisecond each (pain 53)."""
    moment = [1_700_000_000.0]
    bounds = ROOMY._replace(number=10 * number)
    for run in range(300):
        # A process each, in the same millisecond as the one before, or not.
        spool = Spool(str(place / "spool"), bounds, lambda: moment[0])
        spool.put(crumb(f"{run}.R"))
        spool.put(crumb(f"{run}.C"))
        moment[0] += 0.002 * (run % 3 == 0) + 0.002
    expected = [f"{run}.{status}" for run in range(300) for status in "RC"]
    assert drain(Spool(str(place / "spool"), bounds)) == expected


def test_what_comes_back_takes_its_old_place(place: Path) -> None:
    """Released after it was claimed, though younger ones were put into segments since."""
    now = [1_700_000_000.0]
    spool = Spool(str(place / "spool"), ROOMY._replace(number=400), lambda: now[0], lambda _: 0)
    dice = random.Random(1)
    held = []
    for number in range(300):
        spool.put(crumb(f"{number:03d}"))
        now[0] += 1.0
        if dice.random() < 0.2:
            held += spool.claim(3)
        if dice.random() < 0.1:
            dice.shuffle(held)
            for entry in held:
                entry.release(0)
            held.clear()
    for entry in held:
        entry.release(0)
    assert spool.dropped == 0
    versions = drain(spool, 7)
    assert versions == sorted(versions)
    assert len(versions) == 300


def test_a_clock_that_steps_back_does_not_turn_a_run_around(place: Path) -> None:
    """As a time server sets it; one that was years wrong is not followed."""
    now = [1_700_000_000.0]
    spool = Spool(str(place / "spool"), ROOMY, lambda: now[0])
    spool.put(crumb("R"))
    now[0] -= 30.0
    spool.put(crumb("C"))
    assert drain(spool) == ["R", "C"]
    now[0] += 1e8
    wrong = spool.put(crumb("years ahead"))
    now[0] -= 1e8
    right = spool.put(crumb("now"))
    assert right.birth < wrong.birth - 1e10


@pytest.mark.slow
def test_a_server_hears_of_each_run_in_order(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """Offline runs of real processes; the server keeps the order in which they arrive."""
    code = """
import sys, migas
for run in range(10):
    for status in 'RC': migas.add_project('owner/repo', f'{sys.argv[1]}.{run}', status=status)
"""
    offline = {"MIGAS_TIMEOUT": "0", "MIGAS_SPOOL_COUNT": "1000"}
    for number in range(5):
        assert host.run("", offline, arguments=["-c", code, str(number)]).calmly
    assert spool().count() == 100
    ended = host.run("import migas; print(migas.flush(40))", measured=False)
    assert (ended.out, ended.calmly) == ("0\n", True), ended
    expected = [(f"{n}.{run}", status) for n in range(5) for run in range(10) for status in "RC"]
    assert [(crumb["version"], crumb["status"]) for crumb in server.crumbs] == expected
