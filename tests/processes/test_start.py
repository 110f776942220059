"""The agent's start beside a busy host: real hosts that import, fork and configure all through it.

The unit of `loading` has tests of its own; these are the stress, at moments that a seed spreads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import FORKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas.testing import Server

#: Rounds of each; more with MIGAS_TEST_ROUNDS.
ROUNDS = int(os.environ.get("MIGAS_TEST_ROUNDS", "3"))

#: The agent loads what writes at once, and what sends half a second later; a host that hangs is
#: ended, and seen, by its own alarm.
HEAD = """
import importlib, os, random, signal, sys, threading, time
import logging
signal.alarm(50)
dice = random.Random({seed})
import migas
migas.add_project('owner/repo', '1')
end = time.monotonic() + 1.0
"""

IMPORTS = """
pieces = ['requests.adapters', 'urllib3.util.retry', 'json.decoder', 'email.mime.text',
          'logging.handlers', 'requests.sessions', 'urllib3.connectionpool', 'http.cookiejar',
          'urllib3.util.ssl_', 'email.headerregistry', 'json.encoder', 'requests.models']
dice.shuffle(pieces)
{moment}
for piece in pieces:
    module = importlib.import_module(piece)
    time.sleep(dice.uniform(0, 0.02))
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry
HTTPAdapter(max_retries=Retry(3))
"""

#: Half of the rounds begin beside the writer's imports, half beside the sender's.
MOMENT = "time.sleep(dice.uniform(0, 0.08) + 0.5 * ({seed} % 2))"

FORKING = """
children = []
while time.monotonic() < end:
    time.sleep(0.02)
    child = os.fork()
    if not child:
        signal.alarm(40)
        import json, platformdirs, requests, urllib3
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
assert len(children) > 5
"""

CONFIGURES = """
import logging.config
sys.path.insert(0, '.')
with open('host_handlers.py', 'w') as file:
    file.write('import logging\\nHandler = logging.NullHandler\\n')
while time.monotonic() < end:
    # Imported by logging itself, which holds its lock meanwhile.
    sys.modules.pop('host_handlers', None)
    logging.config.dictConfig({{
        'version': 1,
        'disable_existing_loggers': False,
        'handlers': {{'one': {{'class': 'host_handlers.Handler'}}}},
        'loggers': {{'host': {{'handlers': ['one'], 'level': 'DEBUG'}}}},
    }})
    for _ in range(20):
        logging.getLogger('host.' + str(dice.random())).debug('at work')
"""

THREADS = """
# A package a thread, which shares nothing with the others.
sys.path.insert(0, '.')
names = ['requests.adapters']
for number in range(8):
    names.append(f'host_{{number}}.first')
    os.mkdir(f'host_{{number}}')
    for module, line in (('__init__', 'from . import second'), ('first', ''), ('second', '')):
        with open(f'host_{{number}}/{{module}}.py', 'w') as file:
            file.write(f'{{line}}\\nimport time; time.sleep(0.005)\\n')
errors = []
def load(name, delay):
    try:
        time.sleep(delay)
        importlib.import_module(name)
    except BaseException as error:
        errors.append(error)
moments = [dice.uniform(0, 0.1) + 0.5 * (number % 2) for number in range(len(names))]
threads = [threading.Thread(target=load, args=pair) for pair in zip(names, moments)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not errors, errors
"""

FINDER = """
class Finder:
    lock = threading.Lock()
    def find_spec(self, name, path=None, target=None):
        with self.lock:
            time.sleep(0.001)
            if not name.startswith('host_'):
                return None
        return None
finder = Finder()
class Nested(Finder):
    # As an importer that loads what it needs to find a module: within its own lock.
    lock = threading.RLock()
    count = 0
    def find_spec(self, name, path=None, target=None):
        with self.lock:
            if name.startswith('host_'):
                type(self).count += 1
                time.sleep(0.002)
                needed = ['colorsys', 'sched', 'nturl2path', 'this_is_none', 'cmd', 'code']
                try: importlib.import_module(needed[self.count % len(needed)])
                except ImportError: pass
                for unneeded in needed: sys.modules.pop(unneeded, None)
        return None
sys.meta_path[:0] = [finder, Nested()]
number = 0
while time.monotonic() < end:
    number += 1
    try: importlib.import_module(f'host_{{number}}')
    except ImportError: pass
    time.sleep(0.001)
assert number > 5
"""

ACTIVITIES = {
    "imports": IMPORTS.replace("{moment}", MOMENT),
    "forks": FORKING,
    "configures logging": CONFIGURES,
    "imports on threads": THREADS,
    "has a finder with a lock": FINDER,
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize(
    "activity",
    [pytest.param(each, marks=[pytest.mark.slow] * (each == "forks")) for each in ACTIVITIES],
)
def test_a_host_that_is_busy_while_the_agent_starts(
    host: Host, server: Server, deliver: Callable[[], None], activity: str, seed: int
) -> None:
    """It neither fails nor hangs, nor do its children (pains 28, 29)."""
    if activity == "forks" and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    code = (HEAD + ACTIVITIES[activity]).format(seed=seed)
    ended = host.run(code, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    assert len(server.crumbs) == 1


@pytest.mark.slow
def test_a_module_that_waits_for_a_lock_of_another_thread_that_imports(
    host: Host, tmp_path: Path, server: Server
) -> None:
    """The lock of a host's finder is asked for by nobody of ours while a host's import holds it."""
    (tmp_path / "slow.py").write_text("import time; time.sleep(0.5)\n")
    code = """
import importlib, logging, sys, threading, time
lock, inside = threading.Lock(), threading.Event()
class Finder:
    def find_spec(self, name, path=None, target=None):
        with lock:
            if name == 'slow':
                inside.set()
                time.sleep(0.3)  # beside which the agent starts
                importlib.import_module('colorsys') if 'colorsys' in sys.modules else None
        return None
import colorsys
sys.meta_path.insert(0, Finder())
thread = threading.Thread(target=importlib.import_module, args=('slow',))
thread.start()
inside.wait(30)
import migas
receipt = migas.add_project('owner/repo', '1')
thread.join()
print(receipt.result(40)['success'])
"""
    ended = host.run(code, FORKS, measured=False)
    assert (ended.out, ended.calmly) == ("True\n", True), ended
    assert len(server.crumbs) == 1
