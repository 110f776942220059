"""The steps of a Slurm job: the tasks of one are one use, and each step is a use of its own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support import versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import LimitedServer
    from .slurm import Slurm

    Program = Callable[[str], str]

#: A task of a step, or a program that a task or a job starts.
TASK = """
import subprocess, sys
import migas
migas.add_project("owner/repo", sys.argv[1])
if len(sys.argv) > 2:
    subprocess.run([sys.executable, __file__, sys.argv[2]], check=True)
"""

#: A program that carries migas and starts a step.
SUBMIT = """
import subprocess, sys
import migas
migas.add_project("owner/repo", "submit")
subprocess.run(["srun", "--ntasks=3", *sys.argv[1:]], check=True)
"""

#: What a job runs, and what arrives of it: versions, and how often each.
JOBS = {
    "a step of four tasks": ("srun --ntasks=4 {task} 1", {"1": 1}),
    "two steps": ("srun --ntasks=4 {task} 1; srun --ntasks=3 {task} 1", {"1": 2}),
    "two steps at once": (
        "srun --ntasks=2 --overlap {task} 1 & srun --ntasks=2 --overlap {task} 1 & wait",
        {"1": 2},
    ),
    "a shell in between": ("srun --ntasks=4 sh -c '{task} 1; true'", {"1": 1}),
    "what each task starts": ("srun --ntasks=4 {task} 1 child", {"1": 1, "child": 4}),
    "a step of one task": ("srun --ntasks=1 {task} 1; srun --ntasks=1 {task} 1", {"1": 2}),
    "no step": ("{task} 1; {task} 1", {"1": 2}),
    "a program that starts a step": ("{submit} {task} 1", {"submit": 1, "1": 1}),
}


@pytest.mark.parametrize(("script", "uses"), JOBS.values(), ids=JOBS)
def test_the_uses_of_a_job(
    *,
    slurm: Slurm,
    program: Program,
    server: LimitedServer,
    deliver: Callable[[], None],
    script: str,
    uses: dict[str, int],
) -> None:
    """Offline, on three nodes that share the home."""
    text = script.format(task=program(TASK), submit=program(SUBMIT))
    job = slurm.submit(text, "--ntasks=4")
    slurm.await_end(job)
    assert slurm.state(job) == "COMPLETED", slurm.output(job)
    deliver()
    assert Counter(versions(server)) == uses, slurm.output(job)


def test_the_tasks_of_an_array_are_a_use_each(
    slurm: Slurm, program: Program, server: LimitedServer, deliver: Callable[[], None]
) -> None:
    """Each is a job, with a session of its own."""
    job = slurm.submit(f"srun --ntasks=2 {program(TASK)} 1", "--array=1-3", "--ntasks=2")
    slurm.await_end(job)
    deliver()
    assert versions(server) == ["1"] * 3
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 3
