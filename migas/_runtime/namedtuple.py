"""The named tuple of `typing`, without `typing`: its import is a third of a short command's start.

Type checkers see the original. What may go wrong: this one does only what the agent's records need.
It takes annotated fields, defaults, methods, properties and class methods. It knows no generics.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["NamedTuple"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Maker(type):
        """Replaces each subclass of `NamedTuple` by a `collections.namedtuple` of its fields."""

        def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, object]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, space)
            fields = space["__annotations__"]
            defaults = [space[field] for field in fields if field in space]
            made = namedtuple(  # noqa: PYI024  # for a type checker it is typing's
                name, fields, defaults=defaults, module=space["__module__"]
            )
            for key in set(space).difference(fields, ("__module__", "__qualname__")):
                setattr(made, key, space[key])
            return made

    class NamedTuple(metaclass=_Maker):
        """A tuple whose fields have names: inherit from it and annotate the fields."""
