"""The benchmark runs, so that its figures can be taken again; what they are is not a test's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE, need

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    environ = {**os.environ, "BENCH_PATIENCE": str(PATIENCE)}
    # The benchmark's own processes are to be as cheap as anybody's.
    environ = {name: text for name, text in environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="POSIX accounts for processes")
def test_a_table_tells_what_each_client_delivered_and_lost(tmp_path: Path) -> None:
    """In good weather and in bad, beside a thread that posts."""
    path = tmp_path / "rows.json"
    some = ("--clients", "^migas$|requests", "--hosts", "bare", "--weathers", "fast|500")
    out = run("tests.bench", "table", "--rounds", "1", "--json", str(path), *some)
    rows = {(row["client"], row["weather"]): row for row in json.loads(path.read_text())}
    assert len(out.splitlines()) == 2 + len(rows)
    ways = {key: (row["delivered"], row["lost"], row["twice"]) for key, row in rows.items()}
    assert ways == {
        ("nothing", "fast"): (0, 0, 0),
        ("nothing", "500"): (0, 0, 0),
        ("migas", "fast"): (1, 0, 0),
        ("migas", "500"): (0, 0, 0),
        ("requests in a thread", "fast"): (1, 0, 0),
        ("requests in a thread", "500"): (0, 1, 0),
    }
    assert all(row["noise"] == 0 for row in rows.values())


@pytest.mark.slow
def test_a_simulation_is_the_same_each_time() -> None:
    """By its seed; and ours keeps below the server's limit with far fewer requests."""
    need("simpy")
    first = run("tests.bench.simulate", "limit", "--seed", "7")
    assert first == run("tests.bench.simulate", "limit", "--seed", "7")
    rows = [line.split(" | ") for line in first.splitlines()[2:]]
    requests = {row[1]: int(row[6].replace(",", "")) for row in rows}
    assert requests["migas"] < min(n for name, n in requests.items() if name != "migas")


@pytest.mark.slow
def test_the_ranks_of_one_run_report_a_use_once() -> None:
    """However many meet at the disk; each by itself is as many uses."""
    rows = [
        line.split(" | ") for line in run("tests.bench.ranks", "--ranks", "40").splitlines()[2:]
    ]
    assert [row[1:4] for row in rows] == [["40", "3", "0"], ["1", "1", "1"], ["1", "1", "0"]]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="POSIX accounts for processes")
def test_a_burst_is_delivered_or_kept() -> None:
    """How much of it an exit delivers is the machine's matter; none of it is lost."""
    row = run("tests.bench.burst", "--rounds", "1").splitlines()[2].strip("| ").split(" | ")
    delivered, requests, kept, _, lost = map(int, row[:5])
    assert delivered + kept == 1000
    assert lost == 0
    assert requests <= delivered


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="POSIX accounts for processes")
def test_a_row_of_commands_says_what_each_part_of_it_costs() -> None:
    """A line for each client, online and offline."""
    lines = run("tests.bench.commands", "--count", "11").splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        [f"| {name}", place]
        for name in ("migas", "requests in a thread")
        for place in ("online", "offline")
    ]


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="preloads a library of C"
)
def test_a_slow_home_is_looked_at_once_on_the_hosts_thread() -> None:
    """Whatever its delay: for an opt-out, in the first call."""
    lines = run("tests.bench.slow_home", "--delay", "0.001").splitlines()
    for line in lines[2:5]:
        calls = [int(cell.partition(",")[0]) for cell in line.split(" | ")[1:5]]
        assert calls == [0, 1, 0, 0]
    assert lines[-1].startswith("On other threads: ")
