"""Every test is shut off from the machine it runs on, and from every other test."""

from __future__ import annotations

import os
import py_compile
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from support import LATER, NOWHERE, PATIENCE, Host

from migas._agent import process
from migas._crumb.environment import CI_VARIABLES, CONTAINER_VARIABLES
from migas._disk.spool import open_spool
from migas._runtime import optout
from migas._runtime.optout import OPTOUT_VARIABLES
from migas._runtime.settings import Settings
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migas._disk.spool import Spool

# No example is too slow: these machines are noisy, and a time limit belongs in a benchmark.
hypothesis.settings.register_profile("patient", deadline=None)


hypothesis.settings.load_profile("patient")


_AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


# A shell that starts a suite in the background has it ignore Ctrl-C, and so all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, and an environment that says nothing of the machine."""
    home = tmp_path / "home"
    home.mkdir()
    private = {*CI_VARIABLES, *OPTOUT_VARIABLES, *_PROXIES, *_AUTHORITIES}
    for name in list(os.environ):
        if name.upper() in private or name.startswith(("MIGAS_", "APPTAINER", "SINGULARITY")):
            monkeypatch.delenv(name)
        elif name in CONTAINER_VARIABLES or name.lower() in (proxy.lower() for proxy in _PROXIES):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))  # Windows' name for it
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    # Where platformdirs has both on Windows, the cache in a directory of that name.
    monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(home / "config"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(home / "site"))
    monkeypatch.setenv("MIGAS_ENDPOINT", NOWHERE)
    return home


@pytest.fixture(scope="session")
def guard_path() -> Iterator[Path]:
    """Make what hosts of any user can import, compiled, and a directory for what they report."""
    directory = Path(tempfile.mkdtemp(prefix="migas-guard-"))
    directory.chmod(0o755)
    for file in (Path(__file__).parent / "guard").glob("[!t]*.py"):
        shutil.copy(file, directory)
        py_compile.compile(str(directory / file.name))
    (directory / "reports").mkdir()
    (directory / "reports").chmod(0o1777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def guard(guard_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have each host compare the process's state without us and with us: `guard/sitecustomize`.

    Returns where hosts report a difference, which fails the test unless that takes it.
    """
    reports = guard_path / "reports"
    if sys.platform == "linux" and sys.implementation.name == "cpython":
        places = [str(guard_path), *filter(None, [os.getenv("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
        monkeypatch.setenv("GUARD_REPORTS", str(reports))
    yield reports
    found = [path.read_text() for path in reports.iterdir()]
    for path in reports.iterdir():
        path.unlink()
    assert not found, "\n\n".join(found)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process's sockets reach nothing but the machine itself."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        is_local = self.family == getattr(socket, "AF_UNIX", None)
        assert is_local or address[0] in ("127.0.0.1", "::1"), address
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        assert host in ("127.0.0.1", "::1", "localhost", None), host
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


@pytest.fixture(autouse=True)
def fresh_api() -> Iterator[None]:
    """Let each test meet the public functions as a new process does."""
    _forget_all()
    yield
    here = process.current_process()
    for run in here._runs.copy():  # what an example has begun, and nothing ended
        run.withdraw()  # type: ignore[attr-defined]
    for agent in (*here._former, here._agent):
        if agent is not None:
            agent.close(PATIENCE)
    _forget_all()


def _forget_all() -> None:
    optout.hold.is_lifted = True  # pytest's plugin has opted this process out
    optout.lasting.forget()
    process._processes.clear()
    process._setup.clear()
    for name in ("MIGAS_TOLD", "MIGAS_SESSION_ID", "MIGAS_USER_ID"):
        os.environ.pop(name, None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A local server that this test and its hosts send to."""
    with Server() as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Start real processes that carry migas."""
    host = Host(tmp_path)
    yield host
    host.stop()


@pytest.fixture
def deliver(host: Host) -> Callable[[], None]:
    """Have `migas flush` deliver what waits, once the claims of those that died are over."""

    def run() -> None:
        ended = host.run(LATER, measured=False)
        assert ended.calmly, ended  # its status says that nothing is pending, and nothing refused

    return run


@pytest.fixture
def spool() -> Callable[..., Spool]:
    """Open the spool that this test's hosts share."""

    def open_shared(endpoint: str | None = None) -> Spool:
        given = {} if endpoint is None else {"endpoint": endpoint}
        return open_spool(Settings.from_env(os.environ, given))

    return open_shared
