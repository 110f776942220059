"""The exit: the end of the process, as the agent's threads see it.

The thread that ends the process begins it; the two threads of the agent read it at any moment. Each
attribute is set by one thread only, and read a moment too early it does no harm: a request begins
that the exit then waits for, or gives up.
"""

from __future__ import annotations

import time

from .threads import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Request(Protocol):
        """A request that is on its way to the server."""

        def has_answer(self) -> bool:
            """Return True if the answer has come as far as this machine."""

        def abandon(self) -> None:
            """Note that no answer came in time, so that the next process does not wait in vain."""


class Exit:
    """When the process ends, what may still begin before that, and what is in hand."""

    def __init__(self, budget: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: Seconds that the process has for its end, all told.
        self.budget = budget
        #: When the end has to be there, by the clock; `NEVER` until it has begun.
        self.deadline = NEVER
        #: Whether requests are sent and awaited meanwhile.
        self.sends = True
        #: The request that is under way, set by the thread that sends it; None if there is none.
        self.request: Request | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the process is ending: what cannot be done now is left on disk."""
        return self.deadline != NEVER

    def begin(self, seconds: float, *, sends: bool) -> None:
        """Begin the end, which is to be there within ``seconds``.

        Parameters:
            seconds: what is left of the budget, >= 0. Several agents of a process share it.
            sends: False if nothing more is sent, as after a Ctrl-C.
        """
        # An exit that is given no time at all says nothing about the server.
        self.sends = sends and seconds > 0
        self.deadline = self._clock() + seconds

    def may_start_request(self) -> bool:
        """Return False in the second half of the budget.

        So the answer of a server that is as fast as usual is always awaited.
        """
        return self.sends and self._clock() < self.deadline - self.budget / 2
