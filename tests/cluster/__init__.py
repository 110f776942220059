"""Tests on a cluster: Slurm, nodes without internet, and a network file system, on one machine."""

from __future__ import annotations

import os

#: Names the network that the tests must not touch: the one from which they were started.
OUTER = "MIGAS_TEST_OUTER_NETWORK"

#: With what the nodes' names begin.
NODES = "migas"


def name_network() -> str:
    """Name the network namespace of this process."""
    return os.readlink("/proc/self/ns/net")


def is_inside() -> bool:
    """Say whether this process has a network of its own, in which cables may be laid."""
    return OUTER in os.environ and os.environ[OUTER] != name_network()
