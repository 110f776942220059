"""Ctrl-C and other signals at any moment: the process ends as without us, and without a word."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import LASTS, PATIENCE, await_condition, versions

from migas.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from support import Host

    from migas.testing import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

#: Presses of Ctrl-C, spread over a host's start; 200 with MIGAS_TEST_ROUNDS=200.
PRESSES = int(os.environ.get("MIGAS_TEST_ROUNDS", "20"))

#: A host that imports for two seconds: `requests` at its end, and many a named tuple.
STARTS = """
import sys
print('ready', flush=True)
import logging, migas
migas.add_project('owner/repo', '1')
import time, collections
for number in range(190):
    time.sleep(0.01)
    collections.namedtuple('Record', 'first second')
import requests
"""

#: What CPython prints when it forgets a Ctrl-C in a callback of its own.
FORGOTTEN = re.compile(r"Exception ignored .*?importlib\._bootstrap.*?KeyboardInterrupt", re.DOTALL)

#: How many hosts run at a time.
AT_A_TIME = 5

#: Nobody who presses Ctrl-C waits for us, but until what is queued is written.
AT_ONCE = {"MIGAS_EXIT_TIMEOUT": "0.5"}


def start(host: Host, code: str, environ: Mapping[str, str] = {}) -> subprocess.Popen[str]:
    """Start a host, and return when it has said that it is ready."""
    process = host.start(code, environ, measured=False)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, PRESSES, AT_A_TIME))
def test_a_ctrl_c_while_the_host_starts_kills_it_as_without_us(
    host: Host, server: Server, first: int
) -> None:
    """At any of its moments: a shell's loop would go on after any other status (pain 40).

    CPython itself forgets a press that comes while it forgets the lock of an import (1 of 400 in
    an interpreter without us, on 3.12). Whoever sees that presses again.
    """
    assert server.requests == 0
    processes = [start(host, STARTS + LASTS, AT_ONCE) for _ in range(AT_A_TIME)]
    begin = time.monotonic()
    for number, process in enumerate(processes):
        moment = begin + 2.0 * (number + (first + random.random()) / PRESSES) / AT_A_TIME
        time.sleep(max(0.0, moment - time.monotonic()))
        process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            _, err = process.communicate(timeout=0.75 * PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
            err, forgotten = FORGOTTEN.subn("", err)
            assert forgotten == 1, err
        assert process.returncode == -signal.SIGINT, err
        assert err.splitlines()[-1] == "KeyboardInterrupt"
        assert "Exception ignored" not in err


#: What our threads import just when the program ends by a Ctrl-C.
IMPORTS = """
print('ready', flush=True)
import signal, migas
migas.add_project('owner/repo', '1')
signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.parametrize("run", ["text", "file", "module"])
def test_what_is_imported_after_a_ctrl_c_does_not_hide_it(
    host: Host, tmp_path: Path, run: str
) -> None:
    """Our exit has to load what writes, named tuples and all."""
    (tmp_path / "program.py").write_text(IMPORTS)
    arguments = {"text": ("-c", IMPORTS), "file": ("program.py",), "module": ("-m", "program")}[run]
    ended = host.run("", AT_ONCE, arguments=arguments, measured=False)
    assert (ended.status, ended.out) == (-signal.SIGINT, "ready\n"), ended
    assert ended.err.splitlines()[-1] == "KeyboardInterrupt"


SHOWN = """
import sys, migas
migas.add_project('owner/repo', '1')
def show():
    try: raise KeyboardInterrupt
    except KeyboardInterrupt: sys.last_type, sys.last_value, sys.last_traceback = sys.exc_info()
show()
"""


def test_a_ctrl_c_that_ended_nothing_is_none(host: Host) -> None:
    """A kernel shows one to its user, goes on, and ends as it likes."""
    ended = host.run(SHOWN, AT_ONCE, measured=False)
    assert ended.calmly, ended


@pytest.mark.slow
def test_a_ctrl_c_at_a_prompt_is_the_prompts(host: Host) -> None:
    """An interactive interpreter goes on after it, and its end is another one."""
    statuses = [
        host.run(
            "", AT_ONCE, arguments=("-i", "-c", line + "raise KeyboardInterrupt"), measured=False
        ).status
        for line in ("", "import migas; migas.add_project('owner/repo', '1'); ")
    ]
    assert statuses[0] == statuses[1]


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 2, 5])
def test_a_ctrl_c_while_our_exit_waits_kills_the_process(
    host: Host, server: Server, deliver: Callable[[], None], presses: int
) -> None:
    """Without us it were gone, and the shell would have got the Ctrl-C.

    From Python 3.14 on no exit hook can have that: the status is the program's, but where one of
    several presses comes so late that the interpreter has no handler any more.
    """
    server.inject(Fault.hang())
    code = "print('ready', flush=True)\nimport migas; migas.add_project('owner/repo', '1')"
    process = start(host, code, {"MIGAS_TIMEOUT": "3600", "MIGAS_EXIT_TIMEOUT": "3600"})
    await_condition(lambda: server.requests == 1)
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    statuses = {-signal.SIGINT}
    if sys.version_info >= (3, 14):
        statuses = {0} if presses == 1 else {0, -signal.SIGINT}
    assert (process.returncode in statuses, err) == (True, ""), process.returncode
    server.mend()
    deliver()
    assert versions(server) == ["1"]


#: What a host's handler of SIGTERM may raise.
RAISED = ["SystemExit(5)", "KeyboardInterrupt", "RuntimeError('of the host')", "Own('of the host')"]

HANDLES = """
import atexit, signal, sys
class Own(BaseException): pass
def handle(number, frame): raise {raised}
atexit.register(lambda: print('first of the host'))
import migas
atexit.register(lambda: print('ready', flush=True))
signal.signal(signal.SIGTERM, handle)
migas.{call}('owner/repo', '1')
{end}
"""


@pytest.mark.parametrize("status", [7, 0])
@pytest.mark.parametrize(
    ("raised", "presses"), [*((raised, 1) for raised in RAISED), ("KeyboardInterrupt", 3)]
)
def test_what_a_handler_raises_while_our_exit_waits_changes_nothing(
    host: Host, server: Server, raised: str, presses: int, status: int
) -> None:
    """The status is the host's own, its other exit hooks run, and nobody prints (pain 34)."""
    server.inject(Fault.hang())
    call, end = ("add_project", "sys.exit(7)") if status else ("track", "")
    code = HANDLES.format(raised=raised, call=call, end=end)
    process = start(host, code, {"MIGAS_TIMEOUT": "3600", "MIGAS_EXIT_TIMEOUT": "3600"})
    await_condition(lambda: server.requests == 1)
    for _ in range(presses):
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    if presses == 1:
        assert (process.returncode, out, err) == (status, "first of the host\n", "")
    # One that comes after our exit meets the host's other hooks, or no handler any more.
    assert process.returncode in (status, -signal.SIGTERM)
    assert "migas" not in err
