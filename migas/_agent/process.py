"""The process: builds one agent for each process on first use, and ends it at the exit.

It owns the settings, the open runs, the exit hook, the fork hook, and the variables that children
inherit, see `reported`.

What may go wrong: a fork may run no hook (uWSGI), so state is kept by process id; a forked child
never sends what its parent has queued. A process that is killed runs no exit hook.
"""

from __future__ import annotations

import atexit
import os
import sys

from migas._runtime import log
from migas._runtime.daemon import be_forgotten
from migas._runtime.exit import end_by_ctrl_c, is_ctrl_c, is_ended_by_ctrl_c, runs_no_more_hooks
from migas._runtime.garbage import pause
from migas._runtime.imports import disregard_orphans
from migas._runtime.listeners import Listeners
from migas._runtime.loading import fork_gate
from migas._runtime.native import make_rlock, time
from migas._runtime.optout import find_optout, hold, lasting
from migas._runtime.place import is_worker_process
from migas._runtime.settings import Settings

from .agent import Agent
from .reported import Reported, share_with_fork_server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from migas._runtime.launch import Part

    class Run(Protocol):
        """A run of `track`, as the process sees it."""

        project: str
        #: The run's key, see `reported.make_use_key`.
        use: str
        #: True if its start event has been reported by what this process was before.
        is_resumed: bool

        @property
        def lasts(self) -> bool:
            """Return True if the run ends with the program."""

        def close_if_abandoned(self) -> None:
            """Close the run of a block that nobody can end any longer."""

        def finish(self) -> None:
            """Report the final status at the interpreter's exit."""


#: The priority of our finalizer: below a host's own ones, which may still add breadcrumbs.
_LAST = -1000

#: How often the exit hook tries to end the agents, if signals interrupt it.
_ATTEMPTS = 6

#: The arguments of `setup()`, here or in the process that this one was forked from.
_setup: dict[str, object] = {}


