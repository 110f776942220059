"""Installs what launches processes, where it may, and counts the uses of small hosts under it.

    PYTHONPATH=tests python -m carriers [pytest's options]

What is not there is skipped, with a line that says so.
"""

from __future__ import annotations

import os
import subprocess
import sys

from interpreters.apt import install_missing

from .launchers import install_launchers

#: A program of each of Debian's packages.
_PACKAGES = {
    "mpirun.openmpi": "openmpi-bin",
    "mpirun.mpich": "mpich",
    "java": "default-jre-headless",
}


def main() -> int:
    """Run the tests and return pytest's exit status."""
    for obstacle in filter(None, (install_missing(_PACKAGES), install_launchers())):
        print(f"not every launcher is here: {obstacle}")
    os.environ.pop("PYTHONPATH", None)  # by which this module was found
    arguments = sys.argv[1:] or [os.path.dirname(__file__)]
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
