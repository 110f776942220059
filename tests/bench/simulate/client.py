"""The clients of the model: ours, by the package's own policy, and two that others would write."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from migas._delivery import policy
from migas._delivery.parcel import Outcome
from migas._delivery.sender import LEISURE, MOMENT
from migas._delivery.throttle import FIRST, LONGEST, Backoff, Pace
from migas._runtime.settings import Settings

if TYPE_CHECKING:
    import random
    from collections.abc import Generator

    import simpy

    from migas._delivery.parcel import Reply

    from .server import Server
    from .world import World

    Steps = Generator[simpy.Event, None, None]

#: Breadcrumbs that a request has room for, where each is of a run of its own.
_FULL = 12

#: No stamp can be kept there, and so each lives in memory, for its own host.
_NOWHERE = "/nowhere/migas"


class Client:
    """What programs do with the breadcrumb that each notes when it starts."""

    name = ""

    def __init__(
        self, env: simpy.Environment, world: World, server: Server, dice: random.Random
    ) -> None:
        self._env = env
        self._world = world
        self._server = server
        self._dice = dice
        #: Breadcrumbs that are noted, and that were dropped.
        self.noted = self.dropped = 0

    def count_waiting(self) -> int:
        """Count what is noted and neither stored nor dropped."""
        return self.noted - self.dropped - len(self._server.stored)

    def run(self, host: int) -> Steps:
        """Live as a program does."""
        raise NotImplementedError

    def _ask(self, host: int, births: list[float]) -> Reply:
        return self._server.ask(0 if self._world.is_cluster else host, births)


class Naive(Client):
    """Tries each second for as long as its process lives; then what it holds is lost."""

    name = "at once, again and again"

    def run(self, host: int) -> Steps:
        """Live, and try."""
        birth, end = self._env.now, self._env.now + self._world.life
        self.noted += 1
        while self._ask(host, [birth]).outcome is not Outcome.DELIVERED:
            if self._env.now + 1.0 > end:
                self.dropped += not self._server.stored[birth]
                return
            yield self._env.timeout(1.0)


class Alone(Client):
    """Backs off exponentially with full jitter, each breadcrumb by itself; none is ever lost."""

    name = "exponential, each for itself"

    def run(self, host: int) -> Steps:
        """Try until it is delivered, as though the process had that long."""
        birth, times = self._env.now, 0
        self.noted += 1
        while self._ask(host, [birth]).outcome is not Outcome.DELIVERED:
            yield self._env.timeout(self._dice.uniform(0.0, min(FIRST * 2.0**times, LONGEST)))
            times = min(times + 1, 20)


class Ours(Client):
    """Asks `Backoff`, `Pace` and `policy`, as the package does, and fills requests up."""

    name = "migas"

    def __init__(
        self, env: simpy.Environment, world: World, server: Server, dice: random.Random
    ) -> None:
        super().__init__(env, world, server, dice)
        # What one process of the real thing shares with the others of its host or its home.
        self._backoffs: dict[int, Backoff] = {}
        self._paces: dict[int, Pace] = {}
        # A spool, oldest first: births, and attempts that remained unanswered.
        self._spools: dict[int, deque[tuple[float, int]]] = {}
        # A scaled home has room for its share.
        self._bound = Settings.from_env({}).spool_count // (world.scale if world.is_cluster else 1)

    def run(self, host: int) -> Steps:
        """Write the breadcrumb down, send in a moment, go on at leisure, and once more at exit."""
        end = self._env.now + self._world.life
        spool = self._spools.setdefault(0 if self._world.is_cluster else host, deque())
        self._note(spool)
        backoff = self._find_backoff(host)
        pause = MOMENT
        while self._env.now + pause < end:
            yield self._env.timeout(pause)
            pause = backoff.remaining()
            if not pause:
                if not spool:
                    return
                self._send(host, spool, backoff)
                pause = max(backoff.remaining(), LEISURE)
        yield self._env.timeout(end - self._env.now)
        if spool and not backoff.remaining() and self._find_pace(host).take():
            self._send(host, spool, backoff)

    def _note(self, spool: deque[tuple[float, int]]) -> None:
        self.noted += 1
        spool.append((self._env.now, 0))
        while len(spool) > self._bound:
            birth, _ = spool.popleft()
            self.dropped += not self._server.stored[birth]

    def _send(self, host: int, spool: deque[tuple[float, int]], backoff: Backoff) -> None:
        batch = [spool.popleft() for _ in range(min(_FULL, len(spool)))]
        reply = self._ask(host, [birth for birth, _ in batch])
        if reply.outcome is Outcome.DELIVERED:
            backoff.succeed()
            return
        backoff.fail(reply.demand)
        unheard = reply.outcome is Outcome.UNKNOWN
        for birth, attempts in reversed(batch):
            if policy.waits(reply.outcome, attempts + unheard):
                spool.appendleft((birth, attempts + unheard))

    def _find_backoff(self, host: int) -> Backoff:
        if host not in self._backoffs:
            self._backoffs[host] = Backoff(_NOWHERE, lambda: self._env.now, self._dice.uniform)
        return self._backoffs[host]

    def _find_pace(self, host: int) -> Pace:
        if host not in self._paces:
            self._paces[host] = Pace(_NOWHERE, lambda: self._env.now)
        return self._paces[host]


CLIENTS: tuple[type[Client], ...] = (Naive, Alone, Ours)
