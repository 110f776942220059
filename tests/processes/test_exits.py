"""Every way to end: the host ends as it would without us, and what it noted arrives once."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from support import FORKS, LASTS, NOWHERE, PATIENCE, SLOW, SlowServer, await_condition, versions

from migas._disk.entry import NEW
from migas._runtime.settings import LEAST_SPOOL_COUNT
from migas.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Ended, Host

    from migas._disk.spool import Spool
    from migas.testing import Server

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")

#: The modules that the hosts need, so that a host with the line and one without import the same.
HEAD = "import atexit, faulthandler, glob, logging, os, signal, sys, threading, time\n"

LINE = "import migas; migas.add_project('owner/repo', '1')\n"

#: Lets a while pass in which the host lives, as far as the agent is concerned: until its breadcrumb
#: is on disk. How long that takes is for the benchmarks to say.
LIVE = "while not glob.glob(os.environ['XDG_CACHE_HOME'] + '/migas/*/[nc]*/*'): time.sleep(0.005)\n"

#: Ends that Python itself sees to.
CALM = {
    "the last line": "",
    "sys.exit": "sys.exit(3)",
    "an exception": "raise ValueError('of the host')",
    "an exit within a thread": "threading.Thread(target=lambda: sys.exit(4)).start()",
    "closed stderr": "sys.stderr.close()",
    "no stderr": "sys.stderr = None",
    "closed descriptors of the standard streams": "os.close(1); os.close(2)",
    "closed descriptors": "os.closerange(3, 1024)",
    "a failing hook": "atexit.register(lambda: 1 / 0)",
}

#: Ends that leave no time for anything.
VIOLENT = {
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "a crash": "faulthandler._sigsegv()",
    "an abort": "os.abort()",
    "_exit": "os._exit(5)",
    "exec": "os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(6)'])",
}


def compare(host: Host, before: str, end: str, environ: dict[str, str] | None = None) -> Ended:
    """Run a host with the line and one without, and hold that they end alike."""
    environ = environ or SLOW
    without = host.run(HEAD + end, environ, measured=False)
    ended = host.run(HEAD + before + end, environ, measured=False)
    assert (ended.status, ended.out) == (without.status, without.out), ended
    # The same traceback, further down.
    assert ended.err.splitlines()[-1:] == without.err.splitlines()[-1:], ended
    assert "migas" not in ended.err, ended
    return ended


@pytest.mark.slow
@posix
@pytest.mark.parametrize("end", CALM.values(), ids=CALM)
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_a_calm_end_is_the_hosts_own_and_loses_nothing(
    host: Host, server: Server, deliver: Callable[[], None], end: str, online: bool
) -> None:
    """Whatever has been queued is sent, or is on disk, when the process is gone."""
    if not online:
        server.stop()
    compare(host, LINE, end)
    if not online:
        server.start()
        deliver()
    assert len(server.crumbs) == 1


@posix
@pytest.mark.parametrize("end", VIOLENT.values(), ids=VIOLENT)
def test_a_violent_end_is_the_hosts_own_and_loses_nothing(
    host: Host, server: Server, deliver: Callable[[], None], end: str
) -> None:
    """What has reached the disk stays there, and a later process delivers it."""
    compare(host, LINE + LIVE, end, {**SLOW, "PYTHONFAULTHANDLER": ""})
    deliver()
    assert len(server.crumbs) == 1


@pytest.mark.slow
@posix
def test_a_kill_before_the_server_has_stored_is_made_good_once(
    host: Host, deliver: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server drops a request that its client hung up on, and a later process sends it."""
    with SlowServer() as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        process = host.start(HEAD + LINE + "time.sleep(600)")
        await_condition(lambda: bool(server.received))
        process.kill()
        process.wait(PATIENCE)
        server.goes_on.set()
        assert not server.answered.get(timeout=PATIENCE).stored
        deliver()
        assert versions(server) == ["1"]


