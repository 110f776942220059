"""The cleaner removes what migas made in a spool, and touches nothing else."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest
from support import ROOMY

from migas._crumb import breadcrumb
from migas._delivery.parcel import Outcome, Verdict
from migas._delivery.sent_log import FILES, Record
from migas._delivery.throttle import Backoff, Pace
from migas._disk import cleaner, files
from migas._disk.cleaner import Cleaned, Left, clean, find_spools
from migas._disk.entry import CUR, MemoryEntry
from migas._disk.spool import Bounds, Spool, directory_for
from migas._disk.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "0123456789abcdef"
NAME = f"1700000000000-{TOKEN}-0.json"
SEGMENT = "old/1700000000000-01234567"

TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by {}.\n"

needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs links, FIFOs and owners")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The path of a spool, in a cache directory that is there."""
    cache = tmp_path / "cache"
    cache.mkdir()
    return cache / "server-01234567"


def fill(place: Path) -> int:
    """Make two breadcrumbs in each box, a stamp, a record, and the mark; return what is pending."""
    for number, box in enumerate(("tmp", "new", "cur", "aside", SEGMENT)):
        (place / box).mkdir(parents=True, mode=0o700)
        for attempts in range(2):
            name = NAME.replace("1700", f"17{number:02}").replace("-0.", f"-{attempts}.")
            (place / box / name).write_bytes(b"{}")
    (place / "pace-node").write_bytes(b".")
    (place / "sent.jsonl").write_bytes(b"{}\n")
    (place / "CACHEDIR.TAG").write_text(TAG.format("migas"))
    return 6


def test_nothing_is_left_of_a_spool_that_was_used(place: Path) -> None:
    """Each name that any part of migas makes in it is known to the cleaner."""
    now = [1_000_000.0]
    spool = Spool(str(place), Bounds(100, 1_000_000, 100.0), lambda: now[0], lambda _: 0)
    spool.put(b"too old soon")
    now[0] += 200
    for _ in range(20):
        spool.put(b"x")
        now[0] += 1
    spool.refuse(MemoryEntry("any"))
    spool.give_up(MemoryEntry("any"))
    claimed, unreadable = spool.claim(2)
    unreadable.set_aside()
    (place / "tmp" / NAME).write_bytes(b"half")
    Backoff(str(place)).fail(60)
    assert Pace(str(place)).take()
    Stamp(str(place), "old-server", "all").set(now[0])
    crumb = breadcrumb.sanitize("owner/repo", "1", {}, {}).breadcrumb
    for _ in range(2):
        Record(str(place)).add([(crumb, Verdict(Outcome.DELIVERED))])
        os.replace(place / FILES[1], place / FILES[0])
    Record(str(place)).add([(crumb, Verdict(Outcome.DELIVERED))])
    made = {path.name for path in place.iterdir()}
    assert {"tmp", "new", "cur", "old", "aside", *FILES, "old-server-all", "dropped-all"} < made
    assert {"refused-all", "unanswered-all"} < made
    assert {name.split("-")[0] for name in made} > {"backoff", "retry", "pace"}
    assert claimed.box == CUR
    pending = spool.count()
    assert pending > 10
    assert clean(str(place)) == Cleaned(str(place), pending, 2, ())
    assert list(place.parent.iterdir()) == []


def test_the_names_are_those_of_the_modules_that_make_them() -> None:
    """The cleaner lies below the record of what was sent, and so names its files itself."""
    assert sorted(cleaner.RECORD) == sorted(FILES)


def test_the_breadcrumbs_go_and_the_record_stays(place: Path) -> None:
    """And the other way round: each is asked for by its own name."""
    pending = fill(place)
    assert clean(str(place), record=False) == Cleaned(str(place), pending, 0, ())
    assert sorted(path.name for path in place.iterdir()) == ["CACHEDIR.TAG", "sent.jsonl"]
    fill_again = place / "new" / NAME
    fill_again.parent.mkdir()
    fill_again.write_bytes(b"{}")
    assert clean(str(place), breadcrumbs=False) == Cleaned(str(place), 0, 1, ())
    assert fill_again.exists()


