"""A soak: hosts come, go and are killed for minutes, while the server fails at random.

    tox -e soak -- --minutes 10 --seed 1

Everything that the hosts had noted before their end has to arrive; and twice only what a server
had stored without its answer being heard. Ends with status 1 otherwise. Bounded in time, in
processes at a time, and to loopback; what is random comes from the seed, but for the moments at
which processes run.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from support import end_claims

from migas._delivery.throttle import Backoff
from migas._disk.spool import open_spool
from migas._runtime.settings import Settings
from migas.testing import Fault, Request, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from migas.testing.server import Answer

#: Processes that run at a time.
CROWD = 6

#: Seconds around a process's end in which a request of it is taken to have lost its answer.
BLUR = 0.25

#: What befalls a request, by its share; what is left are good answers.
FAULTS = {
    "hang": (0.03, Fault.hang()),
    "hang, stored": (0.03, Fault.hang(stores=True)),
    "reset": (0.03, Fault.reset()),
    "reset, stored": (0.02, Fault.reset(stores=True)),
    "truncated": (0.03, Fault.truncate()),
    "500": (0.04, Fault.status(500)),
    "503": (0.03, Fault.status(503, retry_after=1)),
    "429": (0.03, Fault.status(429, retry_after=2)),
    "413": (0.04, Fault.status(413)),
    "login page": (0.03, Fault.page()),
    "schema": (0.03, Fault.error("Value 'X' does not exist")),
    "look-up": (0.06, Fault.look_up()),
    "late": (0.05, Fault.late(0.2)),
}

#: To these the server says nothing, and stores nothing. Three of them, an end of the process in the
#: middle of a request counted in, make a breadcrumb count as delivered.
SWALLOWING = (FAULTS["hang"][1], FAULTS["reset"][1])

#: By these it says that it will never take what is alone in a request.
REFUSING = (FAULTS["413"][1], FAULTS["schema"][1])

#: Notes breadcrumbs, lets a while pass, and ends in one of the ways in which processes do. Before a
#: violent one it waits for its writer: a busy machine may take longer than any pause.
HOST = """
import json, logging, os, signal, sys, tempfile, time, typing, uuid
import migas
name, count, pause, end = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
for number in range(count):
    migas.add_project("owner/repo", f"{name}.{number}")
time.sleep(pause)
calm, agent = 0, migas._agent.process.current_process()._agent
while calm < 3:
    calm = calm + 1 if agent._writing.is_idle() else 0
    time.sleep(0.01)
if end == "flush":
    migas.flush(3)
if end in ("SIGKILL", "SIGTERM"):
    os.kill(os.getpid(), getattr(signal, end))
if end == "_exit":
    os._exit(0)
"""


class LoggedServer(Server):
    """Knows which breadcrumbs it stored, when, and whether it meant to say so."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice
        self._current = threading.local()
        self.faults: Counter[str] = Counter()
        #: Versions that were stored, when their request came, when they were stored, and whether a
        #: good answer was given.
        self.log: list[tuple[str, float, float, bool]] = []
        #: By version: the requests that got no answer and were not stored, and those in which it
        #: was alone and refused.
        self.swallowed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.received = self  # type: ignore[assignment]
        self.is_well = False

    def next_fault(self) -> Fault | None:
        """Throw the dice, in the order in which requests come."""
        super().next_fault()
        thrown = 1.0 if self.is_well else self._dice.random()
        self._current.fault = None
        self._current.came = time.monotonic()
        for name, (share, fault) in FAULTS.items():
            if thrown < share:
                self.faults[name] += 1
                self._current.fault = fault
                break
            thrown -= share
        return self._current.fault  # type: ignore[no-any-return]

    def append(self, request: Request) -> None:
        """Note what a request carries that fails."""
        fault: Fault | None = self._current.fault
        versions = set(re.findall(r'"(\d+\.\d+)"', request.body.decode()))
        if fault in SWALLOWING:
            self.swallowed.update(versions)
        if fault in REFUSING and len(versions) == 1:
            self.refused.update(versions)

    def answer(self, *args: Any, **kwargs: Any) -> Answer:
        """Note what the request brings."""
        count = len(self.crumbs)
        answer = super().answer(*args, **kwargs)
        fault: Fault | None = self._current.fault
        heard = fault is None or fault.end == "keep"
        # Several requests may be stored at a time: then each version is noted by more than one.
        for crumb in self.crumbs[count:]:
            moments = (self._current.came, time.monotonic())
            self.log.append((str(crumb["version"]), *moments, heard))
        return answer