#: Both kinds of the kernel's memory groups: the files that bound one, and where it lies.
GROUPS = {
    "/sys/fs/cgroup/memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    "/sys/fs/cgroup": ("memory.max", "memory.swap.max"),
}


@pytest.fixture
def memory_group(tmp_path: Path) -> object:
    """A group of processes that may take 100 MB together."""
    for root, limits in GROUPS.items():
        group = f"{root}/migas-test-{tmp_path.name}-{os.getpid()}"
        try:
            os.mkdir(group)
        except OSError:
            continue
        try:
            for limit in limits:
                if os.path.exists(f"{group}/{limit}"):
                    with open(f"{group}/{limit}", "w") as file:
                        file.write("100000000")
            if os.path.exists(f"{group}/{limits[0]}"):
                yield group
                return
        finally:
            os.rmdir(group)
    pytest.skip("needs the right to make a control group")


def test_an_out_of_memory_kill_loses_nothing(
    host: Host, server: Server, deliver: Callable[[], None], memory_group: str
) -> None:
    """The kernel's own killing, in a control group as batch systems use them."""
    code = f"""
with open({memory_group!r} + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
hoard = []
while True:
    hoard.append(bytearray(b"x" * 1000000))
"""
    ended = host.run(HEAD + LINE + LIVE + code, measured=False)
    assert (ended.status, ended.err) == (-signal.SIGKILL, "")
    deliver()
    assert len(server.crumbs) == 1


