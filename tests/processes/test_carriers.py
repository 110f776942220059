"""The one line inside a package, wherever that lies and however it is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, SLOW, need, versions

import migas

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas.testing import Server

PACKAGE = Path(migas.__file__).parent

#: A package that its users import, with a version of its own.
LINE = """
import logging
__version__ = '1'
import migas
migas.add_project('owner/repo', __version__)
"""

WAYS = {
    "at once": "import package",
    "by a thread": "import threading\n"
    "thread = threading.Thread(target=__import__, args=('package',))\n"
    "thread.start()\nthread.join()",
    "by a thread that is not awaited": "import threading\n"
    "threading.Thread(target=__import__, args=('package',)).start()",
    "lazily": "import importlib.util, sys\n"
    "spec = importlib.util.find_spec('package')\n"
    "spec.loader = importlib.util.LazyLoader(spec.loader)\n"
    "module = importlib.util.module_from_spec(spec)\n"
    "sys.modules['package'] = module\nspec.loader.exec_module(module)\n"
    "assert 'migas' not in sys.modules\nassert module.__version__ == '1'",
    "in a function, again and again": "import importlib, package\n"
    "def use():\n    import package\n    return package\nassert use() is use()",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    directory = tmp_path / "package"
    directory.mkdir()
    (directory / "__init__.py").write_text(LINE)
    return directory


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_package_with_the_line_is_counted_once(
    host: Host, server: Server, deliver: Callable[[], None], way: str
) -> None:
    """However its program imports it."""
    ended = host.run(way, SLOW, measured=False)
    assert ended.calmly, ended
    deliver()
    assert len(server.crumbs) == 1


def run(command: list[str], directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    return subprocess.run(
        command,
        cwd=directory,
        env={**inherited, **SLOW, **environ},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )


def test_python_that_times_its_imports(
    package: Path, server: Server, deliver: Callable[[], None]
) -> None:
    """`-X importtime` shows what the package costs, without what a delivery takes."""
    code = "import package, sys; print('---', file=sys.stderr, flush=True)"
    done = run([sys.executable, "-X", "importtime", "-c", code], package.parent)
    assert done.returncode == 0
    before = done.stderr.partition("---")[0]
    assert "| migas\n" in before or "|   migas\n" in before
    assert not any(name in before for name in ("requests", "urllib3"))
    deliver()
    assert len(server.crumbs) == 1


@pytest.mark.slow
def test_from_a_zip(package: Path, server: Server, deliver: Callable[[], None]) -> None:
    """As zipapp and shiv pack programs."""
    archive = package.parent / "program.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(PACKAGE.rglob("*.py")):
            file.write(path, path.relative_to(PACKAGE.parent))
        file.write(package / "__init__.py", "package/__init__.py")
        file.writestr(
            "__main__.py",
            "import package, migas; assert '.pyz' in migas.__file__, migas.__file__\n",
        )
    shutil.rmtree(package)
    done = run([sys.executable, str(archive)], package.parent)
    assert (done.returncode, done.stderr) == (0, "")
    deliver()
    assert len(server.crumbs) == 1


@pytest.mark.slow
def test_from_a_read_only_installation(
    package: Path, server: Server, deliver: Callable[[], None]
) -> None:
    """Nothing is written beside the package: no cache of bytecode, nothing of the agent's."""
    site = package.parent / "site"
    shutil.copytree(PACKAGE, site / "migas", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.move(package, site / "package")
    unshare = shutil.which("unshare")
    mount = f"mount --bind {site} {site} && mount -o remount,ro,bind {site}"
    command = [unshare or "", "-m", "sh", "-c", f'{mount} && exec "$0" "$@"']
    if not unshare or run([*command, "true"], package.parent).returncode:
        pytest.skip("needs the right to mount")
    code = f"import package, migas; assert migas.__file__.startswith({str(site)!r}), migas.__file__"
    done = run([*command, sys.executable, "-c", code], package.parent, PYTHONPATH=str(site))
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(site.rglob("__pycache__"))
    deliver()
    assert len(server.crumbs) == 1


@pytest.mark.slow
def test_under_pyinstaller(package: Path, server: Server, deliver: Callable[[], None]) -> None:
    """A frozen program finds every module that the agent loads by name."""
    need("PyInstaller")
    directory = package.parent
    (directory / "program.py").write_text(
        "import package, sys; assert sys.frozen\n"
        "import migas; print(migas.add_project('owner/repo', '2').result(40)['success'])\n"
    )
    options = ["--onedir", "--log-level", "ERROR", "--paths", str(directory)]
    # The package is installed editably here, which only a path shows to PyInstaller.
    options += ["--paths", str(PACKAGE.parent)]
    built = run(
        [sys.executable, "-m", "PyInstaller", *options, "program.py"],
        directory,
        PYINSTALLER_CONFIG_DIR=str(directory / "pyinstaller"),
    )
    assert built.returncode == 0, built.stderr
    done = run([str(directory / "dist" / "program" / "program")], directory)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    deliver()
    assert versions(server) == ["1", "2"]
