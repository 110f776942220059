"""What is ordinary goes on working, and where nothing of ours may lie nothing is made."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from planting import IS_ROOT, NOBODY, Outside, crumb, take_picture
from support import NOWHERE, ROOMY, need_lasting_disk

from migas._delivery.writer import PAUSES
from migas._disk.directory import (
    TAG,
    create_directory,
    find_cache,
    find_config,
    find_earlier_config,
    find_home,
    open_directory,
)
from migas._disk.entry import MemoryEntry
from migas._disk.ownership import NoDiskError
from migas._disk.spool import Spool, directory_for

if TYPE_CHECKING:
    from migas.testing import Server

    from .conftest import Person

#: Notes something, and cannot send it.
NOTE = "import migas; migas.add_project('owner/repo', '1')"
OFFLINE = {"MIGAS_TIMEOUT": "0"}

#: Notes much, and sends it.
NOTES = """
import migas
for number in range(20): migas.add_project('owner/repo', str(number))
assert migas.flush(40) == 0
"""

needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root")
needs_links = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows: a link needs a privilege"
)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path / "outside")


def spool_in(cache: Path, endpoint: str = NOWHERE) -> Path:
    return Path(directory_for(endpoint, str(cache)))


def names(spool: Path) -> list[str]:
    """The files that are pending there."""
    return os.listdir(spool / "new")


def modes(directory: Path) -> set[tuple[str, int]]:
    """The modes of directories and of files, that and below."""
    return {
        ("directory" if path.is_dir() else "file", stat.S_IMODE(path.stat().st_mode))
        for path in (directory, *directory.rglob("*"))
    }


PRIVATE = {("directory", 0o700), ("file", 0o600)}


def test_a_cache_that_links_to_a_scratch_disk_is_used(person: Person) -> None:
    """As sites have it whose homes are small."""
    elsewhere = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=elsewhere) as scratch:
        os.chmod(scratch, 0o755)
        cache = person.make(Path(scratch) / "jane")
        (person.home / ".cache").symlink_to(cache)
        assert person.run(NOTE, OFFLINE).calmly
        assert len(names(spool_in(cache / "migas"))) == 1
        assert Spool(str(spool_in(cache / "migas")), ROOMY).problem() == "" or IS_ROOT


@needs_root
@pytest.mark.parametrize("mode", [0o2775, 0o3777, 0o1777, 0o775])
def test_a_laboratorys_directory_of_another_owner_is_used(person: Person, mode: int) -> None:
    """Its group may write there, or everybody may who keeps to their own."""
    lab = person.make(person.directory / "lab")
    os.chown(lab, NOBODY + 1, NOBODY + 2)
    lab.chmod(mode)
    ended = person.run(NOTE, {"MIGAS_CACHE_DIR": str(lab), **OFFLINE}, groups=[NOBODY + 2])
    assert ended.calmly, ended
    assert len(names(spool_in(lab))) == 1
    assert (stat.S_IMODE(lab.stat().st_mode), lab.stat().st_uid) == (mode, NOBODY + 1)


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o777, 0o2770, 0o1777, 0o600, 0o100, 0o000])
def test_a_spool_with_another_mode_is_made_private_and_used(person: Person, mode: int) -> None:
    """An earlier client, a umask, or Kubernetes' fsGroup has left it so."""
    cache = person.make(person.directory / "cache")
    environ = {"MIGAS_CACHE_DIR": str(cache), **OFFLINE}
    assert person.run(NOTE, environ).calmly
    spool = spool_in(cache)
    for path in (spool, spool / "new", spool / "cur"):
        path.chmod(mode)
    cache.chmod(0o755)
    assert person.run(NOTE, environ).calmly
    assert len(names(spool)) == 2
    assert stat.S_IMODE(spool.stat().st_mode) == stat.S_IMODE((spool / "new").stat().st_mode)
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert stat.S_IMODE(cache.stat().st_mode) == 0o755


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177, 0o777])
def test_whatever_the_umask_what_is_ours_is_private_and_works(
    person: Person, server: Server, umask: int
) -> None:
    """And it is the host's own as before."""
    need_lasting_disk(person.home)
    use = f"""
import os
os.umask({umask})
{NOTE}
print(migas.flush(40), os.umask(0))
"""
    ended = person.run(use, OFFLINE)
    assert (ended.out, ended.calmly) == (f"1 {umask}\n", True), ended
    cache = person.home / ".cache"
    assert modes(cache) == PRIVATE
    assert modes(person.home / ".config") == PRIVATE
    assert len(names(spool_in(cache / "migas", server.endpoint))) == 1
    ended = person.run("import migas; print(migas.flush(40))")
    assert (ended.out, ended.calmly) == ("0\n", True), ended
    assert len(server.crumbs) == 1


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_what_kubernetes_gives_to_a_group_is_made_private_again(
    person: Person, server: Server, umask: int
) -> None:
    """By fsGroup: all on a volume is another group's, whose members may write (DESIGN, "Trust")."""
    need_lasting_disk(person.home)
    use = f"import os; os.umask({umask}); {NOTE}; print(migas.flush(40))"
    first = person.run(use, OFFLINE)
    assert (first.out, first.calmly) == ("1\n", True), first
    spool = spool_in(person.home / ".cache" / "migas", server.endpoint)
    for path in (person.home, *person.home.rglob("*")):
        os.chown(path, NOBODY, NOBODY + 2)
        path.chmod(0o2775 if path.is_dir() else 0o664)
    second = person.run(use, OFFLINE, groups=[NOBODY + 2])
    assert (second.out, second.calmly) == ("2\n", True), second
    for directory in (spool, spool / "new", spool / "cur", person.home / ".config" / "migas"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(person.home.stat().st_mode) == 0o2775
    ended = person.run("import migas; print(migas.flush(40))", groups=[NOBODY + 2])
    assert (ended.out, ended.calmly) == ("0\n", True), ended
    [user, other] = [crumb["user_id"] for crumb in server.crumbs]
    assert user == other is not None


@pytest.mark.slow
def test_a_parent_that_everybody_may_write_is_not_used(person: Person, server: Server) -> None:
    """Breadcrumbs live in memory then, and the spool says why."""
    shared = person.make(person.directory / "shared", 0o777)
    assert person.run(NOTES, {"MIGAS_CACHE_DIR": str(shared)}).calmly
    assert (len(server.crumbs), os.listdir(shared)) == (20, [])
    spool = Spool(str(spool_in(shared)), ROOMY)
    assert spool.problem() == f"everybody may write to {shared}"
    with pytest.raises(NoDiskError):
        spool.put(b"x")
    shared.chmod(0o755)
    entry = Spool(str(spool_in(shared)), ROOMY).put(b"x")
    shared.chmod(0o777)
    migas_directory = spool_in(shared)
    other = shared / "moved"  # a process that has not seen it before
    migas_directory.rename(other)
    assert (Spool(str(other), ROOMY).count(), Spool(str(other), ROOMY).claim(1)) == (0, [])
    assert os.path.exists(entry.path.replace(str(migas_directory), str(other)))


def test_a_cache_directory_below_the_home_is_found_there(person: Person) -> None:
    """Whatever read the variable; and children are told the whole path (pain 51)."""
    code = f"{NOTE}; import os; print(os.environ['MIGAS_CACHE_DIR'])"
    ended = person.run(code, {"MIGAS_CACHE_DIR": "~/my cache", **OFFLINE})
    assert (ended.out, ended.calmly) == (f"{person.home}/my cache\n", True), ended
    assert len(names(spool_in(person.home / "my cache"))) == 1
    assert os.listdir(person.directory) == ["home"]


@pytest.mark.slow
@needs_root
def test_root_leaves_nothing_in_anothers_home(person: Person, server: Server) -> None:
    """As sudo does that keeps HOME: what is noted is sent all the same (pain 46)."""
    before = take_picture(person.home)
    assert person.run(NOTES, uid=0).calmly
    assert len(server.crumbs) == 20
    assert take_picture(person.home) == before
    code = "from migas._disk.spool import open_spool; from migas._runtime.settings import Settings"
    code += "; print(open_spool(Settings()).problem())"
    text = f"root leaves nothing in the home of another user, {person.home}\n"
    assert person.run(code, uid=0).out == text
    assert person.run(code).out == "\n"


@pytest.mark.slow
@pytest.mark.parametrize("variable", [None, "", "/", "/nonexistent", "relative"])
@pytest.mark.parametrize("uid", [NOBODY, 54321])
def test_a_user_without_a_home_is_no_error(
    person: Person, server: Server, variable: str | None, uid: int
) -> None:
    """Nor one without a passwd entry: nothing is made, and all arrives (pain 48)."""
    if uid != NOBODY and not IS_ROOT:
        pytest.skip("needs root")
    environ = {} if variable is None else {"HOME": variable}
    code = "import os\n" + ("os.environ.pop('HOME')\n" if variable is None else "") + NOTES
    ended = person.run(code, environ, uid=uid)
    assert ended.calmly, ended
    assert len(server.crumbs) == 20
    assert sorted(path.name for path in person.directory.rglob("*")) == ["home"]
    assert not any(os.path.lexists(path) for path in ("/.cache", "/.config", "/nonexistent"))


#: Notes much, and prints for how long the writer has waited for the disk, at the very end.
WAITS = """
import atexit, sys
from migas._runtime.native import time  # by which the writer sleeps
slept, real = [], time.sleep
def sleep(seconds):
    if 'migas/_delivery/writer' in sys._getframe(1).f_code.co_filename: slept.append(seconds)
    real(seconds)
time.sleep = sleep
atexit.register(lambda: print(round(sum(slept), 2)))
import migas
for number in range(20): migas.add_project('owner/repo', str(number))
"""

#: Has each look into the spool fail, as if another machine had removed it on a network's disk.
STALE = """
import errno, os
from migas._disk import files
class Stale:
    def __getattr__(self, name): return getattr(os, name)
    def open(self, path, *args, **kwargs):
        if 'spool' in os.path.dirname(path) or kwargs.get('dir_fd'):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return os.open(path, *args, **kwargs)
files.os = Stale()
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "assert migas.flush(40) == 0"], ids=["exit", "flush"])
def test_a_cache_that_links_to_nowhere_is_not_waited_for(
    person: Person, server: Server, end: str
) -> None:
    """All arrives from memory, and no more slowly than else (pain 47)."""
    (person.home / ".cache").symlink_to(person.home / "not" / "mounted")
    ended = person.run(WAITS + end)
    assert (ended.out, ended.calmly) == ("0\n", True), ended
    assert len(server.crumbs) == 20
    assert sorted(os.listdir(person.home)) == [".cache", ".config"]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "assert migas.flush(40) == 0"], ids=["exit", "flush"])
def test_a_stale_handle_is_waited_for_once(person: Person, server: Server, end: str) -> None:
    """All arrives from memory; the first waits, and at an exit none does (pain 47)."""
    cache = person.make(person.directory / "spool")
    ended = person.run(STALE + WAITS + end, {"MIGAS_CACHE_DIR": str(cache)})
    assert ended.calmly, ended
    waited, longest = float(ended.out), round(sum(PAUSES), 2)
    assert waited == longest if end else waited <= longest
    assert (len(server.crumbs), os.listdir(cache)) == (20, [])


def test_a_spool_with_files_of_somebody_else_is_not_used(home: Path) -> None:
    """It has no mark, and holds a name that we do not make: it is no spool."""
    directory = home / "spool"
    directory.mkdir(mode=0o755)
    mode = directory.stat().st_mode
    (directory / "thesis.tex").write_text("years of work")
    spool = Spool(str(directory), ROOMY)
    with pytest.raises(NoDiskError, match="holds files that migas has not made"):
        spool.put(b"x")
    assert spool.problem() == f"{directory} holds files that migas has not made"
    assert (os.listdir(directory), directory.stat().st_mode) == (["thesis.tex"], mode)


@pytest.mark.parametrize(
    "text", [b"Signature: 8a477f597d28d172789f06886806bc55\n# of pip\n", b"migas"]
)
def test_another_programs_cache_is_not_used(home: Path, text: bytes) -> None:
    """Its mark is another one."""
    directory = home / "spool"
    directory.mkdir()
    (directory / TAG).write_bytes(text)
    with pytest.raises(NoDiskError, match="another program"):
        Spool(str(directory), ROOMY).put(b"x")
    assert os.listdir(directory) == [TAG]


def test_a_spool_of_an_earlier_version_is_adopted(home: Path) -> None:
    """It has no mark, and nothing in it but names that we make; looking leaves it as it is."""
    directory = home / "spool"
    first = Spool(str(directory), ROOMY)
    first.put(crumb("1"))
    (directory / TAG).unlink()
    for name in ("old", "aside"):
        (directory / name).mkdir()
    for name in ("sent.jsonl", "sent-earlier.jsonl", "backoff-a.b_c", "old-server-all", ".nfs01"):
        (directory / name).touch()
    spool = Spool(str(directory), ROOMY)
    assert (spool.count(), spool.problem(), (directory / TAG).exists()) == (1, "", False)
    spool.put(crumb("2"))
    assert spool.count() == 2
    mark = (directory / TAG).read_bytes()
    assert mark.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    assert b"migas" in mark


def test_an_empty_mark_is_none(home: Path) -> None:
    """A loss of power leaves one, and a network's disk shows one that another node just made."""
    directory = home / "spool"
    assert Spool(str(directory), ROOMY).put(b"x")
    mark = (directory / TAG).read_bytes()
    os.truncate(directory / TAG, 0)
    spool = Spool(str(directory), ROOMY)
    assert (spool.count(), spool.problem(), (directory / TAG).read_bytes()) == (1, "", b"")
    spool.put(b"x")  # somebody may be about to write it
    assert (spool.count(), (directory / TAG).read_bytes()) == (2, b"")
    os.utime(directory / TAG, (time.time() - 3600, time.time() - 3600))
    spool.put(b"x")
    assert (spool.count(), (directory / TAG).read_bytes()) == (3, mark)
    os.truncate(directory / TAG, 0)
    (directory / "thesis.tex").write_text("years of work")
    with pytest.raises(NoDiskError, match="holds files that migas has not made"):
        spool.put(b"x")
    assert (directory / TAG).read_bytes() == b""


def test_a_mark_that_another_process_is_writing_is_not_replaced(home: Path) -> None:
    """For other nodes of a network's disk a file that is replaced is stale for a second (pain 47).

    Of four programs that ended at once on two nodes, all lost their breadcrumbs now and then.
    """
    directory = home / "spool"
    assert Spool(str(directory), ROOMY).put(b"x")
    os.truncate(directory / TAG, 0)
    before = (directory / TAG).stat().st_ino
    assert Spool(str(directory), ROOMY).put(b"x")
    assert ((directory / TAG).stat().st_ino, (directory / TAG).read_bytes()) == (before, b"")


def test_a_spool_that_another_directory_replaces_is_looked_at_again(home: Path) -> None:
    """Even if it gets the number of the one that was removed."""
    directory = home / "spool"
    spool = Spool(str(directory), ROOMY)
    for _ in range(5):
        spool.put(b"x")
        assert spool.count() == 1
        shutil.rmtree(directory)
        directory.mkdir()
        (directory / "thesis.tex").write_text("years of work")
        with pytest.raises(NoDiskError):
            spool.put(b"x")
        assert (spool.count(), os.listdir(directory)) == (0, ["thesis.tex"])
        (directory / TAG).write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55")
        with pytest.raises(NoDiskError):
            spool.put(b"x")
        assert sorted(os.listdir(directory)) == [TAG, "thesis.tex"]
        shutil.rmtree(directory)


@pytest.mark.slow
@needs_links
def test_where_nothing_can_be_rotated_the_bounds_hold(home: Path, outside: Outside) -> None:
    """What bears the name of the segments' directory is not ours, nor a file among the entries."""
    bounds = ROOMY._replace(number=100)
    directory = home / "spool"
    directory.mkdir()
    (directory / "old").symlink_to(outside.path / "directory")
    outside.watch()
    spool = Spool(str(directory), bounds, randrange=lambda _sides: 0)
    for _ in range(250):
        spool.put(b"x")
    outside.check()
    assert (spool.count(), spool.dropped) == (100, 150)
    (directory / "old").unlink()
    (directory / "new" / "thesis.tex").write_text("years of work")
    for _ in range(50):
        spool.put(b"x")
    assert (spool.count(), spool.dropped) == (100, 200)
    assert (directory / "new" / "thesis.tex").exists()


def test_a_home_that_is_not_there_is_not_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home gets none by being counted."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home / "nobody"))
    with pytest.raises(NoDiskError, match="no home directory"):
        create_directory(str(home / "nobody" / ".cache" / "migas"))
    assert not (home / "nobody").exists()


@pytest.mark.parametrize(
    ("home_variable", "cache_variable", "expected"),
    [
        ("/home/jane", "", "/home/jane/.cache/migas"),
        ("/home/jane", "/scratch/jane", "/scratch/jane/migas"),
        ("/home/jane", "cache", "/home/jane/.cache/migas"),
        ("/", "", ""),
        ("/", "cache", ""),
        ("/", "/scratch/jane", "/scratch/jane/migas"),
        ("", "", ""),
        ("jane", "", ""),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="XDG's directories")
def test_the_users_directories_are_absolute_or_none(
    monkeypatch: pytest.MonkeyPatch, home_variable: str, cache_variable: str, expected: str
) -> None:
    """A relative one is to be ignored, and the root is nobody's home (pains 48, 51)."""
    monkeypatch.setenv("HOME", home_variable)
    monkeypatch.setenv("XDG_CACHE_HOME", cache_variable)
    monkeypatch.setenv("XDG_CONFIG_HOME", cache_variable)
    assert find_cache() == expected
    assert find_config() == expected.replace(".cache", ".config")
    assert find_earlier_config() == (f"{find_home()}/.config/migas" if find_home() else "")
    assert (directory_for(NOWHERE, None) == "") is (expected == "")


def test_where_there_is_no_directory_there_is_no_disk() -> None:
    """Every function works, and the spool says why."""
    spool = Spool("", ROOMY)
    with pytest.raises(NoDiskError, match="no home directory"):
        spool.put(b"x")
    with pytest.raises(NoDiskError):
        open_directory("")
    assert (spool.count(), spool.claim(5), spool.has_pending(), spool.dropped) == (0, [], False, 0)
    spool.recover(5)
    spool.refuse(MemoryEntry("any"))
    assert (spool.refused, spool.problem()) == (1, "there is no home directory")


@needs_links
def test_the_spool_says_why_it_cannot_be_written(home: Path) -> None:
    """For a person who asks for the status; where all is well it says nothing."""
    assert Spool(str(home / "cache" / "spool"), ROOMY).problem() == ""
    (home / "link").symlink_to(home / "nowhere")
    (home / "file").write_text("")
    for name, text in {
        "link": f"{home}/link is a link, or no directory",
        "file": f"{home}/file is a link, or no directory",
        "link/spool": f"{home}/link is a link to nowhere",
        "file/spool": f"{home}/file/spool is a link, or no directory",
    }.items():
        assert Spool(str(home / name), ROOMY).problem() == text
    spool = Spool(str(home / "spool"), ROOMY)
    spool.put(b"x")
    assert spool.problem() == ""
    shutil.rmtree(home / "spool" / "cur")
    assert spool.problem() == ""
    (home / "spool" / "cur").symlink_to(home)
    assert spool.problem() == f"{home}/spool/cur is a link, or no directory"


def test_a_disk_that_cannot_be_written_is_told(person: Person) -> None:
    """As this user sees it, not root."""
    locked = person.make(person.directory / "locked", 0o500)
    code = "from migas._disk.spool import open_spool; from migas._runtime.settings import Settings"
    code += "; import os; print(open_spool(Settings.from_env(os.environ)).problem())"
    ended = person.run(code, {"MIGAS_CACHE_DIR": str(locked)})
    assert ended.out == f"{locked} cannot be written\n"
