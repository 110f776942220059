"""The pytest plugin: opts a host's own tests out, and offers a fixture that shows what they report.

pytest loads it wherever migas is installed, for suites that have nothing to do with migas as well.
So it imports little, and the local server only when a test asks for the fixture.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from migas._agent import process
from migas._agent.reported import TOLD
from migas._runtime.identifier import make_id
from migas._runtime.optout import OPTOUT_VARIABLES, hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from . import Server

_OPTION = "migas_telemetry"

#: Variables that a test may find set, or that an agent sets in the test's own environment.
_VARIABLES = (
    *OPTOUT_VARIABLES,
    *("MIGAS_DRY_RUN", "MIGAS_TIMEOUT", "MIGAS_SESSION_ID", "MIGAS_LAUNCH", TOLD),
    # The tests of one run of pytest-xdist are no run of the host's that shares its uses.
    "PYTEST_XDIST_TESTRUNUID",
    *("MIGAS_SPOOL_BYTES", "MIGAS_SPOOL_COUNT", "MIGAS_SPOOL_DAYS"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option to pytest's configuration file that lets a host's tests report their uses."""
    parser.addini(_OPTION, "let tests report their uses by migas", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Opt out the tests and the processes that they start, until pytest ends.

    This process is opted out by its own flag, which a test that clears the environment does not
    take back, and the processes that it starts by a variable. A variable that the person has set,
    and the option of the configuration file, go before this.
    """
    if config.getini(_OPTION):
        return
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(hold, "flag", "pytest")
    name = OPTOUT_VARIABLES[0]
    if name not in os.environ:
        patch.setenv(name, "pytest")


@pytest.fixture
def migas_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Run a local migas server that this test and the processes that it starts report to.

    The breadcrumbs are in `migas_server.crumbs` once `migas.flush()` has returned or the process
    has ended. `migas_server.inject(…)` has the server fail. The test has a spool and a user id of
    its own. Fails the test if graphql-core is not installed.
    """
    try:
        from . import Server
    except ModuleNotFoundError as error:
        pytest.fail(f"migas_server needs the extra `server`: {error}", pytrace=False)
    for name in _VARIABLES:
        # Set before it is deleted: then pytest also undoes what an agent sets meanwhile.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    # The lasting opt-out of the person who runs the tests lies elsewhere.
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.setenv(name, str(tmp_path / "migas" / "config"))
    monkeypatch.setenv("MIGAS_CACHE_DIR", str(tmp_path / "migas" / "cache"))
    monkeypatch.setenv("MIGAS_USER_ID", make_id())
    # An exit waits for the server: a test's process may end when everything is sent.
    monkeypatch.setenv("MIGAS_EXIT_TIMEOUT", "30")
    with Server() as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        with monkeypatch.context() as lifted:
            lifted.setattr(hold, "is_lifted", True)
            process.renew()
            yield server
            process.renew()
