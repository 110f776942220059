"""A first use of migas near the end of a program reaches the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas._disk.spool import Spool

#: Nothing but what follows loads `threading`, which knows of the end only if it was loaded before.
USE = """
import atexit
def use():
    import migas
    migas.add_project('owner/repo', '1')
"""

#: The guard of the tests loads `threading`, and migas before the program.
ALONE = {"GUARD_REPORTS": "", "PYTHONPATH": ""}

ENDS = {
    "in an exit hook": "atexit.register(use)",
    "by an import in an exit hook": """
import sys
sys.path.insert(0, '.')
with open('late.py', 'w') as file:
    file.write("import migas; migas.add_project('owner/repo', '1')")
atexit.register(__import__, 'late')
""",
    "in a finalizer": """
class Object:
    def __del__(self):
        use()
object = Object()
object.itself = object  # which is left to the garbage collector, behind all exit hooks
del object
""",
    "in a thread that outlives the main one": """
import threading
main = threading.main_thread()
threading.Thread(target=lambda: (main.join(), use())).start()
""",
    "in a daemon thread at the exit": """
import threading
is_ending, is_used = threading.Event(), threading.Event()
threading.Thread(target=lambda: (is_ending.wait(), use(), is_used.set()), daemon=True).start()
atexit.register(lambda: (is_ending.set(), is_used.wait(30)))
""",
}


@pytest.mark.parametrize("loaded", ["", "import threading"], ids=["alone", "beside threading"])
@pytest.mark.parametrize("end", ENDS)
def test_a_first_use_near_the_end_is_on_disk(
    host: Host, spool: Callable[..., Spool], end: str, loaded: str
) -> None:
    """Our exit hook is too late, and no thread could start, or would live."""
    import migas

    path = f"import sys; sys.path.insert(0, {str(migas.__path__[0]).removesuffix('migas')!r})\n"
    ended = host.run(f"{path}{loaded}\n{USE}{ENDS[end]}", ALONE, measured=False)
    assert ended.calmly, ended
    assert len(spool(NOWHERE).list_pending()) == 1


def test_a_thread_that_outlives_the_main_one_by_far_is_no_end(host: Host) -> None:
    """A program may live for days so, and is counted meanwhile as any other."""
    ended = host.run(
        """
import threading
main = threading.main_thread()
def use():
    main.join()
    import migas
    from migas._agent.process import current_process
    migas.add_project('owner/repo', '1')
    print(current_process().list_agents()[0]._exit.has_begun)
threading.Thread(target=use).start()
""",
        measured=False,
    )
    assert (ended.out, ended.calmly) == ("False\n", True), ended
