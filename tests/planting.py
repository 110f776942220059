"""What somebody else may put where migas expects its own, and what a process does with it then.

Used by the tests of the disk's door and by the fuzzer. All of it happens below a test's directory,
and a watch tells whether anything outside of that was touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import stat
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import ROOMY

from migas._crumb import breadcrumb
from migas._delivery.parcel import Outcome, Verdict
from migas._delivery.sent_log import FULL, Record
from migas._delivery.throttle import Backoff, Pace
from migas._disk.directory import TAG
from migas._disk.entry import MemoryEntry
from migas._disk.spool import Spool
from migas._disk.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable

#: A user and a group that nobody logs in as.
NOBODY = 65534

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

#: Somebody else's id.
OTHER_ID = "1cf6db85-5d12-4d79-a502-611f353de27d"

#: Names that migas makes, for files of each sort.
ENTRY = "1700000000001-00000000000000aa-0.json"
CLAIMED = "1700000000002-00000000000000bb-0-1700000000003-000000cc.json"
SEGMENT = "1700000000009-000000dd"


#: A moment at which every claim in these tests is over, and no entry is too old.
NOW = 1_700_000_500.0


def crumb(version: str) -> bytes:
    """Return the content of an entry."""
    return breadcrumb.encode(breadcrumb.sanitize("owner/repo", version, {}, {}).breadcrumb)


def need_posix(what: str) -> None:
    """Skip the test on Windows, by what it lacks or allows to few."""
    if sys.platform == "win32":
        pytest.skip(f"Windows: {what}")


def _link(target: str) -> Callable[[Path, Path], None]:
    def plant(path: Path, outside: Path) -> None:
        need_posix("a link needs a privilege")
        path.symlink_to(outside / target)

    return plant


def _circle(path: Path, _outside: Path) -> None:
    need_posix("a link needs a privilege")
    path.symlink_to(path.name)


def _fifo(path: Path, _outside: Path) -> None:
    need_posix("no file is a FIFO")
    os.mkfifo(path)


def _socket(path: Path, _outside: Path) -> None:
    need_posix("no file is a socket")
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short}/socket")  # a test's own path may be too long
        os.rename(f"{short}/socket", path)


def _huge(path: Path, _outside: Path) -> None:
    need_posix("a file has no holes, unless it is told to")
    path.touch(0o600)
    os.truncate(path, 1 << 40)


def _device(path: Path, _outside: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # of zeros without end


def _makes_devices() -> bool:
    """Whether this user may make a device, which root may in no container of some kinds."""
    if not IS_ROOT:
        return False
    with tempfile.TemporaryDirectory() as directory, contextlib.suppress(OSError):
        _device(Path(directory, "device"), Path())
        return True
    return False


def _unreadable(path: Path, _outside: Path) -> None:
    _write(path, crumb("another's"))
    path.chmod(0o000)


def _full_directory(path: Path, _outside: Path) -> None:
    path.mkdir(0o700)
    (path / "thesis.tex").write_text("years of work")


def _others_file(path: Path, _outside: Path) -> None:
    path.write_bytes(crumb("another's"))
    os.chown(path, NOBODY + 1, NOBODY + 1)


def _others_directory(path: Path, _outside: Path) -> None:
    shutil.copytree(_outside / "directory", path)
    for found in (path, *path.rglob("*")):
        os.chown(found, NOBODY + 1, NOBODY + 1)


def _content(data: bytes) -> Callable[[Path, Path], None]:
    return lambda path, _outside: _write(path, data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


#: What may lie where a file of ours is expected, and is not ours.
FOREIGN_FILES: dict[str, Callable[[Path, Path], None]] = {
    "link to a file": _link("file"),
    "link to a directory": _link("directory"),
    "link to nowhere": _link("nothing"),
    "link in a circle": _circle,
    "hard link": lambda path, outside: path.hardlink_to(outside / "file"),
    "FIFO": _fifo,
    "socket": _socket,
    "directory": _full_directory,
    "huge": _huge,
    **({"device": _device} if _makes_devices() else {}),
    **({"another's": _others_file} if IS_ROOT else {}),
}

#: What is ours, and cannot be read by an ordinary user.
UNREADABLE_FILES: dict[str, Callable[[Path, Path], None]] = {"unreadable": _unreadable}

#: What may lie where a directory of ours is expected, and is not ours.
FOREIGN_DIRECTORIES: dict[str, Callable[[Path, Path], None]] = {
    **{
        kind: FOREIGN_FILES[kind]
        for kind in FOREIGN_FILES
        if kind not in {"directory", "another's"}
    },
    "file": _content(b"in the way"),
    **({"another's": _others_directory} if IS_ROOT else {}),
}

#: What may lie in a file that is ours by all other signs.
STRANGE_CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "truncated": crumb("1")[:50],
    "deep": b"[" * 60_000,
    "NaN": crumb("1").replace(b"false", b"NaN"),
    "duplicate keys": crumb("1").replace(b"{", b'{"format":1,"format":2,', 1),
    "long number": crumb("1").replace(b"false", b"9" * 5000),
    "strange form": crumb("1").replace(b'"format":1', b'"format":-1e999'),
    "no object": b"[1]",
    "another encoding": crumb("1").decode().encode("utf-16"),
    "binary": bytes(range(256)) * 8,
}


class Outside:
    """A directory of the person's own, which nothing of migas's may touch or read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        (path / "file").write_text("#!/bin/sh\necho hello\n")
        (path / ".bashrc").write_text("alias ll='ls -l'\n")
        (path / "id").write_text(OTHER_ID)
        # As a spool of ours looks, so that it would pass for one.
        lookalike = path / "directory"
        spool = Spool(str(lookalike), ROOMY, randrange=lambda _sides: 1)
        spool.put(crumb("outside"))
        for name in ("thesis.tex", ".hidden", "sent.jsonl", "backoff-all", "dropped-all"):
            (lookalike / name).write_text("years of work")
        for box in ("new", "cur", "tmp", "aside", f"old/{SEGMENT}"):
            (lookalike / box).mkdir(parents=True, exist_ok=True)
            for name in (ENTRY, CLAIMED, "thesis.tex", ".hidden"):
                (lookalike / box / name).write_bytes(crumb("outside"))
        for name in (ENTRY, CLAIMED):
            (lookalike / name).write_bytes(crumb("outside"))
        assert (lookalike / TAG).exists()
        self._before: dict[str, object] = {}
        self._watch: Watch | None = None

    def watch(self, planted: Path | None = None) -> None:
        """Note how all of it looks now, and whoever touches or reads it from now on.

        Also what is ``planted`` elsewhere, unless it is a link.
        """
        self._before = take_picture(self.path)
        paths = [self.path, *self.path.rglob("*")]
        if planted is not None and not planted.is_symlink():
            paths += [planted, *planted.rglob("*")] if planted.is_dir() else [planted]
        self._watch = Watch(paths)

    def check(self) -> None:
        """Fail if anybody has touched or read any of it."""
        assert self._watch is not None
        done = self._watch.read()
        self._watch.close()
        assert not done, done
        after = take_picture(self.path)
        assert after == self._before, set(after.items()) ^ set(self._before.items())


