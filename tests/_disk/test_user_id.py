"""One random id for a user, made once, and readable by nobody as a name."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
import sys
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from containers import LASTING, PASSING
from support import SLOW

import migas
from migas._crumb.mounts import find_mount, read_mounts
from migas._delivery.defaults import find_defaults
from migas._delivery.throttle import Pace
from migas._disk import user_id
from migas._runtime.settings import Settings

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

needs_mounts = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows: no kernel lists the mounts of a container"
)


@pytest.fixture
def directory(home: Path) -> Path:
    return home / "config" / "migas"


def test_an_id_is_made_once_and_kept(directory: Path) -> None:
    """The next process finds the same id, in a file that is the user's alone."""
    first = user_id.obtain(str(directory))
    assert user_id.obtain(str(directory)) == user_id.read(str(directory)) == first
    assert uuid.UUID(first).version == 4
    assert [path.name for path in directory.iterdir()] == ["user_id"]
    if os.name == "posix":
        assert (directory / "user_id").stat().st_mode & 0o777 == 0o600
        assert directory.stat().st_mode & 0o777 == 0o700


def test_an_id_of_an_earlier_client_is_kept(directory: Path) -> None:
    """Nobody becomes a new user by an update (pain 23)."""
    directory.mkdir(parents=True)
    earlier = "1CF6DB85-5D12-4D79-A502-611F353DE27D"
    (directory / "user_id").write_text(earlier)
    assert user_id.obtain(str(directory)) == earlier.lower()
    assert (directory / "user_id").read_text() == earlier


def test_an_id_is_found_where_earlier_clients_kept_it(home: Path) -> None:
    """In ~/.config on every system, wherever this one's configuration lies."""
    place = home / ".config" / "migas"
    place.mkdir(parents=True)
    earlier = "1cf6db85-5d12-4d79-a502-611f353de27d"
    (place / "user_id").write_text(earlier)
    assert find_user(Settings(), {}, home) == earlier
    assert not (home / "config").exists()


def test_a_file_without_an_id_gets_one(directory: Path) -> None:
    """An interrupted write of an earlier client leaves nobody without an id for ever."""
    directory.mkdir(parents=True)
    (directory / "user_id").write_text("")
    assert user_id.obtain(str(directory)) == user_id.read(str(directory))


def test_looking_creates_nothing(directory: Path) -> None:
    """A person may look before there is anything."""
    assert user_id.read(str(directory)) is None
    assert not directory.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows: no modes")
@pytest.mark.parametrize("mode", [0o000, 0o200, 0o600, 0o755, 0o775])
def test_looking_changes_no_mode(directory: Path, mode: int) -> None:
    """A directory that cannot be read is a no (pain 45), and stays one after a look."""
    directory.mkdir(parents=True)
    directory.chmod(mode)
    try:
        user_id.read(str(directory))
        assert user_id.clear(str(directory)) in (True, False)
        assert directory.stat().st_mode & 0o777 == mode
    finally:
        directory.chmod(0o700)


