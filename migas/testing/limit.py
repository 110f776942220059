"""The limit on one client's requests, counted as the hosted server counts them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: The hosted server's message to a client that is beyond its limit.
TOO_MANY = "Too many requests, wait a minute."


class Limit:
    """Refuses a client's requests beyond a number within a sliding window.

    A refused request counts as well, so a client that goes on asking stays refused. After a window
    without any request it is taken again.

    Parameters:
        limit: requests of one client that are taken within a window. None: any number.
        window: seconds.
        clock: returns seconds of a clock that never goes back.

    Example:
        >>> limit = Limit(1, 60.0)
        >>> limit.refuses("192.0.2.1"), limit.refuses("192.0.2.1"), limit.refuses("192.0.2.2")
        (False, True, False)
    """

    def __init__(
        self, limit: int | None, window: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        # Guards the moments below, which the server's threads share.
        self._counting = threading.Lock()
        #: By client: the moments of its requests, refused ones included, of the last window.
        self._moments: defaultdict[str, deque[float]] = defaultdict(deque)

    def refuses(self, client: str) -> bool:
        """Count a request of ``client``. Returns True if it is beyond the limit."""
        if self._limit is None:
            return False
        with self._counting:
            now = self._clock()
            moments = self._moments[client]
            while moments and moments[0] <= now - self._window:
                moments.popleft()
            moments.append(now)
            return len(moments) > self._limit