class Process:
    """The state of one process: settings, agents, and open runs, guarded by a lock.

    The lock is held while the agent is built, never during a wait. It is reentrant: signal handlers
    and finalizers may add breadcrumbs while their own thread does.
    """

    def __init__(self) -> None:
        self._lock = make_rlock()
        self._settings: Settings | None = None
        # Found once, before this process changes the variables that tell of it.
        self._part: Part | None = None
        self._agent: Agent | None = None
        # The agents that `setup()` has replaced and that still have something to do: the exit ends
        # them, too. All share the listeners.
        self._former: list[Agent] = []
        self._listeners = Listeners()
        self._reported: Reported | None = None  # None before the agent is built
        self._runs: list[Run] = []  # the open ones, the innermost last
        self._is_closing = False  # set when our exit hook begins
        # Set once our exit hook has finished the runs: later calls write on the calling thread.
        self._ends = False

    def use_settings(self) -> Settings:
        """Return the settings, read from the environment and `setup()` on first use.

        Not to be called for the first time with the lock held: what listens to the log is the
        host's, and may wait for another thread of its own that calls us.
        """
        with self._lock:
            if self._settings is not None:
                return self._settings
            settings = self._settings = Settings.from_env(os.environ, _setup, self._part)
            self._part = settings.part
            if settings.log_level is not None:
                log.configure(settings.log_level)
        for problem in settings.problems:
            log.say(log.WARNING, "%s", problem)
        return settings

    def find_refusal(self) -> str:
        """Return what switches everything off, an opt-out or an unusable address, or `""`."""
        return find_optout(os.environ) or self.use_settings().off_by

    def refuse(self) -> dict[str, object]:
        """Return the answer to a call while everything is switched off."""
        return {"success": False, "message": f"switched off by {self.find_refusal()}"}

    def use_agent(self) -> Agent | None:
        """Return the agent, built on first use. Returns None if everything is switched off."""
        if find_optout(os.environ):
            return None
        # Without the lock: if another thread calls `setup()` now, this call came before it.
        if (agent := self._agent) is not None:
            return agent
        self.use_settings()
        with self._lock:
            if self._agent is None:
                settings = self.use_settings()
                if settings.off_by:
                    return None
                if self._reported is None:
                    if settings.part is not None:
                        settings.part.notice_workers()
                    self._reported = Reported(os.environ, self._lock, settings.part)
                settings.hand_down(os.environ)
                share_with_fork_server()
                for former in self._former:
                    former.retire()
                self._agent = Agent(settings, self._listeners, keep_alive=self._keeps_threads)
                _close_with_worker()
                if self._ends or runs_no_more_hooks():
                    self._agent.close(0.0)
                elif self._keeps_threads():
                    self._agent.start()
            return self._agent

    def may_report(self, use: str) -> bool:
        """Return False if this worker's parent process has already reported the use.

        Otherwise the use counts as reported, and this process's own workers do not repeat it.
        """
        return self._reported is None or self._reported.may_report(use)

    def may_report_breadcrumb(self, project: object, version: object, *words: object) -> bool:
        """Return False if this worker's parent process has already reported this breadcrumb."""
        reported = self._reported
        return reported is None or reported.may_report_breadcrumb(project, version, *words)

    def enter(self, run: Run) -> bool:
        """Open a run. Returns False if it is a part of a run, here or in this worker's parent.

        A program that executes itself once more goes on with the run that ends with it.
        """
        with self._lock:
            for other in self._runs.copy():
                other.close_if_abandoned()
            if any(other.project == run.project for other in self._runs):
                return False
            run.is_resumed = not self.may_report(run.use)
            part = self.use_settings().part
            if run.is_resumed and not (run.lasts and part is not None and part.is_executed):
                return False
            self._runs.append(run)
            return True

    def leave(self, run: Run) -> bool:
        """Close a run. Returns False if it is closed already."""
        with self._lock:
            if run not in self._runs:
                return False
            self._runs.remove(run)
            return True

    def withdraw(self, run: Run) -> bool:
        """Close a run and forget its use. Returns False if the run is closed already."""
        with self._lock:
            if not self.leave(run):
                return False
            if self._reported is not None:
                self._reported.withdraw(run.use)
            return True

    def setup(self, values: Mapping[str, object]) -> None:
        """Replace the settings, and with them the agent, for all later calls."""
        with self._lock:
            _setup.update(values)
            # Not the present one, though it may be over: another thread's call may have found it
            # just now, and the exit would not know of what that adds.
            over = [agent for agent in self._former if agent.is_over()]
            self._former = [agent for agent in self.list_agents() if agent not in over]
            self._agent = self._settings = None
        if not find_optout(os.environ):
            self.use_settings()
            with self._lock:
                self.use_settings().hand_down(os.environ)
                share_with_fork_server()

    def flush(self, timeout: float | None) -> int:
        """Send what is pending within ``timeout`` seconds, and return how much is left.

        Agents that `setup()` has replaced take part: they may be sending to the same server.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        left = 0
        for agent in self.list_agents():
            left = agent.flush(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return left

    def _keeps_threads(self) -> bool:
        """Return True if idle threads must stay: from Python 3.12 on an exit can start none."""
        return sys.version_info >= (3, 12) and (
            self._is_closing or any(run.lasts for run in self._runs.copy())
        )

    def close(self) -> None:
        """Report the runs' final statuses, and end all agents within `exit_timeout` seconds.

        After a Ctrl-C nothing is sent: the user wants the program to end.
        """
        self._is_closing = True
        start = time.monotonic()
        for run in reversed(self._runs.copy()):
            run.finish()
        self._ends = True
        sends = not is_ended_by_ctrl_c()
        for agent in self.list_agents():
            if find_optout(os.environ):
                agent.stop()
                continue
            left = max(0.0, agent.settings.exit_timeout - (time.monotonic() - start))
            agent.close(left, sends=sends)

    def hasten(self, *, writes: bool) -> None:
        """End all agents without sending, and what is queued is written only if ``writes``."""
        self._is_closing = self._ends = True
        for agent in self.list_agents():
            if writes and not find_optout(os.environ):
                agent.close(0.0, sends=False)
            else:
                agent.stop()

    def list_agents(self) -> list[Agent]:
        """Return all agents of the process; none before its first report."""
        return [agent for agent in (*self._former, self._agent) if agent]


# By process id, since fork hooks need not run (uWSGI, or a fork from C). `setdefault` is atomic:
# threads of a child that race for the first use get the same object.
_processes: dict[int, Process] = {}


def current_process() -> Process:
    """Return the state of this process, which is never that of the process it was forked from."""
    pid = os.getpid()
    return _processes.get(pid) or _processes.setdefault(pid, Process())


def renew() -> None:
    """End the agents and forget all state, as for a new process. Tests call it."""
    current_process().close()
    _processes.clear()
    _setup.clear()
    lasting.forget()
    hold.is_by_host = False


@atexit.register
def _close() -> None:
    """End the process's agents: the exit hook. Nothing passes it.

    The interpreter would print what did, with a traceback of ours, as an error in an exit hook.
    """
    try:
        process = current_process()
    except Exception:  # a double of a test's in place of `os`, say
        return
    errors: list[BaseException] = []
    if process.list_agents():
        with pause:
            _close_whatever_comes(process, errors)
    if process.list_agents() and (is_ended_by_ctrl_c() or any(map(is_ctrl_c, errors))):
        end_by_ctrl_c()


def _close_whatever_comes(process: Process, errors: list[BaseException]) -> None:
    try:
        _try_to_close(process, errors)
    except BaseException as error:  # a signal's handler, between two attempts
        errors.append(error)
        _try_to_close(process, errors)


def _try_to_close(process: Process, errors: list[BaseException]) -> None:
    """End the process's agents. What is raised meanwhile is added to ``errors``.

    A signal's handler may raise anything while we wait: the process has to end sooner then. After
    the first time we only write, and after the second not even that. To stop is tried more often,
    since a thread of ours may hold locks of the interpreter's until then.
    """
    while len(errors) < _ATTEMPTS:
        try:
            if errors:
                process.hasten(writes=len(errors) == 1)
            else:
                process.close()
            return
        except BaseException as error:  # some times at most
            errors.append(error)


def _close_with_worker() -> None:
    """Run the exit hook as a finalizer in a worker process, which may skip `atexit`."""
    util = sys.modules.get("multiprocessing.util")
    if util is None or not is_worker_process():
        return

    def finalize(_: object) -> None:
        util.Finalize(None, _close, exitpriority=_LAST)

    finalize(None)
    # `multiprocessing` clears a worker's finalizers after it has imported the main module.
    util.register_after_fork(_close, finalize)


def _forget_parents() -> None:
    """Drop the state that a forked child has of its parents: the system may use their ids again."""
    # The child's own state stays: a fork hook of the host's that ran before may have used it.
    for pid in set(_processes) - {os.getpid()}:
        del _processes[pid]
    pause.forget()
    # Another thread of the parent's may have been quiet at that moment.
    if (module := sys.modules.get("migas._runtime.quiet")) is not None:
        module.quiet.forget()
    disregard_orphans()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    # A child of a thread that `threading` knows, and did not start, has no proper main thread.
    os.register_at_fork(before=be_forgotten, after_in_child=_forget_parents)
    if fork_gate is not None:
        os.register_at_fork(
            before=fork_gate.enter,
            after_in_parent=fork_gate.leave,
            after_in_child=fork_gate.leave,
        )
