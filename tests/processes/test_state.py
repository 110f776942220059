"""Nothing that belongs to the whole process is other with us than without, at any stage.

Beside this, `guard/sitecustomize.py` compares in every host of the suite.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import pytest
from support import FORKS, versions

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or sys.implementation.name != "cpython", reason="reads CPython's /proc"
)

#: A host that has given a value of its own to all that the guard looks at, and compares at each
#: stage. What it prints is wrong, but for the stages.
PROGRAM = """
import os, sys
sys.path.append(os.path.dirname(sys.modules["sitecustomize"].__file__))
import guard_compare, guard_look
import atexit, contextvars, decimal, gc, locale, logging, multiprocessing, random, resource
import signal, socket, threading, time, warnings
try: import numpy
except ImportError: numpy = None

def hook(*arguments): print("called", arguments, flush=True)
def handler(*arguments): pass

def furnish():
    random.seed(42)
    random.random()
    if numpy: numpy.random.seed(42); numpy.random.rand()
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD): signal.signal(number, handler)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    sys.excepthook = sys.unraisablehook = threading.excepthook = hook
    sys.displayhook = warnings.showwarning = hook
    warnings.simplefilter("always", UserWarning)
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("host").setLevel(logging.DEBUG)
    locale.setlocale(locale.LC_ALL, "C")
    os.umask(0o027)
    decimal.getcontext().prec = 5
    contextvars.ContextVar("host").set(1)
    gc.set_threshold(600, 9, 9)
    sys.setrecursionlimit(1500)
    sys.setswitchinterval(0.004)
    threading.stack_size(1024 * 1024)
    socket.setdefaulttimeout(77)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["HOUSE"] = "1"
    sys.path.append("/nowhere")

furnish()
guard = guard_compare.Guard(guard_look.look(), "")

def stage(name, is_exit=False):
    for line in guard.find(is_exit=is_exit):
        # multiprocessing hears of its processes by pipes, and a forked child seeds `random` itself.
        if "None became pipe:" not in line and (name, line[:7]) != ("fork", "random:"):
            print(name, line, flush=True)

atexit.register(lambda: print("first", flush=True))
atexit.register(stage, "exit", True)
import migas
stage("import")

def work(label):
    global guard
    guard = guard_compare.Guard(guard_look.look(), "")
    use(label)

def use(label):
    receipts = [migas.add_project("owner/repo", label)]
    stage(label + " first call")
    receipts[0].add_done_callback(lambda receipt: stage(label + " callback"))
    receipts[0].result(60)
    stage(label + " delivery")

if __name__ == "__main__":
    atexit.register(lambda: print("last", flush=True))
    migas.setup(before_send=lambda fields: stage("before_send") or fields)
    stage("setup")
    use("main")
    calls = {
        "add_breadcrumb": lambda: migas.add_breadcrumb("owner/repo", "crumb"),
        "check_project": lambda: migas.check_project("owner/repo", "1"),
        "get_usage": lambda: migas.get_usage("owner/repo", "2026-01-01"),
        "notice": migas.notice,
        "flush": lambda: migas.flush(60),
        "block": lambda: migas.track("owner/block", "block").__enter__().__exit__(*[None] * 3),
        "function": lambda: migas.track("owner/function", "function")(len)([]),
        "id": migas.clear_user_id,
    }
    for name, call in calls.items():
        call()
        stage(name)
    child = os.fork()
    if not child:
        stage("fork")
        work("child")
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
    stage("parent")
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        process = context.Process(target=work, args=[method])
        process.start()
        process.join()
        assert process.exitcode == 0
    migas.track("owner/plain", "plain")  # what it installs is put back by the exit
    # What a thread that has nothing to do leaves behind when it ends.
    deadline = time.monotonic() + 60
    while sys.version_info < (3, 12) and guard_look.count_our_threads():
        assert time.monotonic() < deadline
        time.sleep(0.05)
"""


@pytest.mark.slow
def test_no_state_of_the_process_is_changed_at_any_stage(host: Host, server: Server) -> None:
    """Import, first call, write, delivery, callback, exit, fork and worker (pains 32 to 36)."""
    environ = {**FORKS, "GUARD_REPORTS": ""}
    ended = host.run_program({"main.py": PROGRAM}, environ, measured=False)
    assert (ended.status, ended.err) == (0, ""), ended
    child, spawned, itself = "last\nfirst\n", "first\n", "last\nfirst\n"
    assert ended.out == child + spawned + itself, ended
    assert {"child", "crumb", "fork", "main", "spawn"} <= set(versions(server))


#: Draws 10,000 numbers while breadcrumbs are made, fail to be sent, are sent and are asked about.
SEEDED = """
import hashlib, random, time
import logging
random.seed(42)
{seed}
{line}
numbers = []
for round in range(100):
    for _ in range(100): numbers.append(random.random()){draw}
    {more}
    time.sleep(0.005)
print(hashlib.sha256(repr(numbers).encode()).hexdigest())
"""

MORE = "migas.add_project('owner/repo', f'{round}')"


@pytest.mark.slow
@pytest.mark.parametrize("generator", ["random", "numpy"])
def test_a_host_that_seeds_its_generator_gets_the_same_numbers(
    host: Host, server: Server, generator: str
) -> None:
    """With us as without us, while breadcrumbs go, and fail to go (pain 32)."""
    parts = {"seed": "", "draw": ""}
    if generator == "numpy":
        if importlib.util.find_spec("numpy") is None:
            pytest.skip("numpy is not installed")
        parts = {
            "seed": "import numpy; numpy.random.seed(42)",
            "draw": "; numbers.append(float(numpy.random.rand()))",
        }
    alone = host.run(SEEDED.format(line="", more="", **parts))
    line = "import migas; migas.add_project('owner/repo', 'first').result(60)"
    beside = host.run(SEEDED.format(line=line, more=MORE, **parts))
    assert alone.calmly, alone
    assert beside.calmly, beside
    assert beside.out == alone.out
    assert "first" in versions(server)


#: Starts a process and a thread from a receipt's callback and from `before_send`, and prints the
#: signals that each of them has blocked. The host itself has blocked one.
STARTS = """
import logging, signal, subprocess, sys, threading
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
import migas

def tell(): print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])) == [12], flush=True)

CODE = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])) == [12])"

def start(given):
    subprocess.run([sys.executable, "-c", CODE])
    thread = threading.Thread(target=tell)
    thread.start()
    thread.join()
    return given

done = threading.Event()
migas.setup(before_send=start)
receipt = migas.add_project("owner/repo", "1")
receipt.add_done_callback(lambda receipt: (start(receipt), done.set()))
assert done.wait(60)
"""


def test_what_a_callback_starts_has_the_hosts_signal_mask(host: Host, server: Server) -> None:
    """So a process that it starts ends at a SIGTERM, which our own threads block."""
    ended = host.run(STARTS, measured=False)
    assert ended.calmly, ended
    assert ended.out == "True\n" * 4
    assert versions(server) == ["1"]