def test_where_there_is_no_spool_nothing_is_removed_and_nothing_left(place: Path) -> None:
    """No directory, or no cache. A file in place of the cache is named."""
    for path in place, place / "deeper" / "still":
        assert clean(str(path)) == Cleaned(str(path), 0, 0, ())
    (place.parent / "file").write_text("x")
    below = str(place.parent / "file" / "spool")
    named = [below] if os.name == "posix" else []  # to Windows it is merely absent
    assert [left.path for left in clean(below).left] == named
    assert find_spools(str(place)) == find_spools(str(place.parent / "file")) == []


def test_what_lies_in_the_working_directory_is_nobodys_spool(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a cache directory has none."""
    fill(place)
    before = sorted(place.rglob("*"))
    monkeypatch.chdir(place)
    for path in ("", ".", os.path.join("..", place.name)):
        assert clean(path) == Cleaned(path, 0, 0, ())
    assert find_spools("") == []
    assert sorted(place.rglob("*")) == before


def plant_link_to_file(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "file")


def plant_link_to_directory(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def plant_link_to_nowhere(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "nowhere")


def plant_link_to_itself(path: Path, _outside: Path) -> None:
    path.symlink_to(path)


def plant_hard_link(path: Path, outside: Path) -> None:
    os.link(outside / "file", path)


def plant_fifo(path: Path, _outside: Path) -> None:
    os.mkfifo(path)


def plant_directory(path: Path, _outside: Path) -> None:
    """A directory that holds a file which is named as an entry."""
    path.mkdir()
    (path / NAME).write_bytes(b"theirs")


def plant_file_of_another_user(path: Path, _outside: Path) -> None:
    path.write_bytes(b"theirs")
    chown(path)


def plant_directory_of_another_user(path: Path, outside: Path) -> None:
    plant_directory(path, outside)
    chown(path)


def chown(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("root alone can give a file to somebody else")
    os.chown(path, 65534, 65534)


LINKS = [
    plant_link_to_file,
    plant_link_to_directory,
    plant_link_to_nowhere,
    plant_link_to_itself,
]
KINDS = [
    *LINKS,
    plant_hard_link,
    plant_fifo,
    plant_directory,
    plant_file_of_another_user,
]

#: Where a file is expected, and where a directory is.
FILE_PLACES = [
    *("dropped-all", "pace-other", "sent-earlier.jsonl", "new/{}", "cur/{}", "tmp/{}", "aside/{}"),
    SEGMENT + "/{}",
]
BOX_PLACES = ["new", "cur", "tmp", "aside", "old", SEGMENT]


@pytest.fixture(params=[True, False], ids=["relative", "by path"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on POSIX, and as where nothing can be done relative to an open directory."""
    if not request.param:
        monkeypatch.setattr(files, "_RELATIVE", False)


def see(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return all that can be seen of a directory and what is in it, without following links."""
    seen = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        status = path.lstat()
        is_plain = path.is_file() and not path.is_symlink()
        content = path.read_bytes() if is_plain else b""
        seen[str(path)] = status.st_mode, status.st_uid, content
    return seen


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somebody's files, which are named as migas names its own."""
    outside = tmp_path / "outside"
    (outside / "new").mkdir(parents=True)
    for path in "file", NAME, f"new/{NAME}", "dropped-all", "sent.jsonl":
        (outside / path).write_bytes(b"theirs")
    return outside


@needs_posix
@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("where", FILE_PLACES)
@pytest.mark.parametrize("plant", KINDS)
def test_what_is_no_file_of_ours_is_left(
    place: Path, outside: Path, plant: Callable[[Path, Path], None], where: str
) -> None:
    """In place of an entry, a stamp or the record; and all that is ours goes."""
    pending = fill(place)
    path = place / where.format(NAME.replace("-0.", "-9."))
    plant(path, outside)
    # Not the times: to look through a link changes when it was read.
    before = see(outside), path.lstat()[:7], path.is_dir() and see(path)
    found = clean(str(place))
    assert (found.breadcrumbs, found.records) == (pending, 1)
    assert [left.path for left in found.left] == [str(path)]
    assert found.left[0].reason.startswith("it ")
    assert (see(outside), path.lstat()[:7], path.is_dir() and see(path)) == before
    left = {each.relative_to(place).parts[0] for each in place.iterdir()}
    assert left == {"CACHEDIR.TAG", path.relative_to(place).parts[0]}


@needs_posix
@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("where", BOX_PLACES)
@pytest.mark.parametrize(
    "plant",
    [*LINKS, plant_hard_link, plant_fifo, plant_directory_of_another_user],
)
def test_what_is_no_directory_of_ours_is_not_entered(
    place: Path, outside: Path, plant: Callable[[Path, Path], None], where: str
) -> None:
    """In place of a box, of the directory of segments, or of one of these."""
    fill(place)
    path = place / where
    aside = place.parent / "aside"
    path.rename(aside)
    plant(path, outside)
    before = see(outside), path.lstat()[:7], see(aside)
    found = clean(str(place))
    assert [left.path for left in found.left] == [str(path)]
    assert (see(outside), path.lstat()[:7], see(aside)) == before
    assert {each.name for each in place.iterdir()} == {"CACHEDIR.TAG", where.partition("/")[0]}


@needs_posix
@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize(
    "plant", [*LINKS, plant_hard_link, plant_fifo, plant_directory_of_another_user]
)
def test_a_spool_that_is_not_ours_is_left_whole(
    place: Path, outside: Path, plant: Callable[[Path, Path], None]
) -> None:
    """A link emptied a person's home once (pain 44)."""
    plant(place, outside)
    before = see(outside), see(place.parent)
    found = clean(str(place))
    assert (found.breadcrumbs, found.records) == (0, 0)
    assert [left.path for left in found.left] == [str(place)]
    assert (see(outside), see(place.parent)) == before


@needs_posix
def test_a_link_above_the_spool_is_the_sites(place: Path, tmp_path: Path) -> None:
    """A cache that lies on a scratch disk is ordinary."""
    pending = fill(place)
    (tmp_path / "link").symlink_to(place.parent)
    found = clean(str(tmp_path / "link" / place.name))
    assert (found.breadcrumbs, found.left, place.exists()) == (pending, (), False)


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", "backoff", "backoff-a b", "pace-x/..", "dropped-node", ".nfs1", "sent"),
        *(
            "new/notes.json",
            f"new/{NAME}.bak",
            "old/notes",
            "aside/x",
            f"tmp/0{NAME}",
            "marks/notes",
        ),
    ],
)
def test_a_name_that_migas_does_not_make_is_left(place: Path, name: str) -> None:
    """Even if it looks much like one that it does."""
    pending = fill(place)
    path = place / name.replace("/..", "_..")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"theirs")
    found = clean(str(place))
    assert found.breadcrumbs == pending
    if name == "pace-x/..":  # a host may be called so
        assert (found.left, path.exists()) == ((), False)
        return
    assert found.left == (Left(str(path), "migas did not make it"),)
    assert path.read_bytes() == b"theirs"


