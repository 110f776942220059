"""Nothing is installed on a machine whose owner has not said that it may be."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .apt import ALLOWED, install_missing

pytestmark = pytest.mark.skipif(os.name != "posix", reason="no other system has apt")


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `apt-get` that only notes how it was called."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return calls


needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root installs anything"
)


@needs_root
@pytest.mark.parametrize("value", [None, "", "0", "yes"])
def test_nothing_is_installed_unasked(
    apt: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """And the reason says how to ask."""
    if value is not None:
        monkeypatch.setenv(ALLOWED, value)
    reason = install_missing({"no-such-program": "a-package"})
    assert reason == f"{ALLOWED}=1 does not say that a-package may be installed"
    assert not apt.exists()


@needs_root
def test_what_is_missing_is_installed_where_it_may_be(
    apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is there is not."""
    monkeypatch.setenv(ALLOWED, "1")
    (apt.parent / "bin" / "here").touch(0o755)
    assert install_missing({"no-such-program": "a-package", "here": "another"}) == ""
    assert apt.read_text().splitlines()[-1].endswith("--no-install-recommends a-package")


@needs_root
def test_two_environments_install_one_after_the_other(
    apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second's apt-get begins when the first's has ended."""
    monkeypatch.setenv(ALLOWED, "1")
    program = apt.parent / "bin" / "apt-get"
    program.write_text(f"#!/bin/sh\necho begins >> {apt}\n/bin/sleep 0.05\necho ends >> {apt}\n")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(install_missing, [{"no-such-program": "a-package"}] * 2))
    assert apt.read_text().split() == ["begins", "ends"] * 4


def test_what_is_there_needs_nothing(apt: Path) -> None:
    """Nor root, nor apt."""
    (apt.parent / "bin" / "here").touch(0o755)
    assert install_missing({"here": "a-package"}) == ""
