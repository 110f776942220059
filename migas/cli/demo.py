"""The demo: runs a host package online, offline and online again, and prints what happens.

It needs the extra `server`, and takes a second or two. It owns the local server and a temporary
directory, which it removes at the end; the hosts are real processes.

What may go wrong: the demo checks all that it shows. If it does not see what it should, it prints a
sentence and ends with status 1.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from typing import TYPE_CHECKING

from migas._crumb.breadcrumb import decode
from migas._delivery.throttle import Backoff
from migas._disk.spool import open_spool
from migas._runtime.optout import OPTOUT_VARIABLES
from migas._runtime.settings import Settings
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = "owner/repo"

_HOST = f"import migas; migas.add_project({PROJECT!r}, '1.2.3')\n"

#: The developer's question, which runs in a process of its own.
_QUESTION = f"import migas; print(migas.get_usage({PROJECT!r}, '2026-01-01'))"

#: Seconds for which hosts wait for the server: all has to arrive, however slow the machine is.
_PATIENCE = 20


class UnseenError(Exception):
    """Raised if the demo did not see what it should show."""


def run() -> int:
    """Show the demo, and return its exit status.

    Returns:
        0 if all was seen, 1 if not.
    """
    with tempfile.TemporaryDirectory(prefix="migas-demo-") as directory:
        server = Server()
        try:
            _play(server, directory)
        except UnseenError as error:
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            return 1
        finally:
            server.close()
    return 0


def _play(server: Server, directory: str) -> None:
    """Run three hosts, and ask for their usage.

    Raises:
        UnseenError: something is not as promised.
    """
    package = os.path.join(directory, "package", "hostpackage")
    os.makedirs(package)
    with open(os.path.join(package, "__init__.py"), "w", encoding="utf-8") as file:
        file.write(_HOST)
    server.start()
    environ = _make_environ(directory, server.endpoint)
    print(f"A local migas server runs at {server.endpoint}.")
    print(f"A host package carries one line:\n\n    {_HOST}")

    print("1. A process imports the package.")
    _run_python("import hostpackage", environ)
    _expect(server, 1)
    _show("What arrived, as the server stores it", server.crumbs[0])
    _play_offline(server, directory, environ)

    print(f"migas.get_usage({PROJECT!r}, '2026-01-01') returns:\n")
    answer = _run_python(_QUESTION, environ).strip()
    print(f"    {answer}")
    if "'hits': 3" not in answer or "'success': True" not in answer:
        raise UnseenError("not the three uses that there were")


def _play_offline(server: Server, directory: str, environ: Mapping[str, str]) -> None:
    """Run a host while the server is down, and then one that sends the breadcrumbs of both."""
    print("2. The server stops, and another process imports the package.")
    server.stop()
    _run_python("import hostpackage", environ)
    spool = open_spool(Settings.from_env(environ))
    pending = spool.list_pending()
    if len(pending) != 1:
        raise UnseenError(f"{len(pending)} breadcrumbs are pending, not 1")
    name = os.path.relpath(pending[0].path, directory)
    _show(f"What is pending on disk, in {name}", decode(pending[0].read())._asdict())

    # After a failure no process of this user tries the server before the back-off ends.
    time.sleep(Backoff(spool.directory).remaining())
    print("3. The server is back, and a third process imports the package.")
    server.start()
    _run_python("import hostpackage", environ)
    _expect(server, 3)
    if server.requests != 2:
        raise UnseenError(f"the server saw {server.requests} requests, not 2")
    if spool.list_pending():
        raise UnseenError("a breadcrumb is still pending")
    print("   Both arrived in one request, and nothing is pending any more.\n")


def _make_environ(directory: str, endpoint: str) -> dict[str, str]:
    """Return an environment in which a host finds this server, and none of the user's files.

    The user's opt-out variables are left out, since nothing that these hosts send leaves the
    machine.
    """
    private = {"MIGAS_DRY_RUN", "MIGAS_LOG_LEVEL", *OPTOUT_VARIABLES}
    home = os.path.join(directory, "home")
    os.makedirs(home)
    return {
        **{name: value for name, value in os.environ.items() if name not in private},
        "HOME": home,
        "USERPROFILE": home,
        "XDG_CONFIG_HOME": os.path.join(home, "config"),
        "XDG_CONFIG_DIRS": os.path.join(home, "config"),
        "MIGAS_CACHE_DIR": os.path.join(home, "cache"),
        "MIGAS_ENDPOINT": endpoint,
        "MIGAS_TIMEOUT": str(_PATIENCE),
        "MIGAS_EXIT_TIMEOUT": str(_PATIENCE),
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([os.path.join(directory, "package"), *_import_path()]),
    }


def _import_path() -> list[str]:
    """Return the directory from which migas is imported, which need not be installed."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [os.path.dirname(package)]


def _run_python(code: str, environ: Mapping[str, str]) -> str:
    """Run code in a process of its own, and return its output.

    Raises:
        UnseenError: the process ended with another status than 0, or wrote to stderr.
    """
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or done.stderr:
        raise UnseenError(f"a host ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _expect(server: Server, count: int) -> None:
    """Raise `UnseenError` unless ``count`` breadcrumbs have arrived in all."""
    with contextlib.suppress(TimeoutError):
        server.await_crumbs(count, timeout=0)
    if len(server.crumbs) != count:
        raise UnseenError(f"{len(server.crumbs)} breadcrumbs have arrived, not {count}")


def _show(title: str, record: Mapping[str, object]) -> None:
    """Print the fields of a record that have a value."""
    lines = "\n".join(f"{name}: {value}" for name, value in record.items() if value is not None)
    print(f"   {title}:\n\n{textwrap.indent(lines, ' ' * 7)}\n")
