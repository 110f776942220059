"""Real processes of an ordinary user, whose spool somebody else has been at."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from planting import (
    CLAIMED,
    ENTRY,
    FOREIGN_DIRECTORIES,
    FOREIGN_FILES,
    IS_ROOT,
    NOBODY,
    SEGMENT,
    UNREADABLE_FILES,
    Outside,
    crumb,
    take_picture,
)
from support import LATER, PATIENCE, ROOMY, await_condition, versions

from migas._disk.directory import TAG
from migas._disk.spool import Spool, directory_for
from migas._runtime.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from migas.testing import Server

    from .conftest import Person

#: Notes two things, and sends all that is pending; then notes one more, which its exit sends.
HOST = """
import migas
for version in ("one", "two"): migas.add_project("owner/repo", version)
migas.flush(40)
migas.add_project("owner/repo", "three")
"""

#: Where a directory is expected, and a file: below the spool.
DIRECTORIES = ["", "tmp", "new", "cur", "old", "aside", f"old/{SEGMENT}"]
FILES = [
    *(f"new/{ENTRY}", f"cur/{CLAIMED}", f"tmp/{ENTRY}", f"old/{SEGMENT}/{ENTRY}"),
    *(f"backoff-{platform.node()}", f"pace-{platform.node()}", "dropped-all"),
    *("sent.jsonl", "sent-earlier.jsonl", TAG),
]

#: What stays on disk where something else lies there.
HIDDEN = {
    "": {"new", "segment"},
    TAG: {"new", "segment"},
    "cur": {"new", "segment"},
    "new": {"new"},
    "old": {"segment"},
    f"old/{SEGMENT}": {"segment"},
}


@pytest.fixture
def outside(person: Person) -> Outside:
    outside = Outside(person.directory / "outside")
    person.own_all(outside.path)
    return outside


@pytest.fixture
def spool(person: Person, server: Server) -> Path:
    """This person's spool, with two pending entries, one of them in a segment."""
    cache = person.make(person.home / ".cache" / "migas")
    person.own(cache.parent)
    settings = Settings(endpoint=server.endpoint, cache_dir=str(cache))
    opened = Spool(directory_for(settings.endpoint, settings.cache_dir), ROOMY)
    entry = opened.put(crumb("segment"))
    opened.put(crumb("new"))
    directory = cache / os.path.basename(opened.directory)
    (directory / "old" / SEGMENT).mkdir(parents=True)
    (directory / "aside").mkdir()
    os.rename(entry.path, entry._replace(box=f"old/{SEGMENT}").path)
    person.own_all(cache)
    return directory


CASES = [
    *((place, "link to a directory") for place in DIRECTORIES),
    *((place, "link to a file") for place in FILES),
    *(("", kind) for kind in FOREIGN_DIRECTORIES),
    *(("cur", kind) for kind in FOREIGN_DIRECTORIES),
    *((f"new/{ENTRY}", kind) for kind in FOREIGN_FILES),
    *((FILES[4], kind) for kind in FOREIGN_FILES),
    *((place, "unreadable") for place in (f"new/{ENTRY}", "sent.jsonl", TAG)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "kind"), sorted(set(CASES)))
def test_a_host_leaves_alone_what_is_not_its_users_and_delivers(
    *, person: Person, outside: Outside, spool: Path, server: Server, place: str, kind: str
) -> None:
    """It notices nothing, and nothing outside is read, changed, moved or removed (pain 44)."""
    path = spool / place
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    {**FOREIGN_DIRECTORIES, **FOREIGN_FILES, **UNREADABLE_FILES}[kind](path, outside.path)
    if kind != "another's":
        person.own(path)
    before = take_picture(path)
    outside.watch(path)
    ended = person.run(HOST)
    status = person.run("", arguments=["-m", "migas", "status"])
    outside.check()
    assert ended.calmly, ended
    assert (status.status, status.err) == (0, ""), status
    assert take_picture(path) == before
    expected = {"one", "two", "three", "new", "segment"} - HIDDEN.get(place, set())
    assert set(versions(server)) == expected
    assert len(versions(server)) == len(expected)


@pytest.mark.slow
def test_anothers_id_is_not_taken(person: Person, outside: Outside, server: Server) -> None:
    """By a link, nor by a hard link: then there is none, as this looks like a container."""
    directory = person.make(person.home / ".config" / "migas")
    person.own(directory.parent)
    for plant in ((directory / "user_id").symlink_to, (directory / "user_id").hardlink_to):
        plant(outside.path / "id")
        before = take_picture(directory)
        outside.watch()
        assert person.run(HOST).calmly
        outside.check()
        assert take_picture(directory) == before
        (directory / "user_id").unlink()
    assert {crumb["user_id"] for crumb in server.crumbs} == {None}


#: Exchanges places of a spool with what lies elsewhere and leads out of it, over and over, until a
#: file is there; `renameat2` does each in one step. In the end each place is as it was.
SWAPPER = """
import ctypes, os, sys, time
spool, elsewhere, stop, count, *names = sys.argv[1:]
library = ctypes.CDLL(None, use_errno=True)
above, elsewhere = (os.open(each, os.O_RDONLY) for each in (os.path.dirname(spool), elsewhere))
inside = os.open(spool, os.O_RDONLY) if {"new", "cur", "tmp"} & set(names) else -1
places = [(inside, name) if name in ("new", "cur", "tmp") else (above, os.path.basename(spool))
          for name in names]
def exchange(holder, name, other):
    if library.renameat2(holder, os.fsencode(name), elsewhere, os.fsencode(other), 2):
        raise OSError(ctypes.get_errno(), name)
done = 0
while done < int(count) or not os.path.exists(stop):
    for (holder, name), other in zip(places, names):
        exchange(holder, name, other)
        if done % 7 == 0: time.sleep(0.0005)
        exchange(holder, name, other)
        done += 2
    if done % 16 == 0: time.sleep(0.002)
print(done)
"""

