"""A host's own tests tell nobody, and the fixture shows what they would tell."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from migas.testing import Server

    Runner: TypeAlias = Callable[..., pytest.RunResult]

pytest_plugins = ["pytester"]

HOST = """
import migas
from migas.testing import Fault

def main():
    return migas.add_project('owner/repo', '1.2.3', status='C')
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: Server) -> Runner:
    """Run a host's tests in a process of their own, which must not reach ``server``."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def run_tests(code: str, ini: str = "") -> pytest.RunResult:
        pytester.makepyfile(host=HOST, test_host=f"import migas, os, host\n{code}")
        pytester.makeini(f"[pytest]\n{ini}")
        result = pytester.runpytest_subprocess("-p", "migas.testing.plugin", "-q", "test_host.py")
        assert server.requests == 0 or ini
        return result

    return run_tests


def test_pytest_finds_the_plugin_by_itself() -> None:
    """Wherever migas is installed."""
    found = importlib.metadata.entry_points(group="pytest11", name="migas")
    assert [point.value for point in found] == ["migas.testing.plugin"]


@pytest.mark.slow
def test_a_hosts_tests_are_opted_out(run: Runner, home: Path) -> None:
    """So are the processes that they start; no line of the host's suite is changed for it."""
    code = f"""
import subprocess, sys
def test_main():
    assert host.main()['message'] == 'switched off by MIGAS_OPTOUT'
    code = "import host; assert not host.main()['success']"
    assert subprocess.run([{sys.executable!r}, '-c', code]).returncode == 0
"""
    run(code).assert_outcomes(passed=1)
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_a_test_that_clears_the_environment_stays_opted_out(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the process's own flag; the fixture lifts that, and what the process was started with.

    An xdist worker is started with the variable that the plugin has set (pain 37).
    """
    monkeypatch.setenv("MIGAS_OPTOUT", "pytest")
    code = """
import pytest
from unittest import mock

@pytest.fixture
def cleared():
    kept = ('HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'MIGAS_CACHE_DIR', 'MIGAS_ENDPOINT')
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    with mock.patch.dict(os.environ, environ, clear=True):
        yield

def test_main(cleared):
    assert host.main()['message'] == 'switched off by MIGAS_OPTOUT'

def test_reports(migas_server, cleared):
    assert host.main().result(60)['success']
    assert [crumb['version'] for crumb in migas_server.crumbs] == ['1.2.3']

def test_later(cleared):
    assert host.main()['message'] == 'switched off by MIGAS_OPTOUT'
"""
    run(code).assert_outcomes(passed=3)
    monkeypatch.delenv("MIGAS_OPTOUT")
    run(code.replace("by MIGAS_OPTOUT", "by pytest")).assert_outcomes(passed=3)


@pytest.mark.slow
def test_a_host_may_ask_for_telemetry(run: Runner, server: Server) -> None:
    """By an option of its configuration file."""
    code = "def test_main(): assert host.main().result(60)['success']"
    run(code, "migas_telemetry = true").assert_outcomes(passed=1)
    assert len(server.crumbs) == 1


@pytest.mark.slow
def test_the_fixture_shows_what_is_told(run: Runner, home: Path) -> None:
    """Each test has a server, a spool and an id of its own, even if its user has opted out."""
    code = """
import pytest
users = set()
@pytest.mark.parametrize('number', [1, 2])
def test_main(migas_server, number):
    host.main()
    assert migas.flush(60) == 0
    [crumb] = migas_server.crumbs
    assert (crumb['project'], crumb['version'], crumb['status']) == ('owner/repo', '1.2.3', 'C')
    users.add(crumb['user_id'])
    assert len(users) == number and None not in users

def test_later():
    assert host.main()['message'] == 'switched off by MIGAS_OPTOUT'
    assert not os.environ.keys() & {'MIGAS_LAUNCH', 'MIGAS_SESSION_ID', 'MIGAS_TOLD'}
"""
    (home / "config" / "migas").mkdir(parents=True)
    (home / "config" / "migas" / "optout").touch()
    run(code).assert_outcomes(passed=3)
    assert [path.name for path in home.rglob("*") if path.is_file()] == ["optout"]


@pytest.mark.slow
def test_the_fixture_shows_what_a_process_tells(run: Runner) -> None:
    """A command line, say, that the test starts."""
    code = f"""
import subprocess
def test_main(migas_server):
    code = "import host; host.main()"
    assert subprocess.run([{sys.executable!r}, '-c', code]).returncode == 0
    assert [crumb['version'] for crumb in migas_server.crumbs] == ['1.2.3']
"""
    run(code).assert_outcomes(passed=1)


@pytest.mark.slow
def test_the_fixtures_server_fails_as_it_is_told(run: Runner, tmp_path: Path) -> None:
    """A host's tests see what it does in bad weather; what waits lies in the test's directory."""
    code = """
def test_main(migas_server, tmp_path):
    migas_server.inject(host.Fault.status(503))
    assert host.main()['message'] == 'the server answered 503'
    assert len(list((tmp_path / 'migas').rglob('*.json'))) == 1
"""
    run(code).assert_outcomes(passed=1)
    assert tmp_path.is_dir()


@pytest.mark.slow
def test_without_the_extra_the_fixture_says_so(run: Runner) -> None:
    """And how to get it."""
    code = """
import sys
sys.modules['graphql'] = None
for name in list(sys.modules):
    if name.startswith('migas.testing'): del sys.modules[name]
def test_main(migas_server): pass
"""
    result = run(code.replace("import migas, os, host", ""))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*migas_server needs the extra `server`*"])
