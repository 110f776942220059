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
from examples import declare, find_open_names, read_module
from graphql import GraphQLEnumType
from support import Host, need

import migas
import migas.types
from migas._crumb import breadcrumb
from migas.testing.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "migas" / "docs").glob("*.md"))]
MODULES = {f"page_{path.stem.lower()}": read_module(path) for path in PAGES}

#: What examples may do and a program may not: define a name again, leave a value unused.
FREE = (
    "reportDuplicateImport",
    "reportRedeclaration",
    "reportUnusedClass",
    "reportUnusedExpression",
    "reportUnusedFunction",
    "reportUnusedImport",
    "reportUnusedVariable",
)

#: What hosts do. Each line is right.
RIGHT = """
import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from typing import Any, Unpack, assert_type

import migas
from migas.types import Answer, BeforeSend, Breadcrumb, ErrorHandlers, Fields, Status, Track
from migas.types import Usage, VersionNews

receipt = migas.add_project("owner/repo", "1", status="R", is_ci=None, container="docker")
assert_type(receipt, migas.Receipt)
assert_type(receipt["success"], bool)
assert_type(receipt["message"], str)
assert_type(receipt["latest_version"], str)
assert_type(receipt["bad_versions"], list[str])
assert_type(receipt.get("success"), bool)
assert_type(receipt.get("latest_version"), str | None)
assert_type(receipt.get("latest_version", "0"), str)
assert_type(receipt.get("bad_versions", []), list[str])
assert_type(receipt.result(timeout=1.5), Answer)
assert_type(receipt.result()["success"], bool)
assert_type(receipt.copy(), Answer)
assert_type(receipt.done(), bool)
assert_type(receipt.future(), Future[Answer])
assert_type(dict(receipt), dict[str, object])
assert_type({**receipt}, dict[str, object])
assert_type(receipt | {"more": 1}, dict[str, object])
assert_type([key for key in receipt], list[str])
receipt.add_done_callback(lambda done: print(done["success"]))
plain: Mapping[str, object] = receipt
wait([receipt.future()], timeout=1)

async def use_future() -> bool:
    return (await asyncio.wrap_future(receipt.future()))["success"]

migas.add_breadcrumb("owner/repo", "1")
migas.add_breadcrumb("owner/repo", "1", True, status="completed", status_desc="done")
migas.add_breadcrumb("owner/repo", project_version="1", wait=True, user_type="dev")
assert_type(migas.get_usage("owner/repo", "2026-01-01"), Usage)
assert_type(migas.get_usage("owner/repo", "2026-01-01", unique=True)["hits"], int)
assert_type(migas.check_project("owner/repo", "1"), VersionNews)
assert_type(migas.check_project("owner/repo", "1", language="python")["latest"], str)
assert_type(migas.flush(), int)

def count(one: int, *, two: str = "") -> bool:
    return one > len(two)
async def fetch(one: int) -> bytes:
    return bytes(one)
def items(one: int) -> Iterator[int]:
    yield one
async def stream(one: int) -> AsyncIterator[int]:
    yield one

run = migas.track("owner/repo", "1", signals=None, init_ping=False, session_id=None)
assert_type(run, Track)
assert_type(run.project, str)
assert_type(run(count)(1, two=""), bool)
assert_type(run(items)(1), Iterator[int])
assert_type(run(stream)(1), AsyncIterator[int])
async def use_fetch() -> bytes:
    return await run(fetch)(1)
run.start()
run.stop(ValueError("too small"))
with migas.track("owner/repo", "1") as block:
    assert_type(block, Track)
def after_block() -> int:
    with migas.track("owner/repo", "1"):
        return 1

def explain(etype: type[BaseException], text: str, traceback: object) -> Fields:
    return {"status": "F", "status_desc": "out of memory", "error_type": etype.__name__}

named = {"MemoryError": explain}
by_class = {MemoryError: explain}
handlers: ErrorHandlers = ["nipype", {"OSError": lambda kind, text, _: None}, by_class]
migas.track("owner/repo", "1", handlers)
migas.track("owner/repo", "1", error_handlers=named)
migas.track("owner/repo", "1", error_handlers=[by_class, named])
migas.track_exit("owner/repo", "1", {"MemoryError": explain})
migas.error.inspect_error(named)

def edit(crumb: Breadcrumb) -> Breadcrumb | None:
    crumb["error_desc"] = None
    return None if crumb["is_ci"] else {**crumb, "platform": "any"}

migas.setup(endpoint="http://localhost:8000", before_send=edit)
migas.setup(before_send=lambda crumb: crumb if crumb["status"] == "C" else None)
hook: BeforeSend = edit

def send(step: str, **kwargs: Unpack[Fields]) -> migas.Receipt:
    kwargs["status_desc"] = step
    status: Status = "completed"
    migas.add_project("owner/repo", "1", status=status)
    return migas.add_breadcrumb("owner/repo", "1", **kwargs)

def send_loosely(**kwargs: Any) -> migas.Receipt:
    migas.add_project("owner/repo", "1", **kwargs)
    migas.track_exit("owner/repo", "1", **kwargs)
    return migas.add_breadcrumb("owner/repo", "1", **kwargs)

migas.config.setup(session_id="3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11")
migas.operations.add_breadcrumb("owner/repo", "1")
"""

