"""The importer imports what threads want, on a thread of the host's, and keeps what that raised.

Real greenlets are in `tests/processes/test_greenlets.py`.
"""

from __future__ import annotations

import threading

import pytest
from support import await_condition

from migas._runtime.greenlet import Importer


class Loader:
    """Notes what is loaded, and on which thread."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, int]] = []
        self.is_done = False

    def load(self, name: str) -> None:
        if name == "broken":
            raise ImportError(name)
        self.loaded.append((name, threading.get_ident()))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.loaded]


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def importer(loader: Loader) -> Importer:
    return Importer(loader.load, lambda: loader.is_done)


def test_what_is_wanted_is_imported_elsewhere_in_order(importer: Importer, loader: Loader) -> None:
    """By the thread, here a system's, that `start` has begun: not by the one that wants it."""
    for name in ("first", "second", "first"):
        importer.want(name)
    importer.start()
    await_condition(lambda: len(loader.loaded) == 2)
    importer.close()
    assert loader.names == ["first", "second"]
    assert threading.get_ident() not in {thread for _, thread in loader.loaded}


def test_the_exit_imports_what_is_left(importer: Importer, loader: Loader) -> None:
    """On its own thread, and without a second greenlet."""
    importer.want("late")
    importer.serve()
    assert loader.loaded == [("late", threading.get_ident())]


def test_a_failed_import_is_raised_where_it_is_wanted_again(
    importer: Importer, loader: Loader
) -> None:
    """And the others are imported nevertheless."""
    importer.want("broken")
    importer.want("other")
    importer.serve()
    assert loader.names == ["other"]
    with pytest.raises(ImportError, match="broken"):
        importer.want("broken")
    importer.want("broken")  # which has it tried again
    importer.serve()
    with pytest.raises(ImportError, match="broken"):
        importer.want("broken")


@pytest.mark.parametrize("end", ["closed", "done"])
def test_nothing_runs_that_nobody_needs(importer: Importer, loader: Loader, end: str) -> None:
    """The greenlet ends when it is told to, and when no more will be wanted; then none starts."""
    importer.start()
    if end == "closed":
        importer.close()
    loader.is_done = True
    await_condition(lambda: not importer._is_running)
    importer.want("late")
    importer.start()
    assert not importer._is_running
    assert loader.loaded == []
