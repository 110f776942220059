"""How long a busy host's first report takes to be on disk, where a kill cannot lose it any more.

A thread that computes in Python lets another one in every 5 ms, and the writer gives its turn up
at each call of the system: some twelve for each module that it loads.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from migas._disk.spool import open_spool
from migas._runtime.settings import Settings

if TYPE_CHECKING:
    from .host import Host

#: Seconds after which it never will be.
_PATIENCE = 60.0

_PROGRAM = """
{before}
import migas, time
migas.add_project("owner/repo", "1.2.3", status="C")
print(time.monotonic(), flush=True)
{work}
"""

#: Nobody listens there, and nobody is asked: what counts is the disk.
_ENDPOINT = "http://127.0.0.1:9/graphql"

_WORK = {True: "while True: sum(number * number for number in range(16_000))", False: "input()"}


def measure_written(host: Host, *, busy: bool) -> float:
    """Return how many seconds after a host's first call its breadcrumb is on disk."""
    with tempfile.TemporaryDirectory() as home:
        own = {"HOME": home, "MIGAS_CACHE_DIR": f"{home}/cache", "MIGAS_ENDPOINT": _ENDPOINT}
        environ = {"PATH": os.environ["PATH"], **own}
        spool = open_spool(Settings.from_env(environ))
        code = _PROGRAM.format(before=host.before, work=_WORK[busy])
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environ,
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            called = float(process.stdout.readline())
            while not spool.count():
                time.sleep(0.005)
                if time.monotonic() > called + _PATIENCE:
                    raise RuntimeError("the breadcrumb does not come to the disk")
            return time.monotonic() - called
        finally:
            process.kill()
            process.communicate()
