"""What is published is whole and works: the sdist, the wheel, and the page that PyPI shows of them.

`tox -e publish` installs what builds and checks them; elsewhere these tests are skipped.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from support import need

ROOT = Path(__file__).parents[2]

#: When the release was made, for whoever builds it again: https://reproducible-builds.org.
EPOCH = "1767225600"

#: What a checkout has and a release does not.
CHECKOUTS_OWN = shutil.ignore_patterns(
    ".git", ".hypothesis", ".*_cache", ".tox", ".coverage*", "__pycache__", "build", "dist", ".nox"
)

#: What of the suite the sdist is tried with: the house, and what needs no process of its own.
QUICK = ("tests/test_house.py", "tests/test_doors.py", "tests/publish/test_metadata.py")

pytestmark = pytest.mark.slow


class Built(NamedTuple):
    """A release, as it is uploaded."""

    sdist: Path
    wheel: Path


def run(*arguments: str, cwd: Path, environ: dict[str, str] | None = None) -> str:
    """Return what a Python program prints, or fail with that if it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(directory: Path) -> Built:
    """Build a release of a copy of this tree, whose files are new."""
    source, target = directory / "source", directory / "dist"
    shutil.copytree(ROOT, source, ignore=CHECKOUTS_OWN, copy_function=shutil.copyfile)
    arguments = ("-m", "build", "--no-isolation", "--outdir", str(target))
    run(*arguments, cwd=source, environ={"SOURCE_DATE_EPOCH": EPOCH})
    [sdist] = target.glob("*.tar.gz")
    [wheel] = target.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, and the wheel that is built from it."""
    for module in ("build", "hatchling", "hatch_fancy_pypi_readme"):
        need(module)
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the sdist unpacks to."""
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built.sdist) as archive:
        archive.extractall(directory, filter="data")
    [top] = directory.iterdir()
    return top


def list_files(directory: Path) -> set[str]:
    """Return the paths of all files below a directory, but for compiled ones."""
    found = {path for path in directory.rglob("*") if path.is_file()}
    return {p.relative_to(directory).as_posix() for p in found if "__pycache__" not in p.parts}


def test_the_checkers_of_pypi_have_nothing_to_say(built: Built) -> None:
    """Warnings included."""
    need("twine")
    need("check_wheel_contents")
    run("-m", "twine", "check", "--strict", *map(str, built), cwd=built.wheel.parent)
    arguments = ("-m", "check_wheel_contents", "--toplevel", "migas", str(built.wheel))
    run(*arguments, cwd=built.wheel.parent)


def test_the_wheel_holds_the_package(built: Built) -> None:
    """All of it: types, documentation and licence; and it is one for all systems."""
    assert built.wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
        info = next(name for name in names if name.endswith("/WHEEL")).partition("/")[0]
        assert "Root-Is-Purelib: true" in archive.read(f"{info}/WHEEL").decode()
        licence = archive.read(f"{info}/licenses/migas/LICENSE")
        assert b"migas = migas.cli:main" in archive.read(f"{info}/entry_points.txt")
    assert licence == (ROOT / "migas" / "LICENSE").read_bytes()
    package = {f"migas/{name}" for name in list_files(ROOT / "migas")} - {"migas/LICENSE"}
    assert {name for name in names if not name.startswith(info)} == package
    assert {"migas/py.typed", "migas/_runtime/answer.pyi"} <= package


def test_the_sdist_holds_the_repository(unpacked: Path) -> None:
    """Whoever packages it can run all tests."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no checkout")
    files = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    assert list_files(unpacked) == files | {"PKG-INFO"}


def test_a_release_can_be_built_again(built: Built, tmp_path: Path) -> None:
    """To the same bytes, from other files at another time."""
    again = build(tmp_path)
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.sdist.read_bytes() == built.sdist.read_bytes()


def test_the_page_on_pypi_has_no_link_that_leads_nowhere(built: Built) -> None:
    """README.md as it is rendered there: links are whole, or to headings of its own."""
    need("comrak")  # by which Markdown is rendered
    renderer = pytest.importorskip("readme_renderer.markdown")
    with zipfile.ZipFile(built.wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    page = metadata.get_payload(decode=True)
    assert isinstance(page, bytes)
    html = renderer.render(page.decode())
    assert html
    links = re.findall(r'\b(?:href|src)="([^"]*)"', html)
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_the_sdists_tests_run_from_the_sdist(unpacked: Path) -> None:
    """Part of them, with what the sdist holds and nothing of this checkout."""
    code = "import migas; print(migas.__file__)"
    assert Path(run("-c", code, cwd=unpacked).strip()).is_relative_to(unpacked)
    said = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *QUICK, cwd=unpacked)
    assert re.search(r"^\d+ passed", said, re.MULTILINE), said


def test_the_wheel_works_where_it_is_installed(built: Built, tmp_path: Path) -> None:
    """In an environment of its own, beside what it depends on; and as it is, a zip archive."""
    venv.create(tmp_path / "venv", symlinks=os.name != "nt")
    [site] = (tmp_path / "venv").rglob("site-packages")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    arguments = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed")
    run(*arguments, "--target", str(site), str(built.wheel), cwd=tmp_path)
    (site / "here.pth").write_text("\n".join(libraries) + "\n")
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    code = "import migas, migas.typedefs; migas.track('owner/repo', '1'); print(migas.__file__)"
    for extra in ({}, {"PYTHONPATH": str(built.wheel)}):
        done = subprocess.run(
            [python, "-c", code],
            env={**os.environ, "MIGAS_OPTOUT": "1", **extra},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        place = Path(done.stdout.strip())
        assert (place.is_relative_to(built.wheel if extra else site), done.stderr) == (True, "")
