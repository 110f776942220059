"""A host's signal handlers: what they raise is the host's, and what C code has set stays set."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, await_condition

from migas.testing import Fault

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

#: A signal's handler raises while the host waits for us, as a time limit's does.
LIMITED = """
import functools, signal, migas
class Limit(TimeoutError): pass
def handle(*arguments): raise Limit
signal.signal(signal.SIGALRM, {handler})
try: print('returned', {call})
except Limit: print('limit')
"""


@pytest.mark.parametrize("handler", ["handle", "functools.partial(handle, 1)"])
@pytest.mark.parametrize(
    "call",
    [
        "migas.add_breadcrumb('owner/repo', '1', wait=True)",
        "migas.add_project('owner/repo', '1').result()",
        "migas.get_usage('owner/repo', '2026-01-01')",
        "migas.check_project('owner/repo', '1')",
        "migas.add_project('owner/repo', '1') and migas.flush()",
    ],
)
def test_a_time_limit_of_the_hosts_ends_a_wait_for_us(
    host: Host, server: Server, call: str, handler: str
) -> None:
    """No failure of ours reaches a host, and what its own handler raises is none of ours."""
    server.inject(Fault.hang())
    environ = {"MIGAS_TIMEOUT": "3600", "MIGAS_EXIT_TIMEOUT": "0.1"}
    process = host.start(LIMITED.format(handler=handler, call=call), environ, measured=False)
    await_condition(lambda: server.requests == 1)
    process.send_signal(signal.SIGALRM)
    assert process.communicate(timeout=PATIENCE) == ("limit\n", "")
    assert process.returncode == 0


#: A call where no thread can start.
_ALONE = "setattr(migas._runtime.daemon, 'start_thread', None) or {setup}migas.add_project(*NAME)"

#: The same in the middle of what we do: the place where it comes, and the call that gets there.
WALLS = {
    "a thread's start": ("migas._runtime.threads.Thread.start", "migas.add_project(*NAME)"),
    "a first import": ("migas._runtime.shadow.find_shadow", "migas.add_project(*NAME).result()"),
    "a breadcrumb": ("migas.operations._queue", "migas.add_breadcrumb(*NAME)"),
    "a look at the disk": ("migas._disk.spool.open_spool", "migas.flush()"),
    "a flush": ("migas._agent.process.Process.flush", "migas.add_project(*NAME) and migas.flush()"),
    "a plan": ("migas._agent.run.Plan", "migas.track(*NAME)"),
    "a run": ("migas._agent.track.Run", "migas.track(*NAME)"),
    "a final status": ("migas.error.describe", "migas.track(*NAME).stop()"),
    "a receipt": ("migas._runtime.receipt.Receipt._await_answer", "migas.add_project(*NAME)['x']"),
    "a question": ("migas._agent.question._ask_within", "migas.get_usage(*NAME)"),
    "a question's thread": ("migas._runtime.daemon.Thread", "migas.get_usage(*NAME)"),
    "sessions": ("migas._agent.question._find_refusal", "migas.get_sessions(NAME[0], token='x')"),
    "a launch": ("migas._runtime.launch.find_launch", "migas.add_project(*NAME)"),
    "a file of the system's": ("os.open", "migas._runtime.ancestor._read('/proc/self/stat')"),
    "the first environment": ("builtins.open", "migas._runtime.optout._read_first_environ()"),
    "a stack": ("migas._runtime.daemon.run_with_stack", "migas._runtime.daemon.is_stack_small()"),
    "a look for a directory": ("platformdirs.user_cache_dir", "migas.flush()"),
    "a callback": (
        "migas._runtime.callback.call_host",
        "migas._runtime.receipt.Receipt.settled({}).add_done_callback(print)",
    ),
    "a log": ("logging.Logger.log", "migas._runtime.log.say(30, 'any')"),
    "work on this thread": ("migas._agent.agent.Agent._make_writer", _ALONE.format(setup="")),
    "a value on this thread": ("migas._crumb.breadcrumb._sanitize", _ALONE.format(setup="")),
    "a job on this thread": ("migas._crumb.breadcrumb.encode", _ALONE.format(setup="")),
    "before_send on this thread": (
        "migas._delivery.writer.call_host",
        _ALONE.format(setup="migas.setup(before_send=dict) or "),
    ),
}

INTERRUPTED = """
import _thread, pkgutil, signal, migas, migas._runtime.daemon
class Limit(TimeoutError): pass
def handle(*arguments): raise Limit
signal.signal(signal.SIGALRM, handle)
main = _thread.get_ident()
def interrupt(*_, **__):
    if _thread.get_ident() == main:
        signal.raise_signal(signal.SIGALRM)
