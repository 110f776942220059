"""A server is one use, with its workers and all that its reloader starts; a request's is its own.

Each test runs a small application under a real web server, asks it, changes a file so that it is
loaded again, asks it again, and notes a line of the README's table.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import PATIENCE, await_condition, need

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Row

pytestmark = pytest.mark.slow

#: Says that a process has loaded the application.
LOADED = """
import os, package
from pathlib import Path
Path('loaded', f'{os.getpid()}').touch()
"""

#: What a request reports in the words of the import: it is another use nevertheless.
REPORT = "package.migas.add_project('owner/repo', '1')"

ASGI = f"""{LOADED}
async def app(scope, receive, send):
    assert scope['type'] == 'http'
    {REPORT}
    await send({{'type': 'http.response.start', 'status': 200, 'headers': []}})
    await send({{'type': 'http.response.body', 'body': b'reported'}})
"""

WSGI = f"""{LOADED}
def app(environ, start_response):
    {REPORT}
    start_response('200 OK', [])
    return [b'reported']
"""

FLASK = f"""{LOADED}
import flask
app = flask.Flask('application')
@app.get('/')
def index():
    {REPORT}
    return 'reported'
"""

#: The application is loaded where it is served; the process that watches it has only this.
DJANGO = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
settings.configure(DEBUG=True, ALLOWED_HOSTS=['*'], ROOT_URLCONF='application')
if __name__ == '__main__':
    execute_from_command_line(sys.argv)
"""

URLS = f"""{LOADED}
from django.http import HttpResponse
from django.urls import path
def index(request):
    {REPORT}
    return HttpResponse('reported')
urlpatterns = [path('', index)]
"""


class Kind(NamedTuple):
    """A server, and what it is to do."""

    #: What has to be installed.
    module: str
    application: str
    #: The options of `python -m`.
    command: str
    #: How many processes load the application at the start, and when it has changed.
    processes: int
    again: int = 0


UVICORN = "uvicorn application:app --port {port}"

GUNICORN = "gunicorn application:app --bind 127.0.0.1:{port} --workers 2"

SERVERS = {
    "uvicorn --workers 2": Kind("uvicorn", ASGI, f"{UVICORN} --workers 2", 2),
    "uvicorn --reload": Kind("uvicorn", ASGI, f"{UVICORN} --reload", 1, 1),
    "gunicorn --workers 2": Kind("gunicorn", WSGI, GUNICORN, 2),
    "gunicorn --workers 2 --preload": Kind("gunicorn", WSGI, f"{GUNICORN} --preload", 1),
    "gunicorn --workers 2 --reload": Kind("gunicorn", WSGI, f"{GUNICORN} --reload", 2, 2),
    # The process that watches the files loads the application as well.
    "flask run --debug": Kind(
        *("flask", FLASK, "flask --app application run --debug --port {port}", 2, 1)
    ),
    "Django's runserver": Kind("django", URLS, "manage runserver {port}", 1, 1),
}

REQUESTS = 3

#: Seconds between two changes of a file: a reloader that has just begun may not know the first.
PAUSE = 3.0


def find_port() -> int:
    """Return the number of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def ask(port: int) -> bool:
    """Ask the server once, and return False if it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
            return bool(answer.read() == b"reported")
    except ConnectionError:
        return False
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionError):
            return False
        raise


def change(file: Path, has_been_seen: Callable[[], bool]) -> None:
    """Change a file, and wait until that has been seen."""
    due = 0.0

    def try_it() -> bool:
        nonlocal due
        if time.monotonic() >= due:
            file.touch()
            due = time.monotonic() + PAUSE
        return has_been_seen()

    await_condition(try_it)


@pytest.mark.parametrize("name", SERVERS)
def test_a_web_server(
    package: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    note: Callable[..., Row],
    name: str,
) -> None:
    """One use when it starts, none when it is loaded again, and one for each request."""
    kind = SERVERS[name]
    need(kind.module)
    loaded, application = package / "loaded", package / "application.py"
    loaded.mkdir()
    application.write_text(kind.application)
    (package / "manage.py").write_text(DJANGO)
    port, asked = find_port(), 0
    server = start(sys.executable, "-m", *kind.command.format(port=port).split())

    def ask_all() -> None:
        nonlocal asked
        await_condition(lambda: ask(port))
        assert all(ask(port) for _ in range(REQUESTS - 1))
        asked += REQUESTS

    await_condition(lambda: len(list(loaded.iterdir())) >= kind.processes)
    ask_all()
    if kind.again:
        change(application, lambda: len(list(loaded.iterdir())) >= kind.processes + kind.again)
        ask_all()
    # As a person does who presses Ctrl-C in its terminal.
    os.killpg(server.pid, signal.SIGINT)
    server.wait(PATIENCE)
    row = note(f"{name}, and {asked} requests", 1 + asked)
    assert (row.uses, row.runs, row.users) == (1 + asked, 1, 1), (package / "log").read_text()
