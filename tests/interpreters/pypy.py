"""PyPy, by Debian's package, in a chroot of Debian's unstable suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .chroot import Chroot
from .environment import SOURCE, build_wheel, locate, read_requirements

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What depends on the interpreter: memory, modules, threads, ends of processes.
TESTS = (
    "tests/_disk",
    "tests/_delivery",
    "tests/cli",
    "tests/_crumb",
    "tests/_runtime",
    "tests/processes/test_outcomes.py",
)

#: It needs cryptography, which has no wheel for Debian's PyPy 8. Tests of TLS are skipped.
_ABSENT = "trustme"

#: Makes the environment once, puts the wheel there, and runs pytest.
_SCRIPT = """
set -e
python=/opt/migas/bin/python pip="/opt/migas/bin/pip --quiet --quiet"
if ! [ -e /opt/migas/whole ]; then
    pypy3 -m venv --clear /opt/migas
    $pip install --only-binary=:all: $REQUIREMENTS
    touch /opt/migas/whole
fi
$pip install --no-deps --force-reinstall "$WHEEL"
exec $python -m pytest "$@"
"""


class PyPy:
    """PyPy 3.11 on Linux."""

    name = "pypy"

    def __init__(self) -> None:
        packages = ("pypy3", "pypy3-venv", "ca-certificates")
        self._chroot = Chroot(locate(self.name) / "debian", "sid", packages)

    def prepare(self) -> str:
        """Make the chroot; return what stands in the way, or `""`."""
        return self._chroot.prepare()

    def run(self, arguments: Sequence[str]) -> int:
        """Run pytest with the arguments, and return its exit status."""
        wheel = build_wheel(self._chroot.directory / "root" / "wheels")
        environ = {
            "REQUIREMENTS": " ".join(name for name in read_requirements() if name != _ABSENT),
            "WHEEL": f"/root/wheels/{wheel.name}",
        }
        command = ["sh", "-c", _SCRIPT, "sh", *(arguments or TESTS)]
        return self._chroot.run(command, SOURCE, environ)
