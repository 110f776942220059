"""The types hold for who installs the package: by mypy and by pyright, both strict.

basedpyright is pyright with its own node, so that nothing is fetched when it runs. Its mode
`strict` is pyright's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args, get_type_hints

import pytest
from examples import declare, find_open_names, read_examples
from graphql import GraphQLEnumType
from support import Host, need

import migas
import migas.typedefs
from migas._crumb import breadcrumb
from migas.testing.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "migas" / "docs").glob("*.md"))]
MODULES = {f"page_{path.stem.lower()}": read_examples(path) for path in PAGES}

#: What examples may do and a program may not: define a name again, leave a value unused.
FREE_BY_MYPY = ("no-redef", "used-before-def")
FREE = (
    "reportDuplicateImport",
    "reportRedeclaration",
    "reportUnusedClass",
    "reportUnusedExpression",
    "reportUnusedFunction",
    "reportUnusedImport",
    "reportUnusedVariable",
)

#: What hosts do, a module that is right; and one each line of which is wrong and stands by itself,
#: but for the first two.
DATA = Path(__file__).parent / "data" / "typedefs"
RIGHT, WRONG = ((DATA / f"{name}.txt").read_text("utf-8") for name in ("right", "wrong"))


class Finding(NamedTuple):
    """A line that a checker takes for wrong."""

    file: str
    line: int
    said: str


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package as a host has it, beside what else is installed here.

    Returns the directory of all modules to check, with an environment in `venv`.
    """
    directory = tmp_path_factory.mktemp("typedefs")
    venv.create(directory / "venv", symlinks=os.name != "nt")
    [site] = (directory / "venv").rglob("site-packages")
    package = Path(migas.__file__).parent
    shutil.copytree(package, site / "migas", ignore=shutil.ignore_patterns("__pycache__"))
    for library in (path for path in sys.path if path.endswith("site-packages")):
        for entry in os.scandir(library):
            # Another migas may be there, which a checker would fall back on.
            if not entry.name.startswith("migas") and not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry.path)
    for name, examples in MODULES.items():
        (directory / f"{name}_open.pyi").write_text(declare(find_open_names(examples)), "utf-8")
        lines = [f"from {name}_open import *", *examples]
        (directory / f"{name}.py").write_text("\n".join(lines), "utf-8")
    (directory / "right.py").write_text(RIGHT)
    (directory / "wrong.py").write_text(WRONG)
    return directory


def run(directory: Path, *arguments: str) -> str:
    """Return what a checker prints, or fail if it breaks."""
    path = f"{find_programs(directory)}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=directory,
        env={**os.environ, "PATH": path},  # pyright asks the first Python there what it has
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def find_programs(directory: Path) -> Path:
    """Return where the interpreter is of the environment in which the package is installed."""
    return directory / "venv" / ("Scripts" if os.name == "nt" else "bin")


def run_mypy(directory: Path) -> list[Finding]:
    """Return what mypy finds."""
    python = f"--python-executable={find_programs(directory) / 'python'}"
    free = [f"--disable-error-code={code}" for code in FREE_BY_MYPY]
    files = sorted(path.name for path in directory.glob("*.py"))
    said = run(directory, "mypy", "--config-file=", python, "--strict", *free, *files)
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", said, re.MULTILINE)
    return [Finding(file, int(line), text) for file, line, text in found]


def run_pyright(directory: Path) -> list[Finding]:
    """Return what pyright finds."""
    rules: dict[str, object] = {"typeCheckingMode": "strict", **dict.fromkeys(FREE, False)}
    (directory / "pyrightconfig.json").write_text(json.dumps(rules))
    files = sorted(path.name for path in directory.glob("*.py"))
    said = json.loads(run(directory, "basedpyright", "--level", "error", "--outputjson", *files))
    return [
        Finding(
            Path(each["file"]).name,
            each["range"]["start"]["line"] + 1,
            each["message"] + f" [{each.get('rule')}]",
        )
        for each in said["generalDiagnostics"]
    ]


CHECKERS: dict[str, tuple[str, Callable[[Path], list[Finding]]]] = {
    "mypy": ("mypy", run_mypy),
    "pyright": ("basedpyright", run_pyright),
}


@pytest.fixture(scope="module", params=CHECKERS)
def findings(request: pytest.FixtureRequest, installed: Path) -> list[Finding]:
    """What one of the checkers finds in all modules."""
    module, check = CHECKERS[request.param]
    need(module)
    return check(installed)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODULES, "right"])
def test_right_lines_pass(findings: list[Finding], name: str) -> None:
    """The documentation's own, and what else hosts do with each function."""
    assert "\n".join(map(str, (each for each in findings if each.file == f"{name}.py"))) == ""


@pytest.mark.slow
def test_wrong_lines_are_found(findings: list[Finding]) -> None:
    """Each of them: a misspelt field, a status that is none, a key that no answer has."""
    found = {each.line for each in findings if each.file == "wrong.py"}
    lines = dict(enumerate(WRONG.splitlines(), 1))
    assert [lines[number] for number in lines if number > 2 and number not in found] == []
    assert found <= set(lines) - {1, 2}


@pytest.mark.slow
def test_no_type_of_a_public_name_is_left_to_a_checker(installed: Path) -> None:
    """Where one is not written, each checker infers its own."""
    need("basedpyright")
    arguments = ("--verifytypes", "migas", "--ignoreexternal", "--outputjson")
    symbols = json.loads(run(installed, "basedpyright", *arguments))["typeCompleteness"]["symbols"]
    names = {each["name"] for each in symbols if each["isExported"] and not each["isTypeKnown"]}
    assert len(symbols) > 300
    assert {name for name in names if not name.startswith(("migas.cli", "migas.testing."))} == set()


def test_the_documentation_has_examples() -> None:
    """Else the test above were true of nothing."""
    assert "migas.add_project(" in MODULES["page_readme"][0]


def test_names_that_an_example_leaves_open_are_declared() -> None:
    """And no others; what an example gives a value to, the next may read."""
    first = """
import a.b
from c import d as e
def f(g): return a, e, f, g, h, print
try: k
except E as j: j
"""
    assert find_open_names([first, "f(h, l)\nm = e", "m, l"]) == {"h", "k", "l", "E"}


def test_the_types_name_the_fields_of_a_breadcrumb() -> None:
    """All of them, in their order: those that a caller may pass, and those that are sent."""
    fields = breadcrumb.Breadcrumb._fields
    assert tuple(get_type_hints(migas.typedefs.Breadcrumb)) == fields
    assert set(get_type_hints(migas.typedefs.Fields)) == set(fields) - {
        "project",
        "project_version",
    }


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (migas.typedefs.Status, "Status"),
        (migas.typedefs.Container, "Container"),
        (migas.typedefs.UserType, "User"),
    ],
)
def test_the_types_name_the_servers_words(words: object, name: str) -> None:
    """What its schema takes, no word more and none less."""
    enum = SCHEMA.type_map[name]
    assert isinstance(enum, GraphQLEnumType)
    assert set(get_args(words)) == set(enum.values)


def test_the_types_cost_nothing_until_they_are_imported(host: Host) -> None:
    """Neither `typing` nor the module is loaded by the import, nor by a call of each function."""
    code = """
import sys, migas
migas.add_project('owner/repo', '1', status='C', unknown=1)
migas.track('owner/repo', '1')
print('migas.typedefs' in sys.modules)
print(migas.typedefs.Fields.__name__)
"""
    ended = host.run(code, {"MIGAS_OPTOUT": "1"})
    assert (ended.out, ended.calmly) == ("False\nFields\n", True), ended
