"""Installs Debian's packages on this machine, where it is allowed to, and knows its mirror."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The variable that says that Debian's packages may be installed on this machine.
ALLOWED = "MIGAS_TEST_INSTALL"

_MIRROR = "http://deb.debian.org/debian"


def install_missing(programs: Mapping[str, str]) -> str:
    """Install the packages of the programs that are not there.

    Parameters
    ----------
    programs
        Each program's file, by name or by path, and the package that holds it.

    Returns what stands in the way, in a few words; `""` when every program is there.
    """
    missing = sorted({package for file, package in programs.items() if not shutil.which(file)})
    if not missing:
        return ""
    names = ", ".join(missing)
    if os.environ.get(ALLOWED) != "1":
        return f"{ALLOWED}=1 does not say that {names} may be installed"
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return f"only root can install {names}"
    if shutil.which("apt-get") is None:
        return f"there is no apt-get to install {names}"
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        command = ["apt-get", "--quiet=2", *arguments]
        done = subprocess.run(command, env=environ, stdout=sys.stderr, check=False)
    return f"apt-get cannot install {names}" if done.returncode else ""


def find_mirror(directory: Path = Path("/etc/apt")) -> str:
    """Return the address of the Debian mirror that apt uses, or Debian's own.

    Both of the formats of https://manpages.debian.org/sources.list are read; security updates and
    other archives are no mirrors of Debian.
    """
    for file in [directory / "sources.list", *sorted((directory / "sources.list.d").glob("*.*"))]:
        lines = file.read_text().splitlines() if file.is_file() else []
        for line in lines:
            if not line.startswith(("deb ", "URIs:")):
                continue
            for word in line.split():
                if word.startswith(("http://", "https://")) and word.rstrip("/").endswith(
                    "/debian"
                ):
                    return word
    return _MIRROR
