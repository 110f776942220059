"""The command line, run as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command import run
from support import PATIENCE, need

from migas._runtime.version import __version__
from migas.cli import demo, parser, topics

if TYPE_CHECKING:
    from pathlib import Path

    from support import Host

    from migas.testing import Server


@pytest.mark.slow
def test_the_demo_shows_three_breadcrumbs_and_leaves_nothing(home: Path) -> None:
    """Online, offline and online again, with a spool of its own."""
    done = run("demo")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "{'hits': 3, 'message': '', 'unique': False, 'success': True}" in done.stdout
    assert "pending on disk" in done.stdout
    assert list(home.iterdir()) == []


@pytest.mark.slow
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
            {
                *("serve", "demo", "status", "show", "usage", "flush", "optout", "optin", "clear"),
                *("notice", "help"),
            },
        ),
        ("migas clear ", {"spool", "record", "id", "all"}),
        ("migas show --s", {"--sent"}),
        ("migas help ", set(topics.list_topics())),
        ("migas show --", {"--sent", "--pending", "--json"}),
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


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--port", "99999"], ["--json"]])
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
    for name in "demo", "service":
        monkeypatch.delitem(sys.modules, f"migas.cli.{name}", raising=False)
    assert parser.main(["demo"]) == 2
    assert "pip install 'migas[server]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "migas.testing", None)
    with pytest.raises(ModuleNotFoundError):
        parser.main(["serve"])


def test_what_lies_in_the_working_directory_is_not_run(
    host: Host, server: Server, tmp_path: Path
) -> None:
    """`python -m` puts that first on the path: a `calendar.py` there is not ours."""
    use = "import migas; migas.add_project('owner/repo', '1.0')"
    assert host.run(use, {"MIGAS_TIMEOUT": "0"}, measured=False).calmly
    (tmp_path / "calendar.py").write_text("print('my own code runs')")
    ended = host.run("", arguments=["-m", "migas", "flush"], measured=False)
    assert (ended.status, ended.err, len(server.crumbs)) == (0, "", 1), ended
    assert "my own" not in ended.out
