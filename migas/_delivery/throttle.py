"""The throttle: when a server may be tried again, how many exits deliver, how fast requests go.

Back-off and pace are shared by all of a user's processes on a machine, through the times and sizes
of small files: ten thousand tasks on an offline cluster do not each find out by themselves. The
rate is one process's own.
"""

from __future__ import annotations

from collections import deque

from migas._disk.stamp import Stamp
from migas._runtime.clock import read_clock
from migas._runtime.native import time
from migas._runtime.randomness import uniform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds to wait after the first failure, and at most, before a jitter makes them fewer.
FIRST, LONGEST = 1.0, 3600.0

#: Seconds for which a server's own demand is honoured at most.
LONGEST_DEMAND = 86400.0

#: Exits that may deliver at once, and the seconds in which as many more may.
EXITS, EXITS_PERIOD = 10, 3600.0

#: Requests in so many seconds. The hosted server answers 1,000 in 60 s from one address, and 429 to
#: what goes beyond; other processes behind that address want some of them, too.
REQUESTS, REQUESTS_PERIOD = 800, 60.0

_EXIT_INTERVAL = EXITS_PERIOD / EXITS


class Backoff:
    """Decides when one server may be tried again."""

    def __init__(
        self,
        directory: str,
        clock: Callable[[], float] = read_clock,
        jitter: Callable[[float, float], float] = uniform,
    ) -> None:
        self._guess = Stamp(directory, "backoff")
        self._demand = Stamp(directory, "retry-after")
        self._clock = clock
        self._jitter = jitter

    def remaining(self, *, asked: bool = False) -> float:
        """Return the seconds until the next try.

        If a person has ``asked`` for it, only the server's own demand counts.
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


class Pace:
    """Bounds the exits that deliver, for a user on a machine.

    To a short command, loading the transport and a round trip cost more than its own work. A person
    who tries a command sees it counted at once; a shell loop over a thousand files pays for ten.
    By the generic cell rate algorithm (ITU-T I.371), whose one number is a shared stamp.
    """

    def __init__(self, directory: str, clock: Callable[[], float] = read_clock) -> None:
        self._stamp = Stamp(directory, "pace")
        self._clock = clock

    def take(self) -> bool:
        """Count one more exit, and return True if it may deliver."""
        now = self._clock()
        spent = self._spent(now)
        if spent > EXITS_PERIOD - _EXIT_INTERVAL:
            return False
        self._stamp.clear()
        self._stamp.set(now + spent + _EXIT_INTERVAL)
        return True

    def count_left(self) -> int:
        """Count the exits that may deliver now, for a person to read."""
        return int((EXITS_PERIOD - self._spent(self._clock())) / _EXIT_INTERVAL)

    def _spent(self, now: float) -> float:
        # The stamp is the moment at which nothing would be left of the use that was made.
        return self._stamp.remaining(now, EXITS_PERIOD)


class Rate:
    """Bounds the requests in any period, by a log of the latest of them."""

    def __init__(
        self,
        requests: int = REQUESTS,
        period: float = REQUESTS_PERIOD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._period = period
        self._clock = clock
        self._log: deque[float] = deque(maxlen=requests)

    def count(self) -> None:
        """Count a request that is sent now."""
        self._log.append(self._clock())

    def delay(self) -> float:
        """Return the seconds until one more may be sent."""
        if len(self._log) < (self._log.maxlen or 0):
            return 0.0
        return max(0.0, self._log[0] + self._period - self._clock())
