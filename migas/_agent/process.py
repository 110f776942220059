"""The process: its settings, its one agent, built on first use, and its end.

A child that is forked has an agent of its own: what the parent queued stays the parent's.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time

from migas._runtime import log
from migas._runtime.optout import find_optout, lasting
from migas._runtime.receipt import Listeners
from migas._runtime.settings import DEFAULT_ENDPOINT, Settings
from migas._runtime.threads import is_worker_process

from .agent import Agent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Protocol

    class Run(Protocol):
        """What has a beginning, and an end that the process may come to first."""

        project: str
        #: By which workers know it, see `lineage`.
        use: str

        @property
        def lasts(self) -> bool:
            """Whether it ends with the program."""

        def finish(self) -> None:
            """Say the last word at the interpreter's exit."""


#: Lower than any that a host is likely to give its own finalizers, which may still add.
_LAST = -1000

#: What `setup()` was given, here or in the process that this one was forked from.
_setup: dict[str, object] = {}


class Process:
    """What belongs to one process."""

    def __init__(self) -> None:
        # Guards what follows; held while the agent is built, never while anything waits. Reentrant
        # for signal handlers and finalizers that add while their own thread adds.
        self._lock = threading.RLock()
        self._settings: Settings | None = None
        self._agent: Agent | None = None
        # Agents of settings that `setup()` has replaced since; the exit looks after them, too.
        self._former: list[Agent] = []
        # Of all agents: any of them may send what another has written.
        self._listeners = Listeners()
        # Uses that the parent of this worker has told, and those that children know from here.
        self._told_by_parent: frozenset[str] | None = None
        self._told: set[str] = set()
        # The runs that are under way, the innermost last.
        self._runs: list[Run] = []
        # The exit hook has begun: no thread may end for lack of work before it has been given some.
        self._is_closing = False
        # The exit hook has run: what hooks of the host's add after it, their own thread writes.
        self._ends = False

    def use_settings(self) -> Settings:
        """Return the settings, read on first use."""
        with self._lock:
            if self._settings is None:
                self._settings = Settings.from_env(os.environ, _setup)
                if self._settings.log_level is not None:
                    log.configure(self._settings.log_level)
                for problem in self._settings.problems:
                    log.say(log.WARNING, "%s", problem)
            return self._settings

    def use_agent(self) -> Agent | None:
        """Return the agent, built on first use, or None: its user has opted out."""
        if find_optout(os.environ):
            return None
        # To read a reference takes no lock: another thread that calls `setup()` is before or after.
        if (agent := self._agent) is not None:
            return agent
        with self._lock:
            if self._agent is None:
                settings = self.use_settings()
                if self._told_by_parent is None:
                    self._told_by_parent = told_by_parent(os.environ)
                hand_down(settings, os.environ)
                self._agent = Agent(settings, self._listeners, keep_alive=self._awaits_last_word)
                _close_with_worker()
                if self._awaits_last_word():
                    self._agent.start()
                if self._ends:
                    self._agent.close(0.0)
            return self._agent

    def tell(self, use: str) -> bool:
        """Say whether a use is to be told: not if this is a worker whose parent has told it."""
        if use in (self._told_by_parent or ()):
            return False
        if use not in self._told and len(self._told) < MAX_USES:
            self._told.add(use)
            tell(use, os.environ)
        return True

    def tell_use(self, project: object, version: object, *words: object) -> bool:
        """Say the same of what one breadcrumb says, which is named only where that matters."""
        if not self._told_by_parent and len(self._told) >= MAX_USES:
            return True
        return self.tell(name_use(project, version, *words))

    def enter(self, run: Run) -> bool:
        """Take up a run; False: it is a part of one here, or of one of this worker's parent."""
        with self._lock:
            if any(other.project == run.project for other in self._runs):
                return False
            if not self.tell(run.use):
                return False
            self._runs.append(run)
            return True

    def leave(self, run: Run) -> bool:
        """Let go of a run; False: that has been done."""
        with self._lock:
            if run not in self._runs:
                return False
            self._runs.remove(run)
            return True

    def withdraw(self, run: Run) -> bool:
        """Let go of a run as though it had not been; False: it is over already."""
        with self._lock:
            if not self.leave(run):
                return False
            self._told.discard(run.use)
            take_back(run.use, os.environ)
            return True

    def setup(self, values: Mapping[str, object]) -> None:
        """Have everything from now on done by other settings."""
        with self._lock:
            _setup.update(values)
            if self._agent is not None:
                self._former.append(self._agent)
            self._agent = self._settings = None
            if not find_optout(os.environ):
                hand_down(self.use_settings(), os.environ)

    def flush(self, timeout: float | None) -> int:
        """Have each agent send what waits, and return what is left for the last.

        One that `setup()` has replaced may be sending to the same server.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        left = 0
        for agent in [agent for agent in (*self._former, self._agent) if agent]:
            left = agent.flush(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return left

    def _awaits_last_word(self) -> bool:
        """Say whether the exit will have something to say: from 3.12 on it can start no thread."""
        return sys.version_info >= (3, 12) and (
            self._is_closing or any(run.lasts for run in self._runs.copy())
        )

    def close(self) -> None:
        """Finish what is in flight, within the budget that all agents share."""
        self._is_closing = True
        for run in reversed(self._runs.copy()):
            run.finish()
        self._ends = True
        agents = [agent for agent in (*self._former, self._agent) if agent]
        # Whoever pressed Ctrl-C wants out. Besides, CPython forgets that a Ctrl-C was to end it,
        # and returns the status 1, when anything calls eval() from here on, as many imports do.
        interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
        start = time.monotonic()
        try:
            for agent in agents:
                if find_optout(os.environ):
                    agent.stop()
                    continue
                left = max(0.0, agent.settings.exit_timeout - (time.monotonic() - start))
                agent.close(left, sends=not interrupted)
        except KeyboardInterrupt:  # the interpreter would only print it, with a traceback of ours
            for agent in agents:
                agent.stop()


# By its process's id, since fork hooks need not run (uWSGI, or a fork from C). `setdefault` is one
# step: however many threads of a child come first, they get the same one.
_processes: dict[int, Process] = {}


def here() -> Process:
    """Return what belongs to this process, and not to the one it was forked from."""
    pid = os.getpid()
    return _processes.get(pid) or _processes.setdefault(pid, Process())


def renew() -> None:
    """Finish, and begin anew as a process that has just started does: between two tests."""
    here().close()
    _processes.clear()
    _setup.clear()
    lasting.forget()


@atexit.register
def _close() -> None:
    here().close()


def _close_with_worker() -> None:
    """See to the end of a worker of `multiprocessing`'s, which need not come to `atexit`."""
    util = sys.modules.get("multiprocessing.util")
    if util is None or not is_worker_process():
        return

    def finalize(_: object) -> None:
        util.Finalize(None, _close, exitpriority=_LAST)

    finalize(None)
    # A worker forgets its finalizers once it has imported its parent's main module.
    util.register_after_fork(_close, finalize)


