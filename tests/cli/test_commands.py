"""The commands by which a person looks, asks and refuses, run as a person runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE, await_condition, end_claims

import migas
from migas._agent.agent import Agent
from migas._crumb import breadcrumb
from migas._runtime import optout
from migas._runtime.receipt import Listeners
from migas._runtime.settings import Settings
from migas.cli import report
from migas.testing import Fault, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas._disk.spool import Spool

#: Tells a terminal something other than a character.
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "migas", *arguments],
        capture_output=True,
        input=text,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def read_json(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.stderr == ""
    return json.loads(done.stdout)


def put(spool: Spool, count: int) -> None:
    for number in range(count):
        crumb = breadcrumb.sanitize("owner/repo", number, {"error_desc": "boom"}, {}).breadcrumb
        spool.put(breadcrumb.encode(crumb))


@pytest.mark.parametrize("arguments", ["status", "show", "show --waiting", "show --sent"])
def test_nothing_is_created_by_looking(server: Server, home: Path, arguments: str) -> None:
    """No file, no directory, no id; and nobody is told."""
    for more in [], ["--json"]:
        done = run(*arguments.split(), *more)
        assert (done.returncode, done.stderr) == (0, ""), done
    assert list(home.iterdir()) == []
    assert server.crumbs == []


def test_the_status_says_what_waits_and_where(server: Server, spool: Callable[..., Spool]) -> None:
    """And whether the server answers now."""
    put(spool(), 3)
    found = read_json("status")
    assert (found["telemetry"], found["switched_off_by"], found["problem"]) == ("on", "", "")
    assert (found["endpoint"], found["spool"]) == (server.endpoint, spool().directory)
    assert found["waiting"] == 3
    assert found["waiting_bytes"] == sum(os.path.getsize(entry.path) for entry in spool().waiting())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["waiting_since"])
    text = run("status").stdout
    assert f"{server.endpoint}: it answers" in text
    assert f"waiting     3 breadcrumbs, {found['waiting_bytes']} bytes, the oldest since" in text


def test_the_status_says_why_the_server_does_not_answer(server: Server) -> None:
    """With an exit status that a script can use."""
    server.inject(Fault.status(503))
    done = run("status")
    assert (done.returncode, "the server answered 503" in done.stdout) == (1, True)
    server.stop()
    assert "ConnectionError" in read_json("status")["problem"]


def test_the_status_tells_of_the_shared_back_off(host: Host) -> None:
    """As a process that could not reach the server has left it."""
    assert host.run("import migas; migas.add_project('owner/repo', '1'); migas.flush(60)").calmly
    found = read_json("status")
    assert (found["waiting"], found["next_try_seconds"] >= 0) == (1, True)
    assert found["exits_that_may_deliver"] == 10


@pytest.mark.parametrize("variable", ["MIGAS_OPTOUT", "DO_NOT_TRACK", "NO_ET"])
def test_the_status_says_who_has_switched_it_off(
    server: Server, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """And then asks nobody."""
    monkeypatch.setenv(variable, "1")
    assert f"telemetry   off, by {variable}\n" in run("status").stdout
    assert read_json("status")["problem"] == "not asked"
    assert server.requests == 0


def test_a_person_sees_what_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field, with what it means."""
    monkeypatch.setenv("MIGAS_SESSION_ID", UUID)
    assert read_json("show")["session_id"] == UUID
    lines = run("show").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(breadcrumb.Breadcrumb._fields)
    assert all(
        line.endswith(meaning)
        for line, meaning in zip(lines, report.MEANINGS.values(), strict=True)
    )


def test_a_person_sees_what_waits(spool: Callable[..., Spool]) -> None:
    """Every field of every breadcrumb, and a file that is none is no trouble."""
    put(spool(), 2)
    spool().put(b"garbage")
    waiting = read_json("show", "--waiting")
    assert sorted(crumb["project_version"] for crumb in waiting) == ["0", "1"]
    assert {crumb["error_desc"] for crumb in waiting} == {"boom"}
    lines = run("show", "--waiting").stdout.splitlines()
    names = ("waiting since", "project", "project version", "status", "error desc")
    assert lines[0].split() == " ".join(names).split()
    assert sorted(line.split()[2] for line in lines[1:3]) == ["0", "1"]
    assert spool().count() == 3


