"""Forks at any moment, with any lock held: each process tells its own, and none hangs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import textwrap
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support import FORKS, PATIENCE, await_condition, versions

from migas.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas.testing import Server

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

#: A child's end is awaited for as long as a test waits; one that hangs is ended by its own alarm.
FORK = """
import json, logging, os, signal, sys, threading, time
import migas

def fork(work, end=lambda: sys.exit()):
    child = os.fork()
    if not child:
        signal.alarm(40)
        work()
        end()
        os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def add(version):
    return migas.add_project('owner/repo', version)

"""


ENDS = {
    "sys.exit": ("sys.exit()", 0),
    "_exit": ("wait() or os._exit(3)", 3),
    "SIGKILL": ("wait() or os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("wait() or os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "an exception": ("1 / 0", 1),
}


@pytest.mark.parametrize(("end", "status"), ENDS.values(), ids=ENDS)
def test_however_a_child_ends_each_tells_its_own_once(
    host: Host, server: Server, deliver: Callable[[], None], end: str, status: int
) -> None:
    """What the parent has queued stays the parent's, and the child tells its own (pain 12)."""
    code = f"""
    def wait():
        agent = migas._agent.process.current_process().use_agent()
        calm = 0
        while calm < 3:
            calm = calm + 1 if agent._writing.is_idle() else 0
            time.sleep(0.01)

    add('parent')
    def child():
        sys.stderr = open(os.devnull, 'w')
        add('child')
    print(fork(child, lambda: {end}))
    """
    ended = host.run(FORK + textwrap.dedent(code), FORKS, measured=False)
    assert (ended.out, ended.calmly) == (f"{status}\n", True), ended
    deliver()
    assert versions(server) == ["child", "parent"]


@pytest.mark.slow
def test_a_fork_on_another_thread_and_of_grandchildren(host: Host, server: Server) -> None:
    """Wherever it happens, and however deep."""
    code = """
def family(depth):
    add(str(depth))
    if depth < 4:
        assert fork(lambda: family(depth + 1)) == 0

thread = threading.Thread(target=family, args=(0,))
thread.start()
thread.join()
"""
    ended = host.run(FORK + code, FORKS, measured=False)
    assert ended.calmly, ended
    assert versions(server) == ["0", "1", "2", "3", "4"]


def test_a_childs_thread_is_none_of_ours_though_it_has_the_number_of_one(
    host: Host, server: Server
) -> None:
    """What it logs of its connections is kept, and `threading` goes on to know it."""
    code = f"""
import requests
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format='%(name)s')
assert add('1').result(40)['success']
def work():
    from migas._runtime.daemon import find_own_thread
    assert find_own_thread() is None
    requests.get({server.endpoint!r})
    assert threading.current_thread() is thread
def child():
    global thread
    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
fork(child, lambda: (sys.stdout.flush(), os._exit(0)))
"""
    ended = host.run(FORK + code, FORKS, measured=False)
    assert ended.calmly, ended
    assert ended.out.count("urllib3.connectionpool") == 6
    assert versions(server) == ["1"]


@pytest.mark.slow
def test_a_fork_with_a_request_in_flight(host: Host, server: Server) -> None:
    """The parent's request is not the child's to repeat, nor its receipt the child's to await."""
    server.inject(Fault.late(1.0))
    code = """
receipt = add('parent')
receipt._urge()
while not migas._agent.process.current_process()._agent._exit.request: time.sleep(0.005)
def child():
    assert not receipt.done()
    assert receipt['message'] == 'the breadcrumb belongs to the parent process'
    called = []
    receipt.add_done_callback(called.append)
    assert called == [receipt]
    add('child')
assert fork(child) == 0
assert receipt.result(30)['success']
"""
    ended = host.run(FORK + code, FORKS, measured=False)
    assert ended.calmly, ended
    assert versions(server) == ["child", "parent"]


#: Every lock that a thread of ours, or of the host's within a call of ours, can hold at a fork.
LOCKS = {
    "the process's": "migas._agent.process.current_process()._lock",
    "the writer's": "agent._writing._changed",
    "the sender's": "agent._sending._changed",
    "the loader's": "agent._loader._gate",
    "a receipt's guard": "pending._guard",
}


