"""A launch is known by what its processes have in common, and told from every other one."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import FORKS

from migas._runtime import place
from migas._runtime.launch import LAUNCH, find_launch, find_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas._runtime.launch import Part

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux says which processes are above")


def slurm(rank: int, **others: str) -> dict[str, str]:
    environ = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": f"{rank}", "SLURM_JOB_ID": "7"}
    return {**environ, "SLURM_STEP_ID": "0", "SLURM_CLUSTER_NAME": "here", **others}


def open_mpi(rank: int, **others: str) -> dict[str, str]:
    environ = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": f"{rank}"}
    return {**environ, "PMIX_NAMESPACE": "1024.1", **others}


def mpich(rank: int, **others: str) -> dict[str, str]:
    return {"PMI_SIZE": "4", "PMI_RANK": f"{rank}", **others}


def intel(rank: int, **others: str) -> dict[str, str]:
    return mpich(rank, **{"I_MPI_HYDRA_UUID": "7", **others})


def torchrun(rank: int, **others: str) -> dict[str, str]:
    environ = {"WORLD_SIZE": "4", "RANK": f"{rank}", "TORCHELASTIC_RUN_ID": "none"}
    return {**environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", **others}


def xdist(rank: int, **others: str) -> dict[str, str]:
    environ = {"PYTEST_XDIST_WORKER_COUNT": "4", "PYTEST_XDIST_WORKER": f"gw{rank}"}
    return {**environ, "PYTEST_XDIST_TESTRUNUID": "f" * 32, **others}


#: Each launcher's variables; what another launch of it has; and what makes it a launch of one.
LAUNCHERS = {
    "Slurm": (slurm, {"SLURM_STEP_ID": "1"}, {"SLURM_STEP_NUM_TASKS": "1"}),
    "Slurm, requeued": (slurm, {"SLURM_RESTART_COUNT": "1"}, {"SLURM_STEP_NUM_TASKS": "1"}),
    "Open MPI 5": (open_mpi, {"PMIX_NAMESPACE": "1024.2"}, {"OMPI_COMM_WORLD_SIZE": "1"}),
    "Open MPI 4": (
        open_mpi,
        {"OMPI_MCA_orte_hnp_uri": "5;tcp://127.0.0.1:1"},
        {"OMPI_COMM_WORLD_SIZE": "1"},
    ),
    "pytest-xdist": (
        xdist,
        {"PYTEST_XDIST_TESTRUNUID": "e" * 32},
        {"PYTEST_XDIST_WORKER_COUNT": "1"},
    ),
    "torchrun": pytest.param(
        torchrun, {"TORCHELASTIC_RUN_ID": "1"}, {"WORLD_SIZE": "1"}, marks=linux
    ),
    "MPICH": pytest.param(mpich, None, {"PMI_SIZE": "1"}, marks=linux),
    "Intel MPI": (intel, {"I_MPI_HYDRA_UUID": "8"}, {"PMI_SIZE": "1"}),
}


#: What is launched by a process of its own, which stands for a launcher.
LAUNCHED = "from migas._runtime.launch import *; print(find_launch(os.environ).key)"


#: What runs the variable `CODE`, and goes on as a shell.
SHELL = f'{sys.executable} -c "$CODE"; true'


def launch_anew(environ: dict[str, str], code: str = LAUNCHED) -> str:
    """Return what a process prints that a new launcher has started, with these variables."""
    pauses = f"import os, subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}]"
    launcher = f"{pauses}, env={{**os.environ, **{environ!r}}}, check=True)"
    done = subprocess.run(
        [sys.executable, "-c", launcher], capture_output=True, text=True, check=True
    )
    return done.stdout


def start(part: Part) -> str:
    """Return what a child is handed down by a process, which is another one than this."""
    return part.handed_down.replace(f":{os.getpid()}-", ":1-")


def find_key(environ: dict[str, str]) -> str:
    found = find_launch(environ)
    assert found is not None
    return found.key


@pytest.mark.parametrize(("make", "another", "alone"), LAUNCHERS.values(), ids=LAUNCHERS)
def test_the_ranks_of_a_launch_have_one_key(
    make: Callable[..., dict[str, str]], another: dict[str, str] | None, alone: dict[str, str]
) -> None:
    """Another launch has another; what was launched alone has none."""
    assert find_key(make(0)) == find_key(make(3))
    if another is not None:
        assert find_key(make(0)) != find_key(make(0, **another))
    assert find_launch(make(0, **alone)) is None


@pytest.mark.parametrize("size", ["", "0", "1", "-4", "4.0", "²", "9" * 5000])
def test_a_size_that_makes_no_sense_is_none(size: str) -> None:
    """Whatever a site has set."""
    assert find_launch(open_mpi(0, OMPI_COMM_WORLD_SIZE=size)) is None


def test_a_launcher_that_names_nothing_is_none() -> None:
    """A use that is counted twice is better than one that is lost."""
    assert find_launch(open_mpi(0, PMIX_NAMESPACE="")) is None
    assert find_launch(xdist(0, PYTEST_XDIST_TESTRUNUID="")) is None


@linux
def test_the_nearest_launcher_counts() -> None:
    """Slurm may have started no more than another launcher's helper on each node."""
    both = [{**slurm(rank), **open_mpi(2)} for rank in (0, 1)]
    assert find_key(both[0]) == find_key(both[1]) != find_key(slurm(0))
    assert find_key({**slurm(1), **mpich(2)}) == find_key(mpich(2))
    assert find_key({**slurm(1), **mpich(1)}) == find_key(slurm(1))
    assert find_key({**slurm(0), **torchrun(0)}) != find_key(slurm(0))
    assert find_key({**slurm(0), **torchrun(0)}) != find_key(torchrun(0))


