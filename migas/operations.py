"""The public functions that report a use or a run, and that ask the server.

Those that report return at once, those that ask wait for `MIGAS_TIMEOUT` seconds at most, and all
raise only what their docstrings say. A failure of the network or the disk is an answer's `message`.
"""

from __future__ import annotations

import os
import time

from ._agent.agent import count_pending
from ._agent.process import current_process
from ._runtime.loading import load
from ._runtime.optout import find_optout
from ._runtime.receipt import Receipt
from ._runtime.threads import SIGINT, SIGTERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Mapping

    from ._agent.track import Track
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
_REPORTED = {"success": False, "message": "nothing is sent: the parent process has reported it"}


def add_project(project: str, project_version: str, **fields: object) -> Receipt:
    """Return a receipt at once, and report in the background that a version of a project is used.

    This process or a later one sends the breadcrumb, several in one request. The server is asked
    for version news only if you read the receipt; an exit never asks for them. No failure of the
    network or the disk, and no value of an argument, raises an exception.

    Parameters:
        project: `owner/repo` at GitHub, registered with the server.
        project_version: the version in use; the server's database holds 24 characters.
        fields: override what is detected: `status` (`R`unning, `C`ompleted, `F`ailed,
            `S`uspended), `status_desc`, `error_type`, `error_desc`, `user_type` (`general`, `dev`,
            `ci`), `platform`, `container` (`docker`, `apptainer`, `unknown`), `is_ci`, `language`,
            `language_version`, `user_id` and `session_id` (UUIDs). Values that the server cannot
            store are corrected or dropped: one would lose the whole request (server 0.9.0).

    Returns:
        A `Receipt`. It has `success` and `message`, and after a delivery `latest_version` and
        `bad_versions`, if the server answers in `MIGAS_TIMEOUT` seconds. `cached` is there only if
        the breadcrumb went in the form that asks, as when you read the receipt before it was sent.

    Example:
        >>> receipt = add_project("owner/repo", "1.2.3", status="C")
        >>> receipt.done() in (True, False)
        True
    """
    return _add(project, project_version, fields, wants_news=True)


