"""A person switches telemetry off and on again, by commands."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from command import put, read_json, run
from support import PATIENCE

import migas
from migas._agent.agent import Agent
from migas._runtime import optout
from migas._runtime.listeners import Listeners
from migas._runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root alone gives a home away"
)


@pytest.mark.slow
def test_an_opt_out_lasts(
    host: Host,
    server: Server,
    home: Path,
) -> None:
    """For every process that starts from then on, until telemetry is switched on again."""
    assert host.run("import migas; migas.add_project('owner/repo', '1').result(60)").calmly
    done = run("optout")
    assert (done.returncode, done.stderr) == (0, "")
    path = home / "config" / "migas" / "optout"
    assert done.stdout == f"telemetry is switched off for you, by {path}\n"
    usual = home / ".config" / "migas" / "optout"  # for what is started without XDG_CONFIG_HOME
    for each in path, usual:
        assert each.stat().st_mode & 0o777 == 0o600 or os.name != "posix"
    before = server.requests
    code = """
import migas, _thread
answer = migas.add_project('owner/repo', '2')
print(answer['message'], migas.get_usage('owner/repo', '2026-01-01')['message'])
with migas.track('owner/repo', '1'): assert _thread._count() == 0
"""
    ended = host.run(code, measured=False)
    assert ended.calmly, ended
    assert ended.out == f"switched off by {path} switched off by {path}\n"
    assert read_json("status")["switched_off_by"] == str(path)
    assert server.requests == before
    assert run("optin").stdout == "telemetry is on\n"
    assert not path.exists()
    assert not usual.exists()
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


def test_an_opt_out_is_heard_by_a_process_that_only_asks(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no thread that looks but the one that sends the question."""
    now = [1000.0]
    lasting = optout.OptoutFile(lambda: now[0])
    monkeypatch.setattr(optout, "lasting", lasting)
    assert migas.get_usage("owner/repo", "2026-01-01")["success"]
    assert run("optout").returncode == 0
    now[0] += optout.LOOK_AGAIN
    for answer in (
        migas.get_usage("owner/repo", "2026-01-01"),
        migas.check_project("owner/repo", "1"),
    ):
        assert answer["message"] == f"switched off by {home / 'config/migas/optout'}"
    assert server.requests == 1


@pytest.mark.slow
def test_an_opt_out_prints_what_is_pending() -> None:
    """It stays on disk, unless the person wants it gone as well."""
    put(1)
    assert "1 pending breadcrumb stays on disk" in run("optout").stdout
    put(1)
    assert "2 pending breadcrumbs stay on disk" in run("optout").stdout
    assert read_json("optout")["pending"] == 2


@pytest.mark.parametrize("broken", ["config", ".config"])
def test_an_opt_out_is_kept_in_one_place_if_the_other_cannot_have_it(
    home: Path, broken: str
) -> None:
    """Each program looks in `~/.config`, but where `XDG_CONFIG_HOME` leads only one that has it."""
    [kept] = {"config", ".config"} - {broken}
    (home / broken).write_text("in the way")
    done = run("optout")
    assert done.stdout == (
        f"telemetry is switched off for you, by {home / kept / 'migas' / 'optout'}\n"
    )
    assert (home / kept / "migas" / "optout").exists()
    if broken == "config":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert done.stderr.endswith("so it is on in programs that run without XDG_CONFIG_HOME\n")


def test_an_opt_in_removes_what_it_can(home: Path) -> None:
    """A directory in the first place is a no, and is not ours to remove."""
    own, usual = (home / name / "migas" / "optout" for name in ("config", ".config"))
    own.mkdir(parents=True)
    usual.parent.mkdir(parents=True)
    usual.touch()
    done = run("optin")
    assert (done.returncode, done.stdout, usual.exists()) == (1, "", False)
    assert str(own) in done.stderr


def test_an_opt_out_that_cannot_be_kept_is_reported(
    home: Path,
) -> None:
    """With what works anyway, and without a number that means nothing to a person."""
    (home / "config").write_text("in the way")
    (home / ".config").write_text("in the way")
    done = run("optout")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"migas: {home / 'config'}")
    assert done.stderr.endswith("; set MIGAS_OPTOUT=1 instead\n")
    assert "Errno" not in done.stderr


