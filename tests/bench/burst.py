"""The burst: how many of 1,000 breadcrumbs an exit delivers: `python -m tests.bench.burst`.

The server is a raw one, in a process of its own, that answers each request after a millisecond and
costs next to nothing: the reference GraphQL engine needs longer for sixteen breadcrumbs than the
client does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from migas._disk.spool import open_spool
from migas._runtime.settings import Settings

from .measurement import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Breadcrumbs of the burst.
COUNT = 1000

#: Seconds before the server's answer.
DELAY = 0.001

_HOST = """
import os, time, migas
for number in range(int(os.environ["BENCH_CALLS"])):
    migas.add_project("owner/repo", "1.2.3", status="C")
print(time.monotonic())
"""

_ALIAS = re.compile(rb"\ba\d+:")


class Burst(NamedTuple):
    """What became of one burst."""

    delivered: int
    requests: int
    #: Breadcrumbs that are on disk afterwards, and those of them whose answer was not awaited.
    kept: int
    given_up: int
    #: Seconds from the last line of the program to the end of the process, and in all.
    exit: float
    wall: float
    cpu: float

    @property
    def lost(self) -> int:
        """Breadcrumbs that are neither at the server nor on disk."""
        return max(0, COUNT - self.delivered - self.kept)


def measure_burst(
    count: int = COUNT, delay: float = DELAY, *, steady: bool = True, python: str = sys.executable
) -> Burst:
    """Report ``count`` breadcrumbs in one process, which ends at once.

    Answers take ``delay`` seconds. If not ``steady``, that is their mean, and a tenth of the most.
    """
    with serve(delay, steady=steady) as server, tempfile.TemporaryDirectory(dir=QUICK) as home:
        environ = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": home,
            "XDG_CACHE_HOME": f"{home}/cache",
            "XDG_CONFIG_HOME": f"{home}/config",
            "MIGAS_ENDPOINT": server.endpoint,
            "BENCH_CALLS": str(count),
        }
        start = time.monotonic()
        with subprocess.Popen(
            [python, "-c", _HOST], env=environ, stdout=subprocess.PIPE, cwd=home
        ) as process:
            assert process.stdout is not None
            ended = float(process.stdout.read())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        end = time.monotonic()
        settings = Settings.from_env({**environ, "MIGAS_CACHE_DIR": f"{home}/cache/migas"})
        kept = open_spool(settings).list_pending()
        given_up = sum(entry.attempts > 0 for entry in kept)
        delivered, requests = server.ask()
    cpu = usage.ru_utime + usage.ru_stime
    return Burst(delivered, requests, len(kept), given_up, end - ended, end - start, cpu)


class RawServer(NamedTuple):
    """A server in a process of its own."""

    endpoint: str
    process: subprocess.Popen[str]

    def ask(self) -> tuple[int, int]:
        """Return how many breadcrumbs it has answered for, and in how many requests."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        taken, requests = json.loads(self.process.stdout.readline())
        return taken, requests


@contextlib.contextmanager
def serve(delay: float, *, steady: bool = True) -> Iterator[RawServer]:
    """Run the raw server, and end it."""
    command = [sys.executable, "-m", "tests.bench.burst", "--serve", "--delay", str(delay)]
    command += [] if steady else ["--unsteady"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield RawServer(process.stdout.readline().strip(), process)
        process.terminate()


def _serve(delay: float, steady: bool) -> None:
    """Be that server: print the endpoint, then the counts whenever a line comes."""
    counts = [0, 0]
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/graphql", flush=True)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            arguments = connection, delay, steady, counts
            threading.Thread(target=_answer, args=arguments, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    for _ in sys.stdin:
        print(json.dumps(counts), flush=True)


def _answer(connection: socket.socket, delay: float, steady: bool, counts: list[int]) -> None:
    with connection, connection.makefile("rb") as stream:
        while head := stream.readline():
            size = 0
            while (head := stream.readline()) not in (b"\r\n", b""):
                name, _, value = head.partition(b":")
                size = int(value) if name.lower() == b"content-length" else size
            body = stream.read(size)
            if len(body) < size:
                return
            number = len(_ALIAS.findall(body))
            time.sleep(delay if steady else min(random.expovariate(1 / delay), 10 * delay))
            parts = [f'"a{index}":{{"success":true,"message":""}}' for index in range(number)]
            answer = f'{{"data":{{{",".join(parts)}}}}}'.encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nX-Backend-Server: migas@bench\r\nContent-Length: %d\r\n"
                b"Content-Type: application/json\r\n\r\n%b" % (len(answer), answer)
            )
            counts[0] += number
            counts[1] += 1


def main() -> None:
    """Print a line a burst, and the medians."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.burst", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=DELAY, help="seconds before each answer")
    parser.add_argument("--unsteady", action="store_true", help="the delay is a mean")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return _serve(options.delay, not options.unsteady)
    print("| delivered | requests | kept | given up | lost | exit, s | in all, s | CPU, s |")
    print("|---|---|---|---|---|---|---|---|")
    steady = not options.unsteady
    bursts = [measure_burst(delay=options.delay, steady=steady) for _ in range(options.rounds)]
    for burst in bursts:
        numbers = burst.delivered, burst.requests, burst.kept, burst.given_up, burst.lost
        times = (f"{value:.2f}" for value in burst[4:])
        print(f"| {' | '.join([*map(str, numbers), *times])} |")
    print(f"\ndelivered, median: {statistics.median(burst.delivered for burst in bursts):.0f}")
    return None


if __name__ == "__main__":
    main()
