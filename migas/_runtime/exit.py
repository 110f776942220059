"""The exit: holds the deadline of the process's end, and decides what may still start before it.

The thread that ends the process sets the deadline; the agent's two threads read it. There is no
lock: each attribute is set by one thread only.

What may go wrong: a thread reads the deadline a moment before it is set, and starts a request. That
is fine: the exit waits for the request, or gives it up.
"""

from __future__ import annotations

import time

from .threads import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Request(Protocol):
        """A request that was sent, until its answer has been carried out on the disk."""

        def has_answer(self) -> bool:
            """Return True if the answer has arrived at this machine."""

        def abandon(self) -> None:
            """Count a failure, so that the next process does not wait for this server in vain."""


class Exit:
    """The end of the process, as the agent's threads see it.

    Parameters:
        budget: seconds that the process has for its end.
        clock: monotonic seconds.
    """

    def __init__(self, budget: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.budget = budget
        #: When the process has to have ended, by the clock; `NEVER` until the exit begins.
        self.deadline = NEVER
        #: True if requests may be sent, and their answers waited for, during the exit.
        self.sends = True
        #: The request under way, set by the thread that sends it; None if there is none.
        self.request: Request | None = None

    @property
    def has_begun(self) -> bool:
        """Return True if the process is ending: what cannot be sent now is left on disk."""
        return self.deadline != NEVER

    def begin(self, seconds: float, *, sends: bool) -> None:
        """Begin the exit, and set its deadline.

        Parameters:
            seconds: what is left of the budget, >= 0. All agents of a process share one budget.
            sends: False if nothing more is sent, as after a Ctrl-C.
        """
        # With no time at all, a missing answer would say nothing about the server.
        self.sends = sends and seconds > 0
        self.deadline = self._clock() + seconds

    def may_start_request(self) -> bool:
        """Return False in the second half of the budget.

        So half of the budget is left for the answer to the last request.
        """
        return self.sends and self._clock() < self.deadline - self.budget / 2
