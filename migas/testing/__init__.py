"""A real local migas server, for trying things out and for tests."""

from .server import Server

__all__ = ["Server"]
