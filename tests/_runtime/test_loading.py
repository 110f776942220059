"""Imports on a background thread harm neither the host's imports nor its forks."""

from __future__ import annotations

import gc
import os
import sys
import textwrap
import threading
import weakref
from typing import TYPE_CHECKING

import pytest
from support import FORKS, PATIENCE

from migas._runtime import imports, loading
from migas._runtime.imports import is_loaded
from migas._runtime.loading import Loader

if TYPE_CHECKING:
    from pathlib import Path

    from support import Host

    from migas.testing import Server

#: Real rounds of each of the two experiments; more with MIGAS_TEST_ROUNDS.
ROUNDS = int(os.environ.get("MIGAS_TEST_ROUNDS", "4"))

#: A package whose import stops half-way until the host sets the event `go`.
HALF_WAY = """
import gates
gates.entered.set()
gates.go.wait(30)
LATER = 1
from .piece import VALUE
"""

GATES = """
import threading
entered, go, past = threading.Event(), threading.Event(), threading.Event()
"""

#: Loads `halfway` on a background thread, and lets it go on when the host's own import or fork is
#: over, or after a moment if that waits for us, as it must. Without our locks it does not wait.
BACKGROUND = """
import sys, threading
import logging
import gates
from migas._runtime.loading import Loader
sys.path.insert(0, '.')

def load():
    while not Loader().attempt(['halfway'], loads_logging=True):
        pass

def release():
    gates.past.wait(0.3)
    gates.go.set()

loading = threading.Thread(target=load, daemon=True)
loading.start()
gates.entered.wait(30)
threading.Thread(target=release, daemon=True).start()
"""


@pytest.fixture
def halfway(tmp_path: Path) -> None:
    package = tmp_path / "halfway"
    package.mkdir()
    (package / "__init__.py").write_text(HALF_WAY)
    (package / "piece.py").write_text("from . import LATER as VALUE\n")
    (tmp_path / "gates.py").write_text(GATES)


@pytest.mark.usefixtures("halfway")
def test_the_host_imports_a_piece_of_what_is_being_loaded(host: Host) -> None:
    """A host that imports a submodule during our import gets it whole (pain 29)."""
    ended = host.run(
        BACKGROUND
        + textwrap.dedent("""
        from halfway.piece import VALUE
        gates.past.set()
        loading.join(30)
        import halfway
        print(VALUE, halfway.VALUE)
        """)
    )
    assert (ended.out, ended.calmly) == ("1 1\n", True), ended


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.usefixtures("halfway")
def test_the_host_forks_while_something_is_being_loaded(host: Host) -> None:
    """A child that is forked during our import can import the same modules (pain 28)."""
    ended = host.run(
        BACKGROUND
        + textwrap.dedent("""
        import os, signal
        child = os.fork()
        gates.past.set()
        if not child:
            signal.alarm(10)  # a child that hangs is ended by it, and seen by its status
            import halfway
            os._exit(halfway.VALUE)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """)
    )
    assert (ended.out, ended.status) == ("1\n", 0), ended


REAL = """
import sys, threading, time, os, signal, logging
from migas._runtime.loading import TRANSPORT_MODULES, WRITER_MODULES
from migas._runtime.loading import Loader

def load():
    loader = Loader()
    while not loader.attempt((*WRITER_MODULES, *TRANSPORT_MODULES), loads_logging=True):
        pass

loading = threading.Thread(target=load, daemon=True)
loading.start()
time.sleep({delay})
"""

IMPORT = """
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry
import json.decoder
loading.join()
"""

FORK = """
child = os.fork()
if not child:
    signal.alarm(20)
    import requests, json, platformdirs
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
loading.join()
"""


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("meanwhile", [IMPORT, FORK], ids=["import", "fork"])
def test_the_real_modules_are_loaded_without_harm(host: Host, meanwhile: str, round_: int) -> None:
    """Neither experiment fails with the modules that the agent loads, at moments spread over it."""
    ended = host.run(REAL.format(delay=0.2 * round_ / ROUNDS) + meanwhile, measured=False)
    assert ended.status == 0, ended


def test_nothing_is_loaded_while_is_another_thread_importing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that the host is importing keeps ours waiting."""
    (tmp_path / "gates_a.py").write_text(GATES)
    (tmp_path / "busy_a.py").write_text("import gates_a as g\ng.entered.set()\ng.go.wait(30)\n")
    (tmp_path / "wanted_a.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gates_a  # type: ignore[import-not-found]  # made above

    thread = threading.Thread(target=__import__, args=("busy_a",))
    thread.start()
    gates_a.entered.wait(30)
    try:
        assert not Loader().attempt(["wanted_a"])
        assert not is_loaded("wanted_a")
        assert not is_loaded("busy_a")
    finally:
        gates_a.go.set()
        thread.join()
    assert Loader().attempt(["wanted_a", "busy_a"])
    assert is_loaded("wanted_a")


def test_a_look_at_the_hosts_threads_keeps_nothing_of_them() -> None:
    """A look at the frames keeps no local variable alive (one in four pools had a BufferError)."""

    class Precious:
        pass

    looked, there, kept = threading.Event(), threading.Event(), []

    def work() -> None:
        precious = Precious()
        kept.append(weakref.ref(precious))
        there.set()
        looked.wait(PATIENCE)

    thread = threading.Thread(target=work)
    thread.start()
    there.wait(PATIENCE)
    gc.disable()
    try:
        assert not imports.is_another_thread_importing()
        looked.set()
        thread.join()
        assert kept[0]() is None
    finally:
        gc.enable()


def test_modules_are_loaded_beside_another_interpreter(host: Host) -> None:
    """A look at the frames of one with its own GIL aborted 53 of 60 processes; none is needed."""
    ended = host.run(
        """
