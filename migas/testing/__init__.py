"""A local migas server for trying things out and for tests, faults for it, and pytest's plugin.

A name below is imported when it is first used: pytest loads the plugin from this folder, and
graphql-core, which the server needs, may not be installed then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fault import Fault
    from .message import Request
    from .server import Server

__all__ = ["Fault", "Request", "Server"]


def __getattr__(name: str) -> object:
    if name == "Fault":
        from .fault import Fault

        return Fault
    if name == "Request":
        from .message import Request

        return Request
    if name == "Server":
        from .server import Server

        return Server
    raise AttributeError(f"module 'migas.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
