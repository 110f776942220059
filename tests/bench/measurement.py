"""The measurement: one process, from its start to its end, seen from within and from without."""

from __future__ import annotations

import ast
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from migas._crumb.environment import is_persistent
from migas._disk.spool import open_spool
from migas._runtime.settings import Settings

from .weather import await_quiet

if TYPE_CHECKING:
    from .client import Client
    from .host import Host
    from .weather import Sky

#: Seconds after which a process has failed.
_PATIENCE = 120.0

#: Where a home is quick, which need not last.
QUICK = "/dev/shm" if os.path.isdir("/dev/shm") else None

#: What each process runs. It tells what it sees by a pipe, and imports nothing for that.
_PROGRAM = """
import os, sys, time
import atexit
def tell(**facts):
    os.write(int(os.environ["BENCH_PIPE"]), (repr(facts) + chr(10)).encode())
@atexit.register  # first, and so run last
def tell_memory():
    try:
        with open("/proc/self/status") as status:
            tell(memory=next(int(line.split()[1]) for line in status if line.startswith("VmHWM")))
    except OSError:
        pass
marks = ["bench-%d" % number for number in range(int(os.environ["BENCH_CALLS"]))]
{before}
mark, clock = marks[0], time.perf_counter
begin = clock()
{imports}
imported = clock()
{begins}
{call}
called = clock()
spent = []
for mark in marks[1:]:
    before = clock()
    {call}
    spent.append(clock() - before)
tell(imported=imported - begin, first=called - imported, spent=spent)
{after}
tell(ended=time.monotonic())
"""


class Sample(NamedTuple):
    """What one process cost, in seconds and kilobytes, and what came of it."""

    imported: float
    #: The first call, with whatever has to be set up before it.
    first: float
    #: Each further call.
    spent: list[float]
    wall: float
    cpu: float
    #: From the last line of the program to the end of the process.
    exit: float
    memory: int
    #: The host's own work, and how much of it was done in the first half second.
    worked: float
    early: int
    noise: int
    requests: int
    delivered: int
    #: What was told, is not delivered, and does not wait on disk.
    lost: int
    twice: int


def measure(
    python: str, client: Client, host: Host, sky: Sky, *, calls: int = 1, chunks: int = 0
) -> Sample:
    """Run one process in a home of its own, and say what it cost."""
    with tempfile.TemporaryDirectory() as home:
        environ = _make_environ(home, client, sky)
        settings = Settings.from_env({**environ, "MIGAS_CACHE_DIR": f"{home}/cache/migas"})
        client.prepare(settings)
        more = {"BENCH_CALLS": calls, "BENCH_CHUNKS": chunks}
        environ.update({name: str(value) for name, value in more.items()})
        code = _PROGRAM.format(
            before=host.before,
            after=host.after,
            imports=client.imports,
            begins=client.begins,
            call=client.call,
        )
        sky.requests, earlier = 0, sky.taken.copy()
        ended = _run(sky.wrap([python, "-c", code]), environ, Path(home))
        await_quiet(sky)
        waiting = open_spool(settings).count()
        taken = [times for mark in sky.taken if (times := sky.taken[mark] - earlier[mark])]
        return Sample(
            imported=ended.facts["imported"],
            first=ended.facts["first"],
            spent=ended.facts["spent"],
            wall=ended.wall,
            cpu=ended.cpu,
            exit=ended.moment - ended.facts["ended"],
            memory=ended.facts.get("memory", 0),
            worked=ended.facts.get("worked", 0.0),
            early=ended.facts.get("early", 0),
            noise=ended.noise,
            requests=sky.requests,
            delivered=len(taken),
            lost=max(0, calls - len(taken) - waiting) if client.tells else 0,
            twice=sum(times > 1 for times in taken),
        )


class _Ended(NamedTuple):
    """What is known of a process that has ended."""

    facts: dict[str, Any]
    #: On the monotonic clock, which all processes share.
    moment: float
    wall: float
    cpu: float
    noise: int


def _run(command: list[str], environ: dict[str, str], home: Path) -> _Ended:
    reading, writing = os.pipe()
    errors = home / "stderr"
    with errors.open("wb") as stderr:
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            env={**environ, "BENCH_PIPE": str(writing)},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            pass_fds=[writing],
        )
    os.close(writing)
    watchdog = threading.Timer(_PATIENCE, process.kill)
    watchdog.start()
    _, _, usage = os.wait4(process.pid, 0)
    end = time.monotonic()
    watchdog.cancel()
    process.returncode = 0  # it has been waited for, behind the object's back
    cpu = usage.ru_utime + usage.ru_stime
    return _Ended(_read(reading, errors), end, end - start, cpu, errors.stat().st_size)


def _make_environ(home: str, client: Client, sky: Sky) -> dict[str, str]:
    """Return what a process finds in its environment: nothing of this one's but the patience.

    `BENCH_PATIENCE` is how many seconds ours and the yardsticks wait for an answer in place of what
    each has by itself. A test sets it, whose point is what arrives, on whatever machine.
    """
    names = ("MIGAS_EXIT_TIMEOUT", "MIGAS_TIMEOUT", "BENCH_PATIENCE")
    patience = os.environ.get("BENCH_PATIENCE")
    return {
        **(dict.fromkeys(names, patience) if patience else {}),
        "PATH": os.environ["PATH"],
        "HOME": home,
        "XDG_CACHE_HOME": f"{home}/cache",
        "XDG_CONFIG_HOME": f"{home}/config",
        "BENCH_URL": sky.url,
        "MIGAS_ENDPOINT": f"{sky.url}/graphql",
        "HF_ENDPOINT": sky.url,
        **name_container(home),
        **client.environ,
    }


def name_container(home: str) -> dict[str, str]:
    """Return what has a home count as one that outlives the process, wherever the benchmark runs.

    A container's own file system ends with it, and every exit delivers there; but seen from an
    Apptainer container, a home is its user's own.
    """
    return {} if is_persistent(home, {}) else {"APPTAINER_NAME": "any"}


def _read(pipe: int, errors: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    with open(pipe, encoding="utf-8") as lines:
        for line in lines:
            facts.update(ast.literal_eval(line))
    if "ended" not in facts:
        raise RuntimeError(f"the program failed: {errors.read_text()[-2000:]}")
    return facts
