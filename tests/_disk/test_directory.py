"""The door to the disk: whatever lies there, only ours is read, written, moved or removed."""

from __future__ import annotations

import ast
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from planting import (
    CLAIMED,
    ENTRY,
    FOREIGN_DIRECTORIES,
    FOREIGN_FILES,
    NOW,
    OTHER_ID,
    SEGMENT,
    STRANGE_CONTENTS,
    Outside,
    clear_way,
    crumb,
    need_posix,
    read_version,
    take_picture,
    use_spool,
    use_stamps,
)
from support import PATIENCE, ROOMY

import migas._disk
from migas._crumb import breadcrumb
from migas._delivery import sent_log
from migas._delivery.throttle import Backoff
from migas._disk import entry as entry_module
from migas._disk import files, user_id
from migas._disk.directory import TAG
from migas._disk.entry import parse
from migas._disk.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas.testing import Server

#: Where a directory is expected, and a file: below the spool, or below the home.
DIRECTORIES = ["", "tmp", "new", "cur", "old", "aside", f"old/{SEGMENT}"]
FILES = [
    *(f"new/{ENTRY}", f"cur/{CLAIMED}", f"tmp/{ENTRY}", f"aside/{ENTRY}", f"old/{SEGMENT}/{ENTRY}"),
    *("backoff-node", "pace-node", "dropped-all", "sent.jsonl", "sent-earlier.jsonl", TAG),
]

#: What cannot be claimed where something else lies there.
HIDDEN = {
    "": {"new", "segment"},
    TAG: {"new", "segment"},
    "cur": {"new", "segment"},
    "new": {"new"},
    "old": {"segment"},
    f"old/{SEGMENT}": {"segment"},
}


@pytest.fixture(params=["relative", "by path"])
def naming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How files are named: relative to a directory, or as on Windows by whole paths."""
    if request.param == "relative" and sys.platform == "win32":
        pytest.skip("Windows: files are named by whole paths alone")
    if request.param == "by path":
        monkeypatch.setattr(files, "_RELATIVE", False)
        monkeypatch.setattr(files, "_SAFELY", 0)
    return str(request.param)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """What is not migas's."""
    return Outside(tmp_path / "outside")


@pytest.fixture
def directory(home: Path) -> Path:
    """A spool with two pending entries of ours, one of them in a segment."""
    directory = home / "spool"
    spool = Spool(str(directory), ROOMY, lambda: NOW, lambda _sides: 1)
    older, newer = spool.put(crumb("segment")), spool.put(crumb("new"))
    (directory / "old" / SEGMENT).mkdir(parents=True)
    (directory / "aside").mkdir()
    os.rename(older.path, older._replace(box=f"old/{SEGMENT}").path)
    assert os.path.exists(newer.path)
    return directory


def in_time(work: Callable[[], set[str]]) -> set[str]:
    """Do some work that must not hang."""
    done: list[set[str]] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert done, "it hangs, or has failed"
    return done[0]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        *((place, kind) for place in DIRECTORIES for kind in FOREIGN_DIRECTORIES),
        *((place, kind) for place in FILES for kind in FOREIGN_FILES),
        ("", "directory"),
    ],
)
@pytest.mark.usefixtures("naming")
def test_what_is_not_ours_is_left_alone(
    directory: Path, outside: Outside, place: str, kind: str
) -> None:
    """Wherever it lies: not read, written, moved or removed; nothing hangs; ours go (pain 44)."""
    path = directory / place
    clear_way(path)
    {**FOREIGN_DIRECTORIES, **FOREIGN_FILES}[kind](path, outside.path)
    before = take_picture(path)
    # A directory of this user's at the place of the spool is told from one by the names in it.
    outside.watch(path if kind != "directory" or place else None)
    found = in_time(lambda: use_spool(directory) | use_stamps(directory))
    outside.check()
    assert take_picture(path) == before
    assert found >= {"new", "segment"} - HIDDEN.get(place, set())
    assert not found & {"outside", "another's"}


