"""A real local migas server, for trying things out and for tests."""

from .fault import Fault
from .server import Request, Server

__all__ = ["Fault", "Request", "Server"]
