"""A torture: a thousand processes are killed at random instants, forks and threads mixed in.

    tox -e torture -- --processes 1000 --seed 1

Every breadcrumb that had been queued 100 ms before its process was killed has to arrive; and twice
only what a process was killed over, between the server's storing it and its own hearing so. Ends
with status 1 otherwise. Bounded in processes, in time, and to loopback; what is random comes from
the seed, but for the moments at which processes run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import NamedTuple

from soak import Soak

#: Hosts that run at a time, each of several processes: with more of them than a machine has cores
#: for, 100 ms say nothing of the agent.
CROWD = 1

#: Seconds between a breadcrumb's being queued and the kill, from which on it must not be lost.
GRACE = 0.1

#: Seconds before a request's coming and after its storing within which a kill may have kept its
#: sender from hearing so.
DEAF = 0.02

#: Adds breadcrumbs from several threads, and forks children that do the same, until it is killed.
#: Each is written down, with its process and the moment, when it is queued.
HOST = """
import os, random, sys, threading, time
name, seed, record = sys.argv[1], int(sys.argv[2]), os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
dice = random.Random(seed)
if dice.random() < 0.7:
    import logging
import migas

def write(*words):
    os.write(record, (" ".join(map(str, words)) + "\\n").encode())

def add(label):
    migas.add_project("owner/repo", label)
    write("added", os.getpid(), time.monotonic(), label)

def work(label, dice):
    for number in range(dice.choice([1, 2, 5, 10])):
        add(f"{label}.{number}")
        time.sleep(dice.choice([0, 0, 0.01, 0.1, 0.3]))

def live(label, dice, depth):
    write("lives", os.getpid())
    for number in range(dice.choice([0, 1, 4])):
        args = (f"{label}.{number}.0", random.Random(dice.random()))
        threading.Thread(target=work, args=args, daemon=True).start()
    work(f"{label}.9", dice)
    for number in range(dice.choice([0, 1, 2]) if depth < 2 else 0):
        seed = dice.random()
        if not os.fork():
            live(f"{label}.{number}.1", random.Random(seed), depth + 1)
        time.sleep(dice.choice([0, 0.05]))
    work(f"{label}.8", dice)
    time.sleep(600)

live(name, dice, 0)
"""


class Added(NamedTuple):
    """A breadcrumb that was queued."""

    pid: int
    moment: float


class Torture(Soak):
    """One run; the server is well all the time."""

    def __init__(self, seed: int, directory: str) -> None:
        super().__init__(seed, directory)
        self.server.is_well = True
        self._records = tempfile.mkdtemp(dir=directory)
        self._killed: dict[int, float] = {}
        self._added: dict[str, Added] = {}

    def torture(self, processes: int) -> bool:
        """Start, kill, let the rest be sent, and report."""
        with self.server:
            number = 0
            while len(self._killed) < processes:
                names = [str(number + index) for index in range(CROWD)]
                number += CROWD
                self._kill_all([(name, *self._start_host(name)) for name in names])
            left = self._send_the_rest()
            return self._tell(left)

    def _start_host(self, name: str) -> tuple[subprocess.Popen[bytes], str]:
        record = os.path.join(self._records, name)
        with open(record, "xb"):
            pass
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", HOST, name, str(self.dice.random())[2:], record],
            env=self._environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        return process, record

    def _kill_all(self, hosts: list[tuple[str, subprocess.Popen[bytes], str]]) -> None:
        """Kill each process of each host at an instant of its own."""
        start = time.monotonic()
        due: dict[int, float] = {}
        while True:
            living = {pid for _, _, record in hosts for pid in self._read(record)}
            for pid in living - set(due):
                due[pid] = time.monotonic() + self.dice.choice([0.05, 0.2, 0.6, 1.5]) * (
                    0.5 + self.dice.random()
                )
            for pid in [pid for pid in living - set(self._killed) if due[pid] < time.monotonic()]:
                self._killed[pid] = time.monotonic()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if living and not living - set(self._killed) and time.monotonic() - start > 0.3:
                break
            time.sleep(0.002)
        for _, process, record in hosts:
            # What forked just before its end is in no record yet.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            moment = time.monotonic()
            _, err = process.communicate()
            self.spoke += len(err)
            for pid in self._read(record):
                self._killed.setdefault(pid, moment)
            self._note(record)

    def _read(self, record: str) -> set[int]:
        with open(record, encoding="ascii") as file:
            return {int(line.split()[1]) for line in file if line.startswith("lives ")}

    def _note(self, record: str) -> None:
        with open(record, encoding="ascii") as file:
            for line in file:
                if line.startswith("added "):
                    _, pid, moment, label = line.split()
                    self._added[label] = Added(int(pid), float(moment))

    def _tell(self, left: int) -> bool:
        stored = Counter(str(crumb["version"]) for crumb in self.server.crumbs)
        owed = {
            label: self._killed[added.pid] - added.moment
            for label, added in self._added.items()
            if self._killed[added.pid] - added.moment >= GRACE
        }
        lost = sorted(label for label in owed if not stored[label])
        early = [label for label in self._added if label not in owed]
        twice = {label for label, count in stored.items() if count > 1}
        kills = sorted(self._killed.values())
        cut_off = {
            label
            for label, came, stored_at, _ in self.server.log
            if any(came - DEAF < kill < stored_at + DEAF for kill in kills)
        }
        unexplained = sorted(twice - cut_off)
        print(f"processes killed {len(self._killed)}, on stderr {self.spoke} B")
        print(f"breadcrumbs queued {len(self._added)}, of which 100 ms before {len(owed)}")
        print(
            f"of these lost {len(lost)} {[(label, round(owed[label], 3)) for label in lost[:9]]},"
            f" left on disk {left}; of the {len(early)} later ones"
            f" {sum(not stored[label] for label in early)} never arrived"
        )
        print(
            f"requests {self.server.requests}, twice {len(twice)}, more often"
            f" {sum(count > 2 for count in stored.values())}, unexplained {len(unexplained)}"
        )
        return not (lost or left or unexplained or self.spoke)


def main() -> int:
    """Run a torture and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="migas-torture-") as directory:
        return 0 if Torture(options.seed, directory).torture(min(options.processes, 10_000)) else 1


if __name__ == "__main__":
    sys.exit(main())
