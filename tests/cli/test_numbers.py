"""How many used my package last month: as a table, as bars, for a program, and by a token."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support import PATIENCE

from migas.cli import main, table
from migas.cli.groups import Row, group
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "m_Very-Secret"

TODAY = datetime.datetime.now(datetime.UTC).date()

#: A row of the server's database, in which the day, version, status, user and session differ.
INSERT = (
    "INSERT INTO crumbs (project, language, language_version, is_ci, timestamp, version, status,"
    " user_id, session_id) VALUES ('owner/repo', 'python', '3.12', 0, ?, ?, ?, ?, ?)"
)


class Done(NamedTuple):
    """What a command has come to."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """Return the cells of a table, which blanks part."""
        return [line.split() for line in self.out.splitlines()]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run `migas usage` in this process."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Done:
        try:
            status = main(["usage", *arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        assert "Secret" not in out + err
        assert "Traceback" not in err
        return Done(status, out, err)

    return run


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that knows of uses in March and April 2026, by two users, and of ten today."""
    path = str(tmp_path / "server.sqlite")
    users = [str(uuid.UUID(int=number)) for number in (1, 2)]
    moments = ["2026-03-30T00:00:00", "2026-03-30T23:59:59", "2026-04-05T12:00:00"]
    moments += ["2026-04-06T00:00:00"] * 3 + [f"{TODAY}T00:00:00"] * 10
    versions = ["1.0"] * 3 + ["1.1"] * 3 + ["1.2"] * 10
    statuses = "CCF" + "CSR" + "CCCCCCCFRR"
    tokens = {TOKEN: "owner/repo", f"{TOKEN}-2": "owner/other"}
    with (
        Server(database=path, tokens=tokens, projects=["owner/repo", "owner/other"]) as server,
        contextlib.closing(sqlite3.connect(path)) as database,
    ):
        for number, moment in enumerate(moments):
            stamp = int(datetime.datetime.fromisoformat(moment + "+00:00").timestamp())
            session = str(uuid.UUID(int=100 + number))
            told = (stamp, versions[number], statuses[number], users[number % 2], session)
            database.execute(INSERT, told)
        database.commit()
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        yield server


MARCH = ("owner/repo", "--since", "2026-03-30", "--until", "2026-04-07")


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("day", [2, 0, 0, 0, 0, 0, 1, 3, 0]),
        ("week", [3, 3]),
        ("month", [2, 4]),
    ],
)
def test_uses_are_counted_by_period(
    used: Server, run: Callable[..., Done], by: str, rows: list[int]
) -> None:
    """Both ends of a day are in it, nothing is counted twice, and it is one request."""
    found: Any = json.loads(run(*MARCH, "--by", by, "--json").out)
    assert [period["hits"] for period in found.pop("periods")] == rows
    assert found == {
        "project": "owner/repo",
        "counted": "breadcrumbs",
        "by": by,
        "since": "2026-03-30",
        "until": "2026-04-07",
        "complete": True,
        "asked": len(rows),
        "answered": len(rows),
        "message": "",
        "total": 6,
    }
    head, *lines, total = run(*MARCH, "--by", by).rows
    assert head == ["from", "breadcrumbs"]
    assert [int(count) for _, count in lines] == rows
    assert total == ["all", "6"]
    assert used.requests == 2


def test_users_are_counted(used: Server, run: Callable[..., Done]) -> None:
    """Who used it in two periods is one user in all of them."""
    assert run(*MARCH, "--by", "week", "--unique").rows == [
        ["from", "users"],
        ["2026-03-30", "2"],
        ["2026-04-06", "2"],
        ["all", "2"],
    ]
    assert used.requests == 1