import sys
from migas._runtime.loading import Loader
try: import _interpreters as interpreters
except ImportError: import _xxsubinterpreters as interpreters
other = interpreters.create()
sys.addaudithook(lambda event, _: event == 'sys._current_frames' and print(event))
assert Loader().attempt(['colorsys'])
interpreters.destroy(other)
""",
        measured=False,
    )
    assert (ended.out, ended.calmly) == ("", True), ended


def test_no_frame_of_another_thread_is_looked_at(host: Host, server: Server) -> None:
    """Without a GIL, and beside other interpreters, frames may change during the look."""
    ended = host.run(
        """
import sys
sys.addaudithook(lambda event, _: event == 'sys._current_frames' and print(event))
import logging, migas
receipt = migas.add_project('owner/repo', '1')
print(receipt.result(40)['success'])
""",
        measured=False,
    )
    assert (ended.out, ended.calmly) == ("True\n", True), ended
    assert len(server.crumbs) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_disregards_the_imports_of_threads_that_it_has_not(
    host: Host, tmp_path: Path
) -> None:
    """Whatever another thread of the parent's was importing when this child was forked."""
    (tmp_path / "gates_e.py").write_text(GATES)
    (tmp_path / "busy_e.py").write_text("import gates_e as g\ng.entered.set()\ng.go.wait(30)\n")
    code = """
import os, sys, threading
sys.path.insert(0, '.')
import migas, gates_e
from migas._runtime.loading import Loader
thread = threading.Thread(target=__import__, args=['busy_e'])
thread.start()
gates_e.entered.wait(30)
if not (child := os.fork()):
    os._exit(Loader().attempt(['colorsys']) - 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), Loader().attempt(['colorsys']))
gates_e.go.set()
thread.join()
print(Loader().attempt(['colorsys']))
"""
    ended = host.run(code, FORKS, measured=False)
    assert (ended.out, ended.calmly) == ("0 False\nTrue\n", True), ended


def test_where_importlib_has_no_locks_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports of others could not be seen."""
    monkeypatch.delattr(sys.modules["_frozen_importlib"], "_module_locks")
    assert imports.is_another_thread_importing()


def test_an_exception_that_is_kept_is_no_import() -> None:
    """A host keeps the traceback of an import that has failed, as an interactive one does."""
    with pytest.raises(ModuleNotFoundError) as kept:
        __import__("no_such_module_f.at_all")
    assert kept.tb is not None
    assert not imports.is_another_thread_importing()


def test_the_transport_is_not_loaded_before_the_host_has_loaded_logging(host: Host) -> None:
    """The first import of `logging` can hang a fork, so it is left to the host."""
    ended = host.run(
        """
import sys
from migas._runtime.loading import Loader
assert 'logging' not in sys.modules
assert Loader().attempt(['colorsys'])
assert not Loader().attempt(['urllib3'], loads_logging=True)
assert 'logging' not in sys.modules
import logging
assert Loader().attempt(['urllib3'], loads_logging=True)
""",
        measured=False,
    )
    assert ended.calmly, ended


def test_a_closed_loader_loads_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No import is under way when the interpreter's exit goes on."""
    (tmp_path / "wanted_b.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    loader = Loader()
    loader.close()
    assert not loader.attempt(["wanted_b"])
    assert "wanted_b" not in sys.modules


def test_closing_waits_for_the_import_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that the exit stops inside an import would never release the import lock."""
    (tmp_path / "gates_c.py").write_text(GATES)
    (tmp_path / "busy_c.py").write_text("import gates_c as g\ng.entered.set()\ng.go.wait(30)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gates_c  # type: ignore[import-not-found]  # made above

    loader = Loader()
    loading = threading.Thread(target=loader.attempt, args=(["busy_c"],))
    closing = threading.Thread(target=loader.close)
    loading.start()
    gates_c.entered.wait(30)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    gates_c.go.set()
    closing.join(30)
    assert is_loaded("busy_c")
    loading.join()


@pytest.mark.parametrize("call", [1, 2], ids=["before the locks", "with both locks"])
def test_closing_waits_for_every_lock_that_is_held(
    monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """A thread that dies with logging's lock in its hands would hang the host's end.

    Seen in 5 of 150 exits on a busy machine: letting go of a logging handler takes that lock.
    """
    calls: list[int] = []
    looking, go = threading.Event(), threading.Event()

    def look() -> bool:
        calls.append(1)
        if len(calls) < call:
            return False
        looking.set()
        go.wait(PATIENCE)
        return True

    monkeypatch.setattr(loading, "is_another_thread_importing", look)
    loader = Loader()
    importing = threading.Thread(target=loader.attempt, args=[["no_such_module"]], daemon=True)
    importing.start()
    assert looking.wait(PATIENCE)
    closing = threading.Thread(target=loader.close, daemon=True)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    go.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    importing.join(PATIENCE)
    assert loader.attempt(["no_such_module"]) is False
    assert len(calls) == call


def test_an_import_that_fails_is_the_callers_to_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken installation is reported, and every lock is free again."""
    (tmp_path / "broken_d.py").write_text("raise ImportError('broken')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match="broken"):
        Loader().attempt(["broken_d"])
    assert Loader().attempt(["string"])