def plan(dice: random.Random) -> Iterator[tuple[int, float, str]]:
    """Say of each host how many breadcrumbs it notes, how long it lives, and how it ends."""
    while True:
        count = dice.choice([1, 1, 1, 2, 5, 20])
        end = dice.choice(["exit", "exit", "exit", "SIGKILL", "_exit", "flush", "SIGTERM"])
        yield count, dice.choice([0.4, 0.6, 1.5, 4.0]), end


class Soak:
    """One run."""

    def __init__(self, seed: int, directory: str) -> None:
        self.dice = random.Random(seed)
        self.server = LoggedServer(random.Random(seed + 1))
        self.directory = directory
        self.noted: list[str] = []
        self.ends: list[float] = []
        self.processes = 0
        self.spoke = 0
        self._running: dict[subprocess.Popen[bytes], str] = {}

    def run(self, minutes: float) -> bool:
        """Soak, let the server get well, have everything sent, and report."""
        deadline = time.monotonic() + 60 * minutes
        hosts = plan(self.dice)
        with self.server:
            while time.monotonic() < deadline:
                self._reap()
                if len(self._running) < CROWD:
                    self._start(*next(hosts))
                time.sleep(0.02)
            while self._running:
                self._reap()
                time.sleep(0.02)
            self.server.is_well = True
            left = self._send_the_rest()
            return self._report(left)

    def _environ(self) -> Mapping[str, str]:
        private = {k: v for k, v in os.environ.items() if not k.startswith("MIGAS_") and k != "CI"}
        return {
            **private,
            "HOME": self.directory,
            "XDG_CONFIG_HOME": self.directory,
            "MIGAS_CACHE_DIR": self.directory,
            "MIGAS_ENDPOINT": self.server.endpoint,
            "MIGAS_TIMEOUT": "2",
            "MIGAS_EXIT_TIMEOUT": "0.5",
        }

    def _start(self, count: int, pause: float, end: str) -> None:
        name = f"{self.processes}"
        self.processes += 1
        process = subprocess.Popen(
            [sys.executable, "-c", HOST, name, str(count), str(pause), end],
            env=self._environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._running[process] = end
        self.noted += [f"{name}.{number}" for number in range(count)]

    def _reap(self) -> None:
        for process in [process for process in self._running if process.poll() is not None]:
            del self._running[process]
            self.ends.append(time.monotonic())
            assert process.stderr is not None
            with process.stderr:
                self.spoke += len(process.stderr.read())

    def _send_the_rest(self) -> int:
        """Flush as often as it takes, when every claim and every back-off is over."""
        environ = {**self._environ(), "MIGAS_TIMEOUT": "30"}
        spool = open_spool(Settings.from_env(environ))
        for _ in range(50):
            Backoff(spool.directory).succeed()
            end_claims(spool)
            code = "import migas; migas.flush(60)"
            subprocess.run([sys.executable, "-c", code], env=environ, check=False)
            if not spool.count():
                break
        return spool.count()

    def _report(self, left: int) -> bool:
        stored = Counter(str(crumb["version"]) for crumb in self.server.crumbs)
        missing = sorted(set(self.noted) - set(stored))
        spool = open_spool(Settings.from_env(self._environ()))
        refused = [v for v in missing if self.server.refused[v]]
        silent = [v for v in missing if not self.server.refused[v] and self.server.swallowed[v]]
        lost = sorted(set(missing) - set(refused) - set(silent))
        if len(refused) > spool.refused or len(silent) > spool.unanswered:
            lost = missing
        twice = {version: count for version, count in stored.items() if count > 1}
        unheard = {version for version, _, _, heard in self.server.log if not heard}
        cut_off = {
            version
            for version, _, moment, _ in self.server.log
            if any(-BLUR < end - moment < 1.0 + BLUR for end in self.ends)
        }
        unexplained = sorted(set(twice) - unheard - cut_off)
        storms = [version for version, count in stored.items() if count > 3]
        print(
            f"processes {self.processes}, breadcrumbs {len(self.noted)}, on stderr {self.spoke} B"
        )
        print(f"requests {self.server.requests}, of which failed: {dict(self.server.faults)}")
        print(
            f"lost {len(lost)} {lost[:9]}, left on disk {left}; not stored since refused"
            f" {len(refused)} of {spool.refused}, since unanswered three times {len(silent)} of"
            f" {spool.unanswered}"
        )
        print(
            f"twice {len(twice)}, of which the answer was not given {len(set(twice) & unheard)},"
            f" the process ended {len(set(twice) - unheard)}, unexplained {len(unexplained)};"
            f" more than three times {len(storms)}"
        )
        return not (lost or left or unexplained or storms or self.spoke)


def main() -> int:
    """Run a soak and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="migas-soak-") as directory:
        return 0 if Soak(options.seed, directory).run(min(options.minutes, 60.0)) else 1


if __name__ == "__main__":
    sys.exit(main())
