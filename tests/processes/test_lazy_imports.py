"""Hosts with lazy imports (PEP 810) notice nothing, and are counted as any other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support import SLOW

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 15), reason="imports can be lazy from Python 3.15 on"
)

#: Prints what a thread of ours imports without the import lock, and each warning filter that stays.
#: An import in a block is never lazy.
WATCH = """
try: import _imp, _thread, sys, time, warnings
finally: filters = warnings.filters.copy()
get_ident, is_locked, host = _thread.get_ident, _imp.lock_held, _thread.get_ident()
def watch(event, args):
    if event == 'import' and not is_locked() and get_ident() != host:
        print(args[0])
sys.addaudithook(watch)
"""

#: Lives until the breadcrumb has been sent, without a wait for that which would hasten it.
LIVES = """
end = time.monotonic() + 40
while not receipt.done() and time.monotonic() < end: time.sleep(0.02)
print(receipt.done(), receipt.get('success'))
print([each for each in warnings.filters if each not in filters] or 'no filters')
"""

CALL = "receipt = migas.add_project('owner/repo', '1')"

HOSTS = {
    "logging": f"import migas\n{CALL}\nlazy import logging",
    "one name of logging": f"import migas\n{CALL}\nlazy from logging.handlers import QueueHandler",
    "requests": f"import logging, migas\n{CALL}\nlazy import requests",
    "migas": f"import logging\nlazy import migas\n{CALL}",
    "all of these": f"lazy import logging, migas, requests.adapters\n{CALL}",
    # Its own filters are the host's then, and so are the names that it has not used.
    "requests, in use already": f"""
import logging, migas, requests
requests.get
filters = warnings.filters.copy()
{CALL}
""",
}

#: The guard of the tests is not made for a mode in which its own imports are lazy.
UNGUARDED = {"GUARD_REPORTS": ""}

MODES: dict[str, tuple[list[str], dict[str, str]]] = {
    "by itself": ([], {}),
    "by an option": (["-X", "lazy_imports=all"], UNGUARDED),
    "by the environment": ([], {**UNGUARDED, "PYTHON_LAZY_IMPORTS": "all"}),
    "with warnings as errors": (
        ["-X", "lazy_imports=all", "-W", "error", "-X", "dev"],
        UNGUARDED,
    ),
}


@pytest.mark.parametrize(
    ("lazy", "mode"),
    [
        ("logging", "by itself"),
        ("one name of logging", "by itself"),
        ("requests", "by itself"),
        ("all of these", "by itself"),
        ("all of these", "by an option"),
        ("requests, in use already", "by an option"),
        ("migas", "by the environment"),
        ("all of these", "with warnings as errors"),
    ],
)
def test_a_host_with_lazy_imports(host: Host, server: Server, lazy: str, mode: str) -> None:
    """Nothing is printed, no filter stays, no import is without locks, and all is sent in time."""
    arguments, environ = MODES[mode]
    code = WATCH + HOSTS[lazy] + LIVES
    ended = host.run("", environ, measured=False, arguments=[*arguments, "-c", code])
    assert (ended.out, ended.calmly) == ("True True\nno filters\n", True), ended
    assert len(server.crumbs) == 1


@pytest.mark.parametrize("mode", ["by itself", "with warnings as errors"])
def test_a_short_program_with_lazy_imports(host: Host, server: Server, mode: str) -> None:
    """It delivers at its exit."""
    arguments, environ = MODES[mode]
    code = f"lazy import migas, logging\n{CALL}"
    ended = host.run("", {**environ, **SLOW}, measured=False, arguments=[*arguments, "-c", code])
    assert ended.calmly, ended
    assert len(server.crumbs) == 1


FORKS = """
import os, signal, threading, time, warnings
warnings.simplefilter('ignore')
import migas
receipt = migas.add_project('owner/repo', '1')
lazy import logging

def fork():
    while not receipt.done() and time.monotonic() < end:
        if not (child := os.fork()):
            signal.alarm(20)
            import logging, json
            logging.getLogger('host').addHandler(logging.NullHandler())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

end = time.monotonic() + 40
threads = [threading.Thread(target=fork) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(receipt.done(), repr(logging._lock).startswith('<unlocked'))
"""


def test_a_host_that_forks_while_logging_is_imported_for_it(host: Host, server: Server) -> None:
    """Its children can log, and so can it (the gate's own test stands at the critical moments)."""
    ended = host.run(FORKS, measured=False)
    assert (ended.out, ended.calmly) == ("True True\n", True), ended
    assert len(server.crumbs) == 1
