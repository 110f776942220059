"""What several tests share: real hosts, a slow server, and a wait for a condition."""

from __future__ import annotations

import importlib.util
import os
import queue
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migas._crumb.environment import is_persistent
from migas._disk.entry import CUR, LEASE
from migas._disk.spool import Bounds
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from migas._disk.spool import Spool
    from migas.testing.server import Answer

#: Seconds after which a process or a wait of a test has failed. It is no measure of anything.
PATIENCE = 60.0


ROOT = Path(__file__).parents[1]


#: Each page of the documentation, by the name that `read_page` takes.
PAGES = ("README", "tests/README", *sorted(p.stem for p in (ROOT / "migas/docs").glob("*.md")))


#: Nobody listens there: https://www.rfc-editor.org/rfc/rfc863 has long been switched off.
NOWHERE = "http://127.0.0.1:9/graphql"


#: A host's exit may take this long in tests: machines are slow, and it is no test of speed.
SLOW = {"MIGAS_EXIT_TIMEOUT": "30"}


#: A host's code that lasts, in steps: what Python does for a signal that comes just before a sleep
#: begins it does after the sleep, whoever's process it is.
LASTS = "for _ in range(6000): time.sleep(0.01)"


#: Python 3.12 and later warn of a fork beside threads, whosever they are.
FORKS = {"PYTHONWARNINGS": "ignore::DeprecationWarning", **SLOW}


#: A host's code after which an idle thread of ours ends in a moment, and not after seconds.
BRIEFLY_IDLE = """
import migas._runtime.threads
migas._runtime.threads.Worker.__init__.__kwdefaults__["idle"] = 0.1
"""


#: So much that no test comes near it, unless that is its point.
ROOMY = Bounds(10_000, 20_000_000, 30 * 86400.0)


class SlowServer(Server):
    """A server that has read a request, and goes on when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()
        self.answered: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def answer(self, *args: Any, **kwargs: Any) -> Answer:
        """Answer, at last, and tell what became of it."""
        assert self.goes_on.wait(PATIENCE)
        answer = super().answer(*args, **kwargs)
        self.answered.put(answer)
        return answer


def need(module: str) -> None:
    """Skip the test where a host's own library is not installed."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")


def need_lasting_disk(path: Path) -> None:
    """Skip the test where what lies at ``path`` ends with the container in which the tests run."""
    if not is_persistent(str(path), {"APPTAINER_NAME": "any"}):
        pytest.skip("nothing lasts here: it is a container's own file system")


#: `migas flush`, at a time when every claim that holds now is over.
LATER = f"""
import sys, time
now = time.time
time.time = lambda: now() + {LEASE + 1}
from migas.cli import main
sys.exit(main(["flush"]))
"""


def end_claims(spool: Spool) -> None:
    """Let the time pass after which anybody may take over what processes held that are dead."""
    for entry in spool.list_pending():
        if entry.box == CUR:
            os.rename(entry.path, entry._replace(until=0).path)


def locate_page(name: str) -> Path:
    """Return the path of a page of the documentation."""
    return ROOT / f"{name}.md" if "README" in name else ROOT / "migas/docs" / f"{name}.md"


def read_page(name: str) -> str:
    """Return the text of a page of the documentation."""
    return locate_page(name).read_text(encoding="utf-8")


def read_section(page: str, heading: str) -> str:
    """Return what stands below a heading, which begins with its `#`, up to the next of its rank."""
    rest = read_page(page).split(f"\n{heading}\n")[1]
    return rest.split(f"\n{heading.split(maxsplit=1)[0]} ")[0]


def find_examples(text: str, language: str) -> list[str]:
    """Return the examples in a language, those of lists as well."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(example) for _, example in found]


def versions(server: Server) -> list[str]:
    """Sort the versions that ``server`` has stored."""
    return sorted(str(crumb["version"]) for crumb in server.crumbs)


def await_condition(condition: Callable[[], bool]) -> None:
    """Poll until ``condition`` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def read_processor_time() -> float:
    """Return the seconds of a processor that this process and its children have taken.

    Returns 0.0 on Windows, which does not account for children.
    """
    if sys.platform == "win32":
        return 0.0
    import resource

    taken = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in taken)


class Host:
    """Starts hosts: real processes of this interpreter."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self,
        code: str,
        environ: Mapping[str, str] = {},
        *,
        measured: bool = True,
        stdin: int = subprocess.DEVNULL,
        arguments: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """Start a process that runs ``code``, or, if given, what ``arguments`` say.

        Not ``measured``: no coverage runs in it.
        """
        inherited: Mapping[str, str] = os.environ
        if not measured:
            inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
        process = subprocess.Popen(
            [sys.executable, *(arguments or ("-c", code))],
            # One that hangs tells where, see `run`.
            env={"PYTHONFAULTHANDLER": "1", **inherited, **environ},
            cwd=self._directory,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(
        self,
        code: str,
        environ: Mapping[str, str] = {},
        *,
        measured: bool = True,
        arguments: Sequence[str] = (),
    ) -> Ended:
        """Run ``code``, or what ``arguments`` say, in a process of its own to its end."""
        process = self.start(code, environ, measured=measured, arguments=arguments)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGABRT)
            out, err = process.communicate(timeout=PATIENCE)
            pytest.fail(f"it does not end\n{out}\n{err}")
        return Ended(process.returncode, out, err)

    def run_program(
        self,
        files: Mapping[str, str],
        environ: Mapping[str, str] = {},
        arguments: Sequence[str] = ("main.py",),
        *,
        measured: bool = True,
    ) -> Ended:
        """Run a program that is made of ``files``, as a worker needs it that imports it anew."""
        for name, text in files.items():
            (self._directory / name).write_text(text)
        return self.run("", environ, measured=measured, arguments=arguments)

    def stop(self) -> None:
        """End what the test left running."""
        for started in self._started:
            started.kill()
            started.communicate()


class Ended:
    """How a process ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def calmly(self) -> bool:
        """Whether the host noticed nothing."""
        return self.status == 0 and self.err == ""

    def __repr__(self) -> str:
        return f"<ended with {self.status}: {self.out!r}, {self.err!r}>"
