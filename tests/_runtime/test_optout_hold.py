"""What the program was started with opts out, whatever a host does to its environment (pain 37)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

import migas
from migas._runtime import optout
from migas._runtime.optout import OPTOUT_VARIABLES, find_optout, look_for_optout

if TYPE_CHECKING:
    from pathlib import Path

    from support import Host

    from migas.testing import Server

#: What hosts do to their environment. All but the opt-out is set again, so that a breadcrumb would
#: reach this test's server.
TAKE_BACK = {
    "del": "for name in set(os.environ) - set(others): del os.environ[name]",
    "clear": "os.environ.clear(); os.environ.update(others)",
    "another dict": "os.environ = others",
    "patch.dict": "import unittest.mock as m; m.patch.dict(os.environ, others, clear=True).start()",
}

#: Clears the block in which the kernel shows what a program was started with, as a title does.
OVERWRITE = """
import ctypes
numbers = open('/proc/self/stat').read().rpartition(')')[2].split()
start, end = map(int, numbers[47:49])
ctypes.memset(start, 0, end - start)
"""

#: Looks at everything that asks for the person's will, and tells what it finds.
LOOK = """
def look():
    assert migas.flush(1) == 0
    assert _thread._count() == 0
    return {
        migas.add_project('owner/repo', '1').result(60)['message'],
        migas.get_usage('owner/repo', '2026-01-01')['message'],
        migas.check_project('owner/repo', '1')['message'],
    }
"""


def make_host(take_back: str, when: str) -> str:
    """Return a host that takes its user's opt-out back at some moment, and then tries to report."""
    return f"""
import _thread, os, sys
others = {{k: v for k, v in os.environ.items() if k not in {OPTOUT_VARIABLES!r}}}
def take_back():
    {take_back}
{LOOK}
if {when!r} == 'before the import': take_back()
import migas
if {when!r} == 'over a title': exec({OVERWRITE!r})
if {when!r} == 'after a call': look()
if {when!r} != 'before the import': take_back()
print(*look(), flush=True)
if os.fork() == 0:
    print(*look(), flush=True)
    os._exit(0)
os.wait()
from migas.cli import main
main(['status', '--json'])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize(
    "case",
    [
        *(("MIGAS_OPTOUT", way, "before the import") for way in TAKE_BACK),
        *((name, "clear", "before the import") for name in OPTOUT_VARIABLES[1:]),
        ("NO_ET", "clear", "after a call"),
        ("DO_NOT_TRACK", "another dict", "after the import"),
        ("MIGAS_OPTOUT", "clear", "over a title"),
    ],
    ids=", ".join,
)
def test_a_host_cannot_take_back_its_users_no(
    host: Host, server: Server, home: Path, case: tuple[str, str, str]
) -> None:
    """No call, forked child or command reports; answers and `status` name the variable."""
    variable, way, when = case
    if when in ("before the import", "over a title") and sys.platform != "linux":
        pytest.skip("elsewhere nobody can tell what a program was started with")
    ended = host.run(make_host(TAKE_BACK[way], when), {variable: "1"}, measured=False)
    assert ended.calmly, ended
    *said, status = ended.out.split("\n", 2)
    assert said == [f"switched off by {variable}"] * 2
    assert f'"switched_off_by": "{variable}"' in status
    assert server.requests == 0
    assert list(home.iterdir()) == []


#: What hosts do to what says where a file lies.
MOVE = {
    "HOME": "os.environ.update(HOME=other, XDG_CONFIG_HOME='')",
    "XDG_CONFIG_HOME": "os.environ['XDG_CONFIG_HOME'] = other",
    "XDG_CONFIG_DIRS": "del os.environ['XDG_CONFIG_DIRS']",
    "clear": "kept = {k: v for k, v in os.environ.items() if k[:3] not in ('HOM', 'XDG')};"
    " os.environ.clear(); os.environ.update(kept, XDG_CACHE_HOME=other)",
}


@pytest.mark.parametrize("when", ["before the import", "after the import"])
@pytest.mark.parametrize(
    "case",
    [(move, place) for move in MOVE for place in ("config", "site", ".config")],
    ids=", ".join,
)
def test_a_host_that_moves_its_home_takes_back_no_file(
    host: Host, server: Server, home: Path, case: tuple[str, str], when: str
) -> None:
    """A home of its own is what a test or a sandbox makes: the person's file counts anyway."""
    move, place = case
    if when == "before the import" and sys.platform != "linux":
        pytest.skip("elsewhere nobody can tell what a program was started with")
    file = home / place / "migas" / "optout"
    file.parent.mkdir(parents=True)
    file.touch()
    code = f"""
import os, tempfile
other = tempfile.mkdtemp(dir={str(home)!r})
def move():
    {MOVE[move]}
if {when!r} == 'before the import': move()
import migas
if {when!r} == 'after the import': move()
print(migas.add_project('owner/repo', '1').result(60)['message'])
"""
    ended = host.run(code, measured=False)
    assert ended.calmly, ended
    assert ended.out == f"switched off by {file}\n"
    assert server.requests == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what is set at the import counts")
def test_what_a_host_sets_for_itself_it_may_take_back(host: Host, server: Server) -> None:
    """It counts while it is set, also where it was set before the import."""
    code = """
import os
os.environ['MIGAS_OPTOUT'] = '1'
import migas
assert migas.add_project('owner/repo', '1')['message'] == 'switched off by MIGAS_OPTOUT'
del os.environ['MIGAS_OPTOUT']
assert migas.add_project('owner/repo', '2').result(60)['success']
os.environ.clear()
os.environ['DO_NOT_TRACK'] = '1'
assert migas.add_project('owner/repo', '3')['message'] == 'switched off by DO_NOT_TRACK'
"""
    assert host.run(code, measured=False).calmly
    assert [crumb["version"] for crumb in server.crumbs] == ["2"]


@pytest.mark.parametrize("value", ["", "0", " 0 "])
def test_what_is_no_opt_out_at_the_start_holds_nothing(
    host: Host, server: Server, value: str
) -> None:
    """`DO_NOT_TRACK=0` is a yes, now and later."""
    code = "import migas; assert migas.add_project('owner/repo', '1').result(60)['success']"
    assert host.run(code, {"DO_NOT_TRACK": value}).calmly
    assert len(server.crumbs) == 1


def test_a_flag_of_the_process_opts_out_at_each_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment, for callers' threads and for ours, which ask before each step."""
    assert find_optout({}) == look_for_optout({}) == ""
    monkeypatch.setattr(optout.hold, "is_lifted", False)
    monkeypatch.setattr(optout.hold, "_started", "")
    monkeypatch.setattr(optout.hold, "flag", "a test")
    for environ in ({}, os.environ, {"DO_NOT_TRACK": "0"}):
        assert find_optout(environ) == look_for_optout(environ) == "a test"
    assert find_optout({"MIGAS_OPTOUT": ""}) == "MIGAS_OPTOUT"
    assert migas.add_project("owner/repo", "1")["message"] == "switched off by a test"
