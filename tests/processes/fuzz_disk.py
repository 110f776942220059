"""A fuzzer: files of random kinds lie at random places of a spool, and hosts and commands run.

    tox -e fuzz -- --minutes 10 --seed 1

Nothing outside of the spool may be read, changed, moved or removed, nor anything in it that migas
has not made; nothing may hang; every breadcrumb of ours has to be delivered or still be there.
Ends with status 1 otherwise. Three rounds of four are played in this process, which is fast; the
others by real processes, of an ordinary user where root can start them so. What is random comes
from the seed and the round's number: `--first N --rounds 1` plays one round again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from _disk.conftest import Person, become
from planting import (
    FOREIGN_DIRECTORIES,
    FOREIGN_FILES,
    IS_ROOT,
    NOBODY,
    NOW,
    STRANGE_CONTENTS,
    Outside,
    crumb,
    take_picture,
    use_spool,
    use_stamps,
)
from support import LATER, PATIENCE, ROOMY, versions

from migas._disk import user_id
from migas._disk.directory import TAG
from migas._disk.spool import Spool, directory_for
from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Callable

BOXES = ("tmp", "new", "cur", "old", "aside")

#: What a person or a cron job runs, besides hosts.
COMMANDS = [
    *("status", "status --json", "show", "show --waiting", "show --sent", "flush --timeout 20"),
    *("clear record --yes", "clear id --yes", "clear spool --yes", "clear all --yes"),
]

HOST = """
import sys, migas
for number in range(int(sys.argv[2])): migas.add_project("owner/repo", f"{sys.argv[1]}.{number}")
if sys.argv[3] == "flush": migas.flush(20)
"""


class Round:
    """One spool, what is planted in it, and what is run over it."""

    def __init__(self, dice: random.Random, directory: Path, spool: Path, config: Path) -> None:
        self.dice = dice
        self.directory = directory
        self.spool = spool
        self.config = config
        self.outside = Outside(directory / "outside")
        #: By version: the file of a pending breadcrumb of ours.
        self.ours: dict[str, Path] = {}
        #: What is not ours, and how it looks.
        self.foreign: dict[Path, object] = {}
        self.huge: set[Path] = set()
        #: What was done, for whoever reads of a failure.
        self.story: list[str] = []

    def plant(self) -> None:
        """Make a spool with some pending breadcrumbs, and put other things into it."""
        spool = Spool(str(self.spool), ROOMY, lambda: NOW, lambda _sides: 1)
        for number in range(self.dice.randrange(1, 10)):
            entry = spool.put(crumb(f"0.{number}"))
            path = Path(entry.path)
            box = self.dice.choice(["new", "new", "cur", f"old/{self._segment()}"])
            if box == "cur":
                path = Path(entry._replace(box=box, until=int(NOW * 1000) - 1, holder="0" * 8).path)
            elif box != "new":
                path = Path(entry._replace(box=box).path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.parent.chmod(0o700)
            os.rename(entry.path, path)
            self.ours[f"0.{number}"] = path
        self.config.mkdir(parents=True, exist_ok=True)
        for _ in range(self.dice.randrange(8)):
            self._plant_one()
        self.ours = {version: path for version, path in self.ours.items() if self._is_ours(path)}

    def _plant_one(self) -> None:
        path = self._place()
        if not self._is_reachable(path):
            return
        kinds = {**FOREIGN_FILES, **FOREIGN_DIRECTORIES}
        kind = self.dice.choice([*kinds, *STRANGE_CONTENTS, "rubbish", "unreadable"])
        self.story.append(f"{kind} at {path.relative_to(self.directory)}")
        for planted in [each for each in self.foreign if path in (each, *each.parents)]:
            del self.foreign[planted]
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if kind in kinds:
            kinds[kind](path, self.outside.path)
            self.huge |= {path} if kind == "huge" else set()
            full = path / "thesis.tex"
            # A file of this user's is ours where we expect a file.
            if kind != "file" or path.name in BOXES or path in (self.spool, self.config):
                self.foreign[full if kind == "directory" else path] = None
        else:
            content = STRANGE_CONTENTS.get(kind, self.dice.randbytes(self.dice.randrange(3000)))
            path.write_bytes(content)
            path.chmod(0o000 if kind == "unreadable" else 0o600)

    def _place(self) -> Path:
        """Choose where something else than ours is to lie."""
        box = self.dice.choice([*BOXES, f"old/{self._segment()}"])
        name = self.dice.choice([self._entry(), self._entry(), self._stamp(), "thesis.tex", ".x\n"])
        return self.dice.choice(
            [
                *(self.spool / box / name, self.spool / box / name, self.spool / box / name),
                *(self.spool / box, self.spool / box, self.spool / name, self.spool / name),
                *(self.spool / self._stamp(), self.spool / "sent.jsonl", self.spool / TAG),
                *(self.config / "user_id", self.config / f"user_id.1.{'0' * 8}", self.config),
                *(self.spool, self.dice.choice([*self.ours.values(), self.spool / box])),
            ]
        )

    def _segment(self) -> str:
        return f"{int(NOW * 1000) + self.dice.randrange(3):013d}-{self.dice.randrange(3):08x}"

    def _entry(self) -> str:
        dice = self.dice
        birth = dice.choice([0, int(NOW * 1000) + dice.randrange(-10, 10), 10**13 - 1])
        token, attempts = dice.randrange(16**16), dice.choice([0, 0, 1, 2, 3, 999])
        claim = f"-{dice.choice([0, int(NOW * 1000), 10**13 - 1]):013d}-{dice.randrange(9):08x}"
        return f"{birth:013d}-{token:016x}-{attempts}{dice.choice(['', claim])}.json"

    def _stamp(self) -> str:
        name = self.dice.choice(["backoff", "retry-after", "pace", "old-server", "dropped"])
        return f"{name}-{self.dice.choice([os.uname().nodename, 'all', 'elsewhere'])}"

    def _is_reachable(self, path: Path) -> bool:
        """Whether what lies above is real, so that nothing is planted through a link."""
        above = path.parent
        while above != self.directory:
            if above.is_symlink() or not above.is_dir():
                return False
            above = above.parent
        return not any(each in path.parents for each in self.foreign)

    def _is_ours(self, path: Path) -> bool:
        if not self._is_reachable(path) or path.is_symlink() or not path.is_file():
            return False
        expected = crumb(next(version for version, other in self.ours.items() if other == path))
        return path.stat().st_size == len(expected) and path.read_bytes() == expected

    def watch(self) -> None:
        """Note how all looks that must stay as it is."""
        self.foreign = {path: take_picture(path) for path in self.foreign if os.path.lexists(path)}
        self.outside.watch()

    def find(self) -> set[str]:
        """The versions of ours that are still on disk, wherever in the spool."""
        names = {
            name.split("-")[1]
            for _, _, files in os.walk(self.spool)
            for name in files
            if name.count("-") >= 2
        }
        return {version for version, path in self.ours.items() if path.name.split("-")[1] in names}

    def check(self, delivered: set[str], *, cleared: bool = False) -> None:
        """Raise `AssertionError` if something was touched that is not ours, or ours is lost."""
        self.outside.check()
        for path, picture in self.foreign.items():
            # A person who clears the spool means each file of theirs that bears such a name.
            if cleared and path in self.huge:
                continue
            assert os.path.lexists(path), f"{path} is gone"
            assert take_picture(path) == picture, f"{path} is not as it was"
        lost = set(self.ours) - delivered - self.find()
        assert cleared or not lost, f"lost: {sorted(lost)}"


def play_inside(play: Round) -> None:
    """Do all that a process does, here."""
    play.plant()
    play.watch()
    done: list[set[str]] = []
    failed: list[str] = []

    def use() -> None:
        try:
            for _ in range(2):
                user_id.obtain(str(play.config))
            done.append(use_spool(play.spool) | use_stamps(play.spool))
            user_id.clear(str(play.config))
        except BaseException:
            failed.append(traceback.format_exc())
            raise

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"
    assert not failed, failed[0]
    play.check(done[0])


class Outdoors:
    """Rounds that real processes play, as one person's."""

    def __init__(self, directory: Path, counts: Counter[str]) -> None:
        self.person = Person(directory)
        self.counts = counts

    def play(self, dice: random.Random, server: Server) -> tuple[Round, Callable[[], None]]:
        """Return a round, and what plays it."""
        person = self.person
        person.make(person.home)
        cache = person.home / ".cache" / "migas"
        cache.mkdir(parents=True)
        spool = Path(directory_for(server.endpoint, str(cache)))
        play = Round(dice, person.directory, spool, person.home / ".config" / "migas")
        return play, lambda: self._run(play, server)

    def _run(self, play: Round, server: Server) -> None:
        play.plant()
        for path in (self.person.directory, *self.person.directory.rglob("*")):
            if path.lstat().st_uid == 0:
                self.person.own(path)
        play.watch()
        expected: set[str] = set()
        cleared, is_silent = False, _cannot_look_for_optout(play.config)
        for number in range(play.dice.randrange(1, 5)):
            if play.dice.random() < 0.5:
                command = play.dice.choice(COMMANDS)
                cleared |= command.startswith("clear")
                self._command(play, command)
            else:
                expected |= self._host(play, f"{number + 1}")
        ended = self.person.run("", arguments=["-c", LATER])
        assert "Traceback" not in ended.err, ended
        delivered = Counter(versions(server))
        twice = {version for version, count in delivered.items() if count > 1 and "." in version}
        assert not twice, f"delivered twice: {sorted(twice)}"
        play.check(set(delivered), cleared=cleared)
        assert not (is_silent and delivered), f"sent: {sorted(delivered)}"
        lost = expected - set(delivered)
        assert cleared or is_silent or not lost, f"lost of a host: {sorted(lost)}"

    def _command(self, play: Round, command: str) -> None:
        play.story.append(f"migas {command}")
        self.counts["commands"] += 1
        ended = self.person.run("", arguments=["-m", "migas", *command.split()])
        assert ended.status in (0, 1, 2), ended
        assert "Traceback" not in ended.err, ended

    def _host(self, play: Round, name: str) -> set[str]:
        """Run a host, and return what has to arrive of it: all, as the server is there."""
        count = play.dice.choice([1, 2, 5])
        end = play.dice.choice(["flush", "exit"])
        play.story.append(f"host {name} notes {count}, {end}")
        self.counts["hosts"] += 1
        ended = self.person.run("", arguments=["-c", HOST, name, str(count), end])
        assert ended.calmly, ended
        return {f"{name}.{number}" for number in range(count)}


