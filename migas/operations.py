"""The public functions that tell and ask."""

from __future__ import annotations

import os
import time

from ._agent.agent import count_pending
from ._agent.process import here
from ._runtime.loading import load
from ._runtime.optout import find_optout
from ._runtime.receipt import Receipt
from ._runtime.threads import SIGINT, SIGTERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Mapping

    from ._agent.run import Track
    from ._runtime.settings import Settings
    from .error import Handlers

_SIGNALS = (SIGINT, SIGTERM)

__all__ = [
    "add_breadcrumb",
    "add_project",
    "check_project",
    "flush",
    "get_usage",
    "track",
    "track_exit",
]

#: The answer to a call of a worker process whose parent has reported the same.
_REPORTED = {
    "success": False,
    "message": "nothing is sent: the parent process has reported the same",
}


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
    return _add(project, project_version, fields, wants_news=True)


def add_breadcrumb(
    project: str, version: str | None = None, wait: bool = False, **fields: object
) -> Receipt:
    """Note a step of a run, as `add_project` does; the server is not asked for news.

    Parameters:
        project: `owner/repo` at GitHub, registered with the server.
        version: the version in use; `project_version` is another name for it.
        wait: return when there is an answer, after `MIGAS_TIMEOUT` seconds at most.
        fields: as those of `add_project`.

    Returns:
        A `Receipt`, which says `success` and `message`.

    Raises:
        TypeError: there is no version.

    Example:
        >>> add_breadcrumb("owner/repo", "1.2.3", status="R", status_desc="reading").done()
        False
    """
    version = fields.pop("project_version", version)  # type: ignore[assignment]  # whatever it is
    if version is None:
        raise TypeError("add_breadcrumb() misses the argument 'version'")
    receipt = _add(project, version, fields, wants_news=False)
    if wait:
        receipt.get("success")
    return receipt


def track(
    project: str,
    version: str,
    error_handlers: Handlers = None,
    signals: Iterable[int] | None = _SIGNALS,
    init_ping: bool = True,
    **fields: object,
) -> Track:
    """Tell a run's life: that it started, and how it ended.

    As a plain call it begins at once and ends with the program, at the interpreter's exit; the
    block of a `with` statement and each call of a decorated function, coroutine function or
    generator is a run of its own. The last word is `C`ompleted; `F`ailed, for an exception that
    nobody handled and an exit with another status than 0, with the exception's type and its text;
    or `S`uspended, for a Ctrl-C and a signal. `status_desc` says how long it took. Where nobody can
    know how the program ended there is no last word: it was killed, it called `os._exit`, or, for a
    plain call, it said `raise SystemExit(…)` and not `sys.exit(…)`, which is watched.

    A run inside of another of the same project is a part of it, and a worker of `multiprocessing`
    has none of a project that its parent has tracked; a process that is forked has no word in its
    parent's.

    Parameters:
        project: `owner/repo` at GitHub, registered with the server.
        version: the version in use.
        error_handlers: functions by an exception's class or its name, each of which is called with
            type, text and traceback and returns fields of the last word; or `"nipype"`, a preset.
        signals: those that suspend the run. What the host has in place for them happens as well,
            and after that the process ends as it would have. Only the main thread can set this up.
        init_ping: tell that it started.
        fields: of all its breadcrumbs, as those of `add_project`.

    Returns:
        A context manager and decorator, which may be ignored.

    Example:
        >>> with track("owner/repo", "1.2.3"):
        ...     pass
    """
    from ._agent.run import Plan, Track

    return Track(Plan(project, version, error_handlers, signals, fields, init_ping=init_ping))


def track_exit(project: str, version: str, error_funcs: Handlers = None, **fields: object) -> None:
    """Tell how the program ended; deprecated: `track` with ``init_ping=False`` does the same.

    Parameters:
        project: `owner/repo` at GitHub, registered with the server.
        version: the version in use.
        error_funcs: what `track` calls ``error_handlers``.
        fields: of the last word, as those of `add_project`.

    Example:
        >>> track_exit("owner/other", "1.2.3")
    """
    from ._agent.run import Plan, Track

    Track(Plan(project, version, error_funcs, _SIGNALS, fields, init_ping=False))


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
    from ._delivery import graphql

    last = None if end is None else graphql.format_date(end)
    body = graphql.encode_usage(str(project), graphql.format_date(start), last, bool(unique))
    settings = here().use_settings()
    failure = {"hits": 0, "unique": bool(unique)}
    return _ask(settings, body, "get_usage", failure, settings.timeout)


def check_project(project: str, project_version: str, **_fields: object) -> dict[str, object]:
    """Ask the server what its developers say of a version, and wait for the answer.

    Parameters:
        project: `owner/repo`.
        project_version: the version to check.
        _fields: what earlier clients took here, and no server ever did; they are left out.

    Returns:
        `{"success": …, "flagged": …, "latest": …, "message": …}`: `flagged` where the developers
        warn of the version. Without an answer `success` is False and `message` says why.

    Example:
        >>> check_project("owner/repo", "1.2.3")["flagged"] in (True, False)
        True
    """
    from ._delivery import graphql

    body = graphql.encode_check(str(project), str(project_version))
    settings = here().use_settings()
    failure = {"flagged": False, "latest": ""}
    return _ask(settings, body, "check_project", failure, settings.timeout)


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
    process = here()
    if process.use_agent() is None:
        return count_pending(process.use_settings())
    return process.flush(timeout)


def _add(project: str, version: str, fields: Mapping[str, object], *, wants_news: bool) -> Receipt:
    process = here()
    agent = process.use_agent()
    if agent is None:
        return Receipt.settled(_refusal())
    status, step = fields.get("status", "R"), fields.get("status_desc")
    if not process.tell_use(project, version, status, step):
        return Receipt.settled(_REPORTED)
    if not wants_news:
        return agent.add(project, version, fields)
    settings = agent.settings
    return agent.add(
        project,
        version,
        fields,
        ask_news=lambda seconds: _ask_news(settings, str(project), str(version), seconds),
    )


def _ask_news(settings: Settings, project: str, version: str, seconds: float) -> dict[str, object]:
    """Return news of a version as an answer to `add_project` holds them, or nothing."""
    from ._delivery import graphql

    body = graphql.encode_check(project, version)
    answer = _ask(settings, body, "check_project", {}, seconds)
    if not answer.get("success"):
        return {}
    bad_versions = [version] if answer.get("flagged") else []
    return {"latest_version": answer.get("latest", "unknown"), "bad_versions": bad_versions}


def _refusal() -> dict[str, object]:
    return {"success": False, "message": f"switched off by {find_optout(os.environ)}"}


def _ask(
    settings: Settings, body: bytes, field: str, failure: Mapping[str, object], seconds: float
) -> dict[str, object]:
    """Return the server's answer, or ``failure`` with the reason, unless nothing is to be sent."""
    if find_optout(os.environ):
        return {**failure, **_refusal()}
    if settings.timeout == 0 or settings.dry_run:
        variable = "MIGAS_DRY_RUN is set" if settings.dry_run else "MIGAS_TIMEOUT is 0"
        return {"success": False, **failure, "message": f"nothing is sent: {variable}"}
    deadline = time.monotonic() + seconds
    try:
        load("migas._delivery.query")
        from ._delivery import query

        return query.ask(settings, deadline, body, field, failure)
    except Exception as error:  # requests cannot be imported, say
        return {"success": False, **failure, "message": f"nothing is sent: {error}"}