@linux
@pytest.mark.parametrize(
    ("make", "local"),
    [(open_mpi, "OMPI_COMM_WORLD_LOCAL_SIZE"), (torchrun, "LOCAL_WORLD_SIZE")],
)
def test_launches_of_one_job_are_told_apart_where_all_ranks_are_here(
    make: Callable[..., dict[str, str]], local: str
) -> None:
    """In a container their names are the same. On several nodes only the job is in common."""
    job = {**slurm(0), **make(1)}
    here = {**job, local: "4"}
    assert launch_anew(here) != launch_anew(here)
    assert launch_anew({**job, local: "2"}) == launch_anew({**job, local: "2"})


SPARK = f"import sys, types; sys.modules['pyspark.worker'] = types.ModuleType('it')\n{LAUNCHED}"


@linux
def test_workers_of_spark_are_their_programs_and_not_the_ranks_below_which_they_run() -> None:
    """A rank may have started what runs one program of Spark after another."""
    environ = slurm(0)
    assert launch_anew(environ) == launch_anew(environ)
    shell = f"import subprocess\nsubprocess.run(['sh', '-c', {SHELL!r}], check=True)"
    first, second = (launch_anew({**environ, "CODE": SPARK}, shell) for _ in range(2))
    assert first != second


def test_a_variable_that_is_no_text_is_no_error() -> None:
    """As of a system whose environment is in no encoding."""
    assert find_key(open_mpi(0, PMIX_NAMESPACE="\udcff")) != find_key(open_mpi(0))


def test_the_key_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two users of one launcher, as in a class, are two runs."""
    first = find_key(open_mpi(0))
    if hasattr(os, "getuid"):
        monkeypatch.setattr(os, "getuid", lambda: 54321)
    else:
        monkeypatch.setenv("USERNAME", "somebody")
    assert find_key(open_mpi(0)) != first


def test_what_a_rank_starts_reports_for_itself() -> None:
    """It inherits the session and which launch this was."""
    rank = find_part(open_mpi(1), None)
    assert rank.scope
    assert rank.session_id is not None
    child = find_part({**open_mpi(1), LAUNCH: start(rank)}, UUID)
    assert (child.session_id, child.scope) == (UUID, "")
    # And what is launched from there is a run of its own, whatever session it inherits.
    other = find_part({**open_mpi(1, PMIX_NAMESPACE="2"), LAUNCH: start(child)}, UUID)
    assert other.scope not in ("", rank.scope)
    assert other.session_id not in (UUID, rank.session_id)


def test_a_program_that_starts_a_launcher_is_no_rank() -> None:
    """`submit.py`, which calls `sbatch`, which calls `srun`."""
    carrier = find_part({}, None)
    assert (carrier.scope, carrier.session_id, carrier.is_continued) == ("", None, False)
    ranks = [find_part({**slurm(rank), LAUNCH: start(carrier)}, UUID) for rank in (0, 1)]
    assert ranks[0].scope == ranks[1].scope != ""
    assert ranks[0].session_id == ranks[1].session_id
    assert ranks[0].session_id != UUID


def test_what_a_submitter_has_reported_is_not_told_to_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor to the workers of a rank that does not carry us: they are a run of their own."""
    monkeypatch.setattr(place, "is_worker_process", lambda: True)
    told = {LAUNCH: "none:1-1-0-0", "MIGAS_TOLD": "owner/repo 1 R"}
    assert not find_part({**slurm(1), **told}, UUID).is_continued