def _cannot_look_for_optout(config: Path) -> bool:
    """Whether a person cannot know if there is an opt-out, which then counts as one."""
    try:
        os.lstat(config / "optout")
    except (FileNotFoundError, NotADirectoryError):
        is_others = config.is_dir() and config.stat().st_uid not in (os.geteuid(), NOBODY)
        return is_others and not config.stat().st_mode & 0o001
    except OSError:
        return True
    raise AssertionError("nothing is planted there")


class Fuzzer:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.failures = 0

    def play(self, number: int) -> None:
        """Play one round, and tell of it if something is wrong."""
        dice = random.Random(f"{self.seed}.{number}")
        with tempfile.TemporaryDirectory(prefix="migas-fuzz-") as name:
            directory = Path(name)
            directory.chmod(0o755)
            with contextlib.ExitStack() as stack:
                if dice.random() < 0.75:
                    round_ = Round(dice, directory, directory / "cache" / "spool", directory / "c")
                    (directory / "cache").mkdir(0o700)
                    act: Callable[[], None] = lambda: play_inside(round_)  # noqa: E731
                else:
                    server = stack.enter_context(Server())
                    os.environ["MIGAS_ENDPOINT"] = server.endpoint
                    round_, act = Outdoors(directory, self.counts).play(dice, server)
                self.counts["rounds"] += 1
                try:
                    act()
                except Exception as error:
                    self.failures += 1
                    print(f"round {number}: {type(error).__name__}: {error}", flush=True)
                    print("".join(f"    {line}\n" for line in round_.story), flush=True)
                self.counts["planted"] += sum(" at " in line for line in round_.story)
                self.counts["ours"] += len(round_.ours)

    def run(self, first: int, rounds: int | None, minutes: float) -> bool:
        """Play rounds until the time is up; return whether all went well."""
        end = time.monotonic() + 60 * minutes
        number = first
        while (rounds is None and time.monotonic() < end) or number - first < (rounds or 0):
            self.play(number)
            number += 1
        print(f"seed {self.seed}: " + ", ".join(f"{n} {what}" for what, n in self.counts.items()))
        print(f"failures: {self.failures}")
        return self.failures == 0


def main() -> int:
    """Run the fuzzer and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    for name in list(os.environ):
        if name.startswith(("MIGAS_", "XDG_")) or name in ("CI", "DO_NOT_TRACK", "NO_ET"):
            del os.environ[name]
    command = [*become(NOBODY), sys.executable, "-c", "import migas, requests"]
    if IS_ROOT and subprocess.run(command, cwd="/", capture_output=True, check=False).returncode:
        print("no other user can start this interpreter: all processes are root's")
    return 0 if Fuzzer(options.seed).run(options.first, options.rounds, options.minutes) else 1


if __name__ == "__main__":
    sys.exit(main())
