"""PyPy, by Debian's package, in a chroot of Debian's unstable suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .chroot import Chroot
from .environment import SOURCE, build_wheel, locate, read_requirements

if TYPE_CHECKING:
    from collections.abc import Sequence

#: PyPy is slow until a program is warm, so what is slow elsewhere is left out, and what takes many
#: random examples or failures.
_LONG = (
    "_disk/test_broken_commands.py",
    "_disk/test_broken_disk.py",
    "_disk/test_planted_hosts.py",
    "_delivery/test_any_answer.py",
    "_delivery/test_uploader.py::test_no_breadcrumb_is_ever_in_two_live_requests",
    "_delivery/test_uploader.py::test_no_request_is_over_the_limit_and_each_breadcrumb_is_in_one",
    "_delivery/test_uploader.py::test_whatever_the_weather_nothing_is_lost_and_little_is_sent_twice",
)

TESTS = (
    *("-n", "2", "-m", "not slow"),
    *("tests/interpreters", "tests/_disk", "tests/_delivery", "tests/cli"),
    *(f"--deselect=tests/{name}" for name in _LONG),
)

#: It needs cryptography, which has no wheel for Debian's PyPy 8. Tests of TLS are skipped.
_ABSENT = "trustme"

#: Makes the environment once, puts the wheel there, and runs pytest.
_SCRIPT = """
set -e
python=/opt/migas/bin/python pip="/opt/migas/bin/pip --quiet --quiet"
if ! [ -e /opt/migas/whole ]; then
    pypy3 -m venv --clear /opt/migas
    $pip install --only-binary=:all: --requirement /opt/requirements.txt
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
        place = self._chroot.directory / "opt"
        wanted = [name for name in read_requirements() if name != _ABSENT]
        (place / "requirements.txt").write_text("\n".join(wanted))
        wheel = build_wheel(place / "wheels")
        command = ["sh", "-c", _SCRIPT, "sh", *(arguments or TESTS)]
        return self._chroot.run(command, SOURCE, {"WHEEL": f"/opt/wheels/{wheel.name}"})
