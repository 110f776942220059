"""The query: asks the server, and waits for the answer until a deadline.

It uses no queue and no spool, and a connection of its own. Importing this module imports
`requests`.

What may go wrong: nothing bounds the look-up of a host's name. So a request runs on a thread, which
is left behind when the deadline has passed.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from migas._runtime.daemon import Thread
from migas._runtime.native import TIMEOUT_MAX, allocate_lock, await_lock

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
    """Return the answer's ``field``, or ``failure`` with the reason under `message`.

    Parameters:
        settings: name the server; `timeout` is for the message only.
        deadline: when to stop waiting, by `time.monotonic`.
        body: the request, as `graphql` writes it.
        field: the operation whose answer is wanted.
        failure: the other fields of the answer if there is none.
    """
    reply = _exchange(settings, deadline, body)
    if reply is None:
        message = f"no answer within {settings.timeout:g} seconds"
        return {"success": False, **failure, "message": message}
    return graphql.read_field(reply, field, failure)


class Greeting(NamedTuple):
    """The answer to a request that asks for nothing."""

    #: Why the server does not answer, in words, or `""` if it answers.
    problem: str
    #: True if the server says that it derives a place from an address, False if it says that it
    #: does not, None if it says neither or does not answer.
    derives_place: bool | None = None


def reach(settings: Settings, deadline: float) -> Greeting:
    """Ask whether the server answers by ``deadline``, by `time.monotonic`."""
    reply = _exchange(settings, deadline, graphql.encode_greeting())
    if reply is None:
        return Greeting(f"no answer within {settings.timeout:g} seconds")
    if reply.outcome is Outcome.DELIVERED:
        return Greeting("", reply.derives_place)
    return Greeting(reply.reason)


def _exchange(settings: Settings, deadline: float, body: bytes) -> Reply | None:
    """Return the reply to ``body``, or None if there is none by ``deadline``."""
    remaining = max(0.0, deadline - time.monotonic())

    def send() -> Reply:
        with contextlib.closing(Transport(settings.endpoint)) as transport:
            return transport.send(body, remaining)

    return run_within(remaining, send)


def run_within(timeout: float, call: Callable[[], T]) -> T | None:
    """Return the result of ``call``, or None if it takes longer than ``timeout`` seconds.

    The call runs on a daemon thread that is left behind then, since a name look-up cannot be
    stopped. If no thread can start, the caller's own does it, without a limit. An exception of
    ``call`` is raised here.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.release()

    try:
        Thread(run, "call").start()
    except Exception:  # no thread can start
        run()
    else:
        await_lock(done, min(timeout, TIMEOUT_MAX))
    if errors:
        raise errors[0]
    return results[0] if results else None