@posix
def test_a_ctrl_c_at_work_is_the_hosts(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """A host that catches it goes on as it likes."""
    server.inject(Fault.hang())
    work = f"try:\n print('ready', flush=True)\n {LASTS}\nexcept KeyboardInterrupt: pass"
    environ = {"MIGAS_TIMEOUT": "3600", "MIGAS_EXIT_TIMEOUT": "0"}
    process = host.start(HEAD + LINE + work, environ, measured=False)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    server.mend()
    deliver()
    assert len(server.crumbs) == 1


@pytest.mark.parametrize("budget", ["0", "0.2"])
def test_an_exit_keeps_its_budget_though_the_server_is_silent(
    host: Host, server: Server, spool: Callable[..., Spool], budget: str
) -> None:
    """By the interpreter's monotonic clock, whatever happens to the other one (pains 6, 7, 8)."""
    server.inject(Fault.hang())
    environ = {"MIGAS_TIMEOUT": "3600", "MIGAS_EXIT_TIMEOUT": budget}
    ended = host.run(HEAD + LINE, environ)  # ends at all: its patience is an hour
    assert ended.calmly, ended
    assert spool().count() == 1


@pytest.mark.slow
def test_an_exit_with_the_queue_full_loses_nothing(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """All that was queued is on disk, each once."""
    server.stop()
    code = "for n in range(1500): migas.add_project('owner/repo', str(n))\n"
    ended = host.run(HEAD + "import migas\n" + code, {"MIGAS_EXIT_TIMEOUT": "60"}, measured=False)
    assert ended.calmly, ended
    assert spool().count() == 1500


def test_the_queue_holds_no_more_than_the_disk_would(host: Host) -> None:
    """A host that never stops adding does not run out of memory; its receipts tell."""
    code = f"""
import migas, threading
go = threading.Event()
agent = migas._agent.process.current_process().use_agent()
agent._writing._handle = lambda items, can_wait: go.wait(60) and float("inf")
receipts = [migas.add_project('owner/repo', '1') for _ in range(3 * {LEAST_SPOOL_COUNT})]
print(sum('too many' in r['message'] for r in receipts if r.done()) >= {LEAST_SPOOL_COUNT})
go.set()
"""
    environ = {"MIGAS_SPOOL_COUNT": str(LEAST_SPOOL_COUNT), "MIGAS_EXIT_TIMEOUT": "0"}
    ended = host.run(code, environ, measured=False)
    assert (ended.out, ended.calmly) == ("True\n", True), ended


@pytest.mark.slow
def test_an_exit_during_the_hosts_import(
    host: Host, tmp_path: Path, server: Server, deliver: Callable[[], None]
) -> None:
    """A package that gives up while it is imported has been used all the same."""
    (tmp_path / "package.py").write_text(LINE + "raise SystemExit(7)\n")
    ended = host.run("import logging, package", SLOW, measured=False)
    assert (ended.status, ended.err) == (7, "")
    deliver()
    assert len(server.crumbs) == 1


@pytest.mark.slow
def test_an_import_that_takes_long_and_fails(
    host: Host, tmp_path: Path, server: Server, deliver: Callable[[], None]
) -> None:
    """While the host imports, nothing of ours does; what was noted is told at the exit."""
    work = "import time; time.sleep(10); import missing_module\n"
    (tmp_path / "package.py").write_text(LINE + work)
    ended = host.run("import logging, package", SLOW, measured=False)
    assert ended.status == 1
    assert ended.err.splitlines()[-1] == "ModuleNotFoundError: No module named 'missing_module'"
    assert "migas" not in ended.err.replace("import migas; ", "")
    deliver()
    assert len(server.crumbs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.01, 0.02, 0.05, 0.1, 0.51, 0.55, 0.6, 0.7])
def test_a_host_that_ends_within_moments(
    host: Host, server: Server, deliver: Callable[[], None], pause: float
) -> None:
    """However far the agent has come by then, in the middle of what it loads as well."""
    ended = host.run(HEAD + LINE + f"time.sleep({pause})", SLOW, measured=False)
    assert ended.calmly, ended
    deliver()
    assert len(server.crumbs) == 1


def test_hooks_of_the_hosts_that_add_before_and_after_ours(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """Each exit hook's breadcrumb is told, be it the first or the last to run (pains 9, 10)."""
    code = """
atexit.register(lambda: migas.add_project('owner/repo', 'last'))
import migas
atexit.register(lambda: migas.add_project('owner/repo', 'first'))
migas.add_project('owner/repo', 'early')
"""
    ended = host.run(HEAD + code, SLOW, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["early", "first", "last"]


@posix
def test_where_no_thread_can_start_the_callers_own_writes(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """A limit of the system's is no failure: what was noted survives a kill at once (pain 9)."""
    # So large a stack cannot be had: the system itself refuses the thread.
    limit = "threading.stack_size(2 ** 46)\n"
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    ended = host.run(HEAD + limit + LINE + kill, measured=False)
    assert (ended.status, ended.err) == (-signal.SIGKILL, "")
    deliver()
    assert len(server.crumbs) == 1


@posix
def test_a_receipt_is_answered_where_no_thread_can_start(host: Host) -> None:
    """Whoever waits does not wait for ever."""
    limit = "threading.stack_size(2 ** 46)\n"
    look = "print(migas.add_project('owner/repo', '2').result()['message'])\nmigas.flush()"
    ended = host.run(HEAD + limit + LINE + look, measured=False)
    assert (ended.out, ended.calmly) == ("nothing is sent: no thread is left that could\n", True)


DAEMON = """
{line}{live}
if os.fork():
    os._exit(0)
os.setsid()
os.umask(0)
if os.fork():
    os._exit(0)
os.chdir('/')
os.closerange(0, 1024)
migas.add_project('owner/repo', 'daemon').result(60)
"""


@posix
def test_a_host_that_makes_itself_a_daemon(
    host: Host, server: Server, home: Path, deliver: Callable[[], None]
) -> None:
    """Two forks, every descriptor closed, another directory, no umask."""
    code = HEAD + DAEMON.format(line=LINE, live=LIVE)
    ended = host.run(code, FORKS, measured=False)
    assert ended.calmly, ended
    server.await_crumbs(2, PATIENCE)
    deliver()
    # On a slow machine the first process may end with its request on the way: that is sent again.
    assert {*versions(server)} == {"1", "daemon"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (home / "cache").rglob("*"))


@posix
def test_a_daemons_first_breadcrumb_makes_no_directory_that_others_may_write(
    host: Host, server: Server, home: Path
) -> None:
    """A umask of 0 is the daemon's way, and no permission."""
    ended = host.run(HEAD + "os.umask(0)\n" + LINE, SLOW, measured=False)
    assert ended.calmly, ended
    assert len(server.crumbs) == 1
    made = [*(home / "cache").rglob("*"), *(home / "config").rglob("*"), home / "cache"]
    assert all(path.stat().st_mode & 0o022 == 0 for path in made)


def test_a_relative_cache_directory_stays_where_it_was(
    host: Host, server: Server, tmp_path: Path
) -> None:
    """A daemon goes elsewhere; what waits does not."""
    server.stop()
    code = "import migas, os, migas._delivery.writer\nos.mkdir('elsewhere')\n"
    code += "migas.add_project('owner/repo', '1')\nos.chdir('elsewhere')\n"
    ended = host.run(code, {"MIGAS_CACHE_DIR": "spool", **SLOW}, measured=False)
    assert ended.calmly, ended
    assert len(list(tmp_path.glob("spool/*/new/*.json"))) == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


@posix
def test_descriptors_that_the_host_closes_are_not_closed_again(host: Host, server: Server) -> None:
    """What it opens under the same number is its own: nothing of ours keeps it, or writes to it."""
    code = """
receipt = migas.add_project('owner/repo', '2').result(60)
import socket, stat
def is_socket(descriptor):
    try: return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError: return False
while any(map(is_socket, range(1024))): time.sleep(0.005)
os.closerange(3, 1024)
mine, other = socket.socketpair()
migas.add_project('owner/repo', '3').result(60)
other.setblocking(False)
mine.send(b'mine')
print(other.recv(100))
mine.setblocking(False)
try: print(mine.recv(100))
except BlockingIOError: print('nothing')
"""
    ended = host.run(HEAD + LINE + code, SLOW, measured=False)
    assert (ended.out, ended.calmly) == ("b'mine'\nnothing\n", True), ended
    assert len(server.crumbs) == 3


@pytest.mark.parametrize("closes", ["sys.stderr.close()", "sys.stderr = None"])
def test_a_log_that_its_user_asked_for_is_no_reason_to_speak_of_a_closed_stream(
    host: Host, spool: Callable[..., Spool], closes: str
) -> None:
    """The last moments of a process are no time for a log's own troubles (pain 27)."""
    code = HEAD + LINE + closes + "\nmigas.add_project('owner/repo', '1', nonsense=1)"
    ended = host.run(code, {"MIGAS_LOG_LEVEL": "DEBUG", **SLOW}, measured=False)
    assert ended.status == 0
    assert "Traceback" not in ended.err
    assert "closed file" not in ended.err
    assert spool(NOWHERE).count() == 2


@pytest.mark.parametrize("look", ["", ".add_done_callback(lambda receipt: None)"])
def test_an_exit_waits_for_no_look_up(host: Host, server: Server, look: str) -> None:
    """A server may take seconds to look a version up, and somebody may have wanted to know."""
    server.inject(Fault.look_up(fails=False, seconds=10 * PATIENCE))
    ended = host.run(f"import migas; migas.add_project('owner/repo', '1'){look}", SLOW)
    assert ended.calmly, ended
    assert versions(server) == ["1"]
    [request] = server.received
    assert b"add_breadcrumb" in request.body


@pytest.mark.slow
def test_an_exit_closes_its_connection_though_nobody_answers(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """The interpreter would warn of one that is open, and a later process may send (pain 36)."""
    server.inject(Fault.hang())
    code = "import logging, requests\n" + LINE
    environ = {"MIGAS_TIMEOUT": "3600", "MIGAS_EXIT_TIMEOUT": "2"}
    ended = host.run("", environ, arguments=("-W", "always::ResourceWarning", "-c", code))
    assert ended.calmly, ended
    assert server.requests == 1
    assert [entry.box for entry in spool().list_pending()] == [NEW]
