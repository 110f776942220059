"""The README and the docstrings are true: their examples run, and their tables are complete."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import migas
from migas import breadcrumb, lineage, optout, settings

if TYPE_CHECKING:
    from migas.testing import Server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_readmes_examples_run() -> None:
    """As they stand there, against a local server."""
    results = doctest.testfile(
        str(ROOT / "README.md"), module_relative=False, optionflags=doctest.ELLIPSIS
    )
    assert results.attempted > 10
    assert results.failed == 0


MODULES = [
    *("api", "config", "error", "error.nipype", "graphql", "identifier", "lineage", "optout"),
    *("receipt", "redaction", "settings", "testing.server", "usage"),
]


@pytest.mark.parametrize("name", MODULES)
def test_the_docstrings_examples_run(name: str, server: Server) -> None:
    """Online, here."""
    results = doctest.testmod(importlib.import_module(f"migas.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
    assert server.port


def test_the_readme_names_every_variable() -> None:
    """And none that does not exist."""
    source = Path(settings.__file__).read_text() + Path(lineage.__file__).read_text()
    read = set(re.findall(r"\bMIGAS_[A-Z_]+\b", source)) | set(optout.OPTOUT_VARIABLES)
    tables = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    assert tables == read
    assert f"`{settings.DEFAULT_ENDPOINT}`" in README
    assert f"| {settings.DEFAULT_TIMEOUT:g} |" in README
    assert f"| {settings.DEFAULT_EXIT_TIMEOUT:g} |" in README


def test_the_readme_names_every_field_that_is_collected() -> None:
    """Word for word."""
    table = README.split("### What is collected")[1].split("The server adds")[0]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(breadcrumb.Breadcrumb._fields)


def test_the_readme_names_every_module_and_function() -> None:
    """Whoever looks for a place finds it."""
    table = README.split("## For contributors")[1]
    named = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    package = Path(migas.__file__).parent
    modules = {path.stem for path in package.iterdir() if not path.stem.startswith("_")}
    assert named == modules - {"version", "py"}
    for name in set(migas.__all__) - {"__version__"}:
        assert f"**`{name}" in README or f"A **`{name}`**" in README


def test_the_lowest_releases_are_those_that_are_tested() -> None:
    """The bounds of pyproject.toml and the pins of tox.ini's `lowest` say the same."""
    bounds = dict(
        re.findall(r'"([\w-]+)>=([\d.]+)[,<\d.]*"', (ROOT / "pyproject.toml").read_text())
    )
    pins = dict(
        re.findall(r"^    ([\w-]+)==([\d.]+)$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    )
    assert set(pins) == {"graphql-core", "packaging", "platformdirs", "requests"}
    assert pins == {name: bounds[name] for name in pins}