def test_a_person_sees_what_has_left(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field, when, and what the server said; the latest last."""
    with Server(projects={"owner/repo"}) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        _tell_and_look(host, server)


def _tell_and_look(host: Host, server: Server) -> None:
    assert run("show", "--sent").stdout == "nothing has left\n"
    code = "import migas; migas.add_project({!r}, '1', status='C').result(60)"
    assert host.run(code.format("owner/repo")).calmly
    assert host.run(code.format("owner/unknown")).calmly
    sent = read_json("show", "--sent")
    assert [(crumb["project"], crumb["outcome"]) for crumb in sent] == [
        ("owner/repo", "delivered"),
        ("owner/unknown", "refused"),
    ]
    assert set(sent[0]) == {"sent_at", "outcome", "reason", *breadcrumb.Breadcrumb._fields}
    assert [crumb["session_id"] for crumb in server.crumbs] == [sent[0]["session_id"]]
    lines = run("show", "--sent").stdout.splitlines()
    assert lines[0].split()[:3] == ["sent", "at", "outcome"]
    assert sent[1]["reason"] in lines[2]
    status = run("status").stdout
    assert f"delivered   1, since {sent[0]['sent_at']}\n" in status
    assert f"refused     1 by the server: {sent[1]['reason']}\n" in status


def test_a_long_text_takes_a_line_of_a_list(spool: Callable[..., Spool]) -> None:
    """As a traceback is; all of it is in the JSON."""
    text = "Traceback:\n" + 30 * "  a line\n"
    crumb = breadcrumb.sanitize("owner/repo", "1", {"error_desc": text}, {}).breadcrumb
    spool().put(breadcrumb.encode(crumb))
    assert read_json("show", "--waiting")[0]["error_desc"] == text
    header, line, *_ = run("show", "--waiting").stdout.splitlines()
    assert line[header.index("error") :].startswith("Traceback: a line a line")
    assert line.endswith(" a line…")


def test_what_was_sent_in_vain_is_said_to_have_left(host: Host, server: Server) -> None:
    """It may have arrived."""
    server.inject(Fault())
    assert host.run("import migas; migas.add_project('owner/repo', '1').result(60)").calmly
    assert {crumb["outcome"] for crumb in read_json("show", "--sent")} == {"unknown"}
    assert read_json("status")["delivered"] == 0


def test_a_flush_sends_everything(server: Server, spool: Callable[..., Spool]) -> None:
    """For a cron job on a login node."""
    put(spool(), 40)
    done = run("flush")
    assert (done.returncode, done.stdout, done.stderr) == (0, "all is delivered\n", "")
    assert len(server.crumbs) == 40
    assert read_json("flush") == {"left": 0, "switched_off_by": ""}


def test_a_flush_says_what_is_left(spool: Callable[..., Spool]) -> None:
    """Nobody listens, and so nothing is lost."""
    put(spool(), 2)
    done = run("flush", "--timeout", "30")
    assert (done.returncode, done.stdout) == (1, "2 left; see `migas status`\n")


def test_a_flush_of_who_has_opted_out_sends_nothing(
    server: Server, spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it is asked to."""
    put(spool(), 1)
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    done = run("flush")
    assert (done.returncode, "switched off by MIGAS_OPTOUT" in done.stdout) == (1, True)
    assert server.requests == 0


def test_a_flush_shows_a_person_how_far_it_is_and_may_be_interrupted(
    server: Server, spool: Callable[..., Spool]
) -> None:
    """On a terminal, and the next one goes on where it was."""
    pty = pytest.importorskip("pty")
    put(spool(), 40)
    server.inject(Fault.late(1.0))
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "migas", "flush"], stderr=slave, stdout=subprocess.PIPE, text=True
    ) as process:
        said = ""
        while not re.search(r"\b[1-9]\d*(/| of )40\b.* breadcrumbs", said):
            said += ESCAPE.sub("", os.read(master, 1000).decode())
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    os.close(master)
    os.close(slave)
    server.mend()
    end_claims(spool())  # those of the interrupted one
    await_condition(lambda: run("flush").returncode == 0)
    assert len({crumb["version"] for crumb in server.crumbs}) == 40


def test_an_opt_out_lasts(host: Host, server: Server, home: Path) -> None:
    """For every process that starts from then on, until it is taken back."""
    assert host.run("import migas; migas.add_project('owner/repo', '1').result(60)").calmly
    done = run("optout")
    assert (done.returncode, done.stderr) == (0, "")
    path = home / "config" / "migas" / "optout"
    assert done.stdout == f"telemetry is switched off for you, by {path}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    before = server.requests
    code = """
import migas, threading
answer = migas.add_project('owner/repo', '2')
print(answer['message'], migas.get_usage('owner/repo', '2026-01-01')['message'])
with migas.track('owner/repo', '1'): assert threading.active_count() == 1
"""
    ended = host.run(code, measured=False)
    assert ended.calmly, ended
    assert ended.out == f"switched off by {path} switched off by {path}\n"
    assert read_json("status")["switched_off_by"] == str(path)
    assert server.requests == before
    assert (run("optin").stdout, path.exists()) == ("telemetry is on\n", False)
    assert run("optin").returncode == 0
    assert host.run("import migas; migas.add_project('owner/repo', '3').result(60)").calmly
    assert sorted(str(crumb["version"]) for crumb in server.crumbs) == ["1", "3"]


