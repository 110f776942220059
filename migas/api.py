"""The public functions."""

from __future__ import annotations

import os
import time

from . import identifier, log
from .agent import count_waiting
from .loading import load
from .process import USER_AGENT, here
from .receipt import Receipt
from .settings import find_optout, parse_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping

_PARSERS: Mapping[str, Callable[[str], str]] = {
    "endpoint": parse_endpoint,
    "user_id": identifier.parse,
    "session_id": identifier.parse,
}

#: What a worker of `multiprocessing` gets to hear.
_TOLD = {"success": False, "message": "nothing is sent: the parent process has told the same"}


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
    process = here()
    agent = process.use_agent()
    if agent is None:
        return Receipt.settled(_refusal())
    if not process.tell(project, project_version, fields.get("status")):
        return Receipt.settled(_TOLD)
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
    sound = {name: _parse(name, value) for name, value in values.items()}
    values = {name: value for name, value in sound.items() if value is not None}
    if filename is not None and save_config and not find_optout(os.environ):
        config.write(filename, values)
    here().setup(values)


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
    agent = here().use_agent()
    return count_waiting(here().use_settings()) if agent is None else agent.flush(timeout)


def print_config() -> None:
    """Print what breadcrumbs of this process say, and to whom; makes and sends nothing.

    Example:
        >>> print_config()  # doctest: +ELLIPSIS
        endpoint: ...
    """
    from .writer import Writer

    settings = here().use_settings()
    print(f"endpoint: {settings.endpoint}")
    print(f"switched off by: {find_optout(os.environ) or 'nothing'}")
    for name, value in Writer(settings, keeps=False).describe().items():
        print(f"{name}: {value}")


def _parse(name: str, value: str) -> str | None:
    try:
        return _PARSERS[name](value)
    except ValueError as error:
        log.say(log.WARNING, "%s is ignored: %s", name, error)
        return None


def _refusal() -> dict[str, object]:
    return {"success": False, "message": f"switched off by {find_optout(os.environ)}"}


def _ask(body: bytes, field: str, failure: Mapping[str, object]) -> dict[str, object]:
    """Return the server's answer, or ``failure`` with the reason, unless nothing is to be sent."""
    if find_optout(os.environ):
        return {**failure, **_refusal()}
    settings = here().use_settings()
    if settings.timeout == 0 or settings.dry_run:
        variable = "MIGAS_DRY_RUN is set" if settings.dry_run else "MIGAS_TIMEOUT is 0"
        return {"success": False, **failure, "message": f"nothing is sent: {variable}"}
    deadline = time.monotonic() + settings.timeout
    try:
        load("migas.question")
        from . import question

        return question.ask(settings, USER_AGENT, deadline, body, field, failure)
    except Exception as error:  # requests cannot be imported, say
        return {"success": False, **failure, "message": f"nothing is sent: {error}"}
