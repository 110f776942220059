"""The question: asks the server, for a caller who waits, and turns what fails into an answer.

What may go wrong: the user has opted out, the settings forbid it, or `requests` cannot be imported.
"""

from __future__ import annotations

import os
import time

from migas._runtime.loading import load
from migas._runtime.optout import find_optout

from .process import current_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas._runtime.settings import Settings


def ask(body: bytes, field: str, failure: Mapping[str, object]) -> dict[str, object]:
    """Return the answer's ``field`` within `MIGAS_TIMEOUT`, or ``failure`` with the reason."""
    try:
        settings = current_process().use_settings()
        return _ask_within(settings.timeout, settings, body, field, failure)
    except Exception as error:  # requests cannot be imported, say
        return {"success": False, **failure, "message": f"nothing is sent: {error!r:.200}"}


def _ask_within(
    seconds: float, settings: Settings, body: bytes, field: str, failure: Mapping[str, object]
) -> dict[str, object]:
    """Return the answer's ``field`` within ``seconds``, or ``failure`` with the reason."""
    if find_optout(os.environ) or settings.off_by:
        return {**failure, **current_process().refuse()}
    if settings.timeout == 0 or settings.dry_run:
        variable = "MIGAS_DRY_RUN is set" if settings.dry_run else "MIGAS_TIMEOUT is 0"
        return {"success": False, **failure, "message": f"nothing is sent: {variable}"}
    deadline = time.monotonic() + seconds
    load("migas._delivery.query")
    from migas._delivery import query

    return query.ask(settings, deadline, body, field, failure)


def ask_news(settings: Settings, project: str, version: str, seconds: float) -> dict[str, object]:
    """Return news of a version by the names that `add_project` has, or `{}` without an answer."""
    from migas._delivery import graphql

    body = graphql.encode_check(project, version)
    answer = _ask_within(seconds, settings, body, "check_project", {})
    if not answer.get("success"):
        return {}
    bad_versions = [version] if answer.get("flagged") else []
    return {"latest_version": answer.get("latest", "unknown"), "bad_versions": bad_versions}
