"""The query: asks the server, and has its caller wait for the answer no longer than agreed.

Importing this module imports `requests`.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, TypeVar

from migas._runtime.threads import Thread

from . import graphql
from .parcel import Outcome
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from migas._runtime.settings import Settings

    from .parcel import Reply

T = TypeVar("T")


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


def run_within(timeout: float, call: Callable[[], T]) -> T | None:
    """Return what ``call`` returns, or None when it takes longer than ``timeout`` seconds.

    It runs on a daemon thread that is left behind then, since a name look-up cannot be stopped.
    Raises what ``call`` raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    try:
        thread = Thread(run, "call")
        thread.start()
    except RuntimeError:  # the caller's own has to do
        run()
    else:
        thread.join(timeout)
    if errors:
        raise errors[0]
    return results[0] if results else None
