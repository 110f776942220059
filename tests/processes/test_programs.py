"""Programs of every style: many threads, event loops, kernels, interpreters within interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import BRIEFLY_IDLE, PATIENCE, SLOW, need, versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas.testing import Server


THREADS = """
import threading
start = threading.Barrier(200)
def call(number):
    start.wait(30)
    import package
    package.migas.add_project('owner/repo', f'1.{number}')
threads = [threading.Thread(target=call, args=(n,)) for n in range(200)]
[thread.start() for thread in threads]
"""


@pytest.mark.slow
def test_200_threads_that_import_and_call_at_once(
    host: Host, tmp_path: Path, server: Server, deliver: Callable[[], None]
) -> None:
    """While they do, the program comes to its end: all are heard, and each once."""
    (tmp_path / "package.py").write_text(
        "import logging, migas; migas.add_project('owner/repo', '0')\n"
    )
    ended = host.run(THREADS, SLOW, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == sorted(["0", *(f"1.{number}" for number in range(200))])


@pytest.mark.slow
def test_200_threads_that_call_while_the_interpreter_ends(host: Host, server: Server) -> None:
    """Daemon threads run on beside the exit hooks, and are stopped anywhere: nobody hangs."""
    code = """
import itertools, logging, threading, migas
ready = threading.Semaphore(0)
def call(number):
    for step in itertools.count():
        migas.add_project('owner/repo', f'{number}.{step}')
        ready.release()
for number in range(200):
    threading.Thread(target=call, args=(number,), daemon=True).start()
for _ in range(200):
    ready.acquire()
"""
    environ = {"MIGAS_SPOOL_COUNT": "500", "MIGAS_EXIT_TIMEOUT": "0.2"}
    ended = host.run(code, environ, measured=False)
    assert ended.calmly, ended
    stored = versions(server)
    assert len(stored) == len(set(stored))


ASYNCIO = """
import asyncio, logging, migas
async def main():
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    receipt = migas.add_project('owner/repo', '1')
    receipt.add_done_callback(lambda _: loop.call_soon_threadsafe(answered.set))
    answer = await asyncio.to_thread(receipt.result, 40)
    await asyncio.wait_for(answered.wait(), 40)
    migas.add_project('owner/repo', '2')
    print(answer['success'])
asyncio.run(main(), debug=True)
"""

TRIO = """
import logging, trio, migas
async def main():
    async with trio.open_nursery() as nursery:
        receipt = migas.add_project('owner/repo', '1')
        nursery.start_soon(trio.sleep, 0.01)
    answer = await trio.to_thread.run_sync(receipt.result, 40)
    migas.add_project('owner/repo', '2')
    print(answer['success'])
trio.run(main)
"""

GEVENT = """
{first}
import logging
{second}
import gevent
def work():
    return migas.add_project('owner/repo', '1').result(40)['success']
jobs = [gevent.spawn(work), gevent.spawn(gevent.sleep, 0.01)]
gevent.joinall(jobs, raise_error=True)
migas.add_project('owner/repo', '2')
print(jobs[0].value)
"""

PATCH, IMPORT = "from gevent import monkey; monkey.patch_all()", "import migas"
USE = "import migas; migas.add_project('owner/repo', '3').result(40)"

LOOPS = {
    "asyncio": ASYNCIO,
    "trio": TRIO,
    "gevent before": GEVENT.format(first=PATCH, second=IMPORT),
    "gevent after": GEVENT.format(first=IMPORT, second=PATCH),
    "gevent after a use": GEVENT.format(first=USE, second=PATCH),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_programs_that_wait_in_a_loop(
    host: Host,
    server: Server,
    deliver: Callable[[], None],
    name: str,
) -> None:
    """The loop goes on while the agent works; whatever was patched, both come to their end."""
    need(name.partition(" ")[0])
    ended = host.run(LOOPS[name], SLOW, measured=False)
    assert (ended.out, ended.status) == ("True\n", 0), ended
    assert "migas" not in ended.err, ended
    deliver()
    assert versions(server) == ["1", "2", *["3"] * ("use" in name)]


@pytest.mark.slow
def test_a_kernel_that_is_restarted(
    server: Server, deliver: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each start of a notebook's kernel is a run, and its end is as quick as it was."""
    need("ipykernel")
    need("jupyter_client")
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    code = f"""
import sys
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_cmd=[sys.executable, '-m', 'ipykernel', '-f', '{{connection_file}}'])
manager.start_kernel()
for number in range(2):
    client = manager.client()
    client.start_channels()
    client.wait_for_ready({PATIENCE})
    line = f"import migas; r = migas.add_project('owner/repo', '{{number}}'); print(r['success'])"
    said = []
    client.execute_interactive(line, timeout={PATIENCE}, output_hook=said.append)
    print([m['content']['text'] for m in said if m['msg_type'] == 'stream'])
    client.stop_channels()
    if not number:
        manager.restart_kernel()
manager.shutdown_kernel()
"""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code.replace("{{", "{").replace("}}", "}")],
        env=environ,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.stdout == "['True\\n']\n" * 2, done
    deliver()
    assert versions(server) == ["0", "1"]
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 2


