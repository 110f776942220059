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
class Limit(Exception): pass
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
    "a receipt": ("migas._runtime.receipt.Receipt._await_answer", "migas.add_project(*NAME)['x']"),
    "a question": ("migas._agent.question._ask_within", "migas.get_usage(*NAME)"),
    "a question's thread": ("migas._delivery.query.Thread", "migas.get_usage(*NAME)"),
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
class Limit(Exception): pass
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
