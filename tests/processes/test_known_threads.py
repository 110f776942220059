"""`threading` knows no thread of ours: a host may join, count, trace and name all that it lists."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import FORKS, SLOW, versions

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

#: What hosts do with all threads there are. Each was seen to hang or to be changed by ours.
DEEDS = {
    "joins all": "for each in threading.enumerate(): each is main or each.join()",
    "waits until there is one": "while threading.active_count() > 1: time.sleep(0.01)",
    "lists them": "assert threading.enumerate() == [main], threading.enumerate()",
}

BEGIN = """
import _thread, logging, sys, threading, time
import migas
main = threading.current_thread()
def await_sender():
    while _thread._count() < 2: time.sleep(0.01)
"""


@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
@pytest.mark.parametrize("deed", DEEDS)
def test_a_host_that_looks_at_all_threads_meets_none_of_ours(
    host: Host, server: Server, deed: str, online: bool
) -> None:
    """Offline ours last as long as the process, so a host that joined them would never end."""
    if not online:
        server.stop()
    code = f"{BEGIN}migas.add_project('owner/repo', '1')\nawait_sender()\n{DEEDS[deed]}"
    assert host.run(code, SLOW if online else {}).calmly
    assert len(server.crumbs) == online


def test_a_hosts_tracer_of_all_threads_sees_no_line_of_ours(host: Host, server: Server) -> None:
    """So `python -m trace`, which prints each line that any thread runs, prints the host's own."""
    code = """
def see(frame, *_):
    seen.add(frame.f_code.co_filename)
    return see
seen = set()
threading.settrace(see), threading.setprofile(see)
receipt = migas.add_project('owner/repo', '1')
await_sender()
while not receipt.done(): time.sleep(0.01)
assert not seen, seen
"""
    assert host.run(BEGIN + code, SLOW).calmly
    assert len(server.crumbs) == 1


ASK = """
names = []
def ask(*_):
    names.append(threading.current_thread().name)
class Asks(logging.Handler):
    emit = ask
"""

#: Ours live on when they have nothing to do.
LIVES = """
import migas._runtime.threads
migas._runtime.threads.Worker.__init__.__kwdefaults__["idle"] = 600
"""

#: Code of the host's that a thread of ours runs.
CALLED = {
    "a receipt's callback": "migas.add_project('owner/repo', '1').add_done_callback(ask)",
    "before_send": "migas.setup(before_send=lambda crumb: ask() or crumb)",
    "a handler of logging": (
        "logging.basicConfig(level=logging.DEBUG, handlers=[Asks()]);"
        "logging.getLogger('migas').setLevel(logging.DEBUG)"
    ),
}


@pytest.mark.parametrize("called", CALLED)
def test_a_thread_that_a_host_asks_for_is_forgotten_again(
    host: Host, server: Server, called: str
) -> None:
    """`threading` notes a thread that it does not know, and before Python 3.13 for ever."""
    code = f"""
{CALLED[called]}
receipt = migas.add_project('owner/repo', '2', status='odd')  # it is left out, which is logged
while not (receipt.done() and names): time.sleep(0.01)
assert set(names) - {{'MainThread'}}, names
deadline = time.monotonic() + 30
while threading.active_count() > 1 and time.monotonic() < deadline: time.sleep(0.01)
assert threading.enumerate() == [main], threading.enumerate()
"""
    assert host.run(BEGIN + ASK + LIVES + code, SLOW).calmly
    assert server.crumbs


def test_a_thread_that_an_audit_hook_asks_for_is_forgotten_before_it_rests(
    host: Host, server: Server
) -> None:
    """Code such as a hook or a finalizer asks on any thread, and ours may rest for days."""
    code = """
sys.addaudithook(ask)
migas.add_project('owner/repo', '1').result(40)
deadline = time.monotonic() + 30
while threading.active_count() > 1 and time.monotonic() < deadline: time.sleep(0.01)
assert threading.enumerate() == [main], threading.enumerate()
assert set(names) - {'MainThread'}, names
"""
    assert host.run(BEGIN + ASK + LIVES + code, SLOW, measured=False).calmly
    assert len(server.crumbs) == 1


def test_the_hosts_threads_are_named_as_without_us(host: Host, server: Server) -> None:
    """A host that listens to everything makes no record of our connections, not even in vain."""
    code = """
logging.basicConfig(level=logging.DEBUG, handlers=[logging.NullHandler()])
assert migas.add_project('owner/repo', '1').result(40)['success']
assert threading.Thread(target=int).name == 'Thread-1 (int)'
"""
    assert host.run(BEGIN + code, SLOW, measured=False).calmly
    assert len(server.crumbs) == 1


#: What a host's function does that a thread of ours calls, and that would end that thread.
ENDS = {
    "sys.exit": "sys.exit(1)",
    "a Ctrl-C of its own": "raise KeyboardInterrupt",
    "a task's end": "import asyncio; raise asyncio.CancelledError",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("place", ["callback", "before_send"])
def test_a_hosts_function_ends_no_thread_of_ours(
    host: Host, server: Server, place: str, end: str
) -> None:
    """What it raises harms what it was called for, and nothing after that; nothing is printed."""
    code = f"""
def fail(given):
    if isinstance(given, dict) and given['project_version'] != '1': return given
    {ENDS[end]}
if {place!r} == 'before_send':
    migas.setup(before_send=fail)
    migas.add_project('owner/repo', '1').result(40)
else:
    receipt = migas.add_project('owner/repo', '1')
    receipt.add_done_callback(fail), receipt.result(40)
assert migas.add_project('owner/repo', '2').result(40)['success']
"""
    assert host.run(BEGIN + code, SLOW).calmly
    assert versions(server) == (["2"] if place == "before_send" else ["1", "2"])


FORKING = """
import os, signal
ended = []
def fork(_):
    logging.info('before')
    if child := os.fork():
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return
    signal.alarm(40)
    {deed}
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')
receipt = migas.add_project('owner/repo', '1')
receipt.add_done_callback(fork)
while not ended: time.sleep(0.01)
print(*ended)
"""

WORKS = """
    log = logging.getLogger('urllib3.connectionpool')
    log.warning(f'heard by {threading.main_thread().name}')
    def work(): log.warning(f'daemon: {thread.daemon}')
    thread = threading.Thread(target=work)
    thread.start(), thread.join()
    receipt = migas.add_project('owner/repo', '2')
    os._exit(0 if receipt.result(40)['success'] else 5)
"""

#: What a child does that a callback has forked, what is seen of it, and what arrives.
CHILDREN = {
    "it returns": ("return", "", "0", ["1"]),
    "it exits": ("sys.exit(3)", "", "0", ["1"]),
    "it works": (WORKS, "heard by MainThread\ndaemon: False\n", "0", ["1", "2"]),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("deed", CHILDREN)
def test_what_a_callback_forks_is_the_hosts(host: Host, server: Server, deed: str) -> None:
    """It is no thread of ours, goes on with none of our work, and ends as a bare thread's child."""
    code, seen, status, arrived = CHILDREN[deed]
    ended = host.run(BEGIN + LIVES + FORKING.format(deed=code), FORKS, measured=False)
    assert (ended.out, ended.calmly) == (f"before\n{seen}{status}\n", True), ended
    assert versions(server) == arrived
