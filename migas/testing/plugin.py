"""The pytest plugin: a host's own tests tell nobody, and a fixture shows what they would tell.

pytest loads it wherever migas is installed, so it imports nothing more than that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from migas._agent import process
from migas._agent.process import TOLD
from migas._runtime.optout import OPTOUT_VARIABLES
from migas._runtime.settings import make_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from . import Server

_OPTION = "migas_telemetry"

#: What a test may find set, and what an agent sets in a test's own environment.
_VARIABLES = (
    *OPTOUT_VARIABLES,
    *("MIGAS_DRY_RUN", "MIGAS_TIMEOUT", "MIGAS_SESSION_ID", TOLD),
    *("MIGAS_SPOOL_BYTES", "MIGAS_SPOOL_COUNT", "MIGAS_SPOOL_DAYS"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a host ask for telemetry in its tests, by an option of its configuration file."""
    parser.addini(_OPTION, "let tests tell of their uses by migas", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Opt out for the tests and for all that they start."""
    name = OPTOUT_VARIABLES[0]
    if name not in os.environ and not config.getini(_OPTION):
        patch = pytest.MonkeyPatch()
        patch.setenv(name, "pytest")
        config.add_cleanup(patch.undo)


@pytest.fixture
def migas_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Run a local migas server, to which this test and the processes that it starts tell.

    What is told is in `migas_server.crumbs`, once `migas.flush()` has returned or the process has
    ended. `migas_server.inject(…)` has it fail. What waits, and the user's id, are the test's own.
    """
    try:
        from . import Server
    except ModuleNotFoundError as error:
        pytest.fail(f"migas_server needs the extra `server`: {error}", pytrace=False)
    for name in _VARIABLES:
        # An agent may set it as well, and that is to be undone, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    # Where a lasting opt-out of the person who runs the tests does not lie.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "migas" / "config"))
    monkeypatch.setenv("MIGAS_CACHE_DIR", str(tmp_path / "migas" / "cache"))
    monkeypatch.setenv("MIGAS_USER_ID", make_id())
    monkeypatch.setenv("MIGAS_EXIT_TIMEOUT", "30")  # a test's process may end when it is done
    with Server() as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        process.renew()
        yield server
        process.renew()
