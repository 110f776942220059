"""The question: asks the server, for a caller who waits, and turns what fails into an answer.

What may go wrong: the user has opted out, the settings forbid it, or `requests` cannot be imported.
"""

from __future__ import annotations

import os

from migas._runtime.loading import StandInError, load
from migas._runtime.native import time
from migas._runtime.optout import find_optout
from migas._runtime.signals import reraise_from_handler

from .process import current_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from migas._runtime.settings import Settings


def ask(
    encode: Callable[[], bytes], field: str, failure: Mapping[str, object]
) -> dict[str, object]:
    """Return the answer's ``field`` within `MIGAS_TIMEOUT`, or ``failure`` with the reason.

    Parameters:
        encode: returns the request. It may raise what a caller's own arguments do.
        field: the answer's part that is returned.
        failure: the other keys of an answer that says why there is none.
    """
    return ask_all(encode, (field,), failure)[0]


def ask_all(
    encode: Callable[[], bytes], fields: Sequence[str], failure: Mapping[str, object]
) -> list[dict[str, object]]:
    """Return each of the answer's ``fields``, as `ask` does for one of them."""
    try:
        settings = current_process().use_settings()
        return _ask_within(settings.timeout, settings, encode(), fields, failure)
    except Exception as error:  # requests cannot be imported, or an argument is no text
        reraise_from_handler(error)
        message = str(error)
        if not isinstance(error, StandInError):
            message = f"nothing is sent: {error!r:.200}"
        return [{"success": False, **failure, "message": message} for _ in fields]


def ask_sessions(
    project: str, weeks: int, token: str
) -> tuple[list[dict[str, object]] | None, str]:
    """Return a project's sessions within `MIGAS_TIMEOUT`, or None and the reason.

    Parameters:
        project: `owner/repo`.
        weeks: how many weeks to ask for, up to today.
        token: visible ASCII. No reason holds it.
    """
    try:
        settings = current_process().use_settings()
        if refusal := _find_refusal(settings):
            return None, refusal
        deadline = time.monotonic() + settings.timeout
        load("migas._delivery.query")
        from migas._delivery import query

        return query.ask_sessions(settings, deadline, project, weeks, token)
    except Exception as error:  # its text may be anybody's, and so may hold the token
        reraise_from_handler(error)
        return None, f"nothing is sent: {type(error).__name__}"


def _find_refusal(settings: Settings) -> str:
    """Return why nothing may be sent, or `""`."""
    if find_optout(os.environ) or settings.off_by:
        return str(current_process().refuse()["message"])
    if settings.timeout == 0 or settings.dry_run:
        variable = "MIGAS_DRY_RUN is set" if settings.dry_run else "MIGAS_TIMEOUT is 0"
        return f"nothing is sent: {variable}"
    return ""


def _ask_within(
    seconds: float,
    settings: Settings,
    body: bytes,
    fields: Sequence[str],
    failure: Mapping[str, object],
) -> list[dict[str, object]]:
    """Return each of the answer's ``fields`` in ``seconds``, or ``failure`` with the reason."""
    if refusal := _find_refusal(settings):
        return [{"success": False, **failure, "message": refusal} for _ in fields]
    deadline = time.monotonic() + seconds
    load("migas._delivery.query")
    from migas._delivery import query

    return query.ask(settings, deadline, body, fields, failure)


def ask_news(settings: Settings, project: str, version: str, seconds: float) -> dict[str, object]:
    """Return news of a version by the names that `add_project` has, or `{}` without an answer."""
    from migas._delivery import graphql

    body = graphql.encode_check(project, version)
    [answer] = _ask_within(seconds, settings, body, ("check_project",), {})
    if not answer.get("success"):
        return {}
    bad_versions = [version] if answer.get("flagged") else []
    return {"latest_version": answer.get("latest", "unknown"), "bad_versions": bad_versions}
