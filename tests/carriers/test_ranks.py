"""What a person would call one use is one, however many ranks a launcher starts side by side.

Each test runs a small host under a real launcher, and notes a line of the README's table.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, need

from .launchers import LAUNCHERS
from .spark import ENVIRON, SPARK, need_spark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Row

pytestmark = pytest.mark.slow

#: A program that speaks MPI if that can be had.
PROGRAM = """
import package
try:
    from mpi4py import MPI
except ImportError:
    pass
else:
    assert MPI.COMM_WORLD.Get_size() == 4
"""

#: Starts a program from each rank.
STARTS = """
import package, subprocess, sys
subprocess.run([sys.executable, 'other.py'], check=True)
"""

OTHER = "import migas\nmigas.add_project('owner/repo', 'other')\n"

#: Gives a command numbers of processes of its own, the same each time: those of a container.
CONTAINER = "unshare --pid --fork --mount-proc"

#: What is run, and the uses that a person would count.
COMMANDS = {
    "a shell in between": ("{mpirun} -n 4 sh -c '{python} starts.py; true'", 1),
    "rank 0 another program": ("{mpirun} -n 1 true : -n 3 {python} starts.py", 1),
    "two programs in each rank's shell": (
        "{mpirun} -n 4 sh -c '{python} -m package; {python} -m package; true'",
        2,
    ),
    "two launches of one job": (
        "export LSB_JOBID=7; {ranks} && {ranks}".format(
            ranks="{container} {mpirun} -n 4 {python} program.py"
        ),
        2,
    ),
}

#: How many times a command in `COMMANDS` starts the other program.
OTHERS = {"a shell in between": 4, "rank 0 another program": 3}


@pytest.fixture(autouse=True)
def programs(package: Path) -> None:
    """The programs beside the host's package."""
    for name, code in (("program", PROGRAM), ("starts", STARTS), ("other", OTHER)):
        (package / f"{name}.py").write_text(code)


def find_container() -> str:
    """Return what starts a command in a container, or `""` where none can be made."""
    command = [*CONTAINER.split(), "true"]
    able = shutil.which("unshare") and not subprocess.run(command, check=False).returncode
    return CONTAINER if able else ""


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_ranks_of_mpi(
    tmp_path: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    note: Callable[..., Row],
    launcher: str,
    kind: str,
) -> None:
    """One launch is one use; what each rank starts is a use each."""
    mpirun, (command, right) = LAUNCHERS[launcher], COMMANDS[kind]
    if not mpirun.is_there():
        pytest.skip(f"{mpirun.command} is not installed")
    names = {"mpirun": mpirun.command, "python": sys.executable, "container": find_container()}
    text = command.format(**names)
    process = start("sh", "-c", text, **mpirun.environ)
    assert process.wait(2 * PATIENCE) == 0, (tmp_path / "log").read_text()
    row = note(f"{launcher}: {kind}", right)
    # A session is a launch's.
    assert (row.uses, row.runs, row.users) == (right, 1 + ("launches" in kind), 1)
    if others := OTHERS.get(kind):
        row = note(f"{launcher}: {kind}, what the ranks start", others, "other")
        assert row.uses == others


def test_the_programs_of_spark_below_a_rank(
    package: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    note: Callable[..., Row],
) -> None:
    """Their workers are those of each program, not of the rank, which started them all."""
    need_spark()
    mpirun = next((each for each in LAUNCHERS.values() if each.is_there()), None)
    if mpirun is None:
        pytest.skip("no launcher of MPI is installed")
    (package / "main.py").write_text(SPARK.format(before="", after=""))
    python = f"{sys.executable} main.py"
    command = f"{mpirun.command} -n 1 true : -n 1 sh -c '{python} && {python}'"
    process = start("sh", "-c", command, **mpirun.environ, **ENVIRON)
    assert process.wait(2 * PATIENCE) == 0, (package / "log").read_text()
    row = note("two programs of Spark in a rank's shell", 2)
    assert (row.uses, row.runs) == (2, 2)


def test_the_ranks_of_torchrun(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]], note: Callable[..., Row]
) -> None:
    """And each of two launches in one script, by the same name and port."""
    need("torch")
    torchrun = f"{sys.executable} -m torch.distributed.run --nproc-per-node 4"
    command = f"{torchrun} --rdzv-id 7 -m package && {torchrun} --rdzv-id 7 -m package"
    process = start("sh", "-c", command)
    assert process.wait(2 * PATIENCE) == 0, (tmp_path / "log").read_text()
    row = note("torchrun, two launches", 2)
    assert (row.uses, row.runs) == (2, 2)


SUITE = """
import pytest
@pytest.mark.parametrize('number', range(8))
def test_it(number):
    import package
"""


def test_the_workers_of_xdist(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]], note: Callable[..., Row]
) -> None:
    """A suite that says that its tests may report."""
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "test_suite.py").write_text(SUITE)
    (tmp_path / "suite" / "pytest.ini").write_text("[pytest]\nmigas_telemetry = true\n")
    process = start(sys.executable, "-m", "pytest", "-n", "3", "-p", "no:cacheprovider", "suite")
    assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    row = note("pytest-xdist")
    assert (row.uses, row.runs) == (1, 1)
