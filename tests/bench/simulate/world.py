"""The world: a population of hosts, and what befalls it."""

from __future__ import annotations

from typing import NamedTuple


class World(NamedTuple):
    """A population, and what befalls it."""

    name: str
    hosts: int
    #: Seconds between two programs of a host, on average, and seconds that each lives.
    pause: float
    life: float
    #: When there is no way to the server, and when the model ends, in seconds.
    outage_from: float
    outage_until: float
    end: float
    #: All hosts share a home and an address; else each has its own.
    is_cluster: bool
    #: Hosts that each of these stands for; what is plotted is multiplied by that.
    scale: int = 1
    #: Every host starts its first program within a second.
    in_step: bool = False


DAY = 86400.0

WORLDS = {
    "offline": World(
        name="10,000 nodes of a cluster, offline for a day",
        hosts=500,
        pause=1800.0,
        life=120.0,
        outage_from=0.0,
        outage_until=DAY,
        end=1.25 * DAY,
        is_cluster=True,
        scale=20,
    ),
    "outage": World(
        name="a million laptops, and ten minutes without the server",
        hosts=20_000,
        pause=DAY / 5,
        life=300.0,
        outage_from=600.0,
        outage_until=1200.0,
        end=5400.0,
        is_cluster=False,
        scale=50,
    ),
    "limit": World(
        name="2,000 tasks at once behind one address",
        hosts=2000,
        pause=600.0,
        life=60.0,
        outage_from=0.0,
        outage_until=0.0,
        end=1800.0,
        is_cluster=True,
        in_step=True,
    ),
}
