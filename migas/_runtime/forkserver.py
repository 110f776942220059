"""The fork server: hands its children the variables that all other children inherit.

A child of `multiprocessing`'s fork server, the default start method from Python 3.14 on, has the
environment of the moment at which the server began. What this process has reported since then, and
in which session, travels with the data that `multiprocessing` sends to each child. What comes first
in them is the process's own key, `authkey`: the child unpickles it before it imports or unpickles
any code of the host's. `ForkingPickler.register` is how a library says how objects of a type are
pickled there. Ours adds to the key what sets the variables in the child. The child imports nothing
for it, and has the same variables as a child of any other start method. If it starts processes
itself, they have a fork server of their own, which inherits them.

What may go wrong: a worker process that runs already hears of nothing. It reports a use once more
if it imports the host later than its parent did. And a host may have pickled what it sends in a way
of its own; then children have the server's environment.
"""

from __future__ import annotations

import os
import sys

# From `_operator`, of which `operator` is made: that module is one more file to load.
from _operator import attrgetter, is_

from .optout import OPTOUT_VARIABLES
from .settings import HANDED_DOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: What children are sent: also the opt-out that a host has set for itself and for them.
VARIABLES = (*HANDED_DOWN, OPTOUT_VARIABLES[0])


def share() -> None:
    """Have children of the fork server get the variables as they are when each child starts.

    To be called after `multiprocessing` has been imported. Changes nothing where a host has said
    itself how keys are pickled.
    """
    key_type = sys.modules["multiprocessing.process"].AuthenticationString
    pickler = sys.modules["multiprocessing.reduction"].ForkingPickler
    if key_type not in pickler._extra_reducers:  # noqa: SLF001
        pickler.register(key_type, _reduce_key)


def _reduce_key(key: Any) -> tuple[Any, ...]:
    """Return how `multiprocessing` pickles its key: as without us, and with the variables.

    Raises:
        TypeError: no process is being started, see `AuthenticationString.__reduce__`.
    """
    whole: tuple[Any, ...] = key.__reduce__()
    popen = sys.modules["multiprocessing.context"].get_spawning_popen()
    # A host's own `__import__` may be no function that a child has.
    is_builtin = isinstance(__import__, type(len))
    if getattr(popen, "method", None) != "forkserver" or not is_builtin:
        return whole
    # The last item says how the state, which is ours, is set: by a function that does nothing.
    return (*whole, _Environ(), None, None, is_)


class _Environ:
    """The environment of the process in which this is unpickled, with the variables set."""

    def __reduce__(self) -> tuple[Any, tuple[_Os], None, None, Iterator[tuple[str, str]]]:
        variables = ((name, os.environ.get(name)) for name in VARIABLES)
        items = ((name, value) for name, value in variables if value is not None)
        return attrgetter("environ"), (_Os(),), None, None, items


class _Os:
    """The module `os` of the process in which this is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return __import__, ("os",)
