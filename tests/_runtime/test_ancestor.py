"""Linux says which processes are above this one, and what tells each from all others."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import await_condition

from migas._runtime.ancestor import (
    find_launcher,
    find_program,
    has_argument,
    identify,
    is_forked,
    name_process,
)

if TYPE_CHECKING:
    from support import Host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says so")


def test_each_process_has_a_name_of_its_own() -> None:
    """The same one each time."""
    assert identify(os.getpid()) == identify(os.getpid()) != identify(os.getppid())
    assert identify(os.getppid()) is not None
    assert name_process(os.getpid()) == name_process(os.getpid())
    assert name_process(os.getpid())[0].startswith(f"{os.getpid()}-")


def test_a_process_that_has_ended_has_none() -> None:
    """Whoever asks too late counts by itself."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    await_condition(lambda: identify(child.pid) is None)
    assert name_process(child.pid) == ("", "")


NAMED = r"""
import ctypes, os, sys
from migas._runtime.ancestor import _read_status, identify
before = identify(os.getpid())
ctypes.CDLL(None).prctl(15, b'a) R 1 (b', 0, 0, 0)
print(_read_status(os.getpid()).name, identify(os.getpid()) == before)
"""


def test_a_name_may_hold_anything(host: Host) -> None:
    """Brackets and spaces, too."""
    ended = host.run(NAMED, measured=False)
    assert (ended.out, ended.calmly) == ("a) R 1 (b True\n", True), ended


def test_the_launcher_is_the_first_without_the_variable() -> None:
    """However many processes with it lie between."""
    code = "from migas._runtime.ancestor import *; print(find_launcher('A_RANK'))"
    environ = {**os.environ, "A_RANK": "0", "PYTHON": sys.executable, "CODE": code}
    inner = '"$PYTHON" -c "$CODE"; true'
    for command in (inner, f"sh -c '{inner}'; true"):
        done = subprocess.run(
            ["sh", "-c", command], env=environ, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{os.getpid()}\n", done
    assert find_launcher("NO_SUCH_VARIABLE") == os.getppid()


#: Two processes of one program below a shell.
BELOW_A_SHELL = ["sh", "-c", '"$PYTHON" -c "$CODE"; true']

AGAIN = """
if len(sys.argv) == 1:
    subprocess.run([sys.executable, '-c', os.environ['CODE'], 'again'], check=True)
"""

PROGRAM = f"""
import os, subprocess, sys
from migas._runtime.ancestor import *
me, parent = identify(os.getpid()), identify(os.getppid())
print([(name == parent, name == me) for name in find_program('A_RANK')], flush=True)
{AGAIN}
"""

OTHER = f"""
import os, subprocess, sys
from migas._runtime.ancestor import *
print(has_argument(find_other_program(), {BELOW_A_SHELL[-1]!r}), flush=True)
{AGAIN}
"""


def run_below_a_shell(code: str) -> str:
    environ = {**os.environ, "A_RANK": "0", "PYTHON": sys.executable, "CODE": code}
    done = subprocess.run(BELOW_A_SHELL, env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_rank_may_be_a_shell_and_a_program_several_processes() -> None:
    """The uppermost of these names the program, and what was launched the rank."""
    seen = run_below_a_shell(PROGRAM)
    assert seen == "[(True, False), (False, True)]\n[(False, False), (True, False)]\n"
    assert find_program("") is None


def test_the_program_that_has_started_this_one_is_the_nearest_other() -> None:
    """However many processes of this program lie between."""
    assert run_below_a_shell(OTHER) == "True\nTrue\n"
    assert not has_argument(os.getpid(), "no such argument")


FORKS = """
import os, sys
from migas._runtime.ancestor import is_forked
print(is_forked(), flush=True)
if os.fork():
    os.wait()
else:
    print(is_forked(), flush=True)
    os.execv(sys.executable, [sys.executable, '-c',
        'from migas._runtime.ancestor import is_forked; print(is_forked())'])
"""


def test_a_fork_runs_its_parents_program_until_it_executes_another(host: Host) -> None:
    """The parent that waits for it is no fork."""
    ended = host.run(FORKS, measured=False)
    assert (ended.out, ended.status) == ("False\nTrue\nFalse\n", 0), ended
    assert not is_forked()


DAEMON = """
import os, sys, time
from migas._runtime.ancestor import is_forked
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.01)
above = os.readlink(f'/proc/{os.getppid()}/exe') if os.getppid() != 1 else ''
print(is_forked() == (above == os.readlink('/proc/self/exe')))
"""


def test_a_daemon_is_the_program_itself(host: Host) -> None:
    """Its parent has ended, and what has adopted it is another program."""
    ended = host.run(DAEMON, measured=False)
    assert (ended.out, ended.status) == ("True\n", 0), ended