#: What a checker has to find. Each line is wrong, and stands by itself.
WRONG = [
    'migas.add_project("owner/repo", "1", satus="C")',
    'migas.add_project("owner/repo", "1", status="Done")',
    'migas.add_project("owner/repo", "1", status=1)',
    'migas.add_project("owner/repo", "1", user_type="developer")',
    'migas.add_project("owner/repo", "1", container="a box")',
    'migas.add_project("owner/repo", "1", is_ci="yes")',
    'migas.add_project("owner/repo", "1", error_type=ValueError)',
    'migas.add_project("owner/repo", 1.5)',
    'migas.add_project("owner/repo")',
    'migas.add_breadcrumb("owner/repo")',
    'migas.add_breadcrumb("owner/repo", "1", version="1")',
    'migas.add_breadcrumb("owner/repo", "1", project_version="1")',
    'migas.add_breadcrumb("owner/repo", "1", wait="no")',
    'migas.add_breadcrumb("owner/repo", "1", status="done")',
    'migas.check_project("owner/repo", "1", staus="C")',
    'migas.track("owner/repo", "1", satus="C")',
    'migas.track("owner/repo", "1", status="Done")',
    'migas.track("owner/repo", "1", error_handlers="nypipe")',
    'migas.track("owner/repo", "1", error_handlers={ValueError: 7})',
    'migas.track("owner/repo", "1", error_handlers={ValueError: lambda: None})',
    'migas.track("owner/repo", "1", signals=15)',
    'migas.track("owner/repo", "1").finish()',
    'migas.track("owner/repo", "1").stop("too small")',
    'migas.track("owner/repo", "1")(count)("one")',
    'migas.track("owner/repo", "1")(count)(1).real()',
    'migas.track_exit("owner/repo", "1", stats="C")',
    'migas.get_usage("owner/repo")',
    'migas.get_usage("owner/repo", 20260101)',
    'migas.get_usage("owner/repo", "2026-01-01")["hit"]',
    'migas.get_usage("owner/repo", "2026-01-01")["hits"].lower()',
    'migas.check_project("owner/repo", "1")["latest_version"]',
    'migas.add_project("owner/repo", "1")["success"].lower()',
    'migas.add_project("owner/repo", "1")["latest"].lower()',
    'migas.add_project("owner/repo", "1").get("latest_version").lower()',
    'migas.add_project("owner/repo", "1").result(timeout="1")',
    'migas.add_project("owner/repo", "1").result()["succes"]',
    'migas.add_project("owner/repo", "1").future().result()["mesage"]',
    'migas.add_project("owner/repo", "1").add_done_callback(lambda: None)',
    'migas.add_project("owner/repo", "1").add_done_callback(lambda done: done.reslt())',
    'migas.setup(endpont="http://localhost:8000")',
    'migas.setup(before_send="yes")',
    'migas.setup(before_send=lambda crumb: crumb["satus"])',
    'migas.setup(before_send=lambda crumb: {**crumb, "status": "Done"})',
    'migas.setup(before_send=lambda crumb: {**crumb, "colour": "red"})',
    'migas.flush("10")',
    "migas.telemetry",
    "migas.types.Colours",
]
WRONG_HEAD = "import migas\ndef count(one: int) -> int: return one\n"


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
    directory = tmp_path_factory.mktemp("types")
    venv.create(directory / "venv", symlinks=os.name != "nt")
    [site] = (directory / "venv").rglob("site-packages")
    package = Path(migas.__file__).parent
    shutil.copytree(package, site / "migas", ignore=shutil.ignore_patterns("__pycache__"))
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (site / "here.pth").write_text("\n".join(libraries) + "\n")
    for name, text in MODULES.items():
        (directory / f"{name}_open.pyi").write_text(declare(find_open_names(text)), "utf-8")
        (directory / f"{name}.py").write_text(f"from {name}_open import *\n{text}", "utf-8")
    (directory / "right.py").write_text(RIGHT)
    (directory / "wrong.py").write_text(WRONG_HEAD + "\n".join(WRONG) + "\n")
    return directory


