"""The pace: how many exits an hour may deliver, for a user on a machine.

To a short command, loading the transport and a round trip cost more than its own work. A person
who tries a command sees it counted at once; a shell loop over a thousand files pays for ten.
"""

from __future__ import annotations

import time

from .stamp import Stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Exits that may deliver at once, and the seconds in which as many more may.
BURST, PERIOD = 10, 3600.0

_INTERVAL = PERIOD / BURST


class Pace:
    """The generic cell rate algorithm (ITU-T I.371), whose one number is a shared stamp."""

    def __init__(self, directory: str, clock: Callable[[], float] = time.time) -> None:
        self._stamp = Stamp(directory, "pace")
        self._clock = clock

    def take(self) -> bool:
        """Say whether one more exit may deliver; that counts it."""
        now = self._clock()
        spent = self._spent(now)
        if spent > PERIOD - _INTERVAL:
            return False
        self._stamp.clear()
        self._stamp.set(now + spent + _INTERVAL)
        return True

    def count_left(self) -> int:
        """Count the exits that may deliver now, for a person to read."""
        return int((PERIOD - self._spent(self._clock())) / _INTERVAL)

    def _spent(self, now: float) -> float:
        # The moment at which nothing would be left of the burst's use.
        return self._stamp.remaining(now, PERIOD)
