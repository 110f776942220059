"""What the interpreter knows of this thread and of this process."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support import FORKS, PATIENCE

from migas._runtime.place import find_outermost_frame, is_worker_process

if TYPE_CHECKING:
    from types import FrameType

    from support import Host


def descend(depth: int) -> FrameType:
    return descend(depth - 1) if depth else find_outermost_frame()


def test_the_outermost_frame_is_the_threads_first_one() -> None:
    """It is the same from any depth, and each thread has one of its own."""
    outermost = find_outermost_frame()
    assert descend(0) is descend(50) is outermost
    assert outermost.f_back is None
    found: list[FrameType] = []
    thread = threading.Thread(target=lambda: found.append(descend(3)))
    thread.start()
    thread.join(PATIENCE)
    assert found[0].f_back is None
    assert found[0].f_code.co_name == "_bootstrap"
    assert outermost.f_code.co_name != "_bootstrap"


@pytest.mark.parametrize("arguments", [("main.py",), ("-m", "main")], ids=["script", "module"])
def test_the_outermost_frame_of_a_program_is_what_runs_it(
    host: Host, arguments: tuple[str, ...]
) -> None:
    """A script's is its own module; that of `python -m` is runpy."""
    code = """
from migas._runtime.place import find_outermost_frame
def main(): print(find_outermost_frame().f_code.co_name)
main()
"""
    ended = host.run_program({"main.py": code}, {}, arguments)
    assert ended.calmly, ended
    assert ended.out == ("<module>\n" if arguments == ("main.py",) else "_run_module_as_main\n")


def test_this_process_is_no_worker() -> None:
    """A process that has only imported `multiprocessing` is no worker process."""
    assert multiprocessing.parent_process() is None
    assert not is_worker_process()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_worker_process_is_known_from_its_first_import_on(host: Host, method: str) -> None:
    """It is one while it imports its parent's main module, which all but a fork do."""
    code = f"""
import multiprocessing
from migas._runtime.place import is_worker_process
FOUND = is_worker_process()
def work(_number): return FOUND, is_worker_process()
if __name__ == '__main__':
    assert not FOUND
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        print(pool.map(work, [0]))
        pool.close(); pool.join()
"""
    ended = host.run_program({"main.py": code}, FORKS)
    assert ended.calmly, ended
    assert ended.out == f"[({method != 'fork'}, True)]\n"


def test_no_module_is_loaded_for_the_question(host: Host) -> None:
    """A program without `multiprocessing` is no worker, and stays without it."""
    ended = host.run(
        """
import sys
from migas._runtime.place import is_worker_process
assert not is_worker_process()
assert 'multiprocessing.process' not in sys.modules
""",
        measured=False,
    )
    assert ended.calmly, ended
    assert "multiprocessing" in sys.modules
