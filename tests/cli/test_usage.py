"""How many used my package last month: as a table, as bars, as a picture."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PATIENCE

from migas.cli import usage
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATES = st.dates(datetime.date(1990, 1, 1), datetime.date(2100, 1, 1))


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "migas", "usage", *arguments],
        capture_output=True,
        env={**os.environ, "PYTHONUTF8": "1", **environ},
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def read_json(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that knows of uses in March and April 2026, by two users."""
    path = str(tmp_path / "server.sqlite")
    users = ["3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11", "1cf6db85-5d12-4d79-a502-611f353de27d"]
    moments = ["2026-03-30T00:00:00", "2026-03-30T23:59:59", "2026-04-05T12:00:00"]
    moments += ["2026-04-06T00:00:00"] * 3
    with Server(database=path) as server, contextlib.closing(sqlite3.connect(path)) as database:
        for number, moment in enumerate(moments):
            stamp = datetime.datetime.fromisoformat(moment + "+00:00").timestamp()
            database.execute(
                "INSERT INTO crumbs (project, version, language, language_version, status, is_ci,"
                " timestamp, user_id) VALUES (?, '1', 'python', '3.12', 'R', 0, ?, ?)",
                ("owner/repo", stamp, users[number % 2]),
            )
        database.commit()
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        yield server


MARCH = ("owner/repo", "--since", "2026-03-30", "--until", "2026-04-07")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("day", [2, 0, 0, 0, 0, 0, 1, 3, 0]),
        ("week", [3, 3]),
        ("month", [2, 4]),
    ],
)
def test_uses_are_counted_by_period(used: Server, by: str, rows: list[int]) -> None:
    """Both ends of a day are in it, and nothing is counted twice."""
    found = read_json(*MARCH, "--by", by)
    assert [period["hits"] for period in found] == rows
    assert (found[0]["first"], found[-1]["last"]) == ("2026-03-30", "2026-04-07")
    head, *lines = run(*MARCH, "--by", by).stdout.splitlines()
    assert head.split() == ["from", "breadcrumbs"]
    assert [int(line.split()[1]) for line in lines] == [*rows, 6]
    assert lines[-1].startswith("all")
    assert used.requests == 2 * len(rows)


def test_users_are_counted(used: Server) -> None:
    """In each period; a sum of those would count many twice."""
    done = run(*MARCH, "--by", "week", "--unique")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["from", "users"],
        ["2026-03-30", "2"],
        ["2026-04-06", "2"],
    ]
    assert used.requests == 2


@pytest.mark.slow
def test_a_chart_stands_in_the_terminal(used: Server) -> None:
    """The longest bar is for the most uses, and the least use is seen."""
    _, *lines = run(*MARCH, "--plot", "-").stdout.splitlines()
    assert [line.count("█") for line in lines] == [34, 0, 0, 0, 0, 0, 17, 50, 0, 0]
    assert used.crumbs


@pytest.mark.slow
@pytest.mark.usefixtures("fonts")
@pytest.mark.parametrize(
    ("end", "head"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]
)
def test_a_picture_is_drawn(used: Server, tmp_path: Path, end: str, head: bytes) -> None:
    """In the form that its name says, and the table all the same."""
    path = tmp_path / f"uses.{end}"
    done = run(*MARCH, "--by", "week", "--plot", str(path))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert path.read_bytes().startswith(head)
    assert done.stdout.count("\n") == 4
    assert used.requests == 2
    if end == "svg":
        ElementTree.parse(path)
        assert "<!-- owner/repo: breadcrumbs a week -->" in path.read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("fonts")
def test_a_picture_that_cannot_be_drawn_is_explained(used: Server, tmp_path: Path) -> None:
    """The table is there nevertheless."""
    for name in ("uses.docx", "no/such/place.png"):
        done = run(*MARCH, "--plot", str(tmp_path / name))
        assert (done.returncode, done.stdout.count("\n")) == (1, 11)
        assert done.stderr.startswith(f"migas: {tmp_path / name}: ")
        assert "Traceback" not in done.stderr
    assert used.requests


def test_without_the_extra_a_picture_says_what_it_needs(used: Server, tmp_path: Path) -> None:
    """And how to get it, before a long range is asked for."""
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError(name='matplotlib')")
    done = run(*MARCH, "--plot", "uses.png", PYTHONPATH=str(tmp_path))
    assert (done.returncode, "pip install 'migas[plot]'" in done.stderr) == (2, True)
    assert used.requests == 0


