"""The run: reports a start event, and one final status when it ends.

This module owns the life of a run: whether it is the program's or a block's, when it ends, and that
its final status is reported once. Which exception means which status, `migas.error` knows; how the
program ends, `endings`; what is part of another run, `process`.

What may go wrong: the process is killed or calls `os._exit`, or nobody knows how it ended. Then
there is a start event without a final status. A forked child has a copy of its parent's runs, and
reports nothing about them.
"""

from __future__ import annotations

from migas import error as errors
from migas._runtime import log
from migas._runtime.signals import reraise_from_handler

from .endings import ExitWatcher, SignalWatcher
from .process import current_process
from .reported import make_use_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from migas._runtime.receipt import Receipt
    from migas.error import Handlers

    from .endings import Ending
    from .process import Process


class Plan:
    """The arguments of `track`: what a run reports, and for which signals it is suspended.

    Its ``fields`` are those of every breadcrumb of the run. Its ``handlers`` may say more about an
    exception, see `migas.error`. With ``init_ping`` the run reports a start event, too.
    """

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
        self.project: str = project
        self.version: str = version
        self.handlers: Handlers = handlers
        self.signals: tuple[int, ...] = tuple(signals or ())
        self.fields: dict[str, object] = dict(fields)
        self.init_ping: bool = init_ping

    def describe(self, error: BaseException | None) -> Ending:
        """Return the final status of a run that ``error`` ended, or that ended without one."""
        fields = errors.describe(error)
        phrase = fields.pop("status_desc")
        handled = errors.call_handler(error, self.handlers)
        if handled is not None:
            fields = {"status": fields["status"], **handled}
            phrase = errors.PHRASES.get(str(fields["status"]), phrase)
        return fields, phrase


class Run:
    """One run, from its start event to its final status.

    Parameters:
        plan: what it reports.
        process: the process that it belongs to.
        clock: monotonic seconds.
        lasts: True if it ends with the program; False for the run of a block or of a call, whose
            end is known.
        holder: returns what ends the run, or None once that is gone.
    """

    def __init__(
        self,
        plan: Plan,
        process: Process,
        clock: Callable[[], float],
        *,
        lasts: bool,
        holder: Callable[[], object],
    ) -> None:
        self.project = plan.project
        #: The run's key, by which `process` knows it in worker processes.
        self.use = make_use_key(plan.project, plan.version, "run")
        #: True if the same process has reported its start event, before it executed itself again.
        self.is_resumed = False
        self._plan = plan
        self._process = process
        self._holder = holder
        self._exit_watcher = ExitWatcher(plan.describe) if lasts else None
        self._clock = clock
        self._started_at = clock()
        self._signal_watcher = SignalWatcher(plan.signals, self._suspend)
        self._start_event: Receipt | None = None
        # Whether its end is the whole run's, too: the program's end is not while it imports.
        self._is_shared = True

    @property
    def lasts(self) -> bool:
        """Return True if the run ends with the program."""
        return self._exit_watcher is not None

    def close_if_abandoned(self) -> None:
        """Close the run of a block that nobody can end any longer.

        A Ctrl-C or a time limit of the host's may come where a block has begun and is not entered
        yet, or where it is left and has not ended.
        """
        if not self.lasts and self._holder() is None:
            self._close()

    def start(self, hold: float = 0.0) -> bool:
        """Report the start event, and watch for the end of the program and for signals.

        Parameters:
            hold: for how many seconds the start event can be withdrawn.

        Returns:
            False, with nothing done, if the user has opted out or if this is a part of another run.
        """
        plan, agent = self._plan, self._process.use_agent()
        if agent is None or not self._process.enter(self):
            return False
        self._is_shared = agent.is_shared_now()
        if plan.init_ping and not self.is_resumed:
            fields = {**plan.fields, "status": "R"}
            self._start_event = agent.add(plan.project, plan.version, fields, hold=hold)
        if self._exit_watcher is not None:
            self._exit_watcher.start()
            agent.start()
        self._signal_watcher.start()
        return True

    def bind_to_block(self) -> None:
        """Let the run end with a block, and no longer with the program."""
        watcher, self._exit_watcher = self._exit_watcher, None
        if watcher is not None:
            watcher.stop()

    def become_block(self) -> bool:
        """Let the run end with a block, and no longer with the program.

        Returns False, with nothing to report, if this process has begun the run before it executed
        itself again: that block may have ended.
        """
        if self.is_resumed:
            self.withdraw()
            return False
        self.bind_to_block()
        return True

    def withdraw(self) -> None:
        """Undo the start: the start event is not reported, if it is still held."""
        leave = self._process.leave if self.is_resumed else self._process.withdraw
        if leave(self):
            self._stop_watching()
            if self._start_event is not None:
                self._start_event.settle({"success": False, "message": "it is withdrawn"})

    def finish(self) -> None:
        """Report the final status at the interpreter's exit, if it is known.

        A block that is still open then, on a daemon thread, has none.
        """
        if self._exit_watcher is None:
            return
        try:
            self._end(self._exit_watcher.find_ending())
        except Exception as failure:  # nobody knows, or a host's exception raises when it is read
            self._close()
            log.say(log.DEBUG, "a final status is not reported: %r", failure)

    def end(self, error: BaseException | None) -> None:
        """Report the final status of a run that ``error`` ended, unless that has been done.

        Raises nothing of its own, since its caller is about to raise ``error`` itself.
        """
        try:
            self._end(self._plan.describe(error))
        except BaseException as failure:  # a host's exception may raise when it is read
            self._close()
            reraise_from_handler(failure)
            log.say(log.DEBUG, "a final status is lost: %r", failure)

    def _close(self) -> None:
        """Close the run without a final status: one that stayed open would hide all later ones."""
        self._process.leave(self)
        self._stop_watching()

    def _end(self, ending: Ending) -> None:
        self._stop_watching()
        if self._leave():
            self._report(*ending)

    def _suspend(self, number: int) -> None:
        """Report the final status of a run that a signal stops, inside the signal's handler."""
        fields = errors.status_from_signal(number)
        phrase = fields.pop("status_desc")
        if self._leave():
            self.bind_to_block()  # nothing is left to find out
            # On disk before this returns: the signal's default action may be to end the process.
            self._report(fields, phrase, now=True)

    def _leave(self) -> bool:
        """Take the run off the list of its process, which makes this thread its only reporter.

        Returns False if another thread or a signal's handler has done so before, or in a forked
        child: its parent's runs end in the parent.
        """
        return current_process() is self._process and self._process.leave(self)

    def _report(self, fields: Mapping[str, object], phrase: object, *, now: bool = False) -> None:
        """Report a final status. Without a `status_desc`, say how long the run took."""
        agent = self._process.use_agent()
        if agent is None:
            return
        fields = {**self._plan.fields, **fields}
        if fields.get("status_desc") is None:
            duration = _format_duration(self._clock() - self._started_at)
            fields["status_desc"] = f"{phrase} after {duration}"
        agent.add(self.project, self._plan.version, fields, now=now, shared=self._is_shared)

    def _stop_watching(self) -> None:
        try:
            self._signal_watcher.stop()
            self.bind_to_block()
        except Exception as failure:  # a double of a test's, in place of `threading`'s functions
            reraise_from_handler(failure)


def _format_duration(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds: `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