def test_the_period_that_is_not_over_is_marked(used: Server, run: Callable[..., Done]) -> None:
    """In a table, in JSON and in CSV."""
    since = ("owner/repo", "--since", f"{TODAY - datetime.timedelta(1)}", "--until", f"{TODAY}")
    before, now, _ = run(*since).rows[1:]
    assert (before[2:], now[2:]) == ([], ["so", "far"])
    periods = json.loads(run(*since, "--json").out)["periods"]
    assert [period["running"] for period in periods] == [False, True]
    found = list(csv.DictReader(io.StringIO(run(*since, "--csv").out)))
    assert [(row["breadcrumbs"], row["running"]) for row in found] == [
        ("0", "false"),
        ("10", "true"),
    ]
    assert used.requests == 3


@pytest.mark.parametrize(("columns", "longest"), [(80, 48), (200, 168), (20, 10)])
def test_bars_stand_in_the_terminal(
    used: Server,
    run: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    longest: int,
) -> None:
    """The longest is for the most uses, and the least use is seen; no line is too long."""
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = run(*MARCH, "--plot", "-").out.splitlines()
    found = [line.count("█") for line in lines[1:-1]]
    assert [found[0], found[6], max(found)] == [-(-2 * longest // 3), -(-longest // 3), longest]
    assert all(len(line) <= max(columns, 40) for line in lines)
    lines = run("owner/repo", "--since", f"{TODAY}", "--plot", "-").out.splitlines()
    assert lines[1].endswith("█ so far")
    assert all(len(line) <= max(columns, 42) for line in lines)
    assert used.crumbs


def test_no_answer_prints_no_number(used: Server, run: Callable[..., Done]) -> None:
    """What is missing is said in each form, with an exit status that a script can use."""
    used.inject([None, Fault.status(503)] * 3)
    since = ("owner/repo", "--since", "2026-03-25", "--until", "2026-04-07")
    done = run(*since)
    assert (done.status, done.err) == (1, "migas: the server answered 503\n")
    assert done.rows[6] == ["2026-03-30", "2"]
    assert done.rows[-2:] == [
        ["2026-04-04", "no", "answer", "to", "2026-04-07"],
        ["all", "2", "partial:", "10", "of", "14", "days", "answered"],
    ]
    done = run(*since, "--json")
    found: Any = json.loads(done.out)
    assert [period["hits"] for period in found["periods"]] == [0] * 5 + [2] + [0] * 4 + [None] * 4
    assert (found["complete"], found["asked"], found["answered"]) == (False, 14, 10)
    assert (found["total"], found["message"]) == (2, "the server answered 503")
    done = run(*since, "--csv")
    cells = [row["breadcrumbs"] for row in csv.DictReader(io.StringIO(done.out))]
    assert (done.status, cells[-5:]) == (1, ["0", "", "", "", ""])


def test_no_answer_at_all_is_a_sentence(used: Server, run: Callable[..., Done]) -> None:
    """And no table; JSON and CSV have no number."""
    used.inject(Fault.status(503))
    assert run(*MARCH) == Done(1, "", "migas: the server answered 503\n")
    found = json.loads(run(*MARCH, "--unique", "--json").out)
    assert (found["total"], found["answered"], found["complete"]) == (None, 0, False)
    assert run(*MARCH, "--by", "week", "--csv").out == (
        "first,last,breadcrumbs,running\n"
        "2026-03-30,2026-04-05,,false\n"
        "2026-04-06,2026-04-07,,false\n"
    )
    used.mend()
    assert run("owner/nobody") == Done(
        1, "", 'migas: Project "owner/nobody" is not being tracked\n'
    )


def test_a_sum_of_users_that_is_missing_is_none(used: Server, run: Callable[..., Done]) -> None:
    """Though all periods were answered: the sum is an answer of its own."""
    used.inject([None, Fault.status(503)])
    since = ("owner/repo", "--since", "2026-03-30", "--until", "2026-04-08", "--unique", "--json")
    found = json.loads(run(*since).out)
    assert (found["total"], found["answered"], found["complete"]) == (None, 10, False)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="no such signals")
def test_an_interruption_loses_nothing_that_is_known(used: Server) -> None:
    """A long range takes its time. The thousands of days that are left are one row."""
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
    lines = [line.split() for line in out.splitlines()]
    assert lines[1] == ["2026-03-30", "2"]
    assert lines[-2][1:] == ["no", "answer", "to", "2030-01-01"]
    assert lines[-1][2:] == ["partial:", f"{len(lines) - 3}", "of", "1374", "days", "answered"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("owner/repo", "--since", "yesterday"), "no date as"),
        (("owner/repo", "--by", "year"), "invalid choice"),
        (("owner/repo", "--since", "2026-04-02", "--until", "2026-04-01"), "is after --until"),
        ((), "required: project"),
        (("owner/repo", "--json", "--csv"), "leave one out"),
        (("owner/repo", "--json", "--plot", "-"), "--plot - draws bars into the table"),
        (("owner/repo", "--csv", "--plot", "-"), "--plot - draws bars into the table"),
        (("owner/repo", "--by", "version", "--unique"), "leave one out"),
        (("owner/repo", "--plot", "uses"), "a picture's name ends in .png, .svg or .pdf"),
        (("owner/repo", "--plot", "uses.docx"), "a picture's name ends in .png, .svg or .pdf"),
        (("owner/repo", "--plot", "none/such.png"), "there is no directory"),
        (("owner/repo", "--badge", "none/such.json"), "there is no directory"),
        (("owner/repo", "--badge", "."), "this is no regular file"),
        (("owner/repo", "--badge", "-"), "--badge writes a file"),
        (("owner/repo", "--badge", "a.svg", "--plot", "./a.svg"), "name the same file"),
        (("owner/\udcff",), "this is no project's name"),
        (("owner/repo", "--by", "version"), "needs the project's token, which the server's admini"),
        (("owner/repo", "--by", "status"), "set MIGAS_TOKEN to it"),
        (("owner/repo", "--by", "status", "--token-file", f"{TOKEN}"), "No such file or direct"),
    ],
)
def test_what_makes_no_sense_is_not_asked(
    used: Server, run: Callable[..., Done], arguments: tuple[str, ...], sentence: str
) -> None:
    """It is explained instead."""
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert re.search(sentence, done.err)
    assert used.requests == 0


