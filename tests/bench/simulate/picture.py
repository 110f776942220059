"""The picture: what the clients do to a world's server, over time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .__main__ import Run
    from .world import World

_COLOURS = ("#b0413e", "#c9a227", "#35688f")

#: Bins along the time.
_BINS = 300


def draw(world: World, runs: Sequence[Run], path: Path) -> None:
    """Draw requests a second, what waits, how old it is when it arrives, and what came twice."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    figure.suptitle(world.name)
    (requests, waiting), (ages, twice) = figure.subplots(2, 2)
    for run, colour in zip(runs, _COLOURS, strict=True):
        name = run.client.name
        moments, peaks = _find_peaks(run, world)
        requests.step(moments, peaks, color=colour, label=name, where="mid", linewidth=1)
        hours = [moment / 3600 for moment, _ in run.waiting]
        counts = [max(0, count) * world.scale for _, count in run.waiting]
        waiting.plot(hours, counts, color=colour)
        sorted_ages = sorted(max(age, 0.01) for _, age in run.server.ages)
        shares = [(index + 1) / run.client.noted for index in range(len(sorted_ages))]
        ages.plot(sorted_ages, shares, color=colour)
    again = [sum(n - 1 for n in run.server.stored.values()) * world.scale for run in runs]
    lost = [run.client.dropped * world.scale for run in runs]
    places = range(len(runs))
    twice.bar([place - 0.2 for place in places], again, 0.4, color="#777777", label="stored twice")
    twice.bar([place + 0.2 for place in places], lost, 0.4, color="#222222", label="lost")
    twice.set_xticks(list(places), [run.client.name.replace(", ", ",\n") for run in runs])
    twice.set_yscale("symlog")
    twice.legend()
    requests.set(ylabel="requests a second, at most", xlabel="hours", yscale="symlog")
    requests.legend()
    waiting.set(ylabel="breadcrumbs that wait", xlabel="hours")
    ages.set(ylabel="share that has arrived", xlabel="seconds after it was noted", xscale="log")
    ages.set_ylim(0, 1.02)
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def _find_peaks(run: Run, world: World) -> tuple[list[float], list[int]]:
    """Return the busiest second in each bin."""
    width = world.end / _BINS
    peaks: Counter[int] = Counter()
    for second, count in run.server.requests.items():
        index = int(second / width)
        peaks[index] = max(peaks[index], count)
    moments = [(index + 0.5) * width / 3600 for index in range(_BINS)]
    return moments, [peaks[index] * world.scale for index in range(_BINS)]