def add_breadcrumb(
    project: str, version: str | None = None, wait: bool = False, **fields: object
) -> Receipt:
    """Return a receipt, and report a step of a run. The server is not asked for version news.

    Parameters:
        project: `owner/repo` at GitHub, registered with the server.
        version: the version in use; `project_version` is another name for it.
        wait: True to return when there is an answer, or after `MIGAS_TIMEOUT` seconds.
        fields: as those of `add_project`.

    Returns:
        A `Receipt` with `success` and `message`.

    Raises:
        TypeError: no version is given.

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
    """Return an object that reports a run: its start event, and its final status.

    A plain call reports the run of the whole program; the block of a `with` statement, and each
    call of a decorated function, coroutine function or generator, is a run of its own. The final
    status is `C`ompleted; `F`ailed, after an exception that nobody handled or an exit status other
    than 0; or `S`uspended, by a Ctrl-C or a signal. `status_desc` says how long the run took. There
    is no final status after a kill or `os._exit` or, before Python 3.12, `raise SystemExit(…)`.

    Nested runs of one project are one run. Worker processes of `multiprocessing` report none for
    a project that their parent tracks, and a forked child does not report its parent's.

    Parameters:
        project: `owner/repo` at GitHub, registered with the server.
        version: the version in use.
        error_handlers: functions that return fields of the final status for an exception, or
            `"nipype"`, or a list of such; see `migas.error.resolve_error_handlers`.
        signals: the signals that suspend the run. The host's handlers are called as well. Only the
            main thread can install ours.
        init_ping: False to report no start event.
        fields: for all breadcrumbs of the run, as those of `add_project`.

    Returns:
        A context manager and decorator with `start()`, `stop()`, `project` and `version`.

    Example:
        >>> with track("owner/repo", "1.2.3"):
        ...     pass
    """
    from ._agent.run import Plan
    from ._agent.track import Track

    return Track(Plan(project, version, error_handlers, signals, fields, init_ping=init_ping))


def track_exit(
    project: str,
    version: str,
    error_funcs: Handlers = None,
    error_handlers: Handlers = None,
    **fields: object,
) -> None:
    """Report how the program ends. Deprecated: use `track` with ``init_ping=False``.

    Parameters:
        project, version, error_handlers, fields: as those of `track`.
        error_funcs: the earlier name of ``error_handlers``.

    Example:
        >>> track_exit("owner/other", "1.2.3")
    """
    track(project, version, error_handlers or error_funcs, _SIGNALS, init_ping=False, **fields)


def get_usage(
    project: str,
    start: str | datetime.date,
    end: str | datetime.date | None = None,
    unique: bool = False,
) -> dict[str, object]:
    """Return how often a project was used, as the server answers within `MIGAS_TIMEOUT` seconds.

    Parameters:
        project: `owner/repo`.
        start: the first moment to count: a date, a datetime (UTC, if it has no zone) or text
            as `2026-01-31` or `2026-01-31T12:00:00Z`.
        end: the last moment to count; None: now.
        unique: True to count users instead of uses.

    Returns:
        `{"hits": …, "message": …, "unique": …, "success": …}`. If the server does not answer in
        time, `hits` is 0, `success` is False, and `message` says why.

    Raises:
        ValueError: a date has none of these forms, which are all that the server reads.

    Example:
        >>> get_usage("owner/repo", "2026-01-01")["success"] in (True, False)
        True
    """
    from ._delivery import graphql

    last = None if end is None else graphql.format_date(end)
    body = graphql.encode_usage(str(project), graphql.format_date(start), last, bool(unique))
    settings = current_process().use_settings()
    failure = {"hits": 0, "unique": bool(unique)}
    return _ask(settings, body, "get_usage", failure, settings.timeout)


def check_project(project: str, project_version: str, **_fields: object) -> dict[str, object]:
    """Return the server's news of a version, as it answers within `MIGAS_TIMEOUT` seconds.

    Parameters:
        project: `owner/repo`.
        project_version: the version to check.
        _fields: arguments of earlier clients. They are ignored: no server takes them.

    Returns:
        `{"success": …, "flagged": …, "latest": …, "message": …}`. `flagged`: the developers warn of
        the version. If there is no answer in time, `success` is False and `message` says why.

    Example:
        >>> check_project("owner/repo", "1.2.3")["flagged"] in (True, False)
        True
    """
    from ._delivery import graphql

    body = graphql.encode_check(str(project), str(project_version))
    settings = current_process().use_settings()
    failure = {"flagged": False, "latest": ""}
    return _ask(settings, body, "check_project", failure, settings.timeout)


def flush(timeout: float | None = None) -> int:
    """Send all pending breadcrumbs, and return how many are still pending.

    Those of earlier processes are sent, too. The first failure ends it. At most 800 requests a
    minute start, of ten to sixteen breadcrumbs each: the hosted server takes 1,000 of an address.

    Parameters:
        timeout: seconds to wait at most; None: no limit.

    Returns:
        How many breadcrumbs are pending on disk, or in memory if no disk can be written. Those that
        another process is sending count, too, or was sending when it died, for two minutes.

    Example:
        >>> flush(timeout=10) >= 0
        True
    """
    process = current_process()
    if process.use_agent() is None:
        return count_pending(process.use_settings())
    return process.flush(timeout)


def _add(project: str, version: str, fields: Mapping[str, object], *, wants_news: bool) -> Receipt:
    """Queue a breadcrumb, unless the user has opted out or a parent process has reported it."""
    process = current_process()
    agent = process.use_agent()
    if agent is None:
        return Receipt.settled(_refusal())
    status, step = fields.get("status", "R"), fields.get("status_desc")
    if not process.may_report_breadcrumb(project, version, status, step):
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
    """Return news of a version by the names that `add_project` has, or `{}` without an answer."""
    from ._delivery import graphql

    body = graphql.encode_check(project, version)
    answer = _ask(settings, body, "check_project", {}, seconds)
    if not answer.get("success"):
        return {}
    bad_versions = [version] if answer.get("flagged") else []
    return {"latest_version": answer.get("latest", "unknown"), "bad_versions": bad_versions}


def _refusal() -> dict[str, object]:
    return {"success": False, "message": f"switched off by {current_process().find_refusal()}"}


def _ask(
    settings: Settings, body: bytes, field: str, failure: Mapping[str, object], seconds: float
) -> dict[str, object]:
    """Return the answer's ``field`` within ``seconds``, or ``failure`` with the reason."""
    if find_optout(os.environ) or settings.off_by:
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