NAME = ('owner/repo', '2026-01-01')
place, _, name = {place!r}.rpartition('.')
setattr(pkgutil.resolve_name(place), name, interrupt)
try: print('returned', {call})
except Limit: print('limit')
"""


@pytest.mark.parametrize("wall", WALLS)
@pytest.mark.usefixtures("server")
def test_a_time_limit_of_the_hosts_passes_each_wall_of_ours(host: Host, wall: str) -> None:
    """A wall is where a failure of ours ends; the host's exception goes on."""
    place, call = WALLS[wall]
    code = INTERRUPTED.format(place=place, call=call)
    environ = {"MIGAS_EXIT_TIMEOUT": "0.1"}
    environ |= {"MIGAS_OPTOUT": "1"} if wall.startswith("a look") else {}
    ended = host.run(code, environ, measured=False)
    assert (ended.out, ended.calmly) == ("limit\n", True), ended


#: A call once for every eighth line of ours that it runs on the calling thread, each in a forked
#: child, with the signal at that line. Prints where the handler's exception went no further.
AT_EACH_LINE = """
import os, random, signal, sys, logging, requests, migas
import migas._delivery.writer, migas._delivery.sender, migas._delivery.transport
class Limit({base}): pass
def handle(*arguments): raise Limit
signal.signal(signal.SIGALRM, handle)
ROOT = os.path.dirname(migas.__file__)
#: What finds out whose an exception is cannot ask that of its own; and what asks for a warning's
#: filters is code of others, which may catch what it likes.
SPARED = 'signals.py', 'quiet.py'
def call(number):
    lines = []
    def trace(frame, event, _):
        path = frame.f_code.co_filename
        if not path.startswith(ROOT) or path.endswith(SPARED):
            return None
        if event == 'line':
            lines.append(path[len(ROOT):] + ':' + str(frame.f_lineno))
            if len(lines) == number + 1:
                sys.settrace(None)
                signal.raise_signal(signal.SIGALRM)
        return trace
    sys.settrace(trace)
    try:
        {call}
    except Limit:
        return 'limit'
    finally:
        sys.settrace(None)
    return 'swallowed at ' + lines[-1] if len(lines) == number + 1 else 'end'
number, result = random.randrange(8) - 8, b''
while result != b'end':
    number += 8
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writer, call(number).encode())
        os._exit(0)
    os.close(writer)
    result = os.read(reader, 1000)
    os.close(reader)
    os.waitpid(pid, 0)
    if result not in (b'limit', b'end'):
        print(number, result.decode() or 'died')
print(number > {least})
"""


@pytest.mark.slow
@pytest.mark.parametrize("base", ["TimeoutError", "ValueError"])
@pytest.mark.parametrize(
    ("call", "least"),
    [
        ("migas.add_project('owner/repo', '1')", 800),
        ("migas.track('owner/repo', '1')", 1200),
        ("migas.setup(filename='migas.json', save_config=True, user_id='none')", 600),
        ("migas.flush(0.01)", 800),
        ("migas.add_project('owner/repo', '1').get('success')", 1000),
    ],
    ids=["add_project", "track", "setup", "flush", "look"],
)
def test_a_time_limit_of_the_hosts_passes_any_line_of_ours(
    host: Host, call: str, least: int, base: str
) -> None:
    """Whatever it raises: a `TimeoutError` is what a disk's failure is, too."""
    code = AT_EACH_LINE.format(base=base, call=call, least=least)
    environ = {"MIGAS_TIMEOUT": "0.01", "MIGAS_EXIT_TIMEOUT": "0.1"}
    ended = host.run(code, environ, measured=False)
    assert (ended.out, ended.calmly) == ("True\n", True), ended


#: SIGTERM has a handler of C's, which Python does not know.
NATIVE = """
import faulthandler, os, signal, migas
faulthandler.register(signal.SIGTERM, all_threads=False)
{track}
os.kill(os.getpid(), signal.SIGTERM)
print('alive')
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only /proc tells of it")
@pytest.mark.parametrize(
    "track", ["migas.track('owner/repo', '1')", "with migas.track('owner/repo', '1'): pass"]
)
def test_a_handler_that_c_code_has_set_stays_set(host: Host, track: str) -> None:
    """`signal.getsignal` shows the default action for it; `track` has no part in it."""
    ended = host.run(NATIVE.format(track=track), {"MIGAS_EXIT_TIMEOUT": "0.1"}, measured=False)
    assert (ended.status, ended.out) == (0, "alive\n"), ended
    assert "most recent call first" in ended.err