def test_a_directory_without_our_mark_goes_only_if_all_in_it_is_ours(place: Path) -> None:
    """An empty `tmp/` may be a mail box's, if other files lie beside it."""
    for box in "tmp", "new", "cur":
        (place / box).mkdir(parents=True)
    theirs = place / "dovecot-uidlist"
    theirs.write_text("theirs")
    before = see(place)
    assert clean(str(place)).left == (Left(str(place), "it holds files that migas has not made"),)
    assert see(place) == before
    theirs.unlink()
    assert clean(str(place)).left == ()
    assert not place.exists()


def test_our_tag_goes_last_and_anothers_stays(place: Path) -> None:
    """The tag marks a directory as ours for as long as anything is in it."""
    fill(place)
    tag = place / "CACHEDIR.TAG"
    tag.write_text(TAG.format("migas"))
    (place / "CACHEDIR.TAG.0123abcd").touch()  # of a process that died as it wrote it
    assert clean(str(place), record=False).left == ()
    assert sorted(path.name for path in place.iterdir()) == ["CACHEDIR.TAG", "sent.jsonl"]
    assert clean(str(place)) == Cleaned(str(place), 0, 1, ())
    assert not place.exists()
    fill(place)
    tag.write_text(TAG.format("another program"))
    before = see(place)
    assert clean(str(place)).left == (Left(str(place), "it is the cache of another program"),)
    assert see(place) == before


