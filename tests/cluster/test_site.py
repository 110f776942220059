"""What the documentation has a site set, on that site's jobs."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import find_examples, read_page, read_section, versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import LimitedServer
    from .slurm import Slurm

TASK = """
import logging
import migas
migas.add_project("owner/repo", "1.0")
"""


@pytest.fixture
def scratch(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on each node, in which every user has one."""
    path = home.with_name(f"scratch-{home.name}")
    path.mkdir()
    monkeypatch.setenv("SCRATCH", str(path))
    monkeypatch.setenv("USER", "jane")
    return path


def test_the_module_file(
    slurm: Slurm, program: Callable[[str], str], server: LimitedServer, scratch: Path
) -> None:
    """Jobs that load it leave what they note where it says, and cron's line sends that."""
    (text,) = find_examples(read_section("clusters", "## What a site may set"), "tcl")
    (scratch / "migas").write_text(text)
    script = f"""
        . /usr/share/modules/init/sh
        module use {scratch}
        module load migas
        exec {program(TASK)}
    """
    job = slurm.submit(script)
    slurm.await_end(job)
    assert (slurm.state(job), slurm.output(job)) == ("COMPLETED", "")
    send_by_cron(scratch / "jane-migas")
    assert versions(server) == ["1.0"]


def test_the_task_prolog(
    slurm: Slurm, program: Callable[[str], str], server: LimitedServer, scratch: Path
) -> None:
    """Steps of a job that has no variable of its user's leave what they note where it says."""
    (text,) = find_examples(read_section("clusters", "## Slurm"), "shell")
    prolog = scratch / "prolog"
    # What a site's nodes have in common, and this test's home.
    kept = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MIGAS_ENDPOINT")
    exports = "".join(f'echo "export {name}={os.environ[name]}"\n' for name in kept)
    prolog.write_text(text.replace("/scratch", str(scratch)) + exports)
    prolog.chmod(0o755)
    job = slurm.submit(
        f"srun --export=NONE --task-prolog={prolog} {program(TASK)}", "--export=NONE"
    )
    slurm.await_end(job)
    assert (slurm.state(job), slurm.output(job)) == ("COMPLETED", "")
    send_by_cron(scratch / f"{pwd.getpwuid(os.getuid()).pw_name}-migas")
    assert versions(server) == ["1.0"]


def send_by_cron(directory: Path) -> None:
    """Run the documentation's line for cron, beside what waits in ``directory``."""
    (line,) = find_examples(read_page("clusters"), "crontab")
    command = line.split(maxsplit=5)[5].replace("migas", f"{sys.executable} -m migas", 1)
    environ = {**os.environ, "MIGAS_CACHE_DIR": str(directory)}
    done = subprocess.run(
        ["sh", "-euc", command], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
