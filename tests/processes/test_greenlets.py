"""Hosts whose threads are greenlets: gevent's and eventlet's, gunicorn's and Celery's pools."""

from __future__ import annotations

import http.client
import importlib.util
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, SLOW, SlowServer, await_condition, need, versions

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

PATCHES = {
    "gevent": "from gevent import monkey, spawn; monkey.patch_all()",
    "eventlet": "import eventlet; from eventlet import spawn; eventlet.monkey_patch()",
}

#: Where the host patches: a library may be imported before or after, and used already.
ORDERS = {
    "before": "{patch}; import migas",
    "after": "import migas; {patch}",
    "after a use": "import migas; migas.add_project('owner/repo', '0'); {patch}",
}

LIBRARIES = [*PATCHES]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

#: eventlet says that it is deprecated.
QUIET = {"PYTHONWARNINGS": "ignore", "MIGAS_TIMEOUT": "30", **SLOW}

LIVES = """
import logging, os, signal, sys, threading, time
{order}
import subprocess
children = []
before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
signal.signal(signal.SIGCHLD, lambda *_: children.append(1))
migas.add_project('owner/repo', '1')
assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before == set()
assert subprocess.run([sys.executable, '-S', '-c', '']).returncode == 0
if (pid := os.fork()) == 0:
    os._exit(0)
while not children:
    time.sleep(0.01)
print('ready', flush=True)
while True:
    time.sleep(0.01)
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_breadcrumbs_arrive_and_signals_work(
    host: Host, server: Server, library: str, order: str
) -> None:
    """Nobody waits for a receipt; `subprocess` returns, and SIGCHLD, SIGTERM and SIGINT come."""
    need(library)
    number = signal.SIGTERM if order == "before" else signal.SIGINT
    code = LIVES.format(order=ORDERS[order].format(patch=PATCHES[library]))
    process = host.start(code, QUIET, measured=False)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()
    await_condition(lambda: versions(server) == [*["0"] * ("use" in order), "1"])
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -number, err
    assert "migas" not in err


def test_a_greenlet_of_a_host_that_patches_nothing_reports(host: Host, server: Server) -> None:
    """Its first frame is a function's, as that of an exit hook is, and the host lives on.

    That frame matters where we load `threading` first, which cannot say then whether a host ends.
    """
    need("gevent")
    code = """
import gevent, migas
gevent.spawn(migas.add_project, 'owner/repo', '1').join()
"""
    assert host.run(code, {"GUARD_REPORTS": ""}, measured=False).calmly
    assert versions(server) == ["1"]


LATE = """
import logging, migas
migas.add_project('owner/repo', '1').result(30)
{patch}
migas.add_project('owner/repo', '2').result(30)
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_host_that_patches_after_a_delivery_goes_on(
    host: Host, server: Server, library: str
) -> None:
    """Our thread makes no hub of gevent's while the host's does: both would wait without end."""
    need(library)
    ended = host.run(LATE.format(patch=PATCHES[library]), QUIET, measured=False)
    assert ended.calmly, ended
    assert versions(server) == ["1", "2"]


LATE_DOUBLES = """
import _thread, logging, migas, select, selectors, socket
migas.add_project('owner/repo', '1').result(30)
start = _thread.start_new_thread
_thread.start_new_thread = lambda *given: start(*given)
class Refused(socket.socket):
    def __init__(self, *_, **__):
        raise OSError('the new one is used')
def refuse(*_, **__):
    raise OSError('the new one is used')
socket.socket = Refused
selectors.DefaultSelector = select.poll = refuse
print(migas.add_project('owner/repo', '2').result(30)['message'])
"""


@pytest.mark.slow
def test_what_is_patched_late_is_not_used(host: Host, server: Server) -> None:
    """A second delivery's socket and selector are of the kinds that the first one's were."""
    ended = host.run(LATE_DOUBLES, QUIET, measured=False)
    assert ended.calmly, ended
    assert versions(server) == ["1", "2"], ended


