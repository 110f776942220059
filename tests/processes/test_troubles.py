"""Calls that never raise, whatever a host's audit hooks, limits and doubles do below them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support import Host

#: Runs each function in a forked child of its own, in trouble from its first use to its exit.
HOST = """
import builtins, io, logging, os, resource, sys, threading, time, _thread
{preload}
import migas

def fail(*_args, **_kwargs):
    raise {error}

def nothing(*_args, **_kwargs):
    pass

def hook(*events):
    def refuse(event, _args):
        if event in events or not events and event not in OURS:
            raise {error}
    sys.addaudithook(refuse)

# What this program itself does, and the interpreter at its end.
OURS = ('os.fork', 'os.waitpid', 'cpython._PySys_ClearAuditHooks', 'sys.excepthook')

def limit(name, value):
    resource.setrlimit(name, (value, value))

def track_block():
    with migas.track('owner/repo', '1'):
        pass

def track_calls():
    @migas.track('owner/repo', '1')
    def work(): return 42
    assert work() == 42

def look():
    receipt = migas.add_project('owner/repo', '1')
    receipt.done(), repr(receipt), receipt.add_done_callback(print.__class__)
    assert isinstance(receipt['success'], bool)
    assert {{'success', 'message'}} <= set(dict(receipt)) and len(receipt) > 1
    assert receipt == receipt and receipt != {{}}
    try:
        assert receipt.result(0)
    except TimeoutError:
        pass

CALLS = {{
    'add_project': lambda: migas.add_project('owner/repo', '1', status='C'),
    'add_breadcrumb': lambda: migas.add_breadcrumb('owner/repo', '1'),
    'add_breadcrumb, and wait': lambda: migas.add_breadcrumb('owner/repo', '1', wait=True),
    'track': lambda: migas.track('owner/repo', '1'),
    'track a block': track_block,
    'track calls': track_calls,
    'flush': lambda: migas.flush(0.1),
    'a receipt': look,
}}
for name, call in CALLS.items():
    if not (pid := os.fork()):
        {trouble}
        call()
        break
    if status := os.waitpid(pid, 0)[1]:
        print(name, status)
"""

HOOKS = {
    "a thread's start": "hook('_thread.start_new_thread', '_thread.start_joinable_thread')",
    "an import": "hook('import')",
    "an open": "hook('open')",
    "a connect": "hook('socket.connect', 'socket.getaddrinfo')",
    "anything": "hook()",
}

DOUBLES = {
    "Thread.start": "threading.Thread.start = fail",
    "Thread.start, without a word": "threading.Thread.start = nothing",
    "Thread": "threading.Thread.__init__ = fail",
    "start_new_thread": "_thread.start_new_thread = threading._start_new_thread = fail",
    "locks": "threading.Lock = threading.RLock = threading.Condition = threading.Event = fail",
    "current_thread": "threading.current_thread = threading.main_thread = fail",
    "clocks": "time.time = time.monotonic = time.perf_counter = time.sleep = fail",
    "open": "builtins.open = io.open = fail",
    "os": "os.getpid = os.open = os.stat = os.lstat = os.mkdir = os.rename = os.listdir = fail",
}

LIMITS = {
    "memory": "limit(resource.RLIMIT_AS, int(open('/proc/self/statm').read().split()[0]) * 4096)",
    "threads": "os.getuid() or os.setuid(65534); limit(resource.RLIMIT_NPROC, 0)",
    "descriptors": "limit(resource.RLIMIT_NOFILE, 3)",
    "stacks": "threading.stack_size(65536)",
}

TROUBLES = {
    **{f"a hook at {name}": code for name, code in HOOKS.items()},
    **{f"a double of {name}": code for name, code in DOUBLES.items()},
    **{f"a limit on {name}": code for name, code in LIMITS.items()},
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux's, and forks")
@pytest.mark.parametrize("name", TROUBLES)
def test_nothing_raises_and_the_exit_is_calm(host: Host, name: str) -> None:
    """Each function, at its first use in a process: nothing is raised or printed."""
    error = "MemoryError" if "memory" in name else "ZeroDivisionError"
    preload = "" if "hook" in name else "import json, platformdirs, requests"  # it saves time
    code = HOST.format(error=error, preload=preload, trouble=TROUBLES[name])
    environ = {
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
        "MIGAS_TIMEOUT": "0.1",
        "MIGAS_EXIT_TIMEOUT": "0.1",
        "GUARD_REPORTS": "",  # the guard would be in the same trouble
    }
    ended = host.run(code, environ, measured=False)
    assert (ended.out, ended.err, ended.status) == ("", "", 0), ended
