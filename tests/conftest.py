"""Every test is shut off from the machine it runs on, and from every other test."""

from __future__ import annotations

import os
import py_compile
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from support import NOWHERE, PATIENCE, Host, need, read_processor_time

import migas
from migas._agent import process
from migas._crumb.environment import CI_VARIABLES, CONTAINER_VARIABLES
from migas._delivery.parcel import Outcome
from migas._delivery.sent_log import noted
from migas._disk.entry import LEASE
from migas._disk.spool import open_spool
from migas._runtime import optout
from migas._runtime.optout import OPTOUT_VARIABLES
from migas._runtime.settings import Settings
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from migas._disk.spool import Spool

# No example is too slow: these machines are noisy, and a time limit belongs in a benchmark.
hypothesis.settings.register_profile("patient", deadline=None)


hypothesis.settings.load_profile("patient")


_AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


# A shell that starts a suite in the background has it ignore Ctrl-C, and so all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: Seconds of a processor that make a test slow, by pyproject.toml's words, on a quiet machine. On a
#: busy one the same test takes up to twice as many.
SLOW_FROM = 0.35

#: Variables by which a process is one of several: what a test starts is none of pytest's workers.
_RANKS = {
    *("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"),
    *("PYTEST_XDIST_TESTRUNUID", "WERKZEUG_RUN_MAIN", "RUN_MAIN"),
}

_BEGUN = pytest.StashKey[float]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what this process and its children have taken of a processor so far."""
    item.stash[_BEGUN] = read_processor_time()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in the last of a test's reports what it has taken, set-up and teardown included."""
    report = yield
    if call.when == "teardown":
        taken = read_processor_time() - item.stash[_BEGUN]
        report.user_properties.append(("processor time", taken))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that ought to be marked as slow, which fails nothing."""
    taken = {
        report.nodeid: seconds
        for report in terminalreporter.stats.get("", [])
        for name, seconds in report.user_properties
        if name == "processor time" and "slow" not in report.keywords
    }
    found = sorted(name for name, seconds in taken.items() if seconds > 2 * SLOW_FROM)
    if found:
        terminalreporter.section(f"not marked as slow, but took over {2 * SLOW_FROM:g} s")
        for name in found:
            terminalreporter.write_line(f"{taken[name]:.1f} s of a processor: {name}")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, and an environment that says nothing of the machine."""
    home = tmp_path / "home"
    home.mkdir()
    private = {*CI_VARIABLES, *OPTOUT_VARIABLES, *_PROXIES, *_AUTHORITIES}
    for name in list(os.environ):
        if name.upper() in private or name.startswith(("MIGAS_", "APPTAINER", "SINGULARITY")):
            monkeypatch.delenv(name)
        elif name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
            monkeypatch.delenv(name)  # hosts are started as most people's are: compiled once
        elif (
            name in _RANKS
            or name in CONTAINER_VARIABLES
            or name.lower() in (proxy.lower() for proxy in _PROXIES)
        ):
            monkeypatch.delenv(name, raising=False)
    # A host's pytest would remove what earlier runs of this suite have left, for a minute or more.
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path))
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
    _end_all()


def _end_all() -> None:
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
    for name in ("MIGAS_TOLD", "MIGAS_LAUNCH", "MIGAS_SESSION_ID", "MIGAS_USER_ID"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def font_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Have matplotlib look for the machine's fonts once, and not in each test's home.

    That takes seconds, which all workers of a run share. On a busy machine it says so, too, where a
    test expects that nothing is said.
    """
    need("matplotlib")
    root = tmp_path_factory.getbasetemp()
    path = str((root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "matplotlib")
    command = [sys.executable, "-c", "import matplotlib.font_manager"]
    environ = {**os.environ, "MPLCONFIGDIR": path}
    subprocess.run(command, env=environ, capture_output=True, check=True)
    return path


@pytest.fixture
def fonts(font_cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes that draw use that cache."""
    monkeypatch.setenv("MPLCONFIGDIR", font_cache)


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
def deliver(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Deliver what waits as `migas flush` does, once the claims of those that died are over.

    It is done in this process, which has loaded what it takes; a command would load it once more.
    """

    def run() -> None:
        now, refused = time.time, noted[Outcome.REFUSED]
        with monkeypatch.context() as later:
            later.setattr(time, "time", lambda: now() + LEASE + 1)
            assert migas.flush(PATIENCE) == 0
        assert noted[Outcome.REFUSED] == refused
        _end_all()  # as the command's process ends

    return run


@pytest.fixture
def spool() -> Callable[..., Spool]:
    """Open the spool that this test's hosts share."""

    def open_shared(endpoint: str | None = None) -> Spool:
        given = {} if endpoint is None else {"endpoint": endpoint}
        return open_spool(Settings.from_env(os.environ, given))

    return open_shared
