"""Runs tox's environments of the newest Pythons in a Debian that has these, in a chroot.

    python -m tests.interpreters.debian [tox's options]

Nothing is done where the machine has these interpreters itself: there tox runs them. Where no
chroot can be made, one line says why, and the exit status is 0. It takes 400 MB below the system's
directory for temporary files, until the tests end.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .chroot import Chroot

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The suite whose interpreters these are, and what PyInstaller needs of them.
_SUITE = "forky"
_VERSIONS = ("3.14", "3.15")
_PACKAGES = ("binutils", "ca-certificates")

#: Installs tox, and runs it on a copy, since the checkout may be another user's.
_RUN = """
set -e
cp -a . /root/checkout && cd /root/checkout && rm -rf .tox
python3.15 -m venv /root/tox && /root/tox/bin/pip install --quiet tox
exec /root/tox/bin/tox run "$@"
"""


def main(arguments: Sequence[str]) -> int:
    """Return tox's exit status, or 0 where there is nothing to run."""
    if all(shutil.which(f"python{version}") for version in _VERSIONS):
        print(f"this machine has {' and '.join(_VERSIONS)}: tox runs them")
        return 0
    python = [f"python{version}-venv" for version in _VERSIONS]
    libraries = [f"libpython{version}" for version in _VERSIONS]
    with tempfile.TemporaryDirectory() as directory:
        chroot = Chroot(Path(directory, _SUITE), _SUITE, (*python, *libraries, *_PACKAGES))
        if obstacle := chroot.prepare():
            print(f"{' and '.join(_VERSIONS)} are skipped: {obstacle}")
            return 0
        return chroot.run(["sh", "-c", _RUN, "sh", *arguments], Path.cwd())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