@pytest.mark.slow
def test_no_answer_is_explained(used: Server) -> None:
    """With what is known so far, and an exit status that a script can use."""
    used.inject([None, Fault.status(503)])
    done = run(*MARCH)
    assert (done.returncode, done.stderr) == (1, "migas: the server answered 503\n")
    assert done.stdout.splitlines()[1].split() == ["2026-03-30", "2"]
    assert run("noslash").returncode == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="no such signals")
def test_an_interruption_loses_nothing_that_is_known(used: Server) -> None:
    """A long range takes its time."""
    used.inject(Fault.late(0.3))
    with subprocess.Popen(
        [sys.executable, "-m", "migas", "usage", *MARCH[:3], "--until", "2030-01-01"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while used.requests < 3:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
    assert out.splitlines()[1].split() == ["2026-03-30", "2"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("owner/repo", "--since", "yesterday"),
        ("owner/repo", "--by", "year"),
        ("owner/repo", "--since", "2026-04-02", "--until", "2026-04-01"),
        (),
    ],
)
def test_what_makes_no_sense_is_not_asked(used: Server, arguments: tuple[str, ...]) -> None:
    """It is explained instead."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"usage: migas|^migas: --since is after --until\n$", done.stderr)
    assert used.requests == 0


@pytest.mark.slow
def test_the_last_thirty_days_are_meant_by_default(used: Server) -> None:
    """Up to today, as the server's clock has it."""
    found = read_json("owner/repo")
    today = datetime.datetime.now(datetime.UTC).date()
    assert len(found) == 30
    assert (today - datetime.date.fromisoformat(found[-1]["last"])).days in (0, 1)
    assert used.requests == 30


@pytest.mark.parametrize("by", ["day", "week", "month"])
def test_time_ends_with_the_year_9999(by: str) -> None:
    """No calendar knows a day after it; nor one before the first year."""
    last = datetime.date.max
    assert usage.split(last, last, by) == [usage.Period(last, last)]
    first = datetime.date.min
    assert usage.split(first, first, by) == [usage.Period(first, first)]


def test_until_the_first_days_of_the_calendar_is_no_trouble(used: Server) -> None:
    """Thirty days before them are none."""
    assert len(read_json("owner/repo", "--until", "0001-01-03")) == 3
    assert used.requests == 3


@pytest.mark.parametrize("hits", ["many", None, 1.5, [1]])
def test_an_answer_that_is_no_number_is_explained(used: Server, hits: object) -> None:
    """A server may answer anything."""
    answer = {"hits": hits, "message": "", "unique": False, "success": True}
    used.inject(Fault.json({"data": {"get_usage": answer}}))
    done = run("owner/repo", "--by", "month")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("migas: ")
    assert "Traceback" not in done.stderr


@given(DATES, st.integers(0, 800), st.sampled_from(["day", "week", "month"]))
def test_periods_cover_each_day_once(since: datetime.date, days: int, by: str) -> None:
    """Whatever the span, and each ends where the calendar says."""
    until = since + days * usage.DAY
    periods = usage.split(since, until, by)
    covered = [
        period.first + n * usage.DAY
        for period in periods
        for n in range((period.last - period.first).days + 1)
    ]
    assert covered == [since + n * usage.DAY for n in range(days + 1)]
    starts = {period.first for period in periods[1:]}
    assert all(by != "week" or day.weekday() == 0 for day in starts)
    assert all(by != "month" or day.day == 1 for day in starts)


@pytest.mark.slow
def test_the_servers_limit_is_kept(used: Server) -> None:
    """A range of many years waits between two requests, rather than be refused."""
    naps: list[float] = []
    periods = [usage.Period(datetime.date(2026, 1, 1), datetime.date(2026, 1, 1))] * 803
    counted = usage.count("owner/repo", periods, sleep=naps.append, clock=lambda: 0.0)
    assert len(list(counted)) == 803
    assert [nap > 0 for nap in naps] == [False] * 800 + [True] * 3
    assert used.requests == 803


def test_nothing_to_draw_is_no_trouble() -> None:
    """A project that nobody uses has no longest bar."""
    day = usage.Period(datetime.date(2026, 1, 1), datetime.date(2026, 1, 1))
    assert usage.draw([]) == []
    assert usage.draw([usage.Hits(day, 0)]) == [""]
