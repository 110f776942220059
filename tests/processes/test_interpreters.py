"""While another interpreter lives in the process, breadcrumbs are written and sent as ever."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

#: Other interpreters that run Python code until a file is there. The thread that waits for them is
#: the host's.
BUSY = """
import logging, os, threading, time
WORK = '''
import os
def climb(n): return n and climb(n - 1)
while not os.path.exists("end"): climb(20)
'''
"""

NEW = pytest.mark.skipif(sys.version_info < (3, 14), reason="a library of Python 3.14")

LIBRARIES = {
    "the builtin module": """
try:
    import _interpreters as library
    run = library.exec
except ImportError:
    import _xxsubinterpreters as library
    run = library.run_string
other = library.create()
thread = threading.Thread(target=run, args=(other, WORK))
thread.start()
def close():
    thread.join()
    library.destroy(other)
""",
    "concurrent.interpreters": """
from concurrent import interpreters
other = interpreters.create()
thread = threading.Thread(target=other.exec, args=(WORK,))
thread.start()
def close():
    thread.join()
    other.close()
""",
    "InterpreterPoolExecutor": """
from concurrent.futures import InterpreterPoolExecutor
pool = InterpreterPoolExecutor(2)
futures = [pool.submit(exec, WORK) for _ in range(2)]
close = pool.shutdown
""",
}

#: No wait for the receipt, which would have the caller's thread import.
USE = """
import migas
receipt = migas.add_project('owner/repo', '1')
end = time.monotonic() + 40
while not receipt.done() and time.monotonic() < end: time.sleep(0.01)
print(receipt.done(), receipt.get('success'), flush=True)
open('end', 'w').close()
close()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "library",
    [
        "the builtin module",
        pytest.param("concurrent.interpreters", marks=NEW),
        pytest.param("InterpreterPoolExecutor", marks=NEW),
    ],
)
def test_a_use_beside_another_interpreter(host: Host, server: Server, library: str) -> None:
    """It is on disk, and sent, while that runs; nothing aborts."""
    ended = host.run(BUSY + LIBRARIES[library] + USE, measured=False)
    assert (ended.out, ended.calmly) == ("True True\n", True), ended
    assert len(server.crumbs) == 1