def test_an_opt_out_is_heard_by_a_process_that_runs(
    server: Server,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    spool: Callable[..., Spool],
) -> None:
    """Within a minute, by the agent's own thread: the caller's does not touch the disk again."""
    now = [1000.0]
    lasting = optout.OptoutFile(lambda: now[0])
    path = str(home / "config/migas/optout")
    assert lasting.find(os.environ) == ""
    assert run("optout").returncode == 0
    now[0] += optout.LOOK_AGAIN - 1
    assert lasting.look(os.environ) == lasting.find(os.environ) == ""
    now[0] += 1
    assert lasting.find(os.environ) == ""
    assert lasting.look(os.environ) == lasting.find(os.environ) == path
    monkeypatch.setattr(optout, "lasting", lasting)
    answer = Agent(Settings.from_env(os.environ), Listeners()).add("owner/repo", "1", {})
    assert answer.result(PATIENCE)["message"] == f"switched off by {path}"
    assert (server.requests, spool().count()) == (0, 0)


def test_an_opt_out_says_what_waits(spool: Callable[..., Spool]) -> None:
    """It stays on disk, unless the person wants it gone as well."""
    put(spool(), 2)
    assert "2 breadcrumbs wait" in run("optout").stdout
    assert read_json("optout")["waiting"] == 2


def test_an_opt_out_that_cannot_be_kept_is_told(home: Path) -> None:
    """With what works anyway."""
    (home / "config").write_text("in the way")
    done = run("optout")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("; set MIGAS_OPTOUT=1 instead\n")
    assert "Traceback" not in done.stderr


def test_to_opt_in_says_what_still_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is not the command's to take back."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    done = run("optin")
    assert (done.returncode, done.stdout) == (
        1,
        "telemetry is still switched off by DO_NOT_TRACK\n",
    )
    assert read_json("optin") == {"switched_off_by": "DO_NOT_TRACK"}


def test_what_waits_is_removed_once_a_person_agrees(spool: Callable[..., Spool]) -> None:
    """And not before."""
    put(spool(), 2)
    done = run("clear", "spool", text="n\n")
    assert (done.returncode, spool().count()) == (1, 2)
    assert done.stdout == f"Remove 2 breadcrumbs that wait in {spool().directory}? [y/N] "
    nobody = run("clear", "spool")
    assert (nobody.returncode, spool().count()) == (1, 2)
    assert "--yes does not ask" in nobody.stderr
    assert run("clear", "spool", text="y\n").returncode == 0
    assert not os.path.exists(spool().directory)
    assert read_json("clear", "spool", "--yes") == {"cleared": True}


def test_what_waits_and_what_has_left_are_removed_each_by_its_name(
    server: Server, spool: Callable[..., Spool]
) -> None:
    """And neither with the other."""
    put(spool(), 2)
    assert run("flush").returncode == 0
    put(spool(), 1)
    assert run("clear", "spool", "--yes").returncode == 0
    assert (spool().count(), len(read_json("show", "--sent"))) == (0, 2)
    put(spool(), 1)
    assert run("clear", "record", text="y\n").returncode == 0
    assert (spool().count(), read_json("show", "--sent")) == (1, [])
    assert run("clear", "record", "--yes").returncode == 0
    assert len(server.crumbs) == 2


def test_the_id_is_removed_by_its_name(home: Path) -> None:
    """The rest stays."""
    place = home / "config" / "migas"
    place.mkdir(parents=True)
    (place / "user_id").write_text(UUID)
    assert run("clear", "id", "--yes").stdout == "it is gone\n"
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("arguments", [["clear"], ["clear", "all"], ["flush", "--timeout", "-1"]])
def test_what_makes_no_sense_is_explained(arguments: list[str]) -> None:
    """On stderr, with the status that says so, and nothing is done."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: migas")


def test_a_notice_names_what_a_person_needs() -> None:
    """In two lines, and nothing is printed by itself."""
    assert len(migas.notice().splitlines()) == 2
    assert all(word in migas.notice() for word in ("MIGAS_OPTOUT", "migas optout", "migas show"))
