"""The sessions: what a developer may ask about a project's runs with a token of the server's.

Only this module reads `MIGAS_TOKEN`. A token is kept nowhere and shown nowhere: not in an answer,
an exception or a log, and not in the settings, which are printed.

What may go wrong: there is no token, or none that could be one; or the server gives no answer.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.typedefs import Sessions

#: Why there is no answer if nothing shows who asks.
UNKNOWN_CALLER = (
    "sessions are counted for those who have the project's token: set MIGAS_TOKEN to it; the"
    " server's administrator issues tokens"
)


class NoAnswerError(Exception):
    """The server has not answered a question; the text is one sentence that says why.

    `get_sessions` raises it, since a list of sessions that is empty means that there were none.

    Example:
        >>> print(NoAnswerError("no answer within 5 seconds"))
        no answer within 5 seconds
    """


def get_sessions(project: str, weeks: int = 4, *, token: str | None = None) -> list[Sessions]:
    """Return how many sessions a project had, by day, version and status.

    A session is one run of a program. It counts for the day on which it began (UTC), with version
    and status of its latest breadcrumb; "running" if it never reported its end. The server leaves
    out versions that hold `rc` or `+` (0.9.0). `pandas.DataFrame(...)` takes the result as it is.

    Parameters:
        project: `owner/repo`.
        weeks: how many weeks to count, up to today; 1 to 5200.
        token: the project's token, which the server's administrator issues. None: `MIGAS_TOKEN`.
            It goes to the server alone.

    Returns:
        A list, empty if there were no sessions. Each item has `date` (as "2026-01-31"), `version`,
        `status` ("running", "completed", "failed", "suspended") and `sessions`, the number.

    Raises:
        NoAnswerError: there is no token, the server does not accept it, or it does not answer in
            `MIGAS_TIMEOUT` seconds. A list could not say why it is empty.
        ValueError: ``weeks`` is no whole number from 1 to 5200.

    Example:
        >>> import migas
        >>> from migas.testing import Server
        >>> with Server(tokens={"secret": "owner/repo"}) as server:
        ...     migas.setup(endpoint=server.endpoint)
        ...     _ = migas.add_project("owner/repo", "1.2.3", status="C")
        ...     _ = migas.flush()
        ...     [found] = migas.get_sessions("owner/repo", weeks=1, token="secret")
        >>> found["version"], found["status"], found["sessions"]
        ('1.2.3', 'completed', 1)
    """
    from migas._delivery.rest import MAX_WEEKS

    if weeks not in range(1, MAX_WEEKS + 1):
        raise ValueError(f"weeks is no whole number from 1 to {MAX_WEEKS}: {weeks!r:.100}")
    # No frame of the traceback holds the variable's token: some tools show what frames hold.
    sessions, reason = _ask(str(project), int(weeks), token)
    if sessions is None:
        raise NoAnswerError(reason)
    return sessions  # type: ignore[return-value]  # as `rest` has looked at them


def _ask(project: str, weeks: int, token: str | None) -> tuple[list[dict[str, object]] | None, str]:
    """Return the sessions, or None and the reason."""
    from .question import ask_sessions

    parts = project.split("/")
    # The address is made of the name: it may not lead to another one.
    if len(parts) > 2 or not all(part.strip(".") and part.isprintable() for part in parts):
        return None, "a project's name is owner/repo"
    secret = (os.environ.get("MIGAS_TOKEN", "") if token is None else str(token)).strip()
    if not secret:
        return None, UNKNOWN_CALLER
    # Anything else could not be sent as a header, and an error about it might show it.
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        return None, "the token holds a space or a character that no token has"
    return ask_sessions(project, weeks, secret)
