"""The public functions that report a use or a run, and that ask the server.

Those that report return at once (in a pool's worker, when the disk has it), those that ask wait for
`MIGAS_TIMEOUT` seconds at most, and all raise only what their docstrings say. A failure of the
network or the disk is an answer's `message`.

Here is the wall, too: what a host's audit hook, a limit on its memory, or a double of its tests
raises below these functions ends here.
"""

from __future__ import annotations

from ._agent.agent import count_pending
from ._agent.process import current_process
from ._runtime.receipt import Receipt
from ._runtime.signals import reraise_from_handler
from ._runtime.threads import SIGINT, SIGTERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeVar, Unpack, overload

    from .typedefs import ErrorHandlers, Fields, Track, Usage, VersionNews

    F = TypeVar("F", bound=Callable[..., Any])

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

#: The answer if the host's process keeps the agent from working. Made beforehand, since it may take
#: no memory, either.
_FAILED = Receipt.settled({"success": False, "message": "nothing is reported: the agent failed"})


def add_project(project: str, project_version: str, **fields: Unpack[Fields]) -> Receipt:
    """Return a receipt at once, and report in the background that a version of a project is used.

    This process or a later one sends the breadcrumb, several in one request. The server is asked
    for version news only if you read the receipt; an exit never asks for them. No failure of the
    network or the disk, and no value of an argument, raises an exception. In a pool's worker, which
    may be killed at any moment, it waits until the breadcrumb is on disk, 0.25 s at most.

    Parameters:
        project: `owner/repo` at GitHub, registered with the server.
        project_version: the version in use; the server's database holds 24 characters.
        fields: override what is detected, see `migas.typedefs.Fields`: `status` (`R`unning,
            `C`ompleted, `F`ailed, `S`uspended), `status_desc`, `error_type`, `error_desc`,
            `user_type` (`general`, `dev`, `ci`), `platform`, `container` (`docker`, `apptainer`,
            `unknown`), `is_ci`, `language`, `language_version`, `user_id` and `session_id` (UUIDs).
            Values that the server cannot store are corrected or dropped: one would lose the whole
            request (server 0.9.0). A field of another name is ignored.

    Returns:
        A `Receipt`. It has `success` and `message`, such as `switched off by MIGAS_OPTOUT`, and
        after a delivery `latest_version` and `bad_versions`, if the server answers in
        `MIGAS_TIMEOUT` seconds. `cached` is there only if the breadcrumb went in the form that
        asks, as when you read the receipt before it was sent.

    Example:
        >>> receipt = add_project("owner/repo", "1.2.3", status="C")
        >>> receipt.done() in (True, False)
        True
    """
    return _add(project, project_version, fields, wants_news=True)


