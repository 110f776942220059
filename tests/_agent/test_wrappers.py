"""What `track` makes of a function does the same as the function, and is of the same kind."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from typing import TYPE_CHECKING, Any

import pytest
from support import PATIENCE

import migas

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

    from support import Host

    from migas.testing import Server


def count(one: int, *, two: str = "2") -> int:
    """Count."""
    return one + len(two)


def items(one: int) -> Iterator[int]:
    yield one


async def fetch(one: int) -> int:
    return one


async def stream(one: int) -> AsyncIterator[int]:
    yield one


KINDS = {
    inspect.isgeneratorfunction: items,
    inspect.iscoroutinefunction: fetch,
    inspect.isasyncgenfunction: stream,
}


LEFT = """
import asyncio, migas
@migas.track('owner/repo', '1')
async def stream():
    try:
        for number in range(5): yield number
    finally:
        for _ in range(5): await asyncio.sleep(0.01)
        print('closed')
async def main():
    global kept
    kept = stream()
    async for _ in kept: break
asyncio.run(main())
"""


def test_a_loop_closes_a_stream_that_is_left_as_it_would_without_us(
    host: Host, server: Server
) -> None:
    """It closes all that it has noticed side by side, and is to notice one of the two."""
    ended = host.run(LEFT)
    assert (ended.out, ended.calmly) == ("closed\n", True), ended
    assert sorted(str(crumb["status"]) for crumb in server.crumbs) == ["C", "R"]


@pytest.mark.parametrize("function", [count, items, fetch, stream])
def test_a_decorated_function_is_of_the_same_kind(function: Callable[..., Any]) -> None:
    """So that a framework which asks treats it as before, name, text and signature included."""
    tracked = migas.track("owner/repo", "1")(function)
    assert inspect.signature(tracked) == inspect.signature(function)
    assert (tracked.__name__, tracked.__doc__) == (function.__name__, function.__doc__)
    for ask, kind in KINDS.items():
        assert ask(tracked) is (function is kind)


@migas.track("owner/repo", "1", init_ping=False)
async def echo(log: list[object]) -> AsyncGenerator[object, object]:
    """Yield what is sent, and what is thrown, until a None is sent."""
    sent: object = "first"
    try:
        while sent is not None:
            try:
                sent = yield sent
            except KeyError as error:
                sent = error
    finally:
        log.append("closed")


@types.coroutine
def sleep(error: Exception) -> Iterator[None]:
    """Do what a coroutine does, as `types.coroutine` has it."""
    yield
    raise error


async def fail(error: Exception) -> None:
    await sleep(error)


@functools.wraps(fail)
def fail_inside(error: Exception) -> Awaitable[None]:
    return fail(error)


class Failing:
    """An object that is called as a coroutine function is."""

    async def __call__(self, error: Exception) -> None:
        await sleep(error)


AWAITED = {
    "types.coroutine": sleep,
    "coroutine function": fail,
    "partial": functools.partial(fail),
    "object": Failing(),
    "wrapped": fail_inside,
}


@pytest.mark.parametrize("function", AWAITED.values(), ids=AWAITED)
def test_what_is_awaited_is_a_run_until_its_body_ends(
    server: Server, function: Callable[..., Any]
) -> None:
    """However it is made: awaited as without us, and not completed before it has run."""
    error = ValueError("x")
    tracked = migas.track("owner/repo", "1", init_ping=False)(function)

    async def main() -> None:
        with pytest.raises(ValueError, match="x") as caught:
            await tracked(error)
        assert caught.value is error

    asyncio.run(main())
    assert find_ends(server) == [("F", "ValueError")]


def find_ends(server: Server) -> list[tuple[object, object]]:
    """Return how each run ended, as it arrived."""
    assert migas.flush(PATIENCE) == 0
    return [(crumb["status"], crumb["error_type"]) for crumb in server.crumbs]


def test_an_asynchronous_generator_is_a_run_to_its_end(server: Server) -> None:
    """What is sent and thrown reaches it, and its run ends with its body and not before."""
    log: list[object] = []
    error = KeyError("x")

    async def main() -> None:
        generator = echo(log)
        assert [await anext(generator), await generator.asend(7)] == ["first", 7]
        assert await generator.athrow(error) is error
        assert find_ends(server) == []
        with pytest.raises(StopAsyncIteration):
            await generator.asend(None)
        assert log == ["closed"]

    asyncio.run(main())
    assert find_ends(server) == [("C", None)]


def test_an_asynchronous_generator_that_is_closed_has_completed(server: Server) -> None:
    """Its body is closed at once, as it would be by itself."""
    log: list[object] = []

    async def main() -> None:
        generator = echo(log)
        async for item in generator:
            assert item == "first"
            break
        await generator.aclose()
        assert log == ["closed"]

    asyncio.run(main())
    assert find_ends(server) == [("C", None)]


def test_an_asynchronous_generator_that_raises_has_failed(server: Server) -> None:
    """And its caller gets what it raised."""
    error = ValueError("x")

    async def main() -> None:
        generator = echo([])
        await anext(generator)
        with pytest.raises(ValueError, match="x") as caught:
            await generator.athrow(error)
        assert caught.value is error

    asyncio.run(main())
    assert find_ends(server) == [("F", "ValueError")]
