"""The named tuple of `typing`, without `typing`: a short command would pay a third of its start.

Type checkers are shown the original.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["NamedTuple"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Maker(type):
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
        """Makes its subclasses named tuples of their annotated fields."""
