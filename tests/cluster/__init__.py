"""Tests on a cluster: Slurm, nodes without internet, and a network file system, on one machine."""

#: Set where the tests are in namespaces of their own.
INSIDE = "MIGAS_TEST_CLUSTER"

#: With what the nodes' names begin.
NODES = "migas"
