"""The query: asks the server, and waits for the answer until a deadline.

It uses no queue and no spool, and a connection of its own. Importing this module imports
`requests`.

What may go wrong: nothing bounds the look-up of a host's name. So a request runs on a thread, which
is left behind when the deadline has passed.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from migas._runtime.daemon import run_within
from migas._runtime.native import time
from migas._runtime.optout import look_for_optout
from migas._runtime.stand_in import explain_stand_in, find_stand_in

from . import graphql, rest
from .parcel import Outcome, Reply
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from migas._runtime.settings import Settings


def ask(
    settings: Settings,
    deadline: float,
    body: bytes,
    fields: Sequence[str],
    failure: Mapping[str, object],
) -> list[dict[str, object]]:
    """Return each of the answer's ``fields``, or ``failure`` with the reason under `message`.

    Parameters:
        settings: name the server; `timeout` is for the message only.
        deadline: when to stop waiting, by `time.monotonic`.
        body: the request, as `graphql` writes it.
        fields: the operations, or their aliases, whose answers are wanted.
        failure: the other fields of an answer if there is none.
    """
    reply = _exchange(settings, deadline, lambda transport, left: transport.send(body, left))
    if reply is None:
        message = _explain_silence(settings)
        return [{"success": False, **failure, "message": message} for _ in fields]
    return [graphql.read_field(reply, field, failure) for field in fields]


def ask_sessions(
    settings: Settings, deadline: float, project: str, weeks: int, token: str
) -> tuple[list[dict[str, object]] | None, str]:
    """Return a project's sessions, or None and the reason why there are none.

    Parameters:
        settings, deadline: as for `ask`.
        project, weeks: which sessions, as `rest` writes them.
        token: visible ASCII that the server's administrator has issued. It stands in no reason.
    """
    path = rest.locate_sessions(project, weeks)
    reply = _exchange(
        settings, deadline, lambda transport, left: transport.fetch(path, token, left)
    )
    if reply is None:
        return None, _explain_silence(settings)
    sessions = rest.read_sessions(reply)
    return sessions, "" if sessions is not None else reply.reason or rest.NO_SESSIONS


class Greeting(NamedTuple):
    """The answer to a request that asks for nothing."""

    #: Why the server does not answer, in words, or `""` if it answers.
    problem: str
    #: True if the server says that it derives a place from an address, False if it says that it
    #: does not, None if it says neither or does not answer.
    derives_place: bool | None = None


def reach(settings: Settings, deadline: float) -> Greeting:
    """Ask whether the server answers by ``deadline``, by `time.monotonic`."""
    body = graphql.encode_greeting()
    reply = _exchange(settings, deadline, lambda transport, left: transport.send(body, left))
    if reply is None:
        return Greeting(_explain_silence(settings))
    if reply.outcome is Outcome.DELIVERED:
        return Greeting("", reply.derives_place)
    return Greeting(reply.reason)


def _explain_silence(settings: Settings) -> str:
    return f"no answer within {settings.timeout:g} seconds"


def _exchange(
    settings: Settings, deadline: float, send: Callable[[Transport, float], Reply]
) -> Reply | None:
    """Return the reply to what ``send`` sends in so many seconds; None: none by ``deadline``."""
    remaining = max(0.0, deadline - time.monotonic())

    def connect() -> Reply:
        # On the thread that may be left behind, since the home may have stopped answering.
        if off := look_for_optout(os.environ):
            return Reply(Outcome.UNSENT, f"switched off by {off}")
        if tool := find_stand_in(settings.endpoint):
            return Reply(Outcome.UNSENT, explain_stand_in(tool))
        with contextlib.closing(Transport(settings.endpoint)) as transport:
            return send(transport, remaining)

    return run_within(remaining, connect)