if TYPE_CHECKING:

    @overload
    def add_breadcrumb(
        project: str, version: str, wait: bool = False, **fields: Unpack[Fields]
    ) -> Receipt: ...

    @overload
    def add_breadcrumb(
        project: str, *, project_version: str, wait: bool = False, **fields: Unpack[Fields]
    ) -> Receipt: ...


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
    error_handlers: ErrorHandlers = None,
    signals: Iterable[int] | None = _SIGNALS,
    init_ping: bool = True,
    **fields: Unpack[Fields],
) -> Track:
    """Return an object that reports a run: its start event, and its final status.

    A plain call reports the run of the whole program; the block of a `with` statement, and each
    call of a decorated function, coroutine function or generator (asynchronous, too), is a run of
    its own. The final status is `C`ompleted; `F`ailed, after an exception that nobody handled or an
    exit status other than 0; or `S`uspended, by a Ctrl-C or a signal. `status_desc` says how long
    the run took. There is no final status after a kill or `os._exit` or, before Python 3.12, `raise
    SystemExit(…)`.

    Nested runs of one project are one run, and so are runs that overlap, in threads or tasks.
    Worker processes of `multiprocessing` report none for a project that their parent tracks, and a
    forked child does not report its parent's.

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
    try:
        from ._agent.run import Plan
        from ._agent.track import Track

        return Track(Plan(project, version, error_handlers, signals, fields, init_ping=init_ping))
    except Exception as error:
        reraise_from_handler(error)
        return _Unreported(project, version)  # type: ignore[return-value]  # it does what a host does with one


def track_exit(
    project: str,
    version: str,
    error_funcs: ErrorHandlers = None,
    error_handlers: ErrorHandlers = None,
    **fields: Unpack[Fields],
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
) -> Usage:
    """Return how many breadcrumbs of a project arrived, or why the server did not answer in time.

    It waits for `MIGAS_TIMEOUT` seconds at most.

    A run that only calls `add_project` once is one breadcrumb; by `track` it is two, its start and
    its final status; and each step that it reports is one more (server 0.9.0).

    Parameters:
        project: `owner/repo`.
        start: the first moment to count: a date, a datetime (UTC, if it has no zone) or text
            as `2026-01-31` or `2026-01-31T12:00:00Z`.
        end: the last moment to count; None: now. A date is its first moment: `2026-01-31` leaves
            that day out.
        unique: True to count users instead of breadcrumbs.

    Returns:
        `{"hits": …, "message": …, "unique": …, "success": …}`. If the server does not answer in
        time, `hits` is 0, `success` is False, and `message` says why.

    Raises:
        ValueError: a date has none of these forms, which are all that the server reads.

    Example:
        >>> get_usage("owner/repo", "2026-01-01")["success"] in (True, False)
        True
    """
    from ._agent.question import ask
    from ._delivery import graphql

    first, last = graphql.format_date(start), None if end is None else graphql.format_date(end)
    failure = {"hits": 0, "unique": unique is True}

    def encode() -> bytes:
        return graphql.encode_usage(str(project), first, last, bool(unique))

    return ask(encode, "get_usage", failure)  # type: ignore[return-value]  # as the server has it


def check_project(project: str, project_version: str, **_fields: Unpack[Fields]) -> VersionNews:
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
    from ._agent.question import ask
    from ._delivery import graphql

    def encode() -> bytes:
        return graphql.encode_check(str(project), str(project_version))

    failure = {"flagged": False, "latest": ""}
    return ask(encode, "check_project", failure)  # type: ignore[return-value]  # as the server has it


def flush(timeout: float | None = None) -> int:
    """Send all pending breadcrumbs, and return how many are still pending.

    Those of earlier processes are sent, too. The first failure ends it. At most 800 requests a
    minute start, of ten to sixteen breadcrumbs each: the hosted server takes 1,000 of an address.

    Parameters:
        timeout: seconds to wait at most; None: no limit.

    Returns:
        How many breadcrumbs are pending on disk, or in memory if no disk can be written. Those that
        another process is sending count, too, or was sending when it died, for two minutes. In
        `before_send` and in a receipt's callback they are counted at once, and sent behind it. 1 if
        the time is over and the disk does not say within another second. 0 if the host's own
        process keeps the agent from looking, as by a limit on its memory.

    Raises:
        TypeError, ValueError: ``timeout`` is no number.

    Example:
        >>> flush(timeout=10) >= 0
        True
    """
    if timeout is not None:
        timeout = float(timeout)
    try:
        process = current_process()
        if process.use_agent() is None:
            return count_pending(process.use_settings())
        return process.flush(timeout)
    except Exception as error:
        reraise_from_handler(error)
        return 0


class _Unreported:
    """What `track` returns where it cannot report: a context manager and decorator without effect.

    Example:
        >>> with _Unreported("owner/repo", "1.2.3") as run:
        ...     run(abs)(-1)
        1
    """

    def __init__(self, project: str, version: str) -> None:
        self.project = project
        self.version = version

    def start(self) -> None:
        """Do nothing."""

    def stop(self, _exc: BaseException | None = None) -> None:
        """Do nothing."""

    def __enter__(self) -> _Unreported:  # noqa: PYI034  # see `Track`
        return self

    def __exit__(self, *error: object) -> None:
        return

    def __call__(self, function: F) -> F:
        return function


def _add(project: str, version: str, fields: Mapping[str, object], *, wants_news: bool) -> Receipt:
    """Queue a breadcrumb, and return its receipt, which says so if that fails."""
    try:
        return _queue(project, version, fields, wants_news=wants_news)
    except Exception as error:  # a host's audit hook, a limit, a double of a test's
        reraise_from_handler(error)
        return _FAILED


def _queue(
    project: str, version: str, fields: Mapping[str, object], *, wants_news: bool
) -> Receipt:
    """Queue a breadcrumb, unless the user has opted out or a parent process has reported it."""
    process = current_process()
    agent = process.use_agent()
    if agent is None:
        return Receipt.settled(process.refuse())
    status, step = fields.get("status", "R"), fields.get("status_desc")
    if not process.may_report_breadcrumb(project, version, status, step):
        return Receipt.settled(_REPORTED)
    if not wants_news:
        return agent.add(project, version, fields)
    settings = agent.settings

    def ask_for_news(seconds: float) -> Mapping[str, object]:
        from ._agent.question import ask_news

        return ask_news(settings, str(project), str(version), seconds)

    return agent.add(project, version, fields, ask_news=ask_for_news)
