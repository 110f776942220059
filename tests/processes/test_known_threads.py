"""`threading` knows no thread of ours: a host may join, count, trace and name all that it lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import BRIEFLY_IDLE, SLOW

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

#: Code of the host's that a thread of ours runs.
CALLED = {
    "a receipt's callback": "migas.add_project('owner/repo', '1').add_done_callback(ask)",
    "before_send": "migas.setup(before_send=lambda crumb: ask() or crumb)",
    "a handler of logging": "logging.basicConfig(level=logging.DEBUG, handlers=[Asks()])",
}


@pytest.mark.parametrize("called", CALLED)
def test_a_thread_that_a_host_asks_for_is_forgotten_again(
    host: Host, server: Server, called: str
) -> None:
    """`threading` notes a thread that it does not know, and before Python 3.13 for ever."""
    code = f"""
import migas._runtime.threads
migas._runtime.threads.Worker.__init__.__kwdefaults__["idle"] = 600  # ours lives on
{CALLED[called]}
receipt = migas.add_project('owner/repo', '2', status='odd')  # it is left out, which is logged
while not (receipt.done() and names): time.sleep(0.01)
assert set(names) - {{'MainThread'}}, names
deadline = time.monotonic() + 30
while threading.active_count() > 1 and time.monotonic() < deadline: time.sleep(0.01)
assert threading.enumerate() == [main], threading.enumerate()
"""
    assert host.run(BEGIN + ASK + code, SLOW).calmly
    assert server.crumbs


def test_a_thread_that_an_audit_hook_asks_for_is_forgotten_at_its_end(
    host: Host, server: Server
) -> None:
    """The hook asks at any moment: `threading` lists ours as long as they live, and no longer."""
    code = """
sys.addaudithook(lambda *_: names.append(threading.current_thread().name))
migas.add_project('owner/repo', '1').result(40)
while threading.active_count() > 1: time.sleep(0.01)
assert set(names) - {'MainThread'}, names
"""
    assert host.run(BEGIN + ASK + BRIEFLY_IDLE + code, SLOW, measured=False).calmly
    assert len(server.crumbs) == 1
