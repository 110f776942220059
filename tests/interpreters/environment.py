"""What each interpreter's environment is made of: where it lies, and which packages it holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: The checkout.
SOURCE = Path(__file__).parents[2]


def locate(name: str) -> Path:
    """Return the directory of an environment: tox's own, or the one that tox would take."""
    return Path(os.environ.get("TOX_ENV_DIR") or SOURCE / ".tox" / name)


def make_whole(place: Path, make: Callable[[Path], None]) -> None:
    """Have ``make`` fill a directory, and move it to its place when it is whole.

    A directory that is there already is taken as it is.
    """
    if place.exists():
        return
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    make(part)
    part.rename(place)


def read_requirements() -> list[str]:
    """Return what the tests and the local server need, by pyproject.toml."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())
    test: list[str] = project["dependency-groups"]["test"]
    server: list[str] = project["project"]["optional-dependencies"]["server"]
    return [*project["project"]["dependencies"], *server, *test]


def build_wheel(directory: Path) -> Path:
    """Build migas from the checkout into a directory of its own, and return the wheel's path."""
    shutil.rmtree(directory, ignore_errors=True)
    run_pip("wheel", "--no-deps", "--wheel-dir", str(directory), str(SOURCE))
    (wheel,) = directory.glob("*.whl")
    return wheel


def run_pip(*arguments: str) -> None:
    """Run this interpreter's pip. Raises `subprocess.CalledProcessError` if that fails."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--quiet", *arguments], check=True)
