"""Each example in the documentation and in a docstring runs."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import PAGES, SLOW, find_examples, locate_page, need, read_page, read_section

from migas.cli.parser import _make_parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas.testing import Server

BIN = Path(sys.executable).parent

#: What a page's lines of code find in the module that they are written in.
TOP = "__version__ = '1.2.3'\n"

#: What a suite of a host's has at its top.
TOP_OF_TESTS = """
import os, tempfile, unittest
import migas
from migas.testing import Server
def main(_): migas.add_project('owner/repo', '1')
"""

MODULES = [
    *("operations", "config", "error", "error.nipype", "_delivery.graphql", "_agent.reported"),
    *("_runtime.optout", "_runtime.receipt", "_runtime.settings", "_crumb.redaction"),
    *("testing.server", "cli.usage", "_disk.spool", "_disk.upkeep", "_delivery.sent_log"),
]


@pytest.mark.parametrize("page", [page for page in PAGES if ">>> " in read_page(page)])
def test_a_pages_examples_run(page: str, server: Server) -> None:
    """They print what stands there, against a local server."""
    path = str(locate_page(page))
    results = doctest.testfile(path, module_relative=False, optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0
    assert server.port


@pytest.mark.parametrize("name", MODULES)
def test_the_docstrings_examples_run(name: str, server: Server) -> None:
    """They return what stands there, online."""
    results = doctest.testmod(importlib.import_module(f"migas.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
    assert server.port


def find_code(page: str) -> list[str]:
    """Return a page's Python code that is no session of an interpreter, and no test of a host's."""
    examples = find_examples(read_page(page), "python")
    return [
        code for code in examples if not re.search(r"^>>> |^def test_|unittest", code, re.MULTILINE)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if find_code(page)])
def test_a_pages_code_runs(page: str, host: Host, server: Server) -> None:
    """As one module of a host's, which prints nothing and reports something."""
    ended = host.run(TOP + "import migas\n" + "\n".join(find_code(page)), SLOW)
    assert ended.calmly, ended
    assert server.crumbs


def list_commands() -> list[str]:
    """Return each `migas` command in the shell examples of all pages."""
    examples = [code for page in PAGES for code in find_examples(read_page(page), "shell")]
    lines = [line for code in examples for line in code.splitlines()]
    found = [re.search(r"(?:^|&& )(?:python -m )?(migas \w[^|>;]*)", line) for line in lines]
    return sorted({match[1] for match in found if match})


@pytest.mark.parametrize("command", list_commands())
def test_a_command_that_is_named_exists(command: str) -> None:
    """With the arguments that stand there."""
    arguments = shlex.split(command, comments=True)[1:]
    assert _make_parser().parse_args(arguments).command


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


def test_the_line_for_a_shell_completes_the_commands(shell: Callable[[str], str]) -> None:
    """In bash, as argcomplete's own registration has it."""
    need("argcomplete")
    (line,) = {line for page in PAGES for line in re.findall(r"`(eval [^`]*)`", read_page(page))}
    if (
        shutil.which("bash") is None
        or shutil.which("register-python-argcomplete", path=BIN) is None
    ):
        pytest.skip("there is no bash, or no script of argcomplete's")
    said = shell(f"PATH={BIN}:$PATH bash -c '{line}; complete -p migas'")
    assert said.startswith("complete ")
    assert said.endswith(" migas\n")


@pytest.mark.slow
def test_the_cron_line_sends_what_is_pending(
    host: Host, server: Server, shell: Callable[[str], str]
) -> None:
    """It prints nothing."""
    server.stop()
    assert host.run("import migas; migas.add_project('owner/repo', '1')", SLOW).calmly
    server.start()
    (line,) = find_examples(read_page("clusters"), "crontab")
    assert shell(line.split(maxsplit=5)[5]) == ""
    assert [crumb["version"] for crumb in server.crumbs] == ["1"]


@pytest.mark.slow
def test_a_sites_variables_do_what_the_page_says(
    server: Server, shell: Callable[[str], str], tmp_path: Path
) -> None:
    """The spool lies elsewhere; or nothing is sent."""
    elsewhere, nothing = find_examples(read_section("clusters", "## What a site may set"), "shell")
    (prolog,) = find_examples(read_section("clusters", "## Slurm"), "shell")
    status = json.loads(shell(f"{elsewhere}\nmigas status --json"))
    assert Path(status["spool"]).parent == tmp_path / "scratch" / "jane-migas"
    assert json.loads(shell(f"{nothing}\nmigas status --json"))["switched_off_by"] == "MIGAS_OPTOUT"
    name = shell("id -un").strip()
    assert shell(prolog) == f"export MIGAS_CACHE_DIR=/scratch/{name}-migas\n"
    assert server.crumbs == []


@pytest.mark.slow
def test_a_hosts_unittest_passes(host: Host, home: Path) -> None:
    """As it stands there, and nothing is left in the user's home but the id."""
    _, example = find_examples(read_section("testing", "## Look at what is reported"), "python")
    arguments = ("-m", "unittest", "test_host")
    ended = host.run_program({"test_host.py": TOP_OF_TESTS + example}, arguments=arguments)
    assert (ended.status, "Ran 1 test" in ended.err) == (0, True), ended
    assert not (home / "cache").exists()


@pytest.mark.slow
def test_a_hosts_test_passes(host: Host, tmp_path: Path) -> None:
    """As it stands there, in a suite of its own."""
    example, _ = find_examples(read_section("testing", "## Look at what is reported"), "python")
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_host.py")
    ended = host.run_program({"test_host.py": TOP_OF_TESTS + example}, arguments=arguments)
    assert (ended.status, "1 passed" in ended.out) == (0, True), ended
    assert list(tmp_path.glob("pytest-of-*")), "its directories are not the test's own"


@pytest.mark.slow
@pytest.mark.usefixtures("fonts")
def test_the_first_pages_picture_is_drawn(
    server: Server, shell: Callable[[str], str], tmp_path: Path
) -> None:
    """By the command that stands there."""
    (command,) = re.findall(r"^migas usage .* --plot \S+", read_page("README"), re.MULTILINE)
    shell(command)
    assert (tmp_path / command.split()[-1]).read_bytes().startswith(b"<?xml")
    assert server.requests > 0
