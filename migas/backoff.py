"""The back-off: when a server may be tried again, known to all of a user's processes on a machine.

Ten thousand tasks on an offline cluster do not each find out anew.
"""

from __future__ import annotations

import random
import time

from .stamp import Stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds to wait after the first failure, and at most, before a jitter makes them fewer.
FIRST, LONGEST = 1.0, 3600.0

#: Seconds that a server's own demand is honoured for, at most.
LONGEST_DEMAND = 86400.0


class Backoff:
    """When one server may be tried again."""

    def __init__(
        self,
        directory: str,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._guess = Stamp(directory, "backoff")
        self._demand = Stamp(directory, "retry-after")
        self._clock = clock
        self._jitter = jitter

    def remaining(self, *, asked: bool = False) -> float:
        """Return the seconds until the next try.

        Where a person has ``asked`` for it only the server's own demand counts.
        """
        now = self._clock()
        demanded = self._demand.remaining(now, LONGEST_DEMAND)
        return demanded if asked else max(demanded, self._guess.remaining(now, LONGEST))

    def fail(self, demand: float | None = None) -> None:
        """Wait longer than last time, and at least for the seconds that the server demands."""
        now = self._clock()
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        longest = min(FIRST * 2.0 ** min(self._guess.times, 20), LONGEST)
        self._guess.set(now + self._jitter(0.0, longest))
        if demand is not None:
            # Spread out, since all who were refused together would come back together.
            wait = demand + self._jitter(0.0, demand)
            self._demand.set(now + min(wait, LONGEST_DEMAND))

    def succeed(self) -> None:
        """Forget every failure: the server is there."""
        self._guess.clear()
        self._demand.clear()
