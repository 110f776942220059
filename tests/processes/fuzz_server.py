"""A fuzzer: for minutes a server answers rubbish, by a seeded generator, to hosts that go on.

    tox -e fuzz-server -- --minutes 10 --hosts 100 --seed 1

No request may come before the back-off allows it, nothing may be lost, and nothing may be sent more
than three times of which nobody knows whether it arrived. Ends with status 1 otherwise. Each host
has a home of its own, in which one process follows another; of ten, one can write no disk, lives to
the end, and keeps all in memory. What is answered to a host comes from the seed and its number.

So that hosts ask often, their longest back-off is `--longest` seconds. It has no jitter here: the
server then knows when each may come again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rubbish import CLEAR, EITHER, REFUSAL, WORD, Answer, choose
from support import PATIENCE, end_claims
from wire import Wire

from migas._delivery.policy import MAX_ATTEMPTS
from migas._delivery.throttle import Backoff
from migas._disk.spool import open_spool
from migas._runtime.settings import Settings
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wire import Connection

#: Seconds that two clocks, and a file's mtime, may differ by.
BLUR = 0.05

#: Seconds that a host waits for an answer; half of that an answer may take on a busy machine. One
#: that comes later means something else to the host.
TIMEOUT = 30.0

#: Redirects that are followed; the next one is an answer like another.
REDIRECTS = 3

#: Notes breadcrumbs now and then, looks into the receipt of some, and ends as programs do.
HOST = """
import os, random, sys, time
os.nice(10)  # the server comes first
from migas._delivery import throttle
name, life, longest = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
throttle.LONGEST = throttle.LONGEST_DEMAND = longest
throttle.Backoff.__init__.__defaults__ = time.time, lambda low, high: high
import migas
dice, end, number = random.Random(name), time.monotonic() + life, 0
with open("noted", "a") as noted:
    while not os.path.exists("../over") and time.monotonic() < end:
        receipt = migas.add_project("owner/repo", f"{name}.dev{number}")
        print(f"{name}.dev{number}", file=noted, flush=True)
        number += 1
        if dice.random() < 0.1:
            receipt["success"]
        time.sleep(dice.uniform(0.5, 4.0))
if life > 1e6:
    assert migas.flush(60) == 0
