"""The demo: one host package, run online, offline and online again, before the reader's eyes."""

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

#: Asked by a process of its own, as a host's developer would.
_QUESTION = f"import migas; print(migas.get_usage({PROJECT!r}, '2026-01-01'))"

#: Seconds that a host's exit may take here: the machine may be slow, and nobody waits for it.
_EXIT_TIMEOUT = 20


class UnseenError(Exception):
    """The demo did not see what it should show."""


def run() -> int:
    """Show the demo and return its exit status: 0 only if all was seen."""
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
    package = os.path.join(directory, "package", "hostpackage")
    os.makedirs(package)
    with open(os.path.join(package, "__init__.py"), "w", encoding="utf-8") as file:
        file.write(_HOST)
    server.start()
    environ = _environ(directory, server.endpoint)
    print(f"A local migas server runs at {server.endpoint}.")
    print(f"A host package carries one line:\n\n    {_HOST}")

    print("1. A process imports the package.")
    _python("import hostpackage", environ)
    _expect(server, 1)
    _show("What arrived", server.crumbs[0])

    print("2. The server stops, and another process imports the package.")
    server.stop()
    _python("import hostpackage", environ)
    spool = open_spool(Settings.from_env(environ))
    waiting = list(spool.waiting())
    if len(waiting) != 1:
        raise UnseenError(f"{len(waiting)} breadcrumbs wait on disk, not 1")
    name = os.path.relpath(waiting[0].path, directory)
    _show(f"What waits on disk, in {name}", decode(waiting[0].read())._asdict())

    # All processes of this user leave a server alone for a moment that was not there.
    time.sleep(Backoff(spool.directory).remaining())
    print("3. The server is back, and a third process imports the package.")
    server.start()
    _python("import hostpackage", environ)
    _expect(server, 3)
    if server.requests != 2:
        raise UnseenError(f"the server saw {server.requests} requests, not 2")
    if list(spool.waiting()):
        raise UnseenError("a breadcrumb still waits on disk")
    print("   Both arrived in one request, and nothing waits any more.\n")

    print(f"migas.get_usage({PROJECT!r}, '2026-01-01') says:\n")
    answer = _python(_QUESTION, environ).strip()
    print(f"    {answer}")
    if "'hits': 3" not in answer or "'success': True" not in answer:
        raise UnseenError("not the three uses that there were")


def _environ(directory: str, endpoint: str) -> dict[str, str]:
    """Return an environment in which a host knows this server, and none of its user's files.

    An opt-out is lifted, for these hosts alone: nothing that they tell leaves the machine.
    """
    private = {"MIGAS_DRY_RUN", "MIGAS_TIMEOUT", "MIGAS_LOG_LEVEL", *OPTOUT_VARIABLES}
    home = os.path.join(directory, "home")
    os.makedirs(home)
    return {
        **{name: value for name, value in os.environ.items() if name not in private},
        "HOME": home,
        "USERPROFILE": home,
        "XDG_CONFIG_HOME": os.path.join(home, "config"),
        "MIGAS_CACHE_DIR": os.path.join(home, "cache"),
        "MIGAS_ENDPOINT": endpoint,
        "MIGAS_EXIT_TIMEOUT": str(_EXIT_TIMEOUT),
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([os.path.join(directory, "package"), *_import_path()]),
    }


def _import_path() -> list[str]:
    """Return where this process finds migas, which need not be installed."""
    return [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]


def _python(code: str, environ: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or done.stderr:
        raise UnseenError(f"a host ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _expect(server: Server, count: int) -> None:
    with contextlib.suppress(TimeoutError):
        server.await_crumbs(count, timeout=0)
    if len(server.crumbs) != count:
        raise UnseenError(f"{len(server.crumbs)} breadcrumbs have arrived, not {count}")


def _show(title: str, record: Mapping[str, object]) -> None:
    lines = "\n".join(f"{name}: {value}" for name, value in record.items() if value is not None)
    print(f"   {title}:\n\n{textwrap.indent(lines, ' ' * 7)}\n")
