"""The newest Pythons, by Debian's packages, in a chroot of a suite that has them.

Where the machine has these interpreters itself, tox runs their environments without this.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from .chroot import Chroot
from .environment import SOURCE, locate

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSIONS = ("3.14", "3.15")

#: What runs where nothing else is asked for: see tox.ini.
ENVIRONMENTS = "py314,py315"

#: What PyInstaller needs, beside each interpreter.
_TOOLS = ("binutils", "ca-certificates")

#: Runs tox there, whose environments lie in the chroot as well.
_SCRIPT = """
set -e
[ -e /opt/tox/bin/tox ] || { python3.15 -m venv /opt/tox && /opt/tox/bin/pip -qq install tox; }
exec /opt/tox/bin/tox run --workdir /opt/environments "$@"
"""


class Debian:
    """CPython 3.14 and 3.15 on Linux."""

    name = "debian"

    def __init__(self) -> None:
        pythons = [f"python{version}-venv" for version in _VERSIONS]
        libraries = [f"libpython{version}" for version in _VERSIONS]
        packages = (*pythons, *libraries, *_TOOLS)
        self._chroot = Chroot(locate(self.name) / "forky", "forky", packages)

    def prepare(self) -> str:
        """Make the chroot; return what stands in the way, or `""`."""
        if all(shutil.which(f"python{version}") for version in _VERSIONS):
            return f"{' and '.join(_VERSIONS)} are on this machine itself"
        return self._chroot.prepare()

    def run(self, arguments: Sequence[str]) -> int:
        """Run tox with the arguments, and return its exit status."""
        command = ["sh", "-c", _SCRIPT, "sh", *(arguments or ("-e", ENVIRONMENTS))]
        return self._chroot.run(command, SOURCE, {"LANG": "C.UTF-8"})