@pytest.mark.parametrize("box", ["new", "cur", f"old/{SEGMENT}"])
@pytest.mark.parametrize("kind", FOREIGN_FILES)
@pytest.mark.usefixtures("naming")
def test_an_entry_that_is_not_ours_is_left_alone(
    directory: Path, outside: Outside, kind: str, box: str
) -> None:
    """By each of its methods, whoever has named it."""
    path = directory / box / (CLAIMED if box == "cur" else ENTRY)
    clear_way(path)
    FOREIGN_FILES[kind](path, outside.path)
    entry = parse(str(directory), box, path.name)
    assert entry is not None
    before = take_picture(path)
    outside.watch(path)
    for fails in (entry.read, lambda: entry.attempt(NOW, 1)):
        with pytest.raises(OSError, match=r"."):
            fails()
    assert (entry.claim(NOW), entry.release(1), entry.discard()) == (None, None, False)
    assert not entry.is_there()
    entry.set_aside()
    assert Spool(str(directory), ROOMY).take([entry]) == [None]
    outside.check()
    assert take_picture(path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows: a link needs a privilege")
@pytest.mark.parametrize("box", ["new", "cur", "old", "tmp"])
def test_many_that_are_not_ours_stand_in_nobodys_way(
    directory: Path, outside: Outside, box: str
) -> None:
    """A thousand links, each older than what is ours."""
    for number in range(1000):
        name = f"{number:013d}-{number:08x}" if box == "old" else f"{number:013d}{ENTRY[13:]}"
        target = "directory" if box == "old" else "file"
        (directory / box / name).symlink_to(outside.path / target)
    outside.watch()
    spool = Spool(str(directory), ROOMY, lambda: NOW)
    spool.recover(16)
    assert {read_version(entry.read()) for entry in spool.claim(2)} == {"new", "segment"}
    assert (spool.has_pending(), spool.count()) == (False, 2)
    outside.check()


@pytest.mark.parametrize("kind", FOREIGN_FILES)
@pytest.mark.usefixtures("naming")
def test_an_id_that_is_not_ours_is_left_alone(home: Path, outside: Outside, kind: str) -> None:
    """It is not read, and the user's id is one that needs no file."""
    directory = home / "config" / "migas"
    directory.mkdir(parents=True)
    if kind == "link to a file":
        need_posix("a link needs a privilege")
        (directory / "user_id").symlink_to(outside.path / "id")
    elif kind == "hard link":
        (directory / "user_id").hardlink_to(outside.path / "id")
    else:
        FOREIGN_FILES[kind](directory / "user_id", outside.path)
    before = take_picture(directory / "user_id")
    outside.watch()
    ids = in_time(lambda: {user_id.obtain(str(directory)) for _ in range(3)})
    assert user_id.read(str(directory)) is None
    assert not user_id.clear(str(directory))
    outside.check()
    assert take_picture(directory / "user_id") == before
    assert (len(ids), OTHER_ID in ids) == (1, False)
    assert os.listdir(directory) == ["user_id"]


@pytest.mark.parametrize("kind", FOREIGN_DIRECTORIES)
@pytest.mark.usefixtures("naming")
def test_an_id_in_a_directory_that_is_not_ours_is_left_alone(
    home: Path, outside: Outside, kind: str
) -> None:
    """A link in place of the directory leads nowhere, either."""
    directory = home / "config" / "migas"
    directory.parent.mkdir(parents=True)
    (outside.path / "directory" / "user_id").write_text(OTHER_ID)
    FOREIGN_DIRECTORIES[kind](directory, outside.path)
    before = take_picture(directory)
    outside.watch(directory)
    ids = in_time(lambda: {user_id.obtain(str(directory)) for _ in range(3)})
    assert user_id.read(str(directory)) is None
    assert not user_id.clear(str(directory))
    outside.check()
    assert take_picture(directory) == before
    assert (len(ids), OTHER_ID in ids) == (1, False)


def test_an_id_is_read_while_it_is_published(home: Path) -> None:
    """It has two names for a moment, and for good if its process dies then."""
    directory = home / "config" / "migas"
    directory.mkdir(parents=True)
    draft = directory / "user_id.123.0123abcd"
    draft.write_text(OTHER_ID)
    (directory / "user_id").hardlink_to(draft)
    assert user_id.obtain(str(directory)) == user_id.read(str(directory)) == OTHER_ID
    assert user_id.clear(str(directory))
    assert os.listdir(directory) == []


@pytest.mark.parametrize("kind", STRANGE_CONTENTS)
def test_strange_contents_are_set_aside_and_the_others_go(
    host: Host, server: Server, spool: Callable[..., Spool], kind: str
) -> None:
    """They are ours by name and kind: a person may read them, and nobody sends them."""
    opened = spool()
    for version in ("before", "after"):
        opened.put(crumb(version))
    strange = opened.put(STRANGE_CONTENTS[kind])
    ended = host.run("import migas; print(migas.flush(40))", measured=False)
    assert (ended.out, ended.calmly) == ("0\n", True), ended
    stored = {str(stored["version"]) for stored in server.crumbs}
    assert {"before", "after"} <= stored <= {"before", "after", "1"}
    aside = os.path.join(opened.directory, "aside", os.path.basename(strange.path))
    # A parser may be lenient: then it is a breadcrumb like any other.
    assert os.path.exists(aside) is ("1" not in stored)


def test_a_newer_form_stays_where_it_is_and_the_others_go(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """For the version that reads it, however many there are (pain 52)."""
    opened = spool()
    newer = [
        opened.put(crumb("newer").replace(b'"format":1', b'"format":2')).path for _ in range(70)
    ]
    opened.put(crumb("ours"))
    use = "import migas; migas.add_project('owner/repo', 'own'); print(migas.flush(40))"
    ended = host.run(use, measured=False)
    assert (ended.out, ended.calmly) == ("70\n", True), ended
    assert {str(stored["version"]) for stored in server.crumbs} == {"ours", "own"}
    assert all(map(os.path.exists, newer))
    assert entry_module.FORMAT == breadcrumb.FORMAT


@pytest.mark.parametrize(
    "name",
    [
        "0000000000000-0000000000000000-0.json",
        "9999999999999-ffffffffffffffff-999.json",
        "9999999999999-ffffffffffffffff-999-9999999999999-ffffffff.json",
        "1700000000000-00000000000000aa-0-0000000000000-00000000.json",
        "\u0661700000000000-00000000000000aa-0.json",
        "99999999999999999999-00000000000000aa-0.json",
        "1700000000000-00000000000000aa-1000.json",
        "1700000000000-00000000000000aa-0.json\n",
        "-1700000000000-00000000000000aa-0.json",
    ],
)
@pytest.mark.parametrize("box", ["new", "cur", "old/9999999999999-ffffffff", "tmp", "aside"])
def test_absurd_numbers_do_no_harm(directory: Path, name: str, box: str) -> None:
    """In a name that is ours by its form, or nearly."""
    if "\n" in name:
        need_posix("no name holds a line's end")
    (directory / box).mkdir(parents=True, exist_ok=True)
    (directory / box / name).write_bytes(crumb("absurd"))
    found = in_time(lambda: use_spool(directory) | use_stamps(directory))
    assert found >= {"new", "segment"}


@pytest.mark.parametrize("moment", [-(2.0**40), 0.0, 2.0**33, 2.0**40])
@pytest.mark.parametrize("size", [0, *([1 << 29, 1 << 40] if sys.platform != "win32" else [])])
def test_an_absurd_stamp_does_no_harm(directory: Path, moment: float, size: int) -> None:
    """Of a moment long ago or far ahead, and set a thousand million times."""
    if moment > 2.0**33:
        need_posix("no file was changed in the year 36812")
    for name in ("backoff-node", "retry-after-node", "dropped-all", "old-server-all"):
        (directory / name).touch()
        os.truncate(directory / name, size)
        os.utime(directory / name, (0, max(moment, -1e9)))
    assert in_time(lambda: use_spool(directory) | use_stamps(directory)) >= {"new", "segment"}
    assert Backoff(str(directory), lambda: NOW).remaining() <= 86400.0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows: directories have no descriptors")
def test_a_host_may_close_and_reuse_every_descriptor(
    host: Host, spool: Callable[..., Spool], tmp_path: Path
) -> None:
    """None of ours is kept from one batch of work to the next."""
    code = """
import os, sys
import migas
migas.add_project('owner/repo', '1').result(40)
os.closerange(3, 300)
own = [open(f'own-{number}', 'w+b', buffering=0) for number in range(50)]
shared = os.open('.', os.O_RDONLY)
migas.add_project('owner/repo', '2').result(40)
print(migas.flush(40))
for file in own:
    file.write(b'host')
    file.close()
print(os.listdir(shared) == os.listdir('.'))
os.close(shared)
"""
    ended = host.run(code, {"MIGAS_TIMEOUT": "0"}, measured=False)
    assert (ended.out, ended.calmly) == ("2\nTrue\n", True), ended
    assert {path.read_bytes() for path in tmp_path.glob("own-*")} == {b"host"}
    assert spool().count() == 2


#: What opens and changes no file.
ALLOWED = (
    *("os.path.", "os.environ", "os.urandom", "os.uname"),
    *("os.getpid", "os.getuid", "os.geteuid"),
)


def test_no_other_module_touches_the_files() -> None:
    """The door is one: nothing else of the disk's asks the system for anything."""
    package = Path(migas._disk.__file__).parent
    # `home` says whose a home is; and a person may well have a link where the opt-out file lies.
    doors = ("directory", "files", "home")
    modules = [path for path in package.glob("*.py") if path.stem not in doors]
    for path in (*modules, Path(sent_log.__file__)):
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if path.stem == "user_id" and called == "open":  # the machine's own id
                continue
            assert not called.startswith(("os.", "shutil.")) or called.startswith(ALLOWED), called
            assert called not in ("open", "io.open"), path
