"""The agent's named tuple does what that of `typing` does."""

from __future__ import annotations

import keyword
import pickle
import string
import types
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas._runtime.namedtuple import NamedTuple

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=8).filter(
    lambda name: not keyword.iskeyword(name) and name not in ("count", "index")
)


class Point(NamedTuple):
    """A point."""

    x: int
    y: int = 2

    @classmethod
    def origin(cls) -> Point:
        return cls(0, 0)

    @property
    def sum(self) -> int:
        return self.x + self.y


def make(base: object, names: list[str], defaults: dict[str, int]) -> typing.Any:
    """Make the class that a class statement with ``base`` makes."""
    space = {
        "__module__": __name__,
        "__annotations__": dict.fromkeys(names, int),
        **defaults,
    }
    return types.new_class(
        "Made", (typing.cast("type", base),), {}, lambda made: made.update(space)
    )


@pytest.mark.slow
@given(st.lists(NAMES, unique=True), st.data())
def test_it_makes_the_same_tuples_as_that_of_typing(names: list[str], data: st.DataObject) -> None:
    """Any fields, defaults and values make equal classes and equal tuples."""
    required = data.draw(st.integers(0, len(names)))
    values = data.draw(st.lists(st.integers(), min_size=len(names), max_size=len(names)))
    defaults = dict(zip(names[required:], values[required:], strict=True))
    ours, theirs = (make(base, names, defaults) for base in (NamedTuple, typing.NamedTuple))
    assert ours._fields == theirs._fields
    assert ours._field_defaults == theirs._field_defaults
    assert ours(*values[:required]) == theirs(*values[:required]) == tuple(values)
    assert repr(ours(*values)) == repr(theirs(*values))


def test_methods_properties_and_the_docstring_are_kept() -> None:
    """A record keeps them, and can be pickled by its module and name."""
    point = Point(1)
    assert (point.sum, Point.origin(), Point.__doc__) == (3, (0, 0), "A point.")
    assert pickle.loads(pickle.dumps(point)) == point
    assert Point.__module__ == __name__