@needs_posix
def test_a_tag_is_read_only_if_it_is_a_file_of_ours(place: Path, outside: Path) -> None:
    """A FIFO would never end; what a link leads to is not ours to read."""
    (outside / "tag").write_text(TAG.format("migas"))

    def plant_link_to_tag(path: Path, outside: Path) -> None:
        path.symlink_to(outside / "tag")

    for plant in plant_fifo, plant_link_to_tag, plant_hard_link, plant_directory:
        fill(place)
        tag = place / "CACHEDIR.TAG"
        tag.unlink()
        plant(tag, outside)
        before = see(place)
        assert [left.path for left in clean(str(place)).left] == [str(place)]
        assert see(place) == before
        tag.rename(place.parent / f"{plant.__name__}")
        clean(str(place))
        assert not place.exists()


def test_what_cannot_be_removed_is_left_with_the_systems_reason(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only disk stops nothing but what lies on it."""
    fill(place)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    found = clean(str(place))
    assert (found.breadcrumbs, found.records, len(found.left)) == (0, 0, 12)
    assert {left.reason for left in found.left} == {"Read-only file system"}


def test_what_another_process_adds_meanwhile_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its directory, too; and what it removes first is no trouble."""
    fill(place)
    added = place / "new" / NAME
    remove = os.unlink

    def race(name: str, *, dir_fd: int | None = None) -> None:
        remove(name, dir_fd=dir_fd)
        if name.endswith("-1.json"):
            added.write_bytes(b"{}")
        if name.endswith("-0.json"):
            raise FileNotFoundError(name)

    monkeypatch.setattr(os, "unlink", race)
    found = clean(str(place))
    assert (found.breadcrumbs, found.left) == (3, ())
    assert set(place.rglob("*")) == {place / "CACHEDIR.TAG", place / "new", added}


@needs_posix
@pytest.mark.skipif(not files._RELATIVE, reason="needs directories that stay open")
@pytest.mark.parametrize("plant", [plant_link_to_directory, plant_directory_of_another_user])
def test_a_directory_that_is_replaced_between_a_look_and_its_opening_is_left(
    place: Path,
    outside: Path,
    plant: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What counts is what was opened."""
    pending = fill(place)
    box, open_it = place / "new", os.open
    before = see(outside)

    def race(name: str, flags: int, *, dir_fd: int | None = None) -> int:
        if name == "new":
            box.rename(place.parent / "moved")
            plant(box, outside)
        return open_it(name, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", race)
    found = clean(str(place))
    assert (found.breadcrumbs, [left.path for left in found.left]) == (pending - 2, [str(box)])
    assert see(outside) == before
    assert not box.is_dir() or [path.name for path in box.iterdir()] != []


@pytest.mark.slow
@needs_posix
@pytest.mark.skipif(not files._RELATIVE, reason="needs directories that stay open")
def test_nothing_outside_is_touched_while_directory_and_link_are_swapped(
    place: Path, outside: Path
) -> None:
    """A thousand cleanings, and somebody who swaps both all the time."""
    fill(place)
    link, box, hidden = place / "link", place / "new", place / "hidden"
    link.symlink_to(outside / "new")
    before = see(outside)
    ends = threading.Event()

    def swap() -> None:
        while not ends.is_set():
            box.rename(hidden)
            link.rename(box)
            box.rename(link)
            hidden.rename(box)

    thread = threading.Thread(target=swap)
    (place / "new" / "stays").write_text("keeps the box")
    thread.start()
    try:
        for _ in range(1000):
            clean(str(place))
    finally:
        ends.set()
        thread.join()
    assert see(outside) == before


@needs_posix
def test_to_find_spools_changes_nothing(place: Path) -> None:
    """A person may still say no; and what bears such a name may be anybody's."""
    cache = place.parent
    fill(place)
    place.chmod(0o700)
    closed, empty = cache / "closed-01234567", cache / "empty-01234567"
    for path, mode in (closed, 0o300), (empty, 0o1777):
        path.mkdir(exist_ok=True)
        path.chmod(mode)
    (closed / "thesis.tex").write_text("theirs")
    before = see(cache)
    assert find_spools(str(cache)) == [str(place)]
    assert [left.path for left in clean(str(closed)).left] == [str(closed)]
    assert see(cache) == before


@needs_posix
def test_a_spool_that_cannot_be_judged_is_named(place: Path, outside: Path) -> None:
    """Else all would be said to be gone."""
    cache, found = place.parent, []
    spoils: list[Callable[[Path, Path], None]] = [plant_fifo, plant_link_to_file, plant_hard_link]
    for number, plant in enumerate(spoils):
        spool = cache / f"spoiled-0123456{number}"
        fill(spool)
        (spool / "CACHEDIR.TAG").unlink()
        plant(spool / "CACHEDIR.TAG", outside)
        found.append(str(spool))
    assert find_spools(str(cache)) == found
    cache.chmod(0o777)  # anybody may exchange what lies in it
    fill(place)
    assert find_spools(str(cache)) == [str(place), *found]
    assert [left.reason for left in clean(str(place)).left] == [f"everybody may write to {cache}"]


def test_more_files_than_a_box_ever_holds_are_removed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere no more names are read than that."""
    monkeypatch.setattr(files, "_MOST", 3)
    (place / "marks").mkdir(parents=True)
    for number in range(10):
        (place / "marks" / f"{number:032x}").touch()
    assert clean(str(place)).left == ()
    assert not place.exists()


@needs_posix
def test_the_path_is_taken_as_the_agent_takes_it(place: Path) -> None:
    """What stands before `..` may be a link to another disk."""
    pending = fill(place)
    (place.parent / "scratch").mkdir()
    link = place.parent.parent / "link"
    link.symlink_to(place.parent / "scratch")
    assert clean(f"{link}/../{place.name}").breadcrumbs == pending
    assert not place.exists()


def test_a_directory_that_is_to_stay_is_not_removed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a cache that cannot be written the attempt would fail, and be reported."""
    fill(place)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rmdir", refuse)
    assert clean(str(place), breadcrumbs=False) == Cleaned(str(place), 0, 1, ())


@needs_posix
def test_all_servers_spools_are_found_and_nothing_else(tmp_path: Path, outside: Path) -> None:
    """A directory that `MIGAS_CACHE_DIR` names may hold anything."""
    cache = tmp_path / "cache"
    endpoints = ["https://a.example/graphql", "http://[::1]:8/graphql", "http://x/y/graphql"]
    ours = [directory_for(endpoint, str(cache)) for endpoint in endpoints]
    for directory in ours:
        Spool(directory, ROOMY).put(b"x")
    (cache / "pip-01234567" / "new-files").mkdir(parents=True)
    (cache / "empty-01234567").mkdir()
    (cache / "file-01234567").write_text("theirs")
    (cache / "spool").mkdir()
    (cache / "spool" / "new").mkdir()
    (cache / "link-01234567").symlink_to(outside)
    (cache / "tagged-01234567").mkdir()
    (cache / "tagged-01234567" / "CACHEDIR.TAG").write_text(TAG.format("migas"))
    found = find_spools(str(cache))
    assert found == sorted([*ours, str(cache / "link-01234567"), str(cache / "tagged-01234567")])
    left = [left for directory in found for left in clean(directory).left]
    assert left == [Left(str(cache / "link-01234567"), "it is a link, or no directory")]
    assert sorted(path.name for path in cache.iterdir()) == [
        *("empty-01234567", "file-01234567", "link-01234567", "pip-01234567", "spool"),
    ]