@pytest.mark.slow
def test_a_line_of_ipython(
    host: Host, tmp_path: Path, server: Server, deliver: Callable[[], None]
) -> None:
    """It hides the program behind its own."""
    need("IPython")
    line = "import migas; migas.add_project('owner/repo', '1')"
    (tmp_path / "ipython").mkdir()
    code = f"from IPython import start_ipython; start_ipython(['--no-banner', '-c', {line!r}])"
    ended = host.run(code, {**SLOW, "IPYTHONDIR": "ipython"}, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["1"]


SUBINTERPRETERS = """
import os, sys
try:
    import _interpreters as interpreters
    run = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string
inner = interpreters.create({how})
error = run(inner, '''
import sys
sys.path[:0] = [{path!r}]
import logging, migas
migas.add_project('owner/repo', 'inner')
''')
assert not error, error
if {outer}:
    import migas
    migas.add_project('owner/repo', 'outer')
interpreters.destroy(inner)
"""


@pytest.mark.slow
@pytest.mark.parametrize("outer", [True, False], ids=["used outside too", "used inside only"])
@pytest.mark.parametrize("kind", ["isolated", "legacy"])
def test_an_interpreter_within_the_interpreter(
    host: Host, server: Server, deliver: Callable[[], None], kind: str, outer: bool
) -> None:
    """Its end would abort the process if a thread of ours were left in it."""
    how = {"isolated": "", "legacy": "isolated=False"}[kind]
    if sys.version_info >= (3, 13):
        how = f"{kind!r}"
    import migas

    path = os.path.dirname(os.path.dirname(migas.__file__))
    code = SUBINTERPRETERS.format(how=how, outer=outer, path=path)
    ended = host.run(code, SLOW, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["inner", *["outer"] * outer]


STATE = """
import _thread, atexit, gc, logging, logging.config, os, signal, socket, sys, threading, time
import warnings
logging.basicConfig(level=logging.WARNING)
handlers = lambda logger: [type(h).__name__ for h in getattr(logger, 'handlers', [])]
def state():
    loggers = logging.root.manager.loggerDict
    return {
        'signals': [signal.getsignal(n) for n in signal.valid_signals()],
        'mask': signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        'hooks': [sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook],
        'tracing': [sys.gettrace(), sys.getprofile(), threading._trace_hook],
        'warnings': warnings.filters[:],
        'showwarning': warnings.showwarning,
        'root': (logging.root.level, handlers(logging.root), logging.root.filters),
        'speaking': {n for n, l in loggers.items() if set(handlers(l)) - {'NullHandler'}},
        'classes': (logging.getLoggerClass(), logging.getLogRecordFactory()),
        'environ': {k: v for k, v in os.environ.items() if not k.startswith('MIGAS_')},
        # urllib3 1 brings a finder for its own copy of six.
        'finders': [f for f in sys.meta_path if 'urllib3' not in type(f).__module__],
        'import': (sys.path_hooks[:], sys.path[:]),
        'sockets': socket.getdefaulttimeout(),
        'gc': (gc.isenabled(), gc.get_threshold(), gc.callbacks[:]),
        'interpreter': (sys.getswitchinterval(), sys.getrecursionlimit(), threading.stack_size()),
        'directory': os.getcwd(),
        'umask': (os.umask(0o22), os.umask(0o22))[1],
        'threads': [thread.name for thread in threading.enumerate()],
    }
before = state()
import migas
"""
STATE += BRIEFLY_IDLE
STATE += """
receipt = migas.add_project('owner/repo', '1')
assert receipt.result(40)['success']
assert migas.get_usage('owner/repo', '2026-01-01')['success']
while _thread._count() > 0:
    time.sleep(0.05)
after = state()
for name in before:
    assert before[name] == after[name], (name, before[name], after[name])
changed = {n for n in os.environ if n.startswith('MIGAS_')}
print(sorted(changed - {'MIGAS_ENDPOINT', 'MIGAS_EXIT_TIMEOUT'}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_hosts_state_is_as_it_was(host: Host, server: Server) -> None:
    """Threads after an idle while, signals, hooks, warnings, logging, and the environment."""
    ended = host.run(STATE, {**SLOW, "GUARD_REPORTS": ""}, measured=False)
    assert (ended.out, ended.calmly) == (
        "['MIGAS_LAUNCH', 'MIGAS_SESSION_ID', 'MIGAS_TOLD']\n",
        True,
    ), ended
    assert len(server.crumbs) == 1


def test_the_hosts_own_log_holds_nothing_of_our_connections(host: Host, server: Server) -> None:
    """A host that listens to everything hears of its own requests, and not of ours (pain 18)."""
    code = f"""
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format='%(name)s')
import migas
assert migas.add_project('owner/repo', '1').result(40)['success']
assert migas.get_usage('owner/repo', '2026-01-01')['success']
import requests
print('---')
requests.get({server.endpoint!r})
"""
    ended = host.run(code, SLOW, measured=False)
    assert ended.calmly, ended
    ours, hosts = ended.out.split("---\n")
    assert "urllib3" not in ours
    assert "urllib3.connectionpool" in hosts


@pytest.mark.slow
def test_a_bare_host_that_lives_is_served_at_its_exit(host: Host, server: Server) -> None:
    """Without `logging` nothing of the transport may be loaded, until nobody forks any more."""
    code = """
import glob, os, sys, time, migas
receipt = migas.add_project('owner/repo', '1')
agent = migas._agent.process.current_process().use_agent()
while not agent._sending._handle._handler: time.sleep(0.01)
sender = agent._sending._handle._handler.__self__
while not sender.parcels or time.monotonic() < sender._due + 0.1: time.sleep(0.01)
assert 'logging' not in sys.modules and not receipt.done()
"""
    ended = host.run(code, SLOW, measured=False)
    assert ended.calmly, ended
    assert len(server.crumbs) == 1