#: How often at least.
SWAPS = 10_000


#: Notes five things, one after the other, and says when one cannot be written.
SLOW_HOST = """
import sys, time, migas
for number in range(5):
    time.sleep(0.02)
    migas.add_project("owner/repo", f"{sys.argv[1]}.{number}")
"""
DEBUG = {"MIGAS_LOG_LEVEL": "DEBUG"}

#: The group of a laboratory.
LAB = NOBODY + 3


def run_hosts(person: Person, environ: dict[str, str]) -> dict[str, int]:
    """Run nine hosts, three at a time; return for each how many things it could not write."""
    unwritten = {}
    for batch in range(3):
        names = [f"{batch}-{number}" for number in range(3)]
        hosts = [
            person.start("", environ, groups=[LAB], arguments=["-c", SLOW_HOST, name])
            for name in names
        ]
        for name, process in zip(names, hosts, strict=True):
            out, err = process.communicate(timeout=PATIENCE)
            unwritten[name] = len(re.findall("cannot be written: .* (is a link|belongs to)", err))
            assert (process.returncode, out, len(err.splitlines())) == (0, "", unwritten[name]), err
    return unwritten


def check_arrived(server: Server, unwritten: dict[str, int]) -> None:
    """Nothing is lost that was written, and nothing of anybody else's arrives."""
    expected = {"new", "segment"} | {
        f"{name}.{number}" for name in unwritten for number in range(5)
    }
    assert set(versions(server)) <= expected
    lost = Counter(version.split(".")[0] for version in expected - set(versions(server)))
    assert all(count <= unwritten.get(name, 0) for name, count in lost.items()), (lost, unwritten)
    assert sum(unwritten.values()) > 0


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux exchanges two names")
@pytest.mark.parametrize("swapper", ["the person", "somebody else"])
def test_a_spool_that_is_exchanged_for_a_link_at_any_moment(
    person: Person, outside: Outside, spool: Path, server: Server, swapper: str
) -> None:
    """Ten thousand times, while hosts run: nothing outside is touched, and no file is lost.

    Somebody else, who may write to a laboratory's directory above, can exchange the spool alone,
    for a link to what is the person's own, or for a spool of theirs. What could not be written at
    such a moment lives in memory, and goes unless a request fails.
    """
    if swapper == "somebody else" and not IS_ROOT:
        pytest.skip("needs root")
    environ, uid = {}, NOBODY
    if swapper == "the person":
        names = ["spool", "new", "cur", "tmp"]
        elsewhere = person.make(person.directory / "elsewhere")
    else:
        names, uid = ["spool", "theirs"], NOBODY + 1
        elsewhere = person.make(person.directory / "laboratory")
        spool = spool.rename(elsewhere / spool.name)
        FOREIGN_DIRECTORIES["another's"](elsewhere / "theirs", outside.path)
        os.chown(elsewhere, NOBODY + 2, LAB)
        elsewhere.chmod(0o2775)
        environ["MIGAS_CACHE_DIR"] = str(elsewhere)
    (elsewhere / "spool").symlink_to(outside.path / "directory")
    for box in {"new", "cur", "tmp"} & set(names):
        (elsewhere / box).symlink_to(outside.path / "directory" / box)
    person.own(*(path for path in elsewhere.iterdir() if path.is_symlink()))
    theirs = take_picture(elsewhere / "theirs") if "theirs" in names else None
    outside.watch()
    stop = person.directory / "stop"
    arguments = ["-c", SWAPPER, str(spool), str(elsewhere), str(stop), str(SWAPS), *names]
    process = person.start("", uid=uid, groups=[LAB], arguments=arguments)
    await_condition(lambda: process.poll() is not None or os.path.islink(spool))
    unwritten = run_hosts(person, {**DEBUG, **environ})
    stop.touch()
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err, int(out) >= SWAPS) == (0, "", True), (out, err)
    assert (spool.is_dir(), spool.is_symlink()) == (True, False)
    assert person.run("", environ, groups=[LAB], arguments=["-c", LATER]).calmly
    outside.check()
    assert theirs is None or take_picture(elsewhere / "theirs") == theirs
    check_arrived(server, unwritten)


def test_what_root_left_is_no_longer_used(person: Person, server: Server) -> None:
    """A spool that sudo made belongs to root; its user's breadcrumbs go from memory."""
    if not IS_ROOT:
        pytest.skip("needs root")
    cache = person.make(person.home / ".cache" / "migas")
    person.own(cache.parent)
    directory = directory_for(server.endpoint, str(cache))
    Spool(directory, ROOMY).put(crumb("root's"))
    before = take_picture(cache / os.path.basename(directory))
    assert person.run(HOST).calmly
    assert take_picture(cache / os.path.basename(directory)) == before
    assert versions(server) == ["one", "three", "two"]