def _forget() -> None:
    """Let go of what belongs to the parents of a forked child: their ids may come again."""
    # A host's hook that ran earlier may have used what is the child's already.
    for pid in set(_processes) - {os.getpid()}:
        del _processes[pid]


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)


#: What the process and its parents have told, for the workers of `multiprocessing`.
TOLD = "MIGAS_TOLD"

#: Uses that it names at most, and characters of each. The C library never frees what was once in
#: the environment, so a host that tells of ever new ones must not go on and on.
MAX_USES, _MAX_USE = 50, 120


def hand_down(settings: Settings, environ: MutableMapping[str, str]) -> None:
    """Let children have this process's server, run, and, where the host named one, user."""
    for name, value, default in (
        ("MIGAS_ENDPOINT", settings.endpoint, DEFAULT_ENDPOINT),
        ("MIGAS_USER_ID", settings.user_id, None),
        ("MIGAS_SESSION_ID", settings.session_id, None),
    ):
        # To set what is there already might harm: C code on other threads may read it just now.
        if value is not None and environ.get(name, default) != value:
            environ[name] = value


def tell(use: str, environ: MutableMapping[str, str]) -> None:
    """Let workers know of a use: of the first ones, which are those of the host's own import."""
    told = _uses(environ)
    if use and use not in told and len(told) < MAX_USES:
        environ[TOLD] = ";".join([*told, use])


def take_back(use: str, environ: MutableMapping[str, str]) -> None:
    """Let workers know no more of a use."""
    told = _uses(environ)
    if use in told:
        environ[TOLD] = ";".join(other for other in told if other != use)


def name_use(project: object, version: object, *words: object) -> str:
    """Name what one breadcrumb says in short, or return `""`: it is nothing to compare.

    Example:
        >>> name_use("owner/repo", "1.2.3", "R", None)
        'owner/repo 1.2.3 R'
    """
    # A caller's own objects are left alone: their str() may do anything.
    if type(project) is not str or type(version) is not str:
        return ""
    said = " ".join([project, version, *[word for word in words if type(word) is str]])
    return ascii(said)[1:-1].replace(";", ",")[:_MAX_USE]


def told_by_parent(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the uses that a worker need not tell again; none, if this process is no worker."""
    return frozenset(_uses(environ)) if is_worker_process() else frozenset()


def _uses(environ: Mapping[str, str]) -> list[str]:
    return [use for use in environ.get(TOLD, "").split(";") if use]
