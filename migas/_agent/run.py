"""The tracker: a run's life is told, its beginning and its one last word."""

from __future__ import annotations

import time

from migas import error as errors
from migas._runtime import log

from .endings import Ending, Trap, name_signal
from .process import here, name_use

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from types import TracebackType
    from typing import Any, TypeVar

    from migas._runtime.receipt import Receipt
    from migas.error import Handlers

    from .process import Process

    F = TypeVar("F", bound=Callable[..., Any])

#: Seconds in which the beginning may be taken back. A decorator is applied right after its making,
#: unless the machine is so busy that this thread has to wait.
HOLD = 0.05

_GENERATOR, _COROUTINE = 0x20, 0x80  # https://docs.python.org/3/library/inspect.html


class Plan:
    """What a run is to tell."""

    __slots__ = ("fields", "handlers", "init_ping", "project", "signals", "version")

    def __init__(
        self,
        project: str,
        version: str,
        handlers: Handlers,
        signals: Iterable[int] | None,
        fields: Mapping[str, object],
        *,
        init_ping: bool,
    ) -> None:
        self.project = project
        self.version = version
        self.handlers = handlers
        self.signals = tuple(signals or ())
        self.fields = dict(fields)
        self.init_ping = init_ping


class Run:
    """One run; ``ending`` judges it at the interpreter's exit, if it lasts as long as that."""

    def __init__(
        self, plan: Plan, process: Process, ending: Ending | None, clock: Callable[[], float]
    ) -> None:
        self.project = plan.project
        self.use = name_use(plan.project, plan.version, "run")
        self._plan = plan
        # A child that is forked meanwhile is another process, and has no word in this run.
        self._process = process
        self._ending = ending
        self._clock = clock
        self._start = clock()
        self._trap = Trap(plan.signals, self._suspend)
        self._beginning: Receipt | None = None

    @property
    def lasts(self) -> bool:
        """Whether it ends with the program."""
        return self._ending is not None

    def begin(self, hold: float = 0.0) -> bool:
        """Tell that it began; False: it is a part of another run, or its user has opted out."""
        plan, agent = self._plan, self._process.use_agent()
        if agent is None or not self._process.enter(self):
            return False
        if plan.init_ping:
            said = {**plan.fields, "status": "R"}
            self._beginning = agent.add(plan.project, plan.version, said, hold=hold)
        if self._ending is not None:
            self._ending.watch()
            agent.start()
        self._trap.set()
        return True

    def bind(self) -> None:
        """Have it end with a block, and not with the program."""
        if self._ending is not None:
            self._ending.release()
            self._ending = None

    def withdraw(self) -> None:
        """Take it all back, as though it had not begun."""
        if self._process.withdraw(self):
            self._release()
            if self._beginning is not None:
                self._beginning.settle({"success": False, "message": "it is withdrawn"})

    def finish(self) -> None:
        """Say the last word at the interpreter's exit, if it is known what that is."""
        if self._ending is None:
            return
        try:
            error = self._ending.find()
        except LookupError:
            self._process.leave(self)
        else:
            self.end(error)

    def end(self, error: BaseException | None) -> None:
        """Say the last word, as ``error`` demands; only the first one counts."""
        try:
            self._end(error)
        except Exception as failure:  # a host's own exception, say, that cannot be looked at
            log.say(log.DEBUG, "a last word is lost: %r", failure)

    def _end(self, error: BaseException | None) -> None:
        word = errors.describe(error)
        phrase = word.pop("status_desc")
        handled = errors.handle(error, self._plan.handlers)
        if handled is not None:
            word = {"status": word["status"], **handled}
            phrase = errors.PHRASES.get(str(word["status"]), phrase)
        self._release()
        if self._is_mine_to_say():
            self._say(word, phrase)

    def _suspend(self, number: int) -> None:
        word = errors.suspend(name_signal(number))
        phrase = word.pop("status_desc")
        if self._is_mine_to_say():
            # At once, since the process may be about to die; to the disk, never to the network.
            self._say(word, phrase, now=True)

    def _is_mine_to_say(self) -> bool:
        return here() is self._process and self._process.leave(self)

    def _say(self, word: Mapping[str, object], phrase: object, *, now: bool = False) -> None:
        agent = self._process.use_agent()
        if agent is None:
            return
        said = {**self._plan.fields, **word}
        if said.get("status_desc") is None:
            said["status_desc"] = f"{phrase} after {_format(self._clock() - self._start)}"
        agent.add(self.project, self._plan.version, said, now=now)

    def _release(self) -> None:
        self._trap.release()
        self.bind()


def _format(seconds: float) -> str:
    """Write a duration as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


class Track:
    """A run that has begun; as a context manager or a decorator, one that a block or a call is."""

    def __init__(
        self, plan: Plan, *, at_once: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._clock = clock
        # Begun at once, and waiting for a block to take it over.
        self._begun = self._begin(Ending(), HOLD) if at_once else None
        self._open: list[Run | None] = []

    def __enter__(self) -> Track:  # noqa: PYI034  # `Self` is in no `typing` before Python 3.11
        run, self._begun = self._begun, None
        if run is None:
            run = self._begin(None)
        else:
            run.bind()
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
        """Have each call of ``function`` be a run: of a coroutine or a generator, to its end."""
        import functools

        begun, self._begun = self._begun, None
        if begun is not None:
            begun.withdraw()

        def track() -> Track:
            return Track(self._plan, at_once=False, clock=self._clock)

        def call(*args: Any, **kwargs: Any) -> Any:
            with track():
                return function(*args, **kwargs)

        async def wait(*args: Any, **kwargs: Any) -> Any:
            with track():
                return await function(*args, **kwargs)

        def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with track():
                return (yield from function(*args, **kwargs))

        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        kind = wait if flags & _COROUTINE else generate if flags & _GENERATOR else call
        return functools.wraps(function)(kind)  # type: ignore[return-value]

    def _begin(self, ending: Ending | None, hold: float = 0.0) -> Run | None:
        run = Run(self._plan, here(), ending, self._clock)
        return run if run.begin(hold) else None
