"""Ranks and workers that nobody has told anything of each other are one use, in one session.

The launchers are played here; real ones are in `tests/carriers` and `tests/cluster`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support import FORKS, NOWHERE, versions
from test_start_methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server

#: The package that a host imports; whoever does so reports its use.
PACKAGE = "import migas\nmigas.add_project('owner/repo', '1')\n"

RANKS = 3

LAUNCHERS = {
    "Open MPI": {
        "OMPI_COMM_WORLD_SIZE": "3",
        "OMPI_COMM_WORLD_RANK": "{}",
        "PMIX_NAMESPACE": "a.1",
    },
    "MPICH": {"PMI_SIZE": "3", "PMI_RANK": "{}"},
    "srun": {
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_PROCID": "{}",
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_ID": "0",
    },
    "torchrun": {
        "WORLD_SIZE": "3",
        "RANK": "{}",
        "TORCHELASTIC_RUN_ID": "none",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
    },
    "pytest-xdist": {
        "PYTEST_XDIST_WORKER_COUNT": "3",
        "PYTEST_XDIST_WORKER": "gw{}",
        "PYTEST_XDIST_TESTRUNUID": "ab" * 16,
    },
}

#: What needs Linux: to say which process has launched others.
BY_ANCESTOR = {"MPICH", "torchrun"}

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux says which processes are above")


def launch(host: Host, launcher: str, files: dict[str, str], again: str = "") -> None:
    """Start ranks side by side, and wait for them."""
    if launcher in BY_ANCESTOR and sys.platform != "linux":
        pytest.skip("only Linux says which process has launched this one")
    host.run_program({**files, "nothing.py": ""}, FORKS, ("nothing.py",), measured=False)
    ranks = []
    for rank in range(RANKS):
        variables = {name: v.format(rank) + again for name, v in LAUNCHERS[launcher].items()}
        sizes = {name: "3" for name in variables if name.endswith(("SIZE", "TASKS", "COUNT"))}
        ranks.append(host.start("", {**FORKS, **variables, **sizes}, arguments=("main.py",)))
    for process in ranks:
        out, err = process.communicate()
        assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ranks_are_one_use_and_one_run(
    host: Host, server: Server, deliver: Callable[[], None], launcher: str
) -> None:
    """And what they start is a use each, in the same session."""
    starts = "import subprocess, sys\nsubprocess.run([sys.executable, 'other.py'], check=True)\n"
    other = PACKAGE.replace("'1'", "'other'")
    launch(host, launcher, {"main.py": PACKAGE + starts, "other.py": other})
    deliver()
    assert versions(server) == ["1", *["other"] * RANKS]
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 1


@pytest.mark.slow
def test_the_next_launch_is_another_use(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """As of a job script that calls the same launcher twice."""
    for again in "", "1":
        launch(host, "srun", {"main.py": PACKAGE}, again)
    deliver()
    assert versions(server) == ["1", "1"]
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 2


@pytest.mark.slow
def test_a_run_of_ranks_has_one_start_and_one_end(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """However long each took; and in the one that reports each call counts."""
    code = """
import os, time
import migas
migas.track('owner/repo', '1')
time.sleep(1.1 * (os.environ['OMPI_COMM_WORLD_RANK'] == '1'))
for _ in range(2):
    migas.add_breadcrumb('owner/repo', 'step')
"""
    launch(host, "Open MPI", {"main.py": code})
    deliver()
    assert versions(server) == ["1", "1", "step", "step"]
    assert sorted(str(c["status"]) for c in server.crumbs if c["version"] == "1") == ["C", "R"]


@pytest.mark.slow
def test_each_rank_may_be_another_program(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """`mpirun -n 1 other : -n 2 python`: rank 0 need not carry migas."""
    code = f"import os\nif os.environ['OMPI_COMM_WORLD_RANK'] != '0':\n    {PACKAGE!r}\n"
    code = code.replace(repr(PACKAGE), "import package")
    launch(host, "Open MPI", {"main.py": code, "package.py": PACKAGE})
    deliver()
    assert versions(server) == ["1"]


@pytest.mark.slow
@linux
def test_each_program_that_a_ranks_shell_runs_is_a_use(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """The second reports what the first has reported; all ranks together do so once."""
    program = f"{sys.executable} again.py"
    shell = f"import os\nos.execlp('sh', 'sh', '-c', '{program}; {program}')"
    launch(host, "Open MPI", {"main.py": shell, "again.py": PACKAGE})
    deliver()
    assert versions(server) == ["1", "1"]


@pytest.mark.slow
def test_where_no_disk_is_shared_everybody_reports(
    host: Host, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that cannot be used loses nothing."""
    (home / "file").write_text("")
    monkeypatch.setenv("MIGAS_CACHE_DIR", str(home / "file" / "cache"))
    launch(host, "Open MPI", {"main.py": PACKAGE})
    assert versions(server) == ["1"] * RANKS
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 1


POOL = """
import sys
sys.path.insert(0, '.')
{head}
def work(number):
    import package
    return number
if __name__ == '__main__':
    for _ in range(2):
        {pool}
            assert sorted(pool.map(work, range(6))) == list(range(6))
"""

EXECUTOR = """with concurrent.futures.ProcessPoolExecutor(
            3, multiprocessing.get_context({!r}), max_tasks_per_child=1) as pool:"""

POOLS = {
    **{
        f"Pool, {method}": f"with multiprocessing.get_context({method!r}).Pool(3) as pool:"
        for method in METHODS
    },
    **{f"executor, {method}": EXECUTOR.format(method) for method in METHODS if method != "fork"},
    "loky": "for pool in (joblib.externals.loky.ProcessPoolExecutor(3),):",
    "billiard": "with billiard.Pool(3) as pool:",
}