def clear_way(path: Path) -> None:
    """Remove what lies there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)


def use_spool(directory: Path) -> set[str]:
    """Do all that a process does with a spool; return the versions that it could send or remove."""
    now = [NOW]
    # A share is five entries, and each put looks whether it is full.
    spool = Spool(str(directory), ROOMY._replace(number=200), lambda: now[0], lambda _sides: 0)
    found: set[str] = set()
    for number in range(12):
        with contextlib.suppress(OSError):
            entry = spool.put(crumb("put"))
            if number % 2 == 0:
                spool.take([entry])
    for step in range(8):
        spool.recover(16)
        for entry in spool.claim(16):
            with contextlib.suppress(OSError):
                found.add(read_version(entry.read()))
                entry.attempt(now[0], entry.attempts + 1).release(1)
            if step % 2:
                entry.set_aside()
        now[0] += 200.0
    for entry in spool.list_pending()[::2]:
        content = entry.read()
        if entry.discard():
            found.add(read_version(content))
    spool.refuse(MemoryEntry("any"))
    spool.give_up(MemoryEntry("any"))
    counted = (spool.count(), spool.has_pending(), spool.dropped, spool.refused, spool.unanswered)
    assert all(isinstance(each, int) for each in counted)
    assert isinstance(spool.problem(), str)
    now[0] += 10 * 86400.0
    Spool(str(directory), ROOMY, lambda: now[0], lambda _sides: 0).recover(16)
    return found


def read_version(content: bytes) -> str:
    try:
        return breadcrumb.decode(content).project_version
    except (ValueError, RecursionError):
        return ""


def use_stamps(directory: Path) -> set[str]:
    """Do all that a process does with what lies beside the boxes."""
    for host in ("node", "all"):
        for name in ("backoff", "pace", "dropped"):
            stamp = Stamp(str(directory), name, host)
            stamp.set(NOW)
            stamp.set(NOW, 3)
            assert stamp.times >= 4
            stamp.clear()
    Backoff(str(directory)).fail(5.0)
    Backoff(str(directory)).succeed()
    Pace(str(directory)).take()
    record = Record(str(directory))
    made = breadcrumb.sanitize("owner/repo", "1", {"error_desc": "x" * 500}, {}).breadcrumb
    for _ in range(3):  # each fills a file
        record.add([(made, Verdict(Outcome.REFUSED, "x" * 200))] * (FULL // 900))
    assert all(line["project"] == "owner/repo" for line in record.read())
    with contextlib.suppress(OSError):
        record.clear()
    return set()


class Picture(NamedTuple):
    """How a file looks."""

    number: int
    mode: int
    owner: int
    links: int
    size: int
    changed: int
    content: object


def take_picture(path: Path) -> dict[str, object]:
    """Describe a file, or a directory with all that lies in it, without following links."""
    found = [path] if path.is_symlink() or not path.is_dir() else [path, *path.rglob("*")]
    return {str(each): _describe(each) for each in found}


def _describe(path: Path) -> Picture:
    status = path.lstat()
    content: object = None
    if path.is_symlink():
        content = os.readlink(path)
    elif path.is_file() and status.st_size < 1 << 20:
        content = path.read_bytes()
    changed = 0 if path.is_dir() and not path.is_symlink() else status.st_mtime_ns
    return Picture(
        *(status.st_ino, status.st_mode, status.st_uid, status.st_nlink, status.st_size),
        *(changed, content),
    )


#: Read, changed, opened for writing, moved, made, removed: see inotify(7). Not: opened for reading,
#: since a file has to be opened to be judged.
_EVENTS = 0x1 | 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800


class Watch:
    """Hears from the kernel what is done to files, by whichever name; on Linux only."""

    def __init__(self, paths: list[Path]) -> None:
        self._descriptor = -1
        if sys.platform != "linux":
            return
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "inotify_init1"):
            return
        self._descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._paths = {
            library.inotify_add_watch(self._descriptor, os.fsencode(path), _EVENTS): path
            for path in paths
        }

    def read(self) -> list[tuple[Path, int]]:
        """Return the files, and what was done to each."""
        if self._descriptor < 0:
            return []
        data = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                data += os.read(self._descriptor, 65536)
        found = []
        while data:
            number, mask, _, length = struct.unpack_from("iIII", data)
            found.append((self._paths.get(number, Path()), mask))
            data = data[16 + length :]
        return found

    def close(self) -> None:
        """Watch no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