def run(directory: Path, *arguments: str) -> str:
    """Return what a checker prints, or fail if it breaks."""
    command = [sys.executable, "-m", *arguments, *sorted(p.name for p in directory.glob("*.py"))]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def find_python(directory: Path) -> str:
    """Return the interpreter of the environment in which the package is installed."""
    return str(directory / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")


def run_mypy(directory: Path) -> list[Finding]:
    """Return what mypy finds."""
    arguments = ("--config-file=", f"--python-executable={find_python(directory)}", "--strict")
    said = run(directory, "mypy", *arguments, "--disable-error-code=no-redef")
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", said, re.MULTILINE)
    return [Finding(file, int(line), text) for file, line, text in found]


def run_pyright(directory: Path) -> list[Finding]:
    """Return what pyright finds."""
    rules: dict[str, object] = {"typeCheckingMode": "strict", **dict.fromkeys(FREE, False)}
    (directory / "pyrightconfig.json").write_text(json.dumps(rules))
    arguments = ("--pythonpath", find_python(directory), "--level", "error", "--outputjson")
    said = json.loads(run(directory, "basedpyright", *arguments))
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
    first = WRONG_HEAD.count("\n") + 1
    found = {each.line for each in findings if each.file == "wrong.py"}
    assert [line for number, line in enumerate(WRONG, first) if number not in found] == []
    assert found <= set(range(first, first + len(WRONG)))


def test_the_documentation_has_examples() -> None:
    """Else the test above were true of nothing."""
    assert "migas.add_project(" in MODULES["page_readme"]


def test_names_that_an_example_leaves_open_are_declared() -> None:
    """And no others."""
    code = """
import a.b
from c import d as e
def f(g): return a, e, f, g, h, print
try: k
except E as j: j
"""
    assert find_open_names(code) == {"h", "k", "E"}


def test_the_types_name_the_fields_of_a_breadcrumb() -> None:
    """All of them, in their order: those that a caller may pass, and those that are sent."""
    fields = breadcrumb.Breadcrumb._fields
    assert tuple(get_type_hints(migas.types.Breadcrumb)) == fields
    assert set(get_type_hints(migas.types.Fields)) == set(fields) - {"project", "project_version"}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (migas.types.Status, "Status"),
        (migas.types.Container, "Container"),
        (migas.types.UserType, "User"),
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
print('migas.types' in sys.modules)
print(migas.types.Fields.__name__)
"""
    ended = host.run(code, {"MIGAS_OPTOUT": "1"})
    assert (ended.out, ended.calmly) == ("False\nFields\n", True), ended