def test_where_nothing_can_be_kept_the_id_is_a_stable_hash(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a home the id is the same at each run, and holds no readable name."""
    home.rmdir()
    directory = str(home / "config" / "migas")
    derived = user_id.obtain(directory)
    assert derived == user_id.obtain(directory)
    assert uuid.UUID(derived).version == 4
    assert getpass.getuser() not in derived
    assert not home.exists()
    monkeypatch.setattr(platform, "node", lambda: "another")
    monkeypatch.setattr("builtins.open", _refuse)
    assert user_id.obtain(directory) != derived


def test_where_no_file_can_be_made_the_id_is_the_same_hash(home: Path, directory: Path) -> None:
    """A configuration directory that cannot be written gives nobody a new id at each run."""
    (home / "config").write_text("in the way")
    assert user_id.obtain(str(directory)) == user_id.obtain(str(directory))
    assert find_user(Settings(), {}, home) == user_id.obtain(str(directory))
    assert (home / "config").read_text() == "in the way"


def find_user(settings: Settings, environ: dict[str, str], root: Path) -> object:
    """Return the user's id as breadcrumbs have it."""
    return find_defaults(settings, environ, str(root), keeps_user=True)["user_id"]


def _refuse(*_args: object, **_kwargs: object) -> None:
    raise FileNotFoundError


def test_threads_that_start_together_agree(directory: Path) -> None:
    """The first to publish wins, and the others read."""
    with ThreadPoolExecutor(16) as threads:
        ids = set(threads.map(user_id.obtain, [str(directory)] * 64))
    assert len(ids) == 1


@pytest.mark.slow
def test_processes_that_start_together_agree(host: Host, directory: Path) -> None:
    """A job array's first start: 64 processes, let go at the same moment, and one user."""
    code = "import sys; from migas._disk import user_id\n"
    code += "print('ready', flush=True); sys.stdin.read()\n"
    code += f"print(user_id.obtain({str(directory)!r}))"
    started = [host.start(code, measured=False, stdin=subprocess.PIPE) for _ in range(64)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    ids = {process.stdout.read() for process in started if process.stdout}
    assert ids == {f"{user_id.read(str(directory))}\n"}
    assert [path.name for path in directory.iterdir()] == ["user_id"]


def test_a_cleared_id_is_followed_by_another(directory: Path) -> None:
    """A person may become somebody else, and clearing what is not there is no failure."""
    first = user_id.obtain(str(directory))
    assert user_id.clear(str(directory))
    assert user_id.read(str(directory)) is None
    assert user_id.clear(str(directory))
    assert user_id.obtain(str(directory)) != first


def test_an_id_that_cannot_be_removed_is_told(directory: Path) -> None:
    """Whoever wants to be forgotten is not told that it is done when it is not."""
    (directory / "user_id" / "in the way").mkdir(parents=True)
    assert not user_id.clear(str(directory))


def test_the_public_function_clears_every_file(home: Path, directory: Path) -> None:
    """Also the one that an earlier client has left."""
    earlier = home / ".config" / "migas"
    for place in (directory, earlier):
        place.mkdir(parents=True)
        (place / "user_id").write_text("1cf6db85-5d12-4d79-a502-611f353de27d")
    assert migas.clear_user_id()
    assert [*directory.iterdir(), *earlier.iterdir()] == []


@pytest.mark.parametrize(
    ("marker", "environ", "is_told"),
    [
        pytest.param(None, {}, True, id="a machine"),
        pytest.param(".dockerenv", {}, False, id="a container"),
        pytest.param(None, {"CI": "true"}, False, id="CI"),
    ],
)
def test_where_nothing_lasts_no_user_is_invented(
    home: Path, marker: str | None, environ: dict[str, str], is_told: bool
) -> None:
    """A new id at each run would count one user a hundred times (pain 23)."""
    if marker:
        (home / marker).touch()
    told = find_user(Settings(), environ, home)
    assert (told is not None) is is_told
    assert (home / "config" / "migas" / "user_id").exists() is is_told


@needs_mounts
@pytest.mark.parametrize("kind", sorted(set(LASTING) - {"Lambda, a network's file system"}))
def test_a_container_with_a_home_that_lasts_has_a_user(home: Path, kind: str) -> None:
    """As a hub's user on a claimed volume has, from one container to the next (pain 64)."""
    found = set()
    for number in range(2):
        root = LASTING[kind].make(home / f"root-{number}", home, str(number))
        found.add(find_user(Settings(), LASTING[kind].environ, root))
    assert len(found) == 1
    assert found != {None}


@needs_mounts
@pytest.mark.parametrize("kind", PASSING)
def test_five_containers_are_not_five_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Each has a home of its own that ends with it, and an image's id is nobody's (pain 64)."""
    for number in range(5):
        home = tmp_path / f"home-{number}"
        config = home / ".config" / "migas"
        config.mkdir(parents=True)
        if number == 4:
            (config / "user_id").write_text("1cf6db85-5d12-4d79-a502-611f353de27d")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        root = PASSING[kind].make(tmp_path / f"root-{number}", home, str(number))
        assert find_user(Settings(), PASSING[kind].environ, root) is None
        assert (config / "user_id").exists() is (number == 4)


@needs_mounts
def test_in_a_container_no_id_is_made_of_its_name(home: Path) -> None:
    """Pods that may not write to the home that they share are no users each (pain 64)."""
    (home / "config").write_text("in the way")
    container = LASTING["Kubernetes, a claimed share"]
    root = container.make(home / "root", home)
    assert find_user(Settings(), container.environ, root) is None
    assert find_user(Settings(), {}, home) is not None


@pytest.mark.slow
@needs_mounts
def test_where_nothing_lasts_every_exit_delivers_and_names_no_user(
    host: Host, server: Server
) -> None:
    """As in a home in memory, which Apptainer's `--contain` makes (pain 64)."""
    mount = find_mount("/dev/shm", read_mounts())
    if mount is None or mount.kind != "tmpfs":
        pytest.skip("there is no file system in memory")
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="migas-test-") as home:
        environ = {"HOME": home, "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "", **SLOW}
        environ["APPTAINER_CONTAINER"] = "/images/app.sif"
        note = "import migas; migas.add_project('owner/repo', '1')"
        assert host.run(note, {**environ, "MIGAS_TIMEOUT": "0"}).calmly
        [directory] = Path(home, ".cache", "migas").iterdir()
        while Pace(str(directory)).take():
            pass
        assert host.run(note, environ).calmly
        assert not Path(home, ".config").exists()
    assert [crumb["user_id"] for crumb in server.crumbs] == [None, None]


def test_a_host_may_name_its_user_anywhere(home: Path) -> None:
    """Its own id is no invention."""
    (home / ".dockerenv").touch()
    named = Settings(user_id="1cf6db85-5d12-4d79-a502-611f353de27d")
    assert find_user(named, {}, home) == named.user_id


def test_a_file_system_without_hard_links_is_good_enough(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename keeps the id there."""

    def link(*_args: object, **_kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    first = user_id.obtain(str(directory))
    assert user_id.obtain(str(directory)) == user_id.read(str(directory)) == first
