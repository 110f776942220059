"""The guard sees what it is there to see, and costs its hosts little."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support import Host

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or sys.implementation.name != "cpython", reason="reads CPython's /proc"
)

#: What a thread of ours might change, by the kind of state at which the guard has to see it.
CHANGES = {
    "random": "import random; random.random()",
    "numpy": "import numpy.random; numpy.random.rand()",
    "masks": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])",
    "handlers": "import signal; signal.signal(signal.SIGUSR1, print)",
    "caught": "import signal; signal.signal(signal.SIGUSR1, print)",
    "hooks": "import threading; threading.excepthook = print",
    "filters": "import warnings; warnings.simplefilter('always')",
    "logging": "import logging; logging.basicConfig()",
    "pickling": "import multiprocessing.reduction as r; r.register(list, repr)",
    "locale": "import locale; locale.setlocale(locale.LC_ALL, 'C')",
    "umask": "import os; os.umask(0o12)",
    "cwd": "import os; os.chdir('/')",
    "descriptors": "import os; os.open('/', os.O_RDONLY)",
    "contexts": "import decimal; decimal.getcontext().prec = 3",
    "gc": "import gc; gc.disable()",
    "interpreter": "import sys; sys.setrecursionlimit(1234)",
    "limits": "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
    "environment": "import os; os.environ['HOUSE'] = '1'",
    "path": "import sys; sys.path.append('/nowhere')",
}

#: No word of its text tells what it changes, so the guard takes that for our doing.
HOST = "import os; exec(os.getenv('FIRST')); import migas; exec(os.getenv('THEN'))"


def take(reports: Path) -> list[str]:
    """Return what the guard has reported, before that fails the test."""
    found = [path.read_text() for path in reports.iterdir()]
    for path in reports.iterdir():
        path.unlink()
    return found


@pytest.mark.parametrize("kind", CHANGES)
def test_the_guard_sees_each_kind_of_change(host: Host, guard: Path, kind: str) -> None:
    """A change after the import of migas is reported, and none before it."""
    if kind == "numpy":
        pytest.importorskip("numpy")
    first, _, then = CHANGES[kind].partition("; ")
    environ = {"LC_ALL": "C.UTF-8", "FIRST": f"import logging; {first}", "THEN": f"{first}; {then}"}
    assert host.run(HOST, environ, measured=False).status == 0
    reports = take(guard)
    assert any(f"\n{kind}: " in report for report in reports), reports
    environ["FIRST"], environ["THEN"] = environ["THEN"], environ["FIRST"]
    assert host.run(HOST, environ, measured=False).status == 0
    assert take(guard) == []


def test_the_guard_leaves_to_a_host_what_its_own_text_speaks_of(host: Host, guard: Path) -> None:
    """A host that changes its umask is no reason to look for a fault of ours."""
    ended = host.run(f"import migas\n{CHANGES['umask']}", measured=False)
    assert ended.calmly, ended
    assert take(guard) == []


def test_the_guard_costs_its_hosts_little(host: Host) -> None:
    """It loads nothing that is not built in, and leaves nothing else in `sys.modules`."""
    code = "import sys; {}; print(*sys.modules)"
    for line in ("pass", "import migas"):
        bare = host.run(code.format(line), {"GUARD_REPORTS": ""}, measured=False)
        guarded = host.run(code.format(line), measured=False)
        found = set(guarded.out.split()) - set(bare.out.split())
        assert found <= {*sys.builtin_module_names, "_contextvars"}, found
