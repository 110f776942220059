"""An ordinary user for the tests of the disk's door, since root may do what others may not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from planting import IS_ROOT, NOBODY
from support import PATIENCE, SLOW, Ended

from migas._disk import directory, files, home

from .broken import BrokenOS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> BrokenOS:
    """Whatever touches the disk asks a system that fails when it is told to."""
    broken = BrokenOS()
    for module in (directory, files, home):
        monkeypatch.setattr(module, "os", broken)
    return broken


class Person:
    """A user with a directory of their own, in which their home lies."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self._started: list[subprocess.Popen[str]] = []

    def make(self, path: Path, mode: int = 0o700) -> Path:
        """Make a directory of this person's."""
        path.mkdir(parents=True)
        path.chmod(mode)
        self.own(path)
        return path

    def own(self, *paths: Path) -> None:
        """Give files to this person, without following links."""
        for path in paths if IS_ROOT else ():
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def own_all(self, directory: Path) -> None:
        """Give this person a directory with all that lies in it."""
        self.own(directory, *directory.rglob("*"))

    def start(
        self,
        code: str,
        environ: Mapping[str, str] = {},
        *,
        uid: int = NOBODY,
        groups: Sequence[int] = (),
        arguments: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """Start a process of this person's that runs ``code``, or what ``arguments`` say."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COVERAGE_", "XDG_"))
        }
        process = subprocess.Popen(
            [*become(uid, groups), sys.executable, *(arguments or ("-c", code))],
            # Seen from an Apptainer container a home is its user's own, wherever this runs.
            env={
                **inherited,
                "HOME": str(self.home),
                "APPTAINER_NAME": "any",
                **SLOW,
                **environ,
            },
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(
        self,
        code: str,
        environ: Mapping[str, str] = {},
        *,
        uid: int = NOBODY,
        groups: Sequence[int] = (),
        arguments: Sequence[str] = (),
    ) -> Ended:
        """Run such a process to its end."""
        process = self.start(code, environ, uid=uid, groups=groups, arguments=arguments)
        out, err = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, out, err)

    def stop(self) -> None:
        """End what the test left running."""
        for process in self._started:
            process.kill()
            process.communicate()


def become(uid: int, groups: Sequence[int] = ()) -> list[str]:
    """Return the beginning of a command that runs as an ordinary user, if this is root."""
    if not IS_ROOT or uid == 0:
        return []
    kept = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", kept]


@pytest.fixture(scope="session")
def is_reachable() -> bool:
    """Whether an ordinary user can start this interpreter, and import migas."""
    if IS_ROOT and shutil.which("setpriv") is None:
        return False
    command = [*become(NOBODY), sys.executable, "-c", "import migas, requests"]
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0


@pytest.fixture
def person(is_reachable: bool) -> Iterator[Person]:
    """Somebody who is not root, with a home that is not in root's own temporary directory."""
    if sys.platform == "win32":
        pytest.skip("Windows: no modes, and no other user's processes")
    if not is_reachable:
        pytest.skip("no other user can start this interpreter")
    directory = Path(tempfile.mkdtemp(prefix="migas-test-"))
    directory.chmod(0o755)
    person = Person(directory)
    person.own(directory)
    person.make(person.home)
    yield person
    person.stop()
    shutil.rmtree(directory)