@pytest.mark.slow
def test_to_opt_in_names_what_still_switches_it_off() -> None:
    """A variable is not the command's to change."""
    done = run("optin", DO_NOT_TRACK="1")
    assert (done.returncode, done.stdout) == (
        1,
        "telemetry is still switched off by DO_NOT_TRACK\n",
    )
    assert read_json("optin", DO_NOT_TRACK="1") == {"switched_off_by": "DO_NOT_TRACK"}


def test_to_opt_in_switches_on_for_every_shell(
    home: Path,
) -> None:
    """Also for cron, which does not know the variable that moves a person's configuration."""
    for place in home / "config", home / ".config":
        (place / "migas").mkdir(parents=True)
        (place / "migas" / "optout").write_text("")
    assert run("optin").stdout == "telemetry is on\n"
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_an_opt_out_that_cannot_be_removed_is_reported(
    home: Path,
) -> None:
    """A directory of that name is a no that a person has to remove."""
    path = home / "config" / "migas" / "optout"
    path.mkdir(parents=True)
    done = run("optin")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"migas: {path}: ")


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize(
    "arguments",
    [
        ["optout"],
        ["optin", "--json"],
        ["clear", "spool", "--yes"],
        ["clear", "record", "--yes"],
        ["clear", "id", "--yes"],
        ["clear", "all", "--yes"],
    ],
    ids=" ".join,
)
def test_as_root_in_the_home_of_another_user_nothing_is_made_or_removed(
    home: Path, arguments: list[str]
) -> None:
    """`sudo migas optout` reported success, and the user's own processes went on (pain 46)."""
    put(1)
    (home / "config" / "migas").mkdir(parents=True)
    for name in "optout", "user_id":
        (home / "config" / "migas" / name).write_text("3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11")
    os.chown(home, 54321, 54321)
    before = sorted(home.rglob("*"))
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    words = " ".join(word for word in arguments if not word.startswith("--"))
    assert done.stderr == (
        "migas: this is root in the home of user 54321:"
        f" run `migas {words}` as user 54321, without sudo\n"
    )
    assert sorted(home.rglob("*")) == before
    os.chown(home, 0, 0)
    assert run(*arguments).returncode == 0


#: Runs commands as a user whom the system does not know, in the home that is its first argument,
#: and prints each one's status and errors. What they may import is imported before, since that user
#: need not be able to read where this interpreter lies; and the home is named after that, so that
#: root makes nothing there.
STRANGER = """
import contextlib, encodings.idna, hashlib, importlib, io, json, os, pkgutil, platform, pwd
import stringprep, sys
import migas
# All that a command may load: the user to come may not read where it lies.
for module in pkgutil.walk_packages(migas.__path__, 'migas.'):
    if 'testing' not in module.name and '__main__' not in module.name:
        importlib.import_module(module.name)
os.chdir('/')
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
for name in 'HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_DIRS', 'XDG_CONFIG_HOME':
    del os.environ[name]
if sys.argv[1] != 'none':
    os.environ['HOME'] = sys.argv[1]
ends = {}
for line in sys.argv[2:]:
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        ends[line] = migas.cli.main(line.split()), errors.getvalue()
print(json.dumps(ends))
"""

COMMANDS = {
    "status": 0,
    "status --json": 0,
    "show": 0,
    "show --pending": 0,
    "show --sent": 0,
    "flush": 0,
    "usage owner/repo --by month": 0,
    "optin": 0,
    "clear spool --yes": 0,
    "clear record --yes": 0,
    "clear all --yes": 0,
    "clear id --yes": 0,
    "optout": 1,
}


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize("value", ["none", "", "/", "/nowhere-54321"])
def test_every_command_works_without_a_home(server: Server, host: Host, value: str) -> None:
    """And `optout`, which cannot keep anything, names what works (pain 48)."""
    ended = host.run("", measured=False, arguments=("-c", STRANGER, value, *COMMANDS))
    assert ended.calmly, ended
    ends = json.loads(ended.out)
    assert {command: status for command, (status, _) in ends.items()} == COMMANDS
    said = {command: errors for command, (_, errors) in ends.items() if errors}
    assert list(said) == ["optout"]
    assert said["optout"].startswith("migas: there is no home directory")
    assert said["optout"].endswith("; set MIGAS_OPTOUT=1 instead\n")
    assert server.crumbs == []
