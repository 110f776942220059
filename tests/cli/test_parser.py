"""The command line, run as a person runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, need

from migas._runtime.version import __version__
from migas.cli import demo, parser

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "migas", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )


def test_the_demo_shows_three_breadcrumbs_and_leaves_nothing(home: Path) -> None:
    """Online, offline and online again, with a spool of its own."""
    done = run("demo")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "{'hits': 3, 'message': '', 'unique': False, 'success': True}" in done.stdout
    assert "waits on disk" in done.stdout
    assert list(home.iterdir()) == []


def test_the_demo_runs_for_whoever_has_opted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells nobody but its own server, whatever the environment says."""
    for name in ("MIGAS_OPTOUT", "DO_NOT_TRACK", "MIGAS_DRY_RUN"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert run("demo").returncode == 0


def test_a_demo_that_does_not_see_what_it_should_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit status is an assertion."""
    monkeypatch.setattr(demo, "_HOST", "import migas\n")
    assert demo.run() == 1
    assert "0 breadcrumbs have arrived, not 1" in capsys.readouterr().err
    monkeypatch.setattr(demo, "_HOST", "raise SystemExit(3)\n")
    assert demo.run() == 1
    assert "a host ended with 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "follows"),
    [
        (
            "migas ",
            {"serve", "demo", "status", "show", "usage", "flush", "optout", "optin", "clear"},
        ),
        ("migas clear ", {"spool", "record", "id"}),
        ("migas show --s", {"--sent"}),
    ],
)
def test_a_shell_learns_what_may_follow(tmp_path: Path, line: str, follows: set[str]) -> None:
    """As argcomplete's shell function asks for it when Tab is pressed."""
    need("argcomplete")
    answer = tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run(
        [sys.executable, "-m", "migas"], env={**os.environ, **asked}, timeout=PATIENCE, check=True
    )
    said = {word.strip() for word in answer.read_text().split("\n")}
    assert follows <= said - {"-h", "--help"}
    assert run("--version").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_server_runs_until_it_is_told_to_end(tmp_path: Path, end: signal.Signals) -> None:
    """Its address is its first line; Ctrl-C and a polite kill end it calmly."""
    command = [sys.executable, "-m", "migas", "serve", "--port", "0"]
    command += ["--database", str(tmp_path / "crumbs.sqlite")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.split()[3].rstrip(";")
        request = urllib.request.Request(
            address, b'{"query": "{get_projects}"}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            assert response.read() == b'{"data":{"get_projects":[]}}'
        process.send_signal(end)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


def test_a_port_or_a_file_that_cannot_be_had_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for what a person can mend."""
    from migas.testing import Server

    with Server() as server:
        assert parser.main(["serve", "--port", str(server.port)]) == 1
    assert f"port {server.port}" in capsys.readouterr().err
    assert parser.main(["serve", "--database", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["serve", "--port", "99999"]])
def test_a_wrong_command_line_teaches(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage, and the status 2."""
    with pytest.raises(SystemExit) as ended:
        parser.main(arguments)
    assert ended.value.code == 2
    assert "usage: migas" in capsys.readouterr().err


def test_the_version_is_told() -> None:
    """As every command does."""
    assert run("--version").stdout == f"migas {__version__}\n"


def test_without_the_extra_a_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person who installed less is told what to install."""
    for name in [name for name in sys.modules if name.startswith(("graphql", "migas.testing"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "graphql", None)
    monkeypatch.delitem(sys.modules, "migas.cli.demo", raising=False)
    assert parser.main(["demo"]) == 2
    assert "pip install 'migas[server]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "migas.testing", None)
    with pytest.raises(ModuleNotFoundError):
        parser.main(["serve"])
