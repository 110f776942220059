"""The public functions, and the one agent of the process, built on first use."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time

from . import log
from .agent import Agent, count_waiting
from .receipt import Receipt
from .settings import Settings, find_optout, parse_endpoint
from .version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping

_USER_AGENT = f"migas-py/{__version__}"

# Guards what follows; held while the agent is built, never while anything waits.
_lock = threading.RLock()
_setup: dict[str, object] = {}
_settings: Settings | None = None
_agent: Agent | None = None
#: Agents of settings that `setup()` has replaced since; the exit looks after them, too.
_former: list[Agent] = []
#: The exit hook has run: what hooks of the host's add after it is written by their own thread.
_exiting = False


def add_project(project: str, project_version: str, **fields: object) -> Receipt:
    """Note that a version of a project is used here, and return a receipt at once.

    The breadcrumb reaches the server in the background, now or by a later process. No failure of
    the network, the disk or the arguments' values raises anything.

    Parameters:
        project: `owner/repo` at GitHub, registered with the server.
        project_version: the version in use; the server keeps 24 characters.
        fields: what is to stand in place of what is found out: `status` (`R`unning, `C`ompleted,
            `F`ailed, `S`uspended), `status_desc`, `error_type`, `error_desc`, `user_type`
            (`general`, `dev`, `ci`), `platform`, `container` (`docker`, `apptainer`, `unknown`),
            `is_ci`, `language`, `language_version`, `user_id` and `session_id` (UUIDs). A field
            that the server would choke on is made right or left out.

    Returns:
        A `Receipt` for whoever wants to know what became of it.

    Example:
        >>> receipt = add_project("owner/repo", "1.2.3", status="C")
        >>> receipt.done() in (True, False)
        True
    """
    agent = _use_agent()
    if agent is None:
        return Receipt.settled(_refusal())
    return agent.add(project, project_version, fields)


def get_usage(
    project: str,
    start: str | datetime.date,
    end: str | datetime.date | None = None,
    unique: bool = False,
) -> dict[str, object]:
    """Ask the server how often a project was used, and wait for the answer.

    Parameters:
        project: `owner/repo`.
        start: the first moment that counts: a date, a datetime (UTC, if it has no zone) or text
            as `2026-01-31` or `2026-01-31T12:00:00Z`.
        end: the last moment that counts; None: now.
        unique: count users instead of uses.

    Returns:
        `{"hits": …, "message": …, "unique": …, "success": …}`. Within `MIGAS_TIMEOUT` seconds
        there is an answer: without one of the server, `success` is False and `message` says why.

    Raises:
        ValueError: a date that the server would not understand.

    Example:
        >>> get_usage("owner/repo", "2026-01-01")["success"] in (True, False)
        True
    """
    from . import graphql

    last = None if end is None else graphql.format_date(end)
    body = graphql.encode_usage(str(project), graphql.format_date(start), last, bool(unique))
    return _ask(body, "get_usage", {"hits": 0, "unique": bool(unique)})


def check_project(project: str, project_version: str) -> dict[str, object]:
    """Ask the server what its developers say of a version, and wait for the answer.

    Parameters:
        project: `owner/repo`.
        project_version: the version to check.

    Returns:
        `{"success": …, "flagged": …, "latest": …, "message": …}`: `flagged` where the developers
        warn of the version. Without an answer `success` is False and `message` says why.

    Example:
        >>> check_project("owner/repo", "1.2.3")["flagged"] in (True, False)
        True
    """
    from . import graphql

    body = graphql.encode_check(str(project), str(project_version))
    return _ask(body, "check_project", {"flagged": False, "latest": ""})


def setup(
    *,
    endpoint: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    filename: str | os.PathLike[str] | None = None,
    save_config: bool = False,
) -> None:
    """Say what the environment and the defaults are not to decide; optional.

    What is given goes before the environment, but nothing goes before an opt-out.

    Parameters:
        endpoint: the server's http or https address, with or without `/graphql`.
        user_id: a UUID in place of the anonymous id of this user.
        session_id: a UUID for this run.
        filename: a JSON file that holds any of the three; what is passed here goes before it.
        save_config: write the three to ``filename``.

    A value that makes no sense is ignored, with one warning in the log.

    Example:
        >>> setup(session_id="3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11")
    """
    given = {"endpoint": endpoint, "user_id": user_id, "session_id": session_id}
    values = {name: str(value) for name, value in given.items() if value is not None}
    if filename is not None:
        from . import config

        values = {**config.read(filename), **values}
    if "endpoint" in values:
        try:
            values["endpoint"] = parse_endpoint(values["endpoint"])
        except ValueError as error:
            log.say(log.WARNING, "endpoint is ignored: %s", error)
            del values["endpoint"]
    if filename is not None and save_config and not find_optout(os.environ):
        config.write(filename, values)
    global _agent, _settings
    with _lock:
        _setup.update(values)
        if _agent is not None:
            _former.append(_agent)
        _agent = _settings = None


def flush(timeout: float | None = None) -> int:
    """Send everything that waits, of this and of earlier processes; return how much is left.

    The first failure ends it. Requests go as fast as the server answers them, though no faster than
    its limit allows: 800 a minute, of some ten to sixteen breadcrumbs each.

    Parameters:
        timeout: seconds to wait at most; None: as long as it takes.

    Returns:
        How many breadcrumbs are still on disk, or in memory where there is none: 0 where all of
        them went. What another process is sending counts, too, and for up to two minutes what one
        was sending when it died.

    Example:
        >>> flush(timeout=10) >= 0
        True
    """
    agent = _use_agent()
    return count_waiting(_use_settings()) if agent is None else agent.flush(timeout)


def print_config() -> None:
    """Print what breadcrumbs of this process say, and to whom; makes and sends nothing.

    Example:
        >>> print_config()  # doctest: +ELLIPSIS
        endpoint: ...
    """
    from .writer import Writer

    settings = _use_settings()
    print(f"endpoint: {settings.endpoint}")
    print(f"switched off by: {find_optout(os.environ) or 'nothing'}")
    for name, value in Writer(settings, keeps=False).describe().items():
        print(f"{name}: {value}")


def _use_agent() -> Agent | None:
    """Return the process's agent, or None: its user has opted out."""
    global _agent
    if find_optout(os.environ):
        return None
    # A fork whose hooks do not run (uWSGI, or a fork from C) leaves the parent's agent here.
    if _agent is not None and _agent.pid != os.getpid():
        _forget()
    with _lock:
        if _agent is None:
            _agent = Agent(_use_settings(), _USER_AGENT)
            if _exiting:
                _agent.close(0.0)
        return _agent


