"""What a person would call one use is one, whichever of a pool's processes report it.

Each test runs a small host under a real launcher, and notes a line of the README's table.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support import FORKS, PATIENCE, await_condition, need

from .spark import ENVIRON, SPARK, SUBMITS, need_spark

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from .conftest import Row

pytestmark = pytest.mark.slow

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
    "Spark, submitted": ("pyspark", SPARK, {"before": SUBMITS, "after": ""}),
    "Spark, reported before": ("pyspark", SPARK, {"before": "import package", "after": ""}),
    "Spark, reported after": ("pyspark", SPARK, {"before": "", "after": "import package"}),
    "Dask, workers killed": ("distributed", DASK, {"before": "import package"}),
    "ProcessPoolExecutor, a process for each task": (
        "concurrent.futures",
        EXECUTOR,
        {"before": ""},
    ),
}


@pytest.mark.parametrize("kind", POOLS)
def test_the_workers_of_a_pool(host: Host, note: Callable[..., Row], kind: str) -> None:
    """Whether the driver reports the use as well, and whenever it does."""
    module, code, blanks = POOLS[kind]
    need(module.partition(".")[0])
    if module == "pyspark":
        need_spark()
    environ = {**FORKS, **ENVIRON, "RAY_USAGE_STATS_ENABLED": "0"}
    ended = host.run_program({"main.py": code.format(**blanks)}, environ, measured=False)
    assert ended.status == 0, ended
    row = note(kind)
    assert (row.uses, row.runs, row.users) == (1, 1, 1)


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