@pytest.mark.slow
@pytest.mark.parametrize("hooks", ["fork hooks", "no fork hooks"])
@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_fork_while_another_thread_holds_a_lock(
    host: Host, server: Server, lock: str, hooks: str
) -> None:
    """The child's locks are new; hooks need not have run, as under uWSGI (pains 12, 13)."""
    code = f"""
receipt = add('parent')
assert receipt.result(30)['success']
pending = migas.Receipt(1.0, lambda: None)
agent = migas._agent.process.current_process().use_agent()
held, go = threading.Event(), threading.Event()
def hold():
    with {lock}:
        held.set()
        go.wait(30)
thread = threading.Thread(target=hold)
thread.start()
held.wait(30)
if {hooks == "no fork hooks"}:
    migas._agent.process._forget_parents.__code__ = (lambda: None).__code__
def child():
    pending.add_done_callback(print)
    assert add('child').result(30)['success']
    assert migas.flush(30) == 0
print(fork(child))
go.set()
"""
    ended = host.run(FORK + code, FORKS, measured=False)
    assert ended.out.endswith("\n0\n"), ended
    assert ended.calmly, ended
    assert versions(server) == ["child", "parent"]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["disk", "network"])
def test_a_fork_in_the_middle_of_what_our_threads_do(
    host: Host, server: Server, deliver: Callable[[], None], step: str
) -> None:
    """With breadcrumbs queued behind it, again and again; each is told once, by its own process."""
    wait = "migas._agent.process.current_process()._agent._urge()" if step == "network" else "pass"
    code = f"""
for number in range(12):
    for part in '123':
        add(f'{{number}}.{{part}}')
    {wait}
    time.sleep(0.003 * number)
    assert fork(lambda: add(f'{{number}}.child') and sys.exit()) == 0
"""
    ended = host.run(FORK + code, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    parents = [f"{number}.{part}" for number in range(12) for part in "123"]
    assert versions(server) == sorted(parents + [f"{number}.child" for number in range(12)])


@pytest.mark.slow
def test_a_hosts_own_fork_hook_may_add_before_ours_has_run(host: Host, server: Server) -> None:
    """Hooks run in the order in which they were registered; none of ours undoes what it did."""
    code = """
import os, threading
kept = []
def hook():
    add('hook')
    kept.append(migas._agent.process.current_process())
os.register_at_fork(after_in_child=hook)
"""
    use = """
add('parent')
def child():
    assert list(migas._agent.process._processes.values()) == kept
    add('child')
assert fork(child) == 0
"""
    ended = host.run(code + FORK + use, FORKS, measured=False)
    assert ended.calmly, ended
    assert versions(server) == ["child", "hook", "parent"]


APPLICATION = """
import logging, os, sys
import migas
migas.add_project('owner/repo', 'start')

def application(environ, start_response):
    receipt = migas.add_project('owner/repo', 'request')
    start_response('200 OK', [('Content-Type', 'text/plain')])
    # Not whether it went: another worker's request may have taken it along.
    return [str('success' in receipt.result(40)).encode()]
"""

SERVERS = {
    "gunicorn": "gunicorn --workers 2 --bind 127.0.0.1:{port} application",
    "gunicorn, threads": "gunicorn --workers 2 --threads 2 --bind 127.0.0.1:{port} application",
    "gunicorn, preload": "gunicorn --workers 2 --preload --bind 127.0.0.1:{port} application",
    "uWSGI": "uwsgi --master --processes 2 --http-socket 127.0.0.1:{port} --module application"
    " --enable-threads --die-on-term",
    "uWSGI, threads": "uwsgi --master --processes 2 --threads 2 --http-socket 127.0.0.1:{port}"
    " --module application --enable-threads --die-on-term",
    "uWSGI, no threads": "uwsgi --master --processes 2 --http-socket 127.0.0.1:{port}"
    " --module application --die-on-term",
    "uWSGI, lazy": "uwsgi --master --processes 2 --lazy-apps --http-socket 127.0.0.1:{port}"
    " --module application --enable-threads --die-on-term",
}


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_command(name: str) -> str:
    directory = sysconfig.get_path("scripts")
    found = shutil.which(name, path=directory)
    return found or pytest.skip(f"{name} is not installed")


def ask(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


@pytest.mark.slow
@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_a_pre_fork_server(
    tmp_path: Path, server: Server, deliver: Callable[[], None], command: str
) -> None:
    """Its workers tell of every request, with threads or without; its master of its start."""
    (tmp_path / "application.py").write_text(APPLICATION)
    port = find_free_port()
    name, *rest = command.format(port=port).split()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            [find_command(name), *rest],
            cwd=tmp_path,
            env={**environ, "PYTHONPATH": str(tmp_path), **FORKS, "MIGAS_TIMEOUT": "30"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            answers: list[bytes] = []

            def is_up() -> bool:
                answers.append(ask(port))
                return answers[-1] != b""

            await_condition(is_up)
            answers += [ask(port) for _ in range(3)]
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            # A worker that hangs would outlive its master.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said
    deliver()
    got = [answer for answer in answers if answer]
    assert got == [b"True"] * 4, said
    stored = versions(server)
    assert stored.count("request") == 4
    assert 1 <= stored.count("start") <= 2