HEADS = {"loky": "import joblib.externals.loky", "billiard": "import billiard"}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("kind", POOLS)
def test_the_workers_of_a_parent_without_us_are_one_use(
    host: Host, server: Server, deliver: Callable[[], None], kind: str
) -> None:
    """Whenever they begin: also in a second pool, and one for each task."""
    if kind in HEADS:
        pytest.importorskip(HEADS[kind].partition(" ")[2].partition(".")[0])
    head = HEADS.get(kind, "import concurrent.futures, multiprocessing")
    code = POOL.format(head=head, pool=POOLS[kind])
    ended = host.run_program({"main.py": code, "package.py": PACKAGE}, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    # A worker that is killed while its request is on the way has that made again.
    assert {*versions(server)} == {"1"}
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 1
    assert len(server.crumbs) == 1 or kind in ("billiard", "loky") or "Pool" in kind


TASKS = """
import multiprocessing, sys
sys.path.insert(0, '.')
def work(number):
    import package
    package.migas.add_project('owner/repo', '1')
    return number
if __name__ == '__main__':
    with multiprocessing.get_context({!r}).Pool(3) as pool:
        assert sorted(pool.map(work, range(6), 1)) == list(range(6))
        {}
        pool.close()
        pool.join()
"""


@pytest.mark.slow
@linux
@pytest.mark.parametrize("then", ["pass", "import package"], ids=["alone", "parent"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_a_pools_tasks_report_counts_each(
    host: Host, server: Server, deliver: Callable[[], None], method: str, then: str
) -> None:
    """What is reported while the package is imported is one use, though the parent is the last."""
    files = {"main.py": TASKS.format(method, then), "package.py": PACKAGE}
    ended = host.run_program(files, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["1"] * 7
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 1


FORKING = """
import os, sys
sys.path.insert(0, '.')
for number in range(3):
    if (pid := os.fork()) == 0:
        import package
        migas = package.migas
        migas.add_project('owner/repo', '1')  # a request's, say
        sys.exit()
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.slow
@linux
def test_what_forks_import_is_one_use_and_what_they_do_is_their_own(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """As of gunicorn's workers, and of any server that forks."""
    ended = host.run_program({"main.py": FORKING, "package.py": PACKAGE}, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["1"] * 4
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 1


TRACKS = FORKING.replace("migas.add_project('owner/repo', '1')  # a request's, say", "pass")


@pytest.mark.slow
@linux
def test_a_run_that_forks_begin_has_one_end(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """Though nothing is imported any more when it ends."""
    package = "import migas\nmigas.track('owner/repo', '1')\n"
    ended = host.run_program({"main.py": TRACKS, "package.py": package}, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    assert sorted(str(crumb["status"]) for crumb in server.crumbs) == ["C", "R"]


@pytest.mark.slow
@linux
def test_another_programs_forks_are_told_nothing(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """What has started that program has reported a use of its own."""
    starts = (
        f"{PACKAGE}import subprocess, sys\nsubprocess.run([sys.executable, 'fork.py'], check=True)"
    )
    files = {"main.py": starts, "fork.py": TRACKS, "package.py": PACKAGE}
    ended = host.run_program(files, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["1", "1"]


@pytest.mark.slow
@linux
def test_a_variable_of_a_reloader_in_a_shell_is_none(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """Each program there is a use of its own."""
    shell = "import subprocess, sys\nsubprocess.run(['sh', '-c', sys.argv[1]], check=True)"
    twice = f"export RUN_MAIN=true; {sys.executable} main.py; {sys.executable} main.py"
    files = {"main.py": PACKAGE, "shell.py": shell}
    ended = host.run_program(files, FORKS, ("shell.py", twice), measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["1", "1"]


RELOADED = """
import os, subprocess, sys, threading
{carries}
if os.environ.get({name!r}) == 'true':
    import package
    subprocess.run([sys.executable, 'other.py'], check=True)
    report = lambda: package.migas.add_project('owner/repo', '1')
    report()
    request = threading.Thread(target=report)
    request.start()
    request.join()
else:
    for _ in range(2):
        environ = {{**os.environ, {name!r}: 'true'}}
        subprocess.run([sys.executable, 'main.py'], env=environ, check=True)
"""


@pytest.mark.slow
@linux
@pytest.mark.parametrize("name", ["WERKZEUG_RUN_MAIN", "RUN_MAIN"])
@pytest.mark.parametrize("carries", ["", "import package"], ids=["alone", "told"])
def test_a_reloaded_server_is_one_use(
    host: Host, server: Server, deliver: Callable[[], None], name: str, carries: str
) -> None:
    """What it reports on its main thread belongs to its start, which its parent has told.

    What it starts is a use each, and so is what a request reports on another thread.
    """
    code = RELOADED.format(name=name, carries=carries)
    files = {"main.py": code, "package.py": PACKAGE, "other.py": PACKAGE}
    ended = host.run_program(files, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    # Who has nobody to tell it reports twice at the first start: in one process each call counts.
    assert versions(server) == ["1"] * (5 if carries else 6)


@pytest.mark.slow
def test_the_others_hear_why_nothing_is_sent(host: Host, spool: Callable[..., Spool]) -> None:
    """And leave nothing on disk."""
    code = (
        "import migas\nr = migas.add_project('owner/repo', '1')\nassert r.result(50)['message'] {}"
    )
    environ = {name: value.format(1) for name, value in LAUNCHERS["Open MPI"].items()}
    host.run("import migas\nmigas.add_project('owner/repo', '1')", {**FORKS, **environ})
    told = code.format("== 'nothing is sent: another process of this run has reported it'")
    assert host.run(told, {**FORKS, **environ}).calmly
    assert len(spool(NOWHERE).list_pending()) == 1
