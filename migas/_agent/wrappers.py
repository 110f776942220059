"""The wrappers: make of a function one of the same kind, each call of which is a run.

A framework that asks whether it is a coroutine function or a generator is told the same of both.
This module owns how each kind is called: where its body begins, and where it ends.

What may go wrong: a function returns something that runs later and is no coroutine, a future for
instance. Then the run ends when the function does.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from contextlib import AbstractContextManager

    Begin = Callable[[], AbstractContextManager[object]]

F = TypeVar("F", bound="Callable[..., Any]")


def wrap(function: F, begin: Begin) -> F:
    """Return a function that does the same as ``function``, each call of which is a run.

    The run of a coroutine function or of a generator, asynchronous or not, ends when its body does.

    Parameters:
        function: what is called.
        begin: begins a run, which ends with the block that it returns.
    """
    flags = _find_flags(function)
    make = next((make for flag, make in _WRAPPERS.items() if flags & flag), _wrap_function)
    return functools.wraps(function)(make(function, begin))  # type: ignore[return-value]


def _find_flags(function: Callable[..., Any]) -> int:
    """Return the `co_flags` of what a call runs: of a partial's function, of an object's method."""
    while isinstance(function, functools.partial):
        function = function.func
    method = getattr(type(function), "__call__", None)  # noqa: B004 - its code, not whether
    code = getattr(function, "__code__", None) or getattr(method, "__code__", None)
    return getattr(code, "co_flags", 0)


def _wrap_function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with contextlib.ExitStack() as stack:
            stack.enter_context(begin())
            result = function(*args, **kwargs)
            # Of a coroutine function that another function wraps.
            is_coroutine = type(result) is types.CoroutineType
            return _finish(result, stack.pop_all()) if is_coroutine else result

    return call


async def _finish(
    coroutine: types.CoroutineType[Any, Any, Any], block: contextlib.ExitStack
) -> Any:
    with block:
        return await coroutine


def _wrap_coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def wait(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return await function(*args, **kwargs)

    return wait


def _wrap_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begin():
            return (yield from function(*args, **kwargs))

    return generate


def _wrap_awaitable_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    return types.coroutine(_wrap_generator(function, begin))


def _wrap_async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        # As `yield from` does, which no asynchronous generator has: https://peps.python.org/pep-0380.
        with begin():
            body = function(*args, **kwargs)
            step = _begin_unnoticed(body)
            try:
                while True:
                    item = await step
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = body.athrow(error)
                    else:
                        step = body.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await body.aclose()

    return stream


def _begin_unnoticed(body: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Return the first step of an asynchronous generator that no event loop is to close.

    At its end a loop closes all generators that it has noticed, side by side. The one that we
    return closes this one, and would meet that: https://peps.python.org/pep-0525/#finalization.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return body.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


#: What makes a function's calls runs, by the bits of its code object's `co_flags`:
#: https://docs.python.org/3/library/inspect.html#inspect-module-co-flags
_WRAPPERS = {
    0x100: _wrap_awaitable_generator,  # of `types.coroutine`; it is a generator, too
    0x20: _wrap_generator,
    0x80: _wrap_coroutine,
    0x200: _wrap_async_generator,
}
