"""The server of the model: it has a limit for each address, and is not always heard."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from migas._delivery import policy
from migas._delivery.policy import Exchange

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    import simpy

    from migas._delivery.parcel import Reply

    from .world import World

#: Requests in so many seconds that the hosted server answers one address.
_LIMIT, _WINDOW = 1000, 60.0

#: What the agent makes of a server that is busy: the same each time, since no date is in it.
_REFUSAL = policy.judge(Exchange(status=429), 0.0)

#: The share of answers that are lost though the server has stored what it was sent.
_UNHEARD = 0.002


class Server:
    """Takes breadcrumbs, each known by its birth, when it can be reached."""

    def __init__(self, env: simpy.Environment, world: World, dice: random.Random) -> None:
        self._env = env
        self._world = world
        self._dice = dice
        # When each address has knocked; one that knocks at a shut door keeps it shut.
        self._knocks: dict[int, deque[float]] = {}
        #: Requests that reached it, by the second.
        self.requests: Counter[int] = Counter()
        #: How often each breadcrumb was stored, and when first, with its age.
        self.stored: Counter[float] = Counter()
        self.ages: list[tuple[float, float]] = []

    def ask(self, address: int, births: Sequence[float]) -> Reply:
        """Answer a request, and judge that as the agent does."""
        exchange = self._answer(address, births)
        return _REFUSAL if exchange is None else policy.judge(exchange, self._env.now)

    def _answer(self, address: int, births: Sequence[float]) -> Exchange | None:
        """Return what is seen of a request, or None if the address has sent too many."""
        now = self._env.now
        if self._world.outage_from <= now < self._world.outage_until:
            return Exchange(error="no route")
        self.requests[int(now)] += 1
        knocks = self._knocks.setdefault(address, deque(maxlen=_LIMIT + 1))
        knocks.append(now)
        if len(knocks) > _LIMIT and knocks[0] > now - _WINDOW:
            return None
        for birth in births:
            if not self.stored[birth]:
                self.ages.append((now, now - birth))
            self.stored[birth] += 1
        if self._dice.random() < _UNHEARD:
            return Exchange(error="no answer", whole=True)
        return Exchange(status=200, body=b'{"data": {}}')
