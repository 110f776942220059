"""A real local migas server, for trying things out and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fault import Fault
    from .message import Request
    from .server import Server

__all__ = ["Fault", "Request", "Server"]


def __getattr__(name: str) -> object:
    # The plugin lies here as well, and pytest loads that where graphql-core may not be installed.
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
