"""Rounds: everyone is measured once in each, in random order, so that a noisy machine is fair."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .measurement import Sample, measure
from .weather import Sky

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .client import Client
    from .host import Host
    from .weather import Weather


class Case(NamedTuple):
    """Who is measured where."""

    client: Client
    host: Host

    @property
    def key(self) -> tuple[str, str]:
        """By which its samples are found."""
        return self.client.name, self.host.name


class Results:
    """The samples of each case, one a round."""

    def __init__(self, samples: Mapping[tuple[str, str], list[Sample]]) -> None:
        self._samples = samples

    def of(self, client: Client, host: Host) -> list[Sample]:
        """Return the samples of a case."""
        return self._samples[client.name, host.name]

    def median(self, client: Client, host: Host, name: str) -> float:
        """Return the median of what the samples of a case say under a name."""
        return statistics.median(self._values(client, host, name))

    def ratio(self, client: Client, other: Client, host: Host, name: str) -> float:
        """Return the median ratio of two clients in the same rounds and host."""
        return statistics.median(a / b for a, b in self._pairs(client, other, host, name))

    def excess(self, client: Client, other: Client, host: Host, name: str) -> float:
        """Return the median difference of two clients in the same rounds and host."""
        return statistics.median(a - b for a, b in self._pairs(client, other, host, name))

    def _values(self, client: Client, host: Host, name: str) -> list[float]:
        return [float(getattr(sample, name)) for sample in self.of(client, host)]

    def _pairs(
        self, client: Client, other: Client, host: Host, name: str
    ) -> Iterator[tuple[float, float]]:
        own = self._values(client, host, name)
        return zip(own, self._values(other, host, name), strict=True)


def run_rounds(
    cases: Iterable[Case],
    weather: Weather,
    rounds: int,
    *,
    pythons: Mapping[str, str] = {},
    calls: int = 1,
    chunks: int = 0,
) -> Results:
    """Measure every case once a round; a round before the first fills caches."""
    by_key = {case.key: case for case in cases}
    samples: dict[tuple[str, str], list[Sample]] = {key: [] for key in by_key}
    with tempfile.TemporaryDirectory() as directory:
        sky = Sky(weather, Path(directory))
        with sky.shine():
            for number in range(rounds + 1):
                for key in random.sample(sorted(by_key), len(by_key)):
                    client, host = by_key[key]
                    python = pythons.get(client.name, sys.executable)
                    sample = measure(python, client, host, sky, calls=calls, chunks=chunks)
                    if number:
                        samples[key].append(sample)
    return Results(samples)
