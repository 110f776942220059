"""Other systems and other clocks: what is not there is not touched, and no clock is trusted."""

from __future__ import annotations

import ctypes.util
import glob
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, SLOW

from migas._delivery.throttle import EXITS
from migas._disk.directory import open_directory
from migas._disk.entry import LEASE, list_segments

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server

#: What `os` and other modules lack on Windows.
LACKING = {
    "os": [
        *["fork", "forkpty", "register_at_fork", "wait", "wait3", "wait4", "killpg", "setsid"],
        *["getuid", "geteuid", "getgid", "getegid", "getpgid", "uname", "chown", "lchown"],
        *["fchmod", "fchown", "mkfifo", "mknod", "statvfs", "fstatvfs", "sync", "pread", "pwrite"],
        *["sched_getaffinity", "WNOHANG", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW"],
    ],
    "signal": ["pthread_sigmask", "SIGKILL", "SIGHUP", "SIGALRM", "alarm", "siginterrupt"],
    "_signal": ["pthread_sigmask", "SIGKILL", "SIGHUP", "SIGALRM", "SIGBUS"],
}

#: Windows' rules for renaming: nothing is replaced, and nothing that is open is moved. A lent out
#: directory is one that an open file lies in.
WINDOWS = f"""
import os, signal, sys, _signal, json, logging, subprocess, tempfile, threading
import http.client, ssl, requests, platformdirs
for module, names in {LACKING!r}.items():
    for name in names:
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)
os.supports_dir_fd.clear(), os.supports_fd.clear(), os.supports_follow_symlinks.clear()
opened = set()
def watch(event, args):
    if event == 'os.rename':
        source, target = map(os.path.abspath, args[:2])
        if any(path == source or path.startswith(source + os.sep) for path in held()):
            raise PermissionError(13, 'it is open', source)
def held():
    paths = set()
    for name in os.listdir('/proc/self/fd'):
        try: paths.add(os.readlink('/proc/self/fd/' + name))
        except OSError: pass
    return paths
def strict_rename(source, target):
    if os.path.exists(target):
        raise FileExistsError(17, 'it exists', target)
    return os.replace(source, target)
replace = os.replace
def strict_replace(source, target, *, src_dir_fd=None, dst_dir_fd=None):
    assert src_dir_fd is dst_dir_fd is None
    if any(len(os.path.abspath(path)) > 259 for path in (source, target)):
        raise FileNotFoundError(2, 'too long', target)
    if os.path.abspath(target) in held():
        raise PermissionError(13, 'it is open', target)
    return replace(source, target)
os.rename, os.replace = strict_rename, strict_replace
unlink = os.unlink
def strict_unlink(path, *, dir_fd=None):
    assert dir_fd is None
    if os.path.abspath(path) in held():
        raise PermissionError(13, 'it is open', path)
    return unlink(path)
os.unlink = os.remove = strict_unlink
sys.addaudithook(watch)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks up what is open in /proc")
def test_the_agent_runs_where_there_is_no_posix(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """With every POSIX name taken away, and Windows' rules for files that are open or exist."""
    use = """
import migas
assert not hasattr(os, 'fork')
receipt = migas.add_project('owner/repo', sys.argv[-1])
"""
    wait = (
        "assert receipt.result(40)['success'], receipt; assert migas.flush(40) == 0; print('well')"
    )
    server.stop()
    for _ in range(2):
        ended = host.run(WINDOWS + use, SLOW, measured=False)
        assert ended.calmly, ended
    assert spool().count() == 2
    server.start()
    for name in glob.glob(spool().directory + "/backoff-*"):
        os.unlink(name)
    ended = host.run(WINDOWS + use + wait, SLOW, measured=False)
    assert (ended.out, ended.calmly) == ("well\n", True), ended
    assert len(server.crumbs) == 3
    assert spool().count() == 0


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks up what is open in /proc")
def test_the_spool_is_rotated_by_windows_rules(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """A directory in which a file is open cannot be renamed: nothing is lost by that."""
    code = (
        WINDOWS
        + f"""
from migas._disk.spool import Bounds, Spool
spool = Spool({spool().directory!r}, Bounds(1000, 10_000_000, 1e6), randrange=lambda _: 0)
entries = [spool.put(b'x') for _ in range(20)]
with open(entries[0].path) as file:
    entries += [spool.put(b'x') for _ in range(30)]
entries += [spool.put(b'x') for _ in range(40)]
print(spool.count(), len(os.listdir(spool.directory + '/old')) > 0, spool.dropped)
"""
    )
    ended = host.run(code, measured=False)
    assert (ended.out, ended.calmly) == ("90 True 0\n", True), ended
    assert server.requests == 0


def test_no_path_is_longer_than_windows_allows(spool: Callable[..., Spool]) -> None:
    """Of 260 characters half are the user's own directory's; host names do not add theirs."""
    opened = spool("http://" + "a-very-long-label." * 14 + "example.org/" + "p" * 300 + "/graphql")
    base = len(os.path.dirname(opened.directory))
    entry = opened.put(b"x")
    with open_directory(opened.directory) as directory:
        opened._upkeep._rotate(directory, time.time(), 0)
        [segment] = list_segments(directory)
    names = [os.path.join(opened.directory, box, "") for box in ("new", segment)]
    longest = max(map(len, names)) + len(os.path.basename(entry.path))
    assert longest - base < 180


FAKETIME = [
    *glob.glob("/usr/lib/*/faketime/libfaketime.so.1"),
    *filter(None, [ctypes.util.find_library("faketime")]),
]


def run_at(moment: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run a host whose wall clock says something else."""
    if not FAKETIME:
        pytest.skip("libfaketime is not installed")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    preload = {"LD_PRELOAD": FAKETIME[0], "FAKETIME": moment, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environ, **SLOW, **preload},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


LINE = "import logging, migas, time; migas.add_project('owner/repo', str(time.gmtime().tm_year))\n"


@pytest.mark.parametrize("moment", ["-20y", "+20y"])
def test_a_wall_clock_that_is_years_wrong_does_no_harm(
    host: Host, server: Server, spool: Callable[..., Spool], moment: str
) -> None:
    """What others wait to send stays, what it notes is sent, and nobody is kept waiting later."""
    server.stop()
    assert host.run(LINE, SLOW, measured=False).calmly
    assert spool().count() == 1
    done = run_at(moment, LINE)
    assert (done.returncode, done.stderr) == (0, "")
    assert spool().count() == 2
    server.start()
    # Its back-off is years away, or years ago: this one asks the server all the same.
    for name in glob.glob(spool().directory + "/backoff-*"):
        status = os.stat(name)
        if abs(status.st_mtime - time.time()) < LEASE:
            os.unlink(name)
    done = run_at(moment, LINE)
    assert (done.returncode, done.stderr) == (0, "")
    assert host.run(LINE, SLOW, measured=False).calmly
    assert host.run("import migas; print(migas.flush(40))", measured=False).out == "0\n"
    assert len(server.crumbs) == 4
    assert len({crumb["version"] for crumb in server.crumbs}) == 2
    assert spool().dropped == 0


def test_a_pace_that_a_wrong_clock_has_set_holds_nobody_back(host: Host, server: Server) -> None:
    """Exits that delivered in a year to come do not count now."""
    for _ in range(EXITS + 1):
        done = run_at("+20y", LINE)
        assert (done.returncode, done.stderr) == (0, "")
    before = len(server.crumbs)
    assert before >= EXITS
    assert host.run(LINE, SLOW, measured=False).calmly
    assert len(server.crumbs) == EXITS + 2


def test_a_clock_that_is_set_while_the_process_runs(host: Host, server: Server) -> None:
    """Budgets and timeouts are counted on the monotonic clock."""
    code = """
import logging, time, types
import migas, migas._delivery.sender, migas._delivery.transport, migas._delivery.writer
real, offset = time.time, [0.0]
for module in (time,):
    module.time = lambda: real() + offset[0]
receipts = []
for offset[0] in (0.0, 1e9, -1e9, 0.0):
    receipts.append(migas.add_project('owner/repo', str(offset[0])))
    assert receipts[-1].result(40)['success'], receipts
assert migas.get_usage('owner/repo', '2026-01-01')['success']
assert migas.flush(40) == 0
"""
    ended = host.run(code, SLOW, measured=False)
    assert ended.calmly, ended
    assert len(server.crumbs) == 4
