"""The spool against a model of it, with processes that die between any two file operations."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support import ROOMY

from migas._disk import directory, files
from migas._disk.entry import LEASE, Entry
from migas._disk.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: What a process may do to the disk; it can die before each. To open is one if it makes a file.
CHANGES = {"chmod", "link", "mkdir", "open", "replace", "rmdir", "unlink", "utime", "write"}

#: The modules that do it.
DOOR = (directory, files)

PROCESSES = range(3)


class Death(BaseException):
    """A SIGKILL, as seen from inside: nothing is cleaned up."""


class MortalOS:
    """The module `os` as one process has it, which may die at one of the next changes."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        return self._counted(function) if name in CHANGES else function

    def _counted(self, function: Callable[..., object]) -> Callable[..., object]:
        def change(*args: Any, **kwargs: object) -> object:
            changes = function is not os.open or args[1] & os.O_CREAT
            if changes and self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Death
            return function(*args, **kwargs)

        return change


class SpoolMachine(RuleBasedStateMachine):
    """Three processes on one directory. Small shares make each put a likely rotation."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        os.chmod(self.directory, 0o700)
        self.now = 1_800_000_000.0
        self.os = MortalOS()
        for module in DOOR:
            vars(module)["os"] = self.os
        self.spools = [self.spool() for _ in PROCESSES]
        #: By token: how often each was sent at least and at most, as far as the disk can know.
        self.sent: dict[str, tuple[int, int]] = {}
        self.delivered: set[str] = set()
        #: By process: what it holds, and until when nobody else may.
        self.held: list[dict[str, tuple[Entry, float]]] = [{} for _ in PROCESSES]
        #: By process: what it has put, and is handed to send.
        self.handed: list[dict[str, Entry]] = [{} for _ in PROCESSES]

    def spool(self) -> Spool:
        bounds = ROOMY._replace(number=40 * 3)
        return Spool(self.directory, bounds, lambda: self.now, lambda _sides: 0)

    def teardown(self) -> None:
        for module in DOOR:
            vars(module)["os"] = os
        shutil.rmtree(self.directory)

    def attempt(self, process: int, death: int | None, act: Callable[[], T]) -> T | None:
        """Do something as ``process``; None: it died at its ``death``th change to the disk."""
        self.os.left = death
        try:
            return act()
        except Death:
            self.die(process)
            return None
        finally:
            self.os.left = None

    @rule(
        process=st.sampled_from(PROCESSES),
        death=st.none() | st.integers(0, 14),
        hands_over=st.booleans(),
    )
    def put(self, process: int, death: int | None, hands_over: bool) -> None:
        """Once it returns it is there for good; before, it may be."""
        before = {entry.token for entry in self.spools[process].list_pending()}
        put = partial(self.spools[process].put, b"x")
        written = self.attempt(process, death, put)
        new = {entry.token for entry in self.spools[process].list_pending()} - before
        assert written is None or written.token in new
        for token in new:
            self.sent[token] = (0, 0)
        if written is not None and hands_over:
            self.handed[process][written.token] = written

    @rule(process=st.sampled_from(PROCESSES), death=st.none() | st.integers(0, 6))
    def claim(self, process: int, death: int | None) -> None:
        """What one holds, nobody else gets."""
        for entry in self.attempt(process, death, partial(self.spools[process].claim, 2)) or ():
            self.hold(process, entry)

    @rule(process=st.sampled_from(PROCESSES), death=st.none() | st.integers(0, 3))
    def take(self, process: int, death: int | None) -> None:
        """What one was handed it gets, unless another was faster, or it itself by a claim."""
        if self.handed[process]:
            _, entry = self.handed[process].popitem()
            taken = self.attempt(process, death, partial(self.spools[process].take, [entry]))
            for each in filter(None, taken or ()):
                self.hold(process, each)

    def hold(self, process: int, entry: Entry) -> None:
        for held in self.held:
            assert entry.token not in held or held[entry.token][1] <= self.now
        self.held[process][entry.token] = entry, self.now + LEASE

    @rule(process=st.sampled_from(PROCESSES), death=st.none() | st.integers(0, 3))
    def send(self, process: int, death: int | None) -> None:
        """A request leaves only for what is still held, and the disk knows of it before."""
        for token, (entry, _) in list(self.held[process].items()):
            low, high = self.sent[token]
            others = [held for held in self.held if held is not self.held[process]]
            stolen = any(token in held and held[token][1] > self.now for held in others)
            try:
                marked = self.attempt(
                    process, death, partial(entry.attempt, self.now, entry.attempts + 1)
                )
            except OSError:
                del self.held[process][token]  # somebody had taken it over
                continue
            if marked is None:
                self.sent[token] = low, high + 1
                return
            assert not stolen
            self.sent[token] = low + 1, high + 1
            self.held[process][token] = marked, self.now + LEASE

    @rule(process=st.sampled_from(PROCESSES), death=st.none() | st.integers(0, 3))
    def release(self, process: int, death: int | None) -> None:
        """It waits again."""
        while self.held[process]:
            _, (entry, _) = self.held[process].popitem()
            self.attempt(process, death, partial(entry.release, entry.attempts))

    @rule(process=st.sampled_from(PROCESSES), death=st.none() | st.just(0))
    def deliver(self, process: int, death: int | None) -> None:
        """It is gone, unless the process died before it could remove it."""
        for token, (entry, until) in list(self.held[process].items()):
            self.held[process].pop(token, None)
            if until > self.now and self.attempt(process, death, entry.discard):
                self.delivered.add(token)

    @rule(process=st.sampled_from(PROCESSES), death=st.none() | st.integers(0, 4))
    def recover(self, process: int, death: int | None) -> None:
        """What the dead held waits again."""
        self.attempt(process, death, partial(self.spools[process].recover, 16))

    @rule(seconds=st.sampled_from([1.0, LEASE / 2, LEASE + 1]))
    def pass_time(self, seconds: float) -> None:
        """Claims end; who sleeps meanwhile does not know."""
        self.now += seconds

    @rule(process=st.sampled_from(PROCESSES))
    def die(self, process: int) -> None:
        """At any time; another one takes its place."""
        self.held[process], self.handed[process] = {}, {}
        self.spools[process] = self.spool()

    @invariant()
    def everything_is_there_once(self) -> None:
        """Whatever was put and not delivered is on disk, once, and its name counts its attempts."""
        found = [(entry.token, entry.attempts) for entry in self.spools[0].list_pending()]
        assert sorted(token for token, _ in found) == sorted(set(self.sent) - self.delivered)
        for token, attempts in found:
            low, high = self.sent[token]
            assert low <= attempts <= high
            self.sent[token] = attempts, attempts
        assert self.spools[0].dropped == 0


TestSpool = pytest.mark.slow(SpoolMachine.TestCase)
TestSpool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
