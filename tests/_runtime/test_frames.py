"""Frames are looked at only where that is safe; `track`'s own tests show what is found there."""

from __future__ import annotations

import sys
import threading

import pytest

from migas._runtime import frames


def test_no_other_threads_frames_are_looked_at_without_a_gil(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CPython's HOWTO calls that unsafe there; with a GIL the main thread's frame is found."""
    found: list[bool] = []

    def find() -> None:
        found.append(frames.find_program_frame() is None)

    for has_gil in (True, False):
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda has_gil=has_gil: has_gil, raising=False)
        thread = threading.Thread(target=find)
        thread.start()
        thread.join()
    assert found == [False, True]
