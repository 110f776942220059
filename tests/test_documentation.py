"""The README and the docstrings are true: their examples run, and their tables are complete."""

from __future__ import annotations

import configparser
import doctest
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from left_out import LEFT_OUT
from support import README, SLOW, need, read_examples

import migas
from migas._agent import reported
from migas._crumb import breadcrumb
from migas._delivery import graphql, policy, sender, throttle
from migas._runtime import optout, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas.testing import Server

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def test_the_readmes_examples_run() -> None:
    """As they stand there, against a local server."""
    results = doctest.testfile(
        str(ROOT / "README.md"), module_relative=False, optionflags=doctest.ELLIPSIS
    )
    assert results.attempted > 10
    assert results.failed == 0


MODULES = [
    *("operations", "config", "error", "error.nipype", "_delivery.graphql", "_agent.reported"),
    *("_runtime.optout", "_runtime.receipt", "_runtime.settings", "_crumb.redaction"),
    *("testing.server", "cli.usage", "_disk.spool", "_disk.upkeep", "_delivery.sent_log"),
]


@pytest.mark.parametrize("name", MODULES)
def test_the_docstrings_examples_run(name: str, server: Server) -> None:
    """Online, here."""
    results = doctest.testmod(importlib.import_module(f"migas.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
    assert server.port


@pytest.fixture
def shell(tmp_path: Path) -> Callable[[str], str]:
    """Run a line of a person's, and return what it printed."""
    command = tmp_path / "bin" / "migas"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m migas "$@"\n')
    command.chmod(0o700)
    path = f"{command.parent}:{os.environ['PATH']}"

    def run(text: str) -> str:
        environ = {**os.environ, "PATH": path, "USER": "jane", "SCRATCH": str(tmp_path / "scratch")}
        done = subprocess.run(
            ["sh", "-euc", text],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    return run


def test_the_readmes_line_for_a_shell_completes_the_commands(shell: Callable[[str], str]) -> None:
    """In bash, as argcomplete's own registration has it."""
    need("argcomplete")
    (line,) = re.findall(r"`(eval [^`]*)`", README)
    if (
        shutil.which("bash") is None
        or shutil.which("register-python-argcomplete", path=BIN) is None
    ):
        pytest.skip("there is no bash, or no script of argcomplete's")
    said = shell(f"PATH={BIN}:$PATH bash -c '{line}; complete -p migas'")
    assert said.startswith("complete ")
    assert said.endswith(" migas\n")


@pytest.mark.slow
def test_the_readmes_cron_line_sends_what_waits(
    host: Host, server: Server, shell: Callable[[str], str]
) -> None:
    """And says nothing."""
    server.stop()
    assert host.run("import migas; migas.add_project('owner/repo', '1')", SLOW).calmly
    server.start()
    (line,) = read_examples("## For clusters", "crontab")
    assert shell(line.split(maxsplit=5)[5]) == ""
    assert [crumb["version"] for crumb in server.crumbs] == ["1"]


@pytest.mark.slow
def test_the_readmes_variables_of_a_site_do_what_they_are_to(
    server: Server, shell: Callable[[str], str], tmp_path: Path
) -> None:
    """The spool lies elsewhere; or nothing is sent."""
    elsewhere, nothing, prolog = read_examples("## For clusters", "shell")
    status = json.loads(shell(f"{elsewhere}\nmigas status --json"))
    assert Path(status["spool"]).parent == tmp_path / "scratch" / "jane-migas"
    assert json.loads(shell(f"{nothing}\nmigas status --json"))["switched_off_by"] == "MIGAS_OPTOUT"
    name = shell("id -un").strip()
    assert shell(prolog) == f"export MIGAS_CACHE_DIR=/scratch/{name}-migas\n"
    assert server.crumbs == []


#: What a suite of a host's has at its top.
TOP = """
import os, tempfile, unittest
import migas
from migas.testing import Server
def main(_): migas.add_project('owner/repo', '1')
"""


@pytest.mark.slow
def test_the_readmes_unittest_of_a_host_passes(host: Host, home: Path) -> None:
    """As it stands there, and nothing is left in the user's home but the id."""
    _, example = read_examples("### In your tests", "python")
    arguments = ("-m", "unittest", "test_host")
    ended = host.run_program({"test_host.py": TOP + example}, arguments=arguments)
    assert (ended.status, "Ran 1 test" in ended.err) == (0, True), ended
    assert not (home / "cache").exists()


@pytest.mark.slow
def test_the_readmes_test_of_a_host_passes(host: Host, tmp_path: Path) -> None:
    """As it stands there, in a suite of its own."""
    example, _ = read_examples("### In your tests", "python")
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_host.py")
    ended = host.run_program({"test_host.py": TOP + example}, arguments=arguments)
    assert (ended.status, "1 passed" in ended.out) == (0, True), ended
    assert list(tmp_path.glob("pytest-of-*")), "its directories are not the test's own"


@pytest.mark.slow
@pytest.mark.usefixtures("fonts")
def test_the_readmes_picture_is_drawn(
    server: Server, shell: Callable[[str], str], tmp_path: Path
) -> None:
    """By the command that the first page names."""
    (command,) = re.findall(r"`(migas usage [^`]* --plot \S+)`", README.split("## For hosts")[0])
    shell(command)
    assert (tmp_path / command.split()[-1]).read_bytes().startswith(b"<?xml")
    assert server.requests == 30


def test_the_readmes_numbers_for_administrators_are_the_codes() -> None:
    """The bounds of a request, the rate and the pace."""
    section = README.split("## For administrators of a server")[1]
    assert f"at most {graphql.MAX_BODY:,} bytes, up to {graphql.MAX_BATCH} breadcrumbs" in section
    assert f"at most {throttle.REQUESTS} requests a minute" in section
    assert f"a full one each {sender.LEISURE:g} s" in section
    assert (throttle.EXITS, throttle.EXITS_PERIOD, policy.MAX_ATTEMPTS, policy.SILENCE) == (
        10,
        3600.0,
        3,
        60.0,
    )


def test_the_readmes_links_lead_somewhere() -> None:
    """To headings of its own."""
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    links = re.findall(r"\]\(#([^)]*)\)", README)
    assert links
    assert set(links) <= anchors


def test_the_readme_names_every_variable() -> None:
    """And none that does not exist."""
    source = Path(settings.__file__).read_text() + Path(reported.__file__).read_text()
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
        for row in re.findall(r"^\|.*\|$", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)/?`", row)
    }
    package = Path(migas.__file__).parent
    modules = {path.stem for path in package.rglob("*.py")} - {"__init__", "__main__"}
    assert named & modules == modules
    for name in set(migas.__all__) - {"__version__"}:
        assert f"**`{name}" in README or f"A **`{name}`**" in README


def test_what_tox_leaves_out_is_named() -> None:
    """At the end of `tox`, and in the README's table: each environment of `tox -m full`."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini")
    first = set(settings["tox"]["env_list"].split(", "))
    full = set(settings["tox"]["labels"].partition("full = ")[2].split(", "))
    commands = [command.split()[2].split(",") for command in LEFT_OUT]  # tox -e a,b
    assert {name for names in commands for name in names} == full - first | {"quick"}
    table = README.split("### For contributors: what the tests are")[1].split("The minutes are")[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == full | first


def test_the_lowest_releases_are_those_that_are_tested() -> None:
    """The bounds of pyproject.toml and the pins of tox.ini's `lowest` say the same."""
    bounds = dict(
        re.findall(r'"([\w-]+)>=([\d.]+)[,<\d.]*"', (ROOT / "pyproject.toml").read_text())
    )
    section = (ROOT / "tox.ini").read_text().split("[testenv:lowest]")[1].split("[testenv:")[0]
    pins = dict(re.findall(r"^    ([\w-]+)==([\d.]+)$", section, re.MULTILINE))
    assert set(pins) == {"graphql-core", "packaging", "platformdirs", "requests"}
    assert pins == {name: bounds[name] for name in pins}
