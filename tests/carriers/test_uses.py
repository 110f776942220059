"""What a person would call one use is one, whatever has started the processes.

Each test runs a small host under a real launcher, and notes a line of the README's table.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import FORKS, PATIENCE, await_condition, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support import Host

    from migas.testing import Server

pytestmark = pytest.mark.slow

#: The host's package. Whoever imports it reports its use.
PACKAGE = "import migas\nmigas.add_project('owner/repo', '1')\n"

#: A program that imports it, and speaks MPI if that can be had.
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

#: mpi4py takes the library that it is told to.
MPICH = "env MPI4PY_MPIABI=mpich mpirun.mpich"

OPEN_MPI = "mpirun.openmpi --allow-run-as-root --oversubscribe"

#: What is run, and the uses that a person would count.
MPI = {
    "Open MPI": (f"{OPEN_MPI} -n 4 {{python}} program.py", 1),
    "Open MPI, a shell in between": (f"{OPEN_MPI} -n 4 sh -c '{{python}} starts.py; true'", 1),
    "Open MPI, rank 0 another program": (f"{OPEN_MPI} -n 1 true : -n 3 {{python}} starts.py", 1),
    "Open MPI, twice": (
        f"{OPEN_MPI} -n 4 {{python}} program.py && {OPEN_MPI} -n 4 {{python}} program.py",
        2,
    ),
    "MPICH": (f"{MPICH} -n 4 {{python}} program.py", 1),
    "MPICH, a shell in between": (f"{MPICH} -n 4 sh -c '{{python}} starts.py; true'", 1),
    "MPICH, rank 0 another program": (f"{MPICH} -n 1 true : -n 3 {{python}} starts.py", 1),
    "MPICH, twice": (
        f"{MPICH} -n 4 {{python}} program.py && {MPICH} -n 4 {{python}} program.py",
        2,
    ),
}

#: How many times a host in `MPI` starts the other program.
OTHERS = {"a shell in between": 4, "rank 0 another program": 3}

RAY = """
import logging, sys
{before}
import ray
ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level='ERROR')
{after}

@ray.remote
def task(number):
    import package
    return number

@ray.remote
class Actor:
    def work(self, number):
        import package
        return number

assert sorted(ray.get([task.remote(number) for number in range(6)])) == list(range(6))
actors = [Actor.remote() for _ in range(2)]
assert ray.get([actor.work.remote(7) for actor in actors]) == [7, 7]
ray.shutdown()
"""

SPARK = """
import os, sys
{before}
from pyspark.sql import SparkSession
spark = SparkSession.builder.master('local[3]').config('spark.ui.enabled', 'false').getOrCreate()
context = spark.sparkContext
context.setLogLevel('OFF')
{after}

def work(number):
    import package
    return number

assert sorted(context.parallelize(range(6), 6).map(work).collect()) == list(range(6))
spark.stop()
"""

DASK = """
import logging
import distributed

def work(number):
    import package
    return number

def die():
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == '__main__':
    {before}
    with distributed.LocalCluster(2, dashboard_address=None, silence_logs=60) as cluster:
        with distributed.Client(cluster) as client:
            assert client.gather(client.map(work, range(6))) == list(range(6))
            for address in list(client.scheduler_info()['workers']):
                client.submit(die, workers=[address], pure=False, retries=0)
            client.wait_for_workers(2)
            assert client.gather(client.map(work, range(6, 12))) == list(range(6, 12))
"""

EXECUTOR = """
import concurrent.futures, multiprocessing
{before}

def work(number):
    import package
    return number

if __name__ == '__main__':
    context = multiprocessing.get_context('spawn')
    executor = concurrent.futures.ProcessPoolExecutor
    with executor(3, mp_context=context, max_tasks_per_child=1) as pool:
        assert sorted(pool.map(work, range(6))) == list(range(6))