def _use_settings() -> Settings:
    global _settings
    with _lock:
        if _settings is None:
            _settings = Settings.from_env(os.environ, _setup)
            log.configure(_settings.log_level)
            for problem in _settings.problems:
                log.say(log.WARNING, "%s", problem)
        return _settings


def _refusal() -> dict[str, object]:
    return {"success": False, "message": f"switched off by {find_optout(os.environ)}"}


def _ask(body: bytes, field: str, failure: Mapping[str, object]) -> dict[str, object]:
    """Return the server's answer, or ``failure`` with the reason, unless nothing is to be sent."""
    if find_optout(os.environ):
        return {**failure, **_refusal()}
    settings = _use_settings()
    if settings.timeout == 0 or settings.dry_run:
        variable = "MIGAS_DRY_RUN is set" if settings.dry_run else "MIGAS_TIMEOUT is 0"
        return {"success": False, **failure, "message": f"nothing is sent: {variable}"}
    deadline = time.monotonic() + settings.timeout
    try:
        from . import question

        return question.ask(settings, _USER_AGENT, deadline, body, field, failure)
    except Exception as error:  # requests cannot be imported, say
        return {"success": False, **failure, "message": f"nothing is sent: {error}"}


@atexit.register
def _close() -> None:
    """Finish what is in flight, within the budget that all agents share."""
    global _exiting
    _exiting = True
    agents = [agent for agent in (*_former, _agent) if agent and agent.pid == os.getpid()]
    if find_optout(os.environ):
        for agent in agents:
            agent.stop()
        return
    # Whoever pressed Ctrl-C wants out. Besides, CPython forgets that a Ctrl-C was to end it, and
    # returns the status 1, when anything calls eval() from here on, as many imports do.
    interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
    start = time.monotonic()
    for agent in agents:
        budget = 0.0 if interrupted else agent.settings.exit_timeout
        agent.close(max(0.0, budget - (time.monotonic() - start)))


def _forget() -> None:
    """Begin anew in a forked child: what the parent queued stays the parent's."""
    global _lock, _agent, _exiting
    _lock = threading.RLock()
    _agent = None
    _exiting = False
    _former.clear()


def _register_fork_hook(register: Callable[..., None] | None) -> None:
    if register is not None:  # Windows has no fork
        register(after_in_child=_forget)


_register_fork_hook(getattr(os, "register_at_fork", None))
