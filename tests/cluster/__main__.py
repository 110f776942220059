"""Runs the tests of a cluster, in namespaces that end with them, or says why not.

    PYTHONPATH=tests python -m cluster [pytest's options]

The test process is the login node. What it starts, mounts and configures is seen by nobody else,
and goes when it goes; only the memory cgroup of the jobs is the machine's own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from interpreters.apt import install_missing

from . import NODES, OUTER, name_network

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A program of each of Debian's packages.
_PACKAGES = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "glusterd": "glusterfs-server",
    "mount.glusterfs": "glusterfs-client",
    "nft": "nftables",
    "ip": "iproute2",
    "modulecmd": "environment-modules",
    "mkfs.ext4": "e2fsprogs",
}

_UNSHARE = ("unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child")

#: Asked whether a daemon may start when it is installed: https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
_POLICY = Path("/usr/sbin/policy-rc.d")


def main() -> int:
    """Run the tests and return pytest's exit status; 0 where they cannot be run."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # which some have not
    if obstacle := _find_obstacle():
        print(f"the tests of a cluster are skipped: {obstacle}")
        return 0
    pytest = [sys.executable, "-m", "pytest", *(sys.argv[1:] or [os.path.dirname(__file__)])]
    command = [*_UNSHARE, "--mount-proc", *pytest]
    try:
        environ = {**os.environ, OUTER: name_network()}
        environ.pop("PYTHONPATH", None)  # by which this module was found
        return subprocess.run(command, env=environ, check=False).returncode
    finally:
        # Slurm's own, which nobody is in any more: all processes have ended with the namespace.
        for path in sorted(Path("/sys/fs/cgroup").glob(f"*/slurm_{NODES}*/**/"), reverse=True):
            path.rmdir()


def _find_obstacle() -> str:
    if not sys.platform.startswith("linux"):
        return "Linux alone has namespaces"
    if os.geteuid() != 0:
        return "only root can make nodes"
    if not hasattr(os, "setns"):
        return "Python has setns() from 3.12 on"
    with _no_daemons():
        obstacle = install_missing(_PACKAGES)
    if obstacle:
        return obstacle
    attempt = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return attempt.stderr.strip()


@contextlib.contextmanager
def _no_daemons() -> Iterator[None]:
    """Keep what is installed from starting by itself."""
    if _POLICY.exists() or not _POLICY.parent.is_dir():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


if __name__ == "__main__":
    sys.exit(main())