"""

#: Says that all is delivered once it is.
FLUSH = "import migas; assert migas.flush(60) == 0"


class Book:
    """What the server knows of one host."""

    def __init__(self, dice: random.Random, longest: float) -> None:
        self.dice = dice
        self._longest = longest
        self._failures = self._redirects = 0
        self._closed_until = 0.0
        self._has_repeated = False
        self.requests = 0
        #: Seconds by which requests came too early.
        self.early: list[float] = []
        #: By version: requests of which nobody knows, for sure or perhaps, whether they arrived.
        self.unknown: Counter[str] = Counter()
        self.perhaps: Counter[str] = Counter()
        #: What was refused alone, and what was stored by a request that was not answered so.
        self.refused: set[str] = set()
        self.unheard: set[str] = set()

    def arrive(self, now: float) -> None:
        """Count a request."""
        self.requests += 1
        if now < self._closed_until - BLUR:
            self.early.append(round(self._closed_until - now, 3))

    def follow(self, answer: Answer, versions: set[str], now: float, *, kept: bool) -> None:
        """Note what an answer, which begins now, means to each breadcrumb and to the next request.

        ``kept``: the request came on a connection that had had another.
        """
        if answer.meaning == REFUSAL and len(versions) == 1:
            self.refused |= versions
        if answer.meaning == EITHER:
            self.perhaps.update(versions)
        elif answer.meaning not in (CLEAR, WORD, REFUSAL):
            self.unknown.update(versions)
        if answer.meaning in (WORD, REFUSAL):
            self._failures = self._redirects = 0
            self._closed_until, self._has_repeated = 0.0, False
            return
        if answer.redirects and self._redirects < REDIRECTS:
            self._redirects += 1
            self._closed_until = 0.0
            return
        self._redirects = 0
        if kept and not self._has_repeated and not answer.pieces:
            self._has_repeated, self._closed_until = True, 0.0
            return
        self._has_repeated = False
        wait = max(2.0**self._failures, answer.demand)
        self._closed_until = now + min(wait, self._longest)
        self._failures += 1


class RubbishServer:
    """Answers rubbish until it is well."""

    def __init__(self, seed: int, hosts: int, longest: float) -> None:
        self.store = Server()
        self.is_well = threading.Event()
        self.kinds: Counter[str] = Counter()
        self.asked_news = 0
        #: Answers that took longer than half of a host's patience.
        self.late = 0
        self.books = [Book(random.Random(f"{seed}.{n}"), longest) for n in range(hosts)]
        self._storing = threading.Lock()
        self.wire = Wire(self._serve)

    def _serve(self, connection: Connection) -> None:
        kept = False
        while target := re.match(rb"POST /h(\d+)/", connection.sock.recv(99, socket.MSG_PEEK)):
            book, now = self.books[int(target[1])], time.monotonic()
            if self.is_well.is_set():
                answer = Answer("well", WORD, stores=True, end="keep")
            else:
                answer = choose(book.dice)
                self.kinds[answer.kind] += 1
            request = connection.read() if answer.reads else peek(connection.sock)
            if b"check_project" in request:  # a person's look, which asks whatever the back-off
                self.asked_news += 1
                answer.play(connection, b"{}")
                return
            if not self.is_well.is_set():
                book.arrive(now)
            answer = answer.suit(alone=b"add_project" in request)
            versions = set(
                re.findall(r"\d+\.\d+\.dev\d+", request.decode().partition("\r\n\r\n")[2])
            )
            good = self._store(request) if answer.stores else b""
            book.follow(answer, versions, now, kept=kept)
            is_late = time.monotonic() - now > TIMEOUT / 2
            self.late += is_late
            is_heard = answer.meaning == WORD and not is_late
            if answer.stores and not is_heard:
                book.unheard |= versions
            answer.play(connection, good)
            if answer.end != "keep":
                return
            kept = True

    def _store(self, request: bytes) -> bytes:
        """Carry a request out, and return the good answer."""
        asked = json.loads(request.partition(b"\r\n\r\n")[2])
        with self._storing:
            return json.dumps(self.store.answer(asked["query"], asked["variables"]).body).encode()


def peek(sock: socket.socket) -> bytes:
    """Return a request without reading it, so that a close resets the connection."""
    request = b""
    for _ in range(1000):
        request = sock.recv(65536, socket.MSG_PEEK)
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", request)
        if length and len(request.partition(b"\r\n\r\n")[2]) >= int(length[1]):
            break
        time.sleep(0.002)
    return request


class Home:
    """One host: its directory, and the process that runs there now."""

    def __init__(self, number: int, directory: Path, endpoint: str, longest: float) -> None:
        self.number = number
        self.directory = directory / f"h{number}"
        self.directory.mkdir()
        self.has_disk = number % 10 != 9
        self.processes = 0
        self.spoke = b""
        self._dice = random.Random(number)
        self._longest = longest
        self._process: subprocess.Popen[bytes] | None = None
        home = str(self.directory) if self.has_disk else "/proc/self"
        self.environ: Mapping[str, str] = {
            **os.environ,
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "MIGAS_CACHE_DIR": f"{home}/cache",
            "MIGAS_ENDPOINT": f"{endpoint}/h{number}/graphql",
            "MIGAS_TIMEOUT": f"{TIMEOUT}",
            "MIGAS_EXIT_TIMEOUT": f"{TIMEOUT}",
        }

    def see_to(self, *, may_start: bool) -> bool:
        """Start a process if there is none. Returns True if one runs."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None and may_start:
            life = self._dice.uniform(60, 240) if self.has_disk else 1e9
            name = f"{self.number}.{self.processes}"
            self.processes += 1
            self._start("-c", HOST, name, f"{life}", f"{self._longest}")
        return self._process is not None

    def flush(self) -> int:
        """Send what is pending on disk, now that all is well. Returns how many are left."""
        if not self.has_disk:
            return 0
        spool = open_spool(Settings.from_env(self.environ))
        if spool.count():
            Backoff(spool.directory).succeed()
            end_claims(spool)
            self._start("-c", FLUSH)
            assert self._process is not None
            self._process.wait(PATIENCE * 2)
            self._end()
        return spool.count()

    @property
    def noted(self) -> set[str]:
        """The versions that its processes have noted."""
        with contextlib.suppress(FileNotFoundError):
            return set((self.directory / "noted").read_text().split())
        return set()

    def _start(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environ,
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _end(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        with self._process.stderr:
            self.spoke += self._process.stderr.read()
        self._process = None


class Fuzzer:
    """One run."""

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self._minutes, self._seed = min(options.minutes, 60.0), options.seed
        self._over = directory / "over"
        self._server = RubbishServer(options.seed, options.hosts, options.longest)
        endpoint = self._server.wire.endpoint.removesuffix("/graphql")
        self._homes = [
            Home(number, directory, endpoint, options.longest) for number in range(options.hosts)
        ]

    def run(self) -> bool:
        """Let the hosts go on until the time is up, then get well, and return whether all held."""
        end = time.monotonic() + 60 * self._minutes
        while time.monotonic() < end:
            for home in self._homes:
                home.see_to(may_start=True)
                time.sleep(0.01)
        self._server.is_well.set()
        self._over.touch()
        while sum(home.see_to(may_start=False) for home in self._homes):
            time.sleep(0.1)
        left = sum(home.flush() for home in self._homes)
        stored = Counter(str(crumb["version"]) for crumb in self._server.store.crumbs)
        found = [self._check(home, stored) for home in self._homes]
        self._server.wire.close()
        self._report(left, stored)
        return not (left or any(found))

    def _check(self, home: Home, stored: Counter[str]) -> bool:
        """Print what does not hold of a host. Returns True if there is anything."""
        book, noted = self._server.books[home.number], home.noted
        tried = book.unknown + book.perhaps
        lost = [v for v in noted - set(stored) - book.refused if tried[v] < MAX_ATTEMPTS]
        often = [v for v in noted if book.unknown[v] > MAX_ATTEMPTS or stored[v] > MAX_ATTEMPTS]
        twice = [v for v in noted - book.unheard if stored[v] > 1]
        found: dict[str, Sequence[object]] = {
            "too early by": book.early,
            "lost": lost,
            "too often": often,
            "twice": twice,
            "on stderr": home.spoke.decode().splitlines()[::-1],
        }
        for what, details in found.items():
            if details:
                print(f"host {home.number}: {what} {len(details)} {details[:9]}")
        return any(found.values())

    def _report(self, left: int, stored: Counter[str]) -> None:
        books = self._server.books
        noted = sum(len(home.noted) for home in self._homes)
        unknown = Counter(count for book in books for count in book.unknown.values())
        refused = sum(len(book.refused - set(stored)) for book in books)
        print(
            f"seed {self._seed}: {sum(home.processes for home in self._homes)} processes of"
            f" {len(self._homes)} hosts noted {noted} breadcrumbs"
        )
        print(
            f"{sum(book.requests for book in books)} requests in {self._minutes:g} minutes, of"
            f" {len(self._server.kinds)} kinds of answers, most of one host"
            f" {max(book.requests for book in books)}; {self._server.asked_news} looks for news;"
            f" {self._server.late} answers came late"
        )
        print(
            f"stored {len(stored)}, refused {refused}, left {left}; by requests that nobody knows"
            f" of: {dict(sorted(unknown.items()))}; stored more than once"
            f" {sum(count > 1 for count in stored.values())}"
        )
        print(f"answers: {dict(self._server.kinds.most_common())}")


def main() -> int:
    """Run the fuzzer and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=8.0)
    options = parser.parse_args()
    for name in list(os.environ):
        if name.startswith(("MIGAS_", "XDG_")) or name in ("CI", "DO_NOT_TRACK", "NO_ET"):
            del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="migas-fuzz-server-") as directory:
        return 0 if Fuzzer(options, Path(directory)).run() else 1


if __name__ == "__main__":
    sys.exit(main())
