"""The rate: how many requests a minute one process sends, below what the server allows."""

from __future__ import annotations

import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Requests in so many seconds. The hosted server answers 1,000 in 60 s from one address, and 429 to
#: what goes beyond; other processes behind that address want some of them, too.
REQUESTS, PERIOD = 800, 60.0


class Rate:
    """Bounds the requests in any period: a sliding log."""

    def __init__(
        self,
        requests: int = REQUESTS,
        period: float = PERIOD,
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
