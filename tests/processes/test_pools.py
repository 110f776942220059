"""Workers that are killed as a matter of course: what a call has noted is on disk when it returns.

A pool ends its workers without a word as soon as it has their results (pain 42).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from support import FORKS, PATIENCE, await_condition, need, versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas.testing import Server

#: Pools of each kind, one after the other; more with MIGAS_TEST_ROUNDS.
ROUNDS = int(os.environ.get("MIGAS_TEST_ROUNDS", "2"))

#: Breadcrumbs that each pool's workers add.
TASKS = 5

PROGRAM = """
import sys
{head}
def work(number):
    import migas
    migas.add_project('owner/repo', f'{{number}}')
if __name__ == '__main__':
    for first in range(0, {rounds} * {tasks}, {tasks}):
        numbers = range(first, first + {tasks})
        {pool}
            list(pool.map(work, numbers))
            {kill}
"""

#: What each kind imports, and a pool that ends its workers with the task of the last hardly done.
POOLS = {
    "fork": ("multiprocessing", "with multiprocessing.get_context('fork').Pool(3) as pool:"),
    "spawn": ("multiprocessing", "with multiprocessing.get_context('spawn').Pool(3) as pool:"),
    "forkserver": (
        "multiprocessing",
        "with multiprocessing.get_context('forkserver').Pool(3) as pool:",
    ),
    "billiard": ("billiard", "with billiard.Pool(3) as pool:"),
    "loky": (
        "joblib.externals.loky",
        "for pool in (joblib.externals.loky.ProcessPoolExecutor(3),):",
    ),
}

#: Python 3.12 and later warn of a fork beside threads; and loky's own tracker, of a name that a
#: worker had removed when it was killed.
QUIET = {**FORKS, "PYTHONWARNINGS": "ignore::DeprecationWarning,ignore:resource_tracker"}

#: What ends a pool whose block does not.
KILL = {"loky": "pool.shutdown(kill_workers=True)"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", POOLS)
def test_a_pool_that_ends_at_once_loses_nothing(
    host: Host, server: Server, deliver: Callable[[], None], kind: str
) -> None:
    """The workers import the host for the task's sake, and are killed when it is done.

    A request that is on its way then is made again, since no answer was read.
    """
    if kind not in ("billiard", "loky", *multiprocessing.get_all_start_methods()):
        pytest.skip("this system does not start processes so")
    module, pool = POOLS[kind]
    need(module.partition(".")[0])
    code = PROGRAM.format(
        head=f"import {module}", pool=pool, kill=KILL.get(kind, ""), rounds=ROUNDS, tasks=TASKS
    )
    ended = host.run_program({"main.py": code}, QUIET)
    assert ended.calmly, ended
    deliver()
    assert {*versions(server)} == {*map(str, range(ROUNDS * TASKS))}


SET_UP_BEFORE = """
import logging, multiprocessing, sys
sys.path.insert(0, '.')
import migas
def work(_):
    import package
if __name__ == '__main__':
    migas.setup(before_send=lambda crumb: crumb)
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        pool.map(work, range(4))
        import package
        pool.close()
        pool.join()
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_host_that_was_set_up_before_its_pool_is_one_use_with_it(
    host: Host, server: Server, deliver: Callable[[], None], method: str
) -> None:
    """The parent reports after its workers, of which it knew nothing when it was set up."""
    files = {
        "main.py": SET_UP_BEFORE.format(method=method),
        "package.py": "import migas; migas.add_project('owner/repo', '1')",
    }
    ended = host.run_program(files, QUIET)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["1"]


#: What a worker may do with its first breadcrumb before it is killed by the next line.
FIRST_USES = {
    "in a function": "migas.add_project('owner/repo', '1')",
    "while a module is imported": "import package",
    "in a signal's handler": (
        "signal.signal(signal.SIGUSR1, lambda *_: migas.add_project('owner/repo', '1'));"
        " signal.raise_signal(signal.SIGUSR1)"
    ),
    "on a thread": (
        "thread = threading.Thread(target=migas.add_project, args=('owner/repo', '1'));"
        " thread.start(); thread.join()"
    ),
    "while another thread imports": (
        "threading.Thread(target=__import__, args=('slow',), daemon=True).start();"
        " go.wait(60); migas.add_project('owner/repo', '1')"
    ),
}

KILLED = """
import logging, multiprocessing, os, signal, sys, threading
sys.path.insert(0, '.')
go = threading.Event()
def work():
    import migas
    {use}
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == '__main__':
    worker = multiprocessing.get_context({method!r}).Process(target=work)
    worker.start()
    worker.join()
    print(worker.exitcode)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
@pytest.mark.parametrize("use", FIRST_USES.values(), ids=FIRST_USES)
def test_a_workers_first_use_is_on_disk_when_the_call_returns(
    host: Host, server: Server, deliver: Callable[[], None], use: str
) -> None:
    """The writer's thread loads nothing while the host imports: then the caller does."""
    files = {
        "main.py": KILLED.format(use=use, method="fork"),
        "package.py": "import migas; migas.add_project('owner/repo', '1')\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n",
        "slow.py": "import __main__, time; __main__.go.set(); time.sleep(60)\n",
    }
    ended = host.run_program(files, FORKS)
    assert (ended.out, ended.calmly) == (f"{-signal.SIGKILL}\n", True), ended
    deliver()
    assert versions(server) == ["1"]


