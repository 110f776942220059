"""Installs Debian's packages on this machine, where it is allowed to, and knows its mirror."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
    with _apt_alone():
        status = _install(missing)
    return f"apt-get cannot install {names}" if status else ""


def _install(packages: Sequence[str]) -> int:
    """Install packages, and return apt-get's exit status."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        command = ["apt-get", "--quiet=2", *arguments]
        done = subprocess.run(command, env=environ, stdout=sys.stderr, check=False)
    return done.returncode


@contextlib.contextmanager
def _apt_alone() -> Iterator[None]:
    """Wait until no other environment of tox's is here. `apt-get update` waits for nobody.

    The lock is on the root directory, since a file of a known name in `/tmp` may be anybody's.
    """
    import fcntl  # Windows has none, and no apt-get

    directory = os.open(os.sep, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


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