@linux
def test_what_begins_late_below_a_rank_is_a_program_of_its_own() -> None:
    """A pilot job, or a person at a prompt, starts one after the other."""
    code = "from migas._runtime.launch import *; print(find_launch(os.environ) is None)"
    late = f"import migas._runtime.launch as launch; launch._LATE = -1.0\n{code}"
    for text, is_alone in ((code, "False"), (late, "True")):
        done = subprocess.run(
            ["sh", "-c", '"$PYTHON" -c "$CODE"; true'],
            env={**os.environ, **open_mpi(0), "PYTHON": sys.executable, "CODE": text},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{is_alone}\n"


def test_a_session_that_a_person_has_set_holds_for_all_ranks() -> None:
    """A workflow may name one, and still the ranks are one use."""
    part = find_part(slurm(1), UUID)
    assert (part.session_id, part.sign) == (UUID, "inherited, by MIGAS_SESSION_ID")
    assert part.scope == find_part(slurm(2), UUID).scope != ""


def test_a_session_says_nothing_of_what_it_is_made_of() -> None:
    """It is a UUID, and the names of the launch are not in it."""
    session = find_part(open_mpi(0), None).session_id
    assert session is not None
    assert len(session) == 36
    assert "1024" not in find_part(open_mpi(0), None).handed_down.partition(":")[0]


EXECUTES = """
import os, sys
from migas._runtime.launch import find_part
part = find_part(os.environ, None)
print(part.is_continued)
if len(sys.argv) == 1:
    sys.stdout.flush()
    os.environ['MIGAS_LAUNCH'] = part.handed_down
    os.execv(sys.executable, [sys.executable, *({argv})])
"""


@linux
@pytest.mark.parametrize(
    ("argv", "then"), [("sys.argv[0], 'again'", "True"), ("'other.py', 'again'", "False")]
)
def test_a_program_that_executes_itself_goes_on(host: Host, argv: str, then: str) -> None:
    """Another one that it executes is a use of its own."""
    code = EXECUTES.format(argv=argv)
    ended = host.run_program({"main.py": code, "other.py": code}, FORKS, measured=False)
    assert (ended.out, ended.calmly) == (f"False\n{then}\n", True), ended


@linux
@pytest.mark.parametrize("make", [mpich, torchrun])
def test_a_shell_between_launcher_and_rank_changes_nothing(
    make: Callable[..., dict[str, str]],
) -> None:
    """`mpirun sh run.sh`."""

    def run(rank: int, command: list[str]) -> str:
        done = subprocess.run(
            command,
            env={**os.environ, "CODE": LAUNCHED, **make(rank)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    direct = run(0, [sys.executable, "-c", LAUNCHED])
    assert direct == run(1, ["sh", "-c", SHELL])
    assert direct == run(2, ["sh", "-c", f"sh -c '{SHELL}'; true"])


def test_a_process_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After it has handed down what it is, it would take itself for another."""
    from migas._agent.process import current_process

    for name, value in open_mpi(0).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MIGAS_SESSION_ID", UUID)  # that of a submitter's run
    monkeypatch.setenv(LAUNCH, "none:1-1-0-0")
    process = current_process()
    first = process.use_settings()
    assert first.session_id != UUID
    process.setup({"timeout": 3.0})
    second = process.use_settings()
    assert first.part is not None
    assert second.part is first.part
    assert (second.session_id, second.part.scope) == (first.session_id, first.part.scope)
