"""Simulate: `python -m tests.bench.simulate [WORLD …] [--seed N] [--plots DIRECTORY]`.

When our hosts try, and how much a request carries, is decided by the package's own back-off, pace
and policy, given the model's clock; only processes, spools and the server are modelled. Beside them
go a client that tries again and again, and one that backs off, each process for itself.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import simpy

from .client import CLIENTS, Client
from .server import Server
from .world import WORLDS, World


class Run(NamedTuple):
    """What one client did to the server of a world."""

    client: Client
    server: Server
    #: What waited, by the moment, in seconds.
    waiting: list[tuple[float, int]]


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.simulate", description=__doc__)
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=", ".join(WORLDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY")
    options = parser.parse_args()
    print("| world | client | noted | dropped | twice | waiting | requests | a second at most |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.worlds or WORLDS:
        world = WORLDS[name]
        runs = [simulate(world, client, options.seed) for client in CLIENTS]
        for run in runs:
            print(_write_row(world, run))
        if options.plots:
            from .picture import draw  # matplotlib takes a second, and most runs draw nothing

            draw(world, runs, options.plots / f"{name}.png")


def simulate(world: World, make: type[Client], seed: int) -> Run:
    """Let a world's hosts live, with one client, to its end."""
    dice = random.Random(seed)
    env = simpy.Environment()
    server = Server(env, world, dice)
    client = make(env, world, server, dice)
    for host in range(world.hosts):
        env.process(_live(env, world, client, host, dice))
    waiting: list[tuple[float, int]] = []
    env.process(_look(env, world, client, waiting))
    env.run(until=world.end)
    return Run(client, server, waiting)


def _live(
    env: simpy.Environment, world: World, client: Client, host: int, dice: random.Random
) -> Generator[simpy.Event, Any, None]:
    """Start a program now and then, whatever became of the last."""
    yield env.timeout(dice.random() if world.in_step else dice.uniform(0.0, world.pause))
    while True:
        env.process(client.run(host))
        yield env.timeout(dice.expovariate(1.0 / world.pause))


def _look(
    env: simpy.Environment, world: World, client: Client, waiting: list[tuple[float, int]]
) -> Generator[simpy.Event, Any, None]:
    while True:
        waiting.append((env.now, client.count_waiting()))
        yield env.timeout(world.end / 500)


def _write_row(world: World, run: Run) -> str:
    numbers = (
        run.client.noted,
        run.client.dropped,
        sum(times - 1 for times in run.server.stored.values()),
        run.client.count_waiting(),
        sum(run.server.requests.values()),
        max(run.server.requests.values()),
    )
    cells = (world.name, run.client.name, *(f"{number * world.scale:,}" for number in numbers))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