"""

#: Hosts whose workers import the package; what they need; and where the driver does so as well.
POOLS = {
    "Ray": ("ray", RAY, {"before": "", "after": ""}),
    "Ray, reported before": ("ray", RAY, {"before": "import package", "after": ""}),
    "Ray, reported after": ("ray", RAY, {"before": "", "after": "import package"}),
    "Spark": ("pyspark", SPARK, {"before": "", "after": ""}),
    "Spark, reported before": ("pyspark", SPARK, {"before": "import package", "after": ""}),
    "Spark, reported after": ("pyspark", SPARK, {"before": "", "after": "import package"}),
    "Dask, workers killed": ("distributed", DASK, {"before": "import package"}),
    "ProcessPoolExecutor, a process for each task": (
        "concurrent.futures",
        EXECUTOR,
        {"before": ""},
    ),
}

#: Of these a person would count one; nobody has told the workers of the driver.
TWO = {"Spark, reported after"}


class Row(NamedTuple):
    """A line of the table."""

    carrier: str
    right: int
    uses: int
    runs: int
    users: int
    lost: int
    twice: int


def count(server: Server, version: str, carrier: str, right: int) -> Row:
    crumbs = [crumb for crumb in server.crumbs if crumb["version"] == version]
    runs, users = ({crumb[name] for crumb in crumbs} for name in ("session_id", "user_id"))
    more = len(crumbs) - right
    return Row(carrier, right, len(crumbs), len(runs), len(users), max(0, -more), max(0, more))


@pytest.fixture
def note(
    server: Server, deliver: Callable[[], None], record_property: Callable[[str, object], None]
) -> Callable[..., Row]:
    """Deliver what waits, and note a line of the table."""

    def note(carrier: str, right: int = 1, version: str = "1") -> Row:
        deliver()
        row = count(server, version, carrier, right)
        record_property("uses", tuple(row))
        return row

    return note


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's package, where each process finds it."""
    for name, code in (("package", PACKAGE), ("other", OTHER), ("starts", STARTS)):
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    # The guard compares a host with itself, and knows nothing of these.
    monkeypatch.setenv("GUARD_REPORTS", "")
    return tmp_path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a command, and end it with all that it has started."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
        with open(tmp_path / "log", "ab") as log:
            started.append(
                subprocess.Popen(
                    command,
                    cwd=tmp_path,
                    env={**environ, **FORKS},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("kind", MPI)
def test_the_ranks_of_mpi(
    tmp_path: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    note: Callable[..., Row],
    kind: str,
) -> None:
    """One launch is one use; what each rank starts is a use each."""
    command, right = MPI[kind]
    [program] = {word for word in command.split() if word.startswith("mpirun")}
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    process = start("sh", "-c", command.format(python=sys.executable))
    assert process.wait(2 * PATIENCE) == 0, (tmp_path / "log").read_text()
    row = note(kind, right)
    assert (row.uses, row.runs, row.users) == (right, right, 1)
    if others := OTHERS.get(kind.partition(", ")[2]):
        assert note(f"{kind}: what the ranks start", others, "other").uses == others


@pytest.mark.parametrize("kind", POOLS)
def test_the_workers_of_a_pool(host: Host, note: Callable[..., Row], kind: str) -> None:
    """Whether the driver reports the use as well, and whenever it does."""
    module, code, blanks = POOLS[kind]
    need(module.partition(".")[0])
    if module == "pyspark" and shutil.which("java") is None:
        pytest.skip("Java is not installed")
    environ = {**FORKS, "PYSPARK_PYTHON": sys.executable, "RAY_USAGE_STATS_ENABLED": "0"}
    ended = host.run_program({"main.py": code.format(**blanks)}, environ, measured=False)
    assert ended.status == 0, ended
    row = note(kind)
    assert (row.uses, row.users) == (1 + (kind in TWO), 1)


CELERY = """
import celery
from pathlib import Path
app = celery.Celery('tasks', broker='filesystem://')
app.conf.broker_transport_options = {
    'data_folder_in': 'queue', 'data_folder_out': 'queue', 'control_folder': 'control',
}
@app.task
def work(number):
    import package
    Path(f'done/{number}').touch()
"""


def test_the_workers_of_celery(
    tmp_path: Path,
    host: Host,
    start: Callable[..., subprocess.Popen[bytes]],
    note: Callable[..., Row],
) -> None:
    """Whose master does not import the package."""
    need("celery")
    (tmp_path / "tasks.py").write_text(CELERY)
    for name in ("queue", "control", "done"):
        (tmp_path / name).mkdir()
    ask = "import tasks; [tasks.work.delay(number) for number in range(6)]"
    assert host.run(ask, {**FORKS, "MIGAS_OPTOUT": "1"}, measured=False).status == 0
    command = (sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency=3")
    quiet = ("--without-gossip", "--without-mingle", "--max-tasks-per-child=1")
    worker = start(*command, *quiet)
    await_condition(lambda: len(list((tmp_path / "done").iterdir())) == 6)
    worker.terminate()
    worker.wait(PATIENCE)
    assert note("Celery").uses == 1


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