WAITS = """
import logging, time
{order}
def work():
    return receipt.result(40)['success']
receipt = migas.add_project('owner/repo', '1')
job = spawn(work)
while not receipt.is_awaited:
    time.sleep(0.001)
print('going on', flush=True)
print(job.wait() if hasattr(job, '_exit_event') else job.get())
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_greenlet_that_waits_lets_the_others_go_on(
    host: Host, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """The server answers only once another greenlet has been heard."""
    need(library)
    with SlowServer() as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        code = WAITS.format(order=ORDERS["before"].format(patch=PATCHES[library]))
        process = host.start(code, QUIET, measured=False)
        assert process.stdout is not None
        assert process.stdout.readline() == "going on\n", process.communicate()
        server.goes_on.set()
        out, err = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == ("True\n", 0), err


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_exit_keeps_its_budget(
    host: Host, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """A server that never answers holds up no exit, and the breadcrumb is on disk."""
    need(library)
    with SlowServer() as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        order = ORDERS["before"].format(patch=PATCHES[library])
        code = f"import logging\n{order}\nmigas.add_project('owner/repo', '1')\n"
        ended = host.run(code, {**QUIET, "MIGAS_EXIT_TIMEOUT": "0.5"}, measured=False)
        server.goes_on.set()
    assert ended.calmly, ended


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_short_program_delivers_at_its_exit(host: Host, server: Server, library: str) -> None:
    """No greenlet runs any more then, so the exit itself imports what our threads want."""
    need(library)
    order = ORDERS["before"].format(patch=PATCHES[library])
    ended = host.run(
        f"import logging\n{order}\nmigas.add_project('owner/repo', '1')\n", QUIET, measured=False
    )
    assert ended.calmly, ended
    assert versions(server) == ["1"]


APPLICATION = """
import subprocess, sys, logging, migas
migas.add_project('owner/repo', '0')
def application(environ, start):
    migas.add_project('owner/repo', environ['PATH_INFO'][1:])
    subprocess.run([sys.executable, '-S', '-c', ''])
    start('200 OK', [('Content-Length', '2')])
    return [b'ok']
"""


class Local(http.client.HTTPConnection):
    """A connection to a socket of the file system's."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.host)


def listens() -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect("web")
    except OSError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("library", LIBRARIES)
def test_workers_of_gunicorn(
    host: Host,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    number: signal.Signals,
) -> None:
    """A job reports while a worker lives; a signal to the master ends all, and nothing is lost."""
    need("gunicorn")
    need(library)
    if importlib.util.find_spec(f"gunicorn.workers.g{library}") is None:
        pytest.skip(f"this gunicorn has no workers of {library}")
    monkeypatch.chdir(host._directory)  # a socket's path has 108 characters
    Path("web.py").write_text(APPLICATION)
    arguments = ("-m", "gunicorn", "-k", library, "-b", "unix:web", "web:application")
    process = host.start("", QUIET, arguments=arguments, measured=False)
    await_condition(listens)
    for name in "12":
        connection = Local("web", timeout=PATIENCE)
        connection.request("GET", f"/{name}")
        assert connection.getresponse().read() == b"ok"
        connection.close()
    await_condition(lambda: versions(server) == ["0", "1", "2"])
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "migas" not in err
    assert "Traceback" not in err


TASKS = """
import subprocess, sys, celery, logging, migas
migas.add_project('owner/repo', '0')
app = celery.Celery('tasks', broker='filesystem://', broker_transport_options={
    'data_folder_in': 'queue', 'data_folder_out': 'queue', 'control_folder': 'control'})
app.conf.worker_hijack_root_logger = False
@app.task
def work(name):
    migas.add_project('owner/repo', name)
    subprocess.run([sys.executable, '-S', '-c', ''])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "number", "status"), [("gevent", signal.SIGTERM, 0), ("eventlet", signal.SIGINT, 1)]
)
def test_pools_of_celery(  # noqa: PLR0917  # fixtures
    host: Host, server: Server, tmp_path: Path, library: str, number: signal.Signals, status: int
) -> None:
    """A task reports while the worker lives; a signal ends that as without us (Celery 5.7)."""
    need("celery")
    need(library)
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    (tmp_path / "tasks.py").write_text(TASKS)
    options = ("worker", "-P", library, "-c", "2", "--without-gossip", "--without-mingle")
    arguments = ("-m", "celery", "-A", "tasks", *options)
    process = host.start("", QUIET, arguments=arguments, measured=False)
    calls = "import tasks; [tasks.work.delay(name) for name in '12']"
    sent = host.run(calls, {**QUIET, "MIGAS_OPTOUT": "1"}, measured=False)
    assert sent.status == 0, sent
    await_condition(lambda: versions(server) == ["0", "1", "2"])
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, err
    assert "Traceback" not in err
