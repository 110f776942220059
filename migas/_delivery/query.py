"""The question: a blocking exchange with the server, within its caller's patience."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from migas._runtime.threads import run_within

from . import graphql
from .parcel import Outcome
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas._runtime.settings import Settings

    from .parcel import Reply


def ask(
    settings: Settings,
    deadline: float,
    body: bytes,
    field: str,
    failure: Mapping[str, object],
) -> dict[str, object]:
    """Return the answer under ``field``, or ``failure`` with the reason, by ``deadline``."""
    reply = _exchange(settings, deadline, body)
    if reply is None:
        message = f"no answer within {settings.timeout:g} seconds"
        return {"success": False, **failure, "message": message}
    return graphql.read_field(reply, field, failure)


def reach(settings: Settings, deadline: float) -> str:
    """Return why the server does not answer, or `""`: it does."""
    reply = _exchange(settings, deadline, graphql.encode_greeting())
    if reply is None:
        return f"no answer within {settings.timeout:g} seconds"
    return "" if reply.outcome is Outcome.DELIVERED else reply.reason


def _exchange(settings: Settings, deadline: float, body: bytes) -> Reply | None:
    """Send ``body`` on a thread of its own, since nothing else bounds the name look-up."""
    remaining = max(0.0, deadline - time.monotonic())

    def send() -> Reply:
        with contextlib.closing(Transport(settings.endpoint)) as transport:
            return transport.send(body, remaining)

    return run_within(remaining, send)