#: With so long a wait a call that waits for itself would not end.
PATIENT = "import migas._agent.agent as agent; agent.WORKER_WAIT = 600.0\n"

NESTED = """
import logging, multiprocessing, signal
{patient}
def edit(crumb):
    if crumb['project'] == 'owner/repo':
        migas.add_breadcrumb('owner/nested', crumb['project_version'])
    return crumb
def work():
    import migas
    globals()['migas'] = migas
    signal.alarm(20)
    migas.setup(before_send=edit)
    migas.add_project('owner/repo', '1')
    migas.flush(30)
if __name__ == '__main__':
    worker = multiprocessing.get_context('fork').Process(target=work)
    worker.start()
    worker.join()
    assert worker.exitcode == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_call_by_before_send_does_not_wait_for_itself(host: Host, server: Server) -> None:
    """It runs on the thread that writes."""
    code = NESTED.format(patient=PATIENT)
    ended = host.run_program({"main.py": code}, FORKS)
    assert ended.calmly, ended
    assert sorted(str(crumb["project"]) for crumb in server.crumbs) == [
        "owner/nested",
        "owner/repo",
    ]


MARKS = {
    "Ray's worker": ("ray/_private/worker.py", "class global_worker: mode = 1", True),
    "Ray's driver": ("ray/_private/worker.py", "class global_worker: mode = 0", False),
    "Spark's worker": ("pyspark/worker.py", "", True),
    "Spark's driver": ("pyspark/context.py", "", False),
}


@pytest.mark.parametrize(("file", "text", "is_worker"), MARKS.values(), ids=MARKS)
def test_the_marks_of_workers(
    host: Host, tmp_path: Path, file: str, text: str, is_worker: bool
) -> None:
    """By the modules that Ray 2 and Spark 3 load in them, and what these say."""
    module = file.removesuffix(".py").replace("/", ".")
    package = tmp_path
    for name in module.split(".")[:-1]:
        package /= name
        package.mkdir()
    (package / f"{module.rpartition('.')[2]}.py").write_text(text)
    code = f"import {module}, migas._runtime.place as place; print(place.is_worker_process())"
    ended = host.run(code)
    assert (ended.out, ended.calmly) == (f"{is_worker}\n", True), ended


def test_a_daemon_of_sparks_is_known_by_its_main_module(host: Host, tmp_path: Path) -> None:
    """`python -m pyspark.daemon` forks the workers, which begin in it."""
    (tmp_path / "pyspark").mkdir()
    code = "import migas._runtime.place as place; print(place.is_worker_process())"
    (tmp_path / "pyspark" / "daemon.py").write_text(code)
    ended = host.run("", arguments=("-m", "pyspark.daemon"))
    assert (ended.out, ended.calmly) == ("True\n", True), ended


CELERY = """
import os
from celery import Celery
import migas
migas.add_project('owner/repo', 'start')
app = Celery('tasks', broker='filesystem://')
app.conf.broker_transport_options = {
    'data_folder_in': 'queue', 'data_folder_out': 'queue', 'control_folder': 'control',
}
app.conf.worker_hijack_root_logger = False

@app.task
def work(number):
    migas.add_project('owner/repo', f'{number}')
    open(f'done/{number}', 'w').close()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Celery's processes need POSIX")
def test_celerys_workers_that_end_after_each_task_lose_nothing(
    host: Host, server: Server, deliver: Callable[[], None], tmp_path: Path
) -> None:
    """`--max-tasks-per-child=1`: a process for each task, which ends by `os._exit`.

    A request that is on its way then is made again, as after any kill, since no answer was read.
    """
    need("celery")
    (tmp_path / "tasks.py").write_text(CELERY)
    for name in ("queue", "control", "done"):
        (tmp_path / name).mkdir()
    ask = f"import tasks; [tasks.work.delay(number) for number in range({TASKS})]"
    ended = host.run(ask, {**FORKS, "MIGAS_OPTOUT": "1"}, measured=False)
    assert ended.calmly, ended
    arguments = ("-m", "celery", "-A", "tasks", "worker", "--pool=prefork", "--concurrency=2")
    quiet = ("--max-tasks-per-child=1", "--without-gossip", "--without-mingle", "--loglevel=ERROR")
    worker = host.start("", FORKS, arguments=(*arguments, *quiet), measured=False)
    await_condition(lambda: len(list((tmp_path / "done").iterdir())) == TASKS)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    deliver()
    # The parent's use is its workers', too.
    assert {*versions(server)} == {*map(str, range(TASKS)), "start"}