def test_the_last_thirty_days_are_meant_by_default(used: Server, run: Callable[..., Done]) -> None:
    """Up to today, as the server's clock has it."""
    found = json.loads(run("owner/repo", "--json").out)["periods"]
    today = datetime.datetime.now(datetime.UTC).date()
    assert len(found) == 30
    assert (today - datetime.date.fromisoformat(found[-1]["last"])).days in (0, 1)
    assert used.requests == 3


def test_until_the_first_days_of_the_calendar_is_no_trouble(
    used: Server, run: Callable[..., Done]
) -> None:
    """Thirty days before them are none."""
    assert json.loads(run("owner/repo", "--until", "0001-01-03", "--json").out)["asked"] == 3
    assert used.requests == 1


@pytest.fixture
def token(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the project's token, or another one, into the environment."""
    monkeypatch.setenv("MIGAS_TOKEN", getattr(request, "param", TOKEN))


@pytest.mark.usefixtures("token")
def test_sessions_are_counted_by_version(used: Server, run: Callable[..., Done]) -> None:
    """The most first, with the failures' share of those that ended; one request."""
    done = run("owner/repo", "--since", "2026-01-01", "--by", "version")
    assert done.rows[:5] == [
        ["version", "sessions", "share", "failed"],
        ["1.2", "10", "62", "%", "12", "%"],
        ["1.0", "3", "19", "%", "33", "%"],
        ["1.1", "3", "19", "%", "0", "%"],
        ["all", "16", "100", "%", "15", "%"],
    ]
    assert done.out.splitlines()[-3:] == [
        "",
        '"failed" is a share of the sessions that reported their end.',
        "The server leaves out versions with `rc` or `+`.",
    ]
    assert used.requests == 1
    assert run(*MARCH, "--by", "version").rows[3] == ["all", "6", "100", "%", "20", "%"]


@pytest.mark.usefixtures("token")
def test_sessions_are_counted_by_status(used: Server, run: Callable[..., Done]) -> None:
    """With bars that share the line with the numbers."""
    done = run("owner/repo", "--since", "2026-01-01", "--by", "status", "--plot", "-")
    assert [line.split("█")[0].split()[:2] for line in done.out.splitlines()[:6]] == [
        ["status", "sessions"],
        ["completed", "10"],
        ["running", "3"],
        ["failed", "2"],
        ["suspended", "1"],
        ["all", "16"],
    ]
    assert done.out.splitlines()[-1] == "Of the sessions that reported their end, 15 % failed."
    assert max(map(len, done.out.splitlines())) == 80
    assert used.requests == 1


@pytest.mark.parametrize("by", ["version", "status"])
def test_without_an_end_there_is_no_share(by: str) -> None:
    """A sentence says so."""
    running = group([Row("2026-01-31", "1", "running", 2)], by)
    assert table.explain_groups(running, by) == ["No session has reported its end yet."]


@pytest.mark.usefixtures("token")
def test_sessions_are_for_programs_as_well(used: Server, run: Callable[..., Done]) -> None:
    """As JSON and as CSV, whose rows are those that `get_sessions` returns."""
    found: Any = json.loads(run(*MARCH, "--by", "version", "--json").out)
    sessions = found.pop("sessions")
    assert sessions[0] == {
        "date": "2026-03-30",
        "version": "1.0",
        "status": "completed",
        "sessions": 2,
    }
    assert found == {
        "project": "owner/repo",
        "counted": "sessions",
        "by": "version",
        "since": "2026-03-30",
        "until": "2026-04-07",
        "complete": True,
        "message": "",
        "total": 6,
        "failed_share": 0.2,
        "versions": [
            {
                "version": version,
                "sessions": 3,
                **dict(zip(("completed", "failed", "suspended", "running"), counts, strict=True)),
                "failed_share": counts[1] / sum(counts[:3]),
            }
            for version, counts in (("1.0", (2, 1, 0, 0)), ("1.1", (1, 0, 1, 1)))
        ],
    }
    found = json.loads(run(*MARCH, "--by", "status", "--json").out)
    assert found["statuses"][0] == {"status": "completed", "sessions": 3}
    rows = list(csv.DictReader(io.StringIO(run(*MARCH, "--by", "status", "--csv").out)))
    assert [{**row, "sessions": int(row["sessions"])} for row in rows] == sessions
    assert used.requests == 3


@pytest.mark.usefixtures("token")
def test_no_sessions_are_no_mistake(used: Server, run: Callable[..., Done]) -> None:
    """They are said in words."""
    none = ("owner/repo", "--since", "2026-01-01", "--until", "2026-01-01", "--by")
    for by in ("version", "status"):
        assert run(*none, by) == Done(0, "no sessions: 2026-01-01 (UTC)\n", "")
    found = json.loads(run(*none, "version", "--json").out)
    assert (found["total"], found["failed_share"], found["versions"]) == (0, None, [])
    assert run(*none, "version", "--csv").out == "date,version,status,sessions\n"
    assert used.requests == 4


REFUSALS = [
    (f"{TOKEN}-3", "owner/repo", "the server does not know the token"),
    (f"{TOKEN}-2", "owner/repo", "the token is for another project"),
    (f"{TOKEN} ", "owner/nobody", "the token is for another project"),
    (f"{TOKEN} {TOKEN}", "owner/repo", "the token holds a space or a character that no token has"),
]


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(("token", "project", "sentence"), REFUSALS, indirect=["token"])
def test_a_token_that_reads_nothing_is_explained(
    used: Server, run: Callable[..., Done], project: str, sentence: str
) -> None:
    """In one sentence, without the token, and with status 1; JSON has no number."""
    done = run(project, "--by", "version")
    assert done == Done(1, "", f"migas: {sentence}\n")
    found = json.loads(run(project, "--by", "version", "--json").out)
    assert (found["complete"], found["total"], found["versions"]) == (False, None, None)
    assert used.requests in (0, 2)


@pytest.mark.usefixtures("token")
def test_an_old_server_is_explained(
    run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts no sessions."""
    with Server(old=True) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        done = run("owner/repo", "--by", "status")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("migas: the server counts no sessions: it is older than ")


def test_a_token_comes_from_a_file(
    used: Server, run: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which counts for more than the variable."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    monkeypatch.setenv("MIGAS_TOKEN", "m_other")
    done = run(*MARCH, "--by", "version", "--token-file", str(file))
    assert (done.status, done.rows[3][:2]) == (0, ["all", "6"])
    assert used.received[-1].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("form", ["table", "--json", "--csv"])
@pytest.mark.usefixtures("token")
def test_no_version_commands_a_terminal_or_a_spreadsheet(
    used: Server, run: Callable[..., Done], form: str
) -> None:
    """Anybody may report one."""
    row = {"date": "2026-04-01", "status": "C", "count": 1}
    texts = ["\x1b[2J", "=1+1", "@x", "\n", '"', ","]
    used.inject(Fault.json([{**row, "version": text} for text in texts], signed=True))
    done = run(*MARCH, "--by", "version", *([form] if form != "table" else []))
    assert (done.status, "\x1b" in done.out) == (0, False)
    if form == "--csv":
        found = {row["version"] for row in csv.DictReader(io.StringIO(done.out))}
        assert found == {"?[2J", "'=1+1", "'@x", "?", '"', ","}


def test_a_badge_says_what_is_counted_and_when(
    used: Server, run: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the form of shields.io's endpoint; a partial number leaves it as it is."""
    file = tmp_path / "badge.json"
    badge = {"schemaVersion": 1, "label": "breadcrumbs", "message": "10 in 30 days"}
    assert run("owner/repo", "--badge", str(file)).status == 0
    assert json.loads(file.read_text()) == {**badge, "color": "blue"}
    monkeypatch.setenv("MIGAS_TOKEN", TOKEN)
    assert run(*MARCH, "--by", "status", "--badge", str(file)).status == 0
    badge = {**badge, "label": "sessions", "message": "6 2026-03-30 to 2026-04-07"}
    assert json.loads(file.read_text()) == {**badge, "color": "blue"}
    before = file.read_text()
    for faults, sentence in (
        ([Fault.status(503)], "migas: the server answered 503\n"),
        ([None, Fault.status(503)], "badge.json: not written, since the number is partial\n"),
    ):
        used.inject(faults)
        done = run("owner/repo", "--badge", str(file))
        assert (done.status, done.err.endswith(sentence)) == (1, True)
        assert file.read_text() == before
    assert [path.name for path in tmp_path.glob("*badge*")] == ["badge.json"]


@pytest.mark.slow
@pytest.mark.usefixtures("fonts", "token")
def test_a_picture_stands_beside_the_table(
    used: Server, run: Callable[..., Done], tmp_path: Path
) -> None:
    """A partial one says so, and without any answer there is none."""
    used.inject([None, None, Fault.status(503), None, Fault.status(503)])
    for name, by, status, lines in (
        ("week.svg", "week", 0, ["breadcrumbs a week"]),
        ("version.svg", "version", 0, ["sessions a day, by version"]),
        ("none.svg", "week", 1, []),
        ("part.svg", "day", 1, ["breadcrumbs a day", "partial: 10 of 11 days answered"]),
    ):
        path = tmp_path / name
        since = "2026-03-28" if by == "day" else "2026-03-30"
        done = run(MARCH[0], "--since", since, *MARCH[3:], "--by", by, "--plot", str(path))
        assert (done.status, bool(done.out), path.exists()) == (status, bool(lines), bool(lines))
        if lines:
            text = path.read_text()
            assert all(line in text for line in lines)
            assert f"{since} to 2026-04-07 (UTC)" in text
            assert ("no answer" in text) is (status == 1)


def test_without_the_extra_a_picture_says_what_it_needs(
    used: Server, run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And how to get it, before a long range is asked for."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run(*MARCH, "--plot", "uses.png")
    assert (done.status, "pip install 'migas[plot]'" in done.err) == (2, True)
    assert used.requests == 0
