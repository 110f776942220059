"""The track: what `track` returns, by which a program reports its runs.

This module owns the ways to begin and end a run: at once and with the program, `start` and `stop`,
a `with` statement, a decorator. What a run reports, `run` knows.

What may go wrong: a decorator is applied so late that the run's start event has been reported. Then
that one has no final status.
"""

from __future__ import annotations

from weakref import ref

from migas._runtime import log
from migas._runtime.native import time
from migas._runtime.signals import reraise_from_handler

from .process import current_process
from .run import Run

# Not when it is needed: an import may wait for one of our threads, and a start event is held for
# a moment only.
from .wrappers import wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from .run import Plan

    F = TypeVar("F", bound=Callable[..., Any])

#: How long a start event can be withdrawn, in seconds. `track(…)` starts a run at once, and its
#: result may be applied as a decorator only then. That takes microseconds; if a busy machine takes
#: longer, a start event without a final status is reported.
HOLD = 0.05


class Track:
    """What `track` returns: a run that has started, a context manager and a decorator.

    If the object is not used it is the run of the whole program. If it is used in a `with`
    statement, its run ends with the block. If it is applied to a function, the run is withdrawn,
    and each call of the function is a run. It can be used any number of times.

    Parameters:
        plan: what each run reports.
        at_once: start a run now, as `track` does.
        clock: monotonic seconds.
    """

    def __init__(
        self, plan: Plan, *, at_once: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._clock = clock
        # Until a block takes it over, or a decorator withdraws it.
        self._run = self._start(HOLD, lasts=True) if at_once else None
        # The runs of the blocks that are open, the innermost last. None: part of another run.
        self._open: list[Run | None] = []

    @property
    def project(self) -> str:
        """Return the project that each run reports."""
        return self._plan.project

    @property
    def version(self) -> str:
        """Return the version that each run reports."""
        return self._plan.version

    def start(self) -> None:
        """Start a run that ends with the program, or with `stop`. `track` has done so already.

        If a run is open, do nothing.
        """
        if self._run is None and not self._open:
            self._run = self._start(lasts=True)

    def stop(self, exc: BaseException | None = None) -> None:
        """End the run, and report its final status. If none is open, do nothing.

        Parameters:
            exc: the exception that ended the run; None: it completed.

        Example:
            >>> from migas import track
            >>> run = track("owner/repo", "1.2.3")
            >>> run.stop(ValueError("too small"))
        """
        run = self._open[-1] if self._open else self._run
        self._run = None
        if run is not None:
            run.end(exc)

    def __enter__(self) -> Self:
        run, self._run = self._run, None
        if run is None:
            run = self._start(lasts=False)
        elif not run.become_block():
            run = None
        self._open.append(run)
        return self

    def __exit__(
        self,
        etype: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run = self._open.pop()
        if run is not None:
            run.end(error)

    def __call__(self, function: F) -> F:
        """Return a function that does the same as ``function``, each call of which is a run.

        The run of a coroutine function or of a generator, asynchronous or not, ends when its body
        does.
        """
        started, self._run = self._run, None
        if started is not None:
            started.withdraw()

        def track() -> Track:
            return Track(self._plan, at_once=False, clock=self._clock)

        return wrap(function, track)

    def _start(self, hold: float = 0.0, *, lasts: bool) -> Run | None:
        """Start a run. Returns None if there is nothing to report, or if that fails."""
        run = None
        try:
            run = Run(self._plan, current_process(), self._clock, lasts=lasts, holder=ref(self))
            return run if run.start(hold) else None
        except BaseException as failure:  # a block's start must not raise, see `operations`
            if run is not None:
                run.withdraw()  # one that stayed open would hide all later runs
            reraise_from_handler(failure)
            log.say(log.DEBUG, "a run is not reported: %r", failure)
            return None
