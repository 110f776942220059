"""What a process loads and asks of the system, at each stage: held without a clock.

Times are the benchmark's, `python -m tests.bench`. A module or a call more than here costs every
process that carries migas, so it needs a reason.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support import need_lasting_disk
from test_house import LIGHT

from migas._delivery.throttle import Backoff, Pace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server

#: What writing a breadcrumb takes besides what `import migas` does: the record itself, its way to
#: the disk, the user's id, and whatever a breadcrumb says.
WRITING = {
    *("_crumb", "_crumb.breadcrumb", "_crumb.environment", "_crumb.mounts"),
    *("_crumb.credentials", "_crumb.forms", "_crumb.mentions", "_crumb.redaction", "_crumb.words"),
    *("_delivery", "_delivery.defaults", "_delivery.parcel", "_delivery.ranks"),
    "_delivery.writer",
    *("_runtime.callback", "_runtime.clock", "_runtime.namedtuple", "_runtime.quiet"),
    *("_runtime.randomness", "_runtime.shadow"),
    *(
        "_disk",
        "_disk.directory",
        "_disk.entry",
        "_disk.files",
        "_disk.ownership",
        "_disk.marks",
        "_disk.spool",
        "_disk.stamp",
    ),
    *("_disk.upkeep", "_disk.user_id"),
}

#: What it takes to decide that nothing is sent now.
DECIDING = {"_delivery.flushes", "_delivery.sender", "_delivery.throttle", "_runtime.stand_in"}

#: What it takes to send.
SENDING = {
    *("_delivery.graphql", "_delivery.policy", "_delivery.sent_log"),
    *("_delivery.connection", "_delivery.dialer", "_delivery.progress", "_delivery.reason"),
    *("_delivery.claims", "_delivery.redirect", "_delivery.transport", "_delivery.uploader"),
    *("_delivery.sockets", "_runtime.version"),
}

#: Each is a large part of what `requests` costs, or as dear: `typing` (7 ms where a bare
#: interpreter takes 22), `logging` (and a lock that forks wait for), `ssl` and what builds on it.
DEAR = {"asyncio", "email", "http", "logging", "socket", "ssl", "subprocess", "typing", "uuid"}

#: What `requests` is made of, in one release or another.
REQUESTS = {"certifi", "charset_normalizer", "chardet", "idna", "requests", "urllib3"}

#: What packages that are compiled leave in `sys.modules`, by Cython or mypyc.
HELPER = re.compile(r"_|cython_runtime|.*__mypyc").match

#: Tells at its very end what it has loaded.
TELL = """
import atexit, sys
sys.dont_write_bytecode = True
before = set(sys.modules)
@atexit.register
def tell(): print(*sorted(set(sys.modules) - before))
"""

HOST = """
import migas
migas.add_project('owner/repo', '1')
"""

ENVIRON = {"MIGAS_EXIT_TIMEOUT": "30", "CI": "", "container": ""}


@pytest.fixture
def lasting(
    home: Path, monkeypatch: pytest.MonkeyPatch, spool: Callable[..., Spool]
) -> Callable[[], str]:
    """Make the spool's directory, where it lasts: a container's own file system does not."""

    def make() -> str:
        directory = spool().directory
        os.makedirs(directory, 0o700)
        return directory

    # Seen from an Apptainer container a home is its user's own, wherever this runs.
    monkeypatch.setenv("APPTAINER_NAME", "any")
    need_lasting_disk(home)
    return make


def load(host: Host, environ: dict[str, str], code: str = HOST) -> set[str]:
    ended = host.run(TELL + code, {**ENVIRON, **environ}, measured=False)
    assert ended.calmly, ended
    return set(ended.out.split())


def ours(loaded: set[str]) -> set[str]:
    return {name.partition(".")[2] for name in loaded if name.startswith("migas.")}


def light() -> set[str]:
    return {name.partition(".")[2] for name in LIGHT} - {""}


def roots(loaded: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in loaded}


def test_an_opted_out_call_loads_nothing(host: Host) -> None:
    """More than the import did."""
    assert ours(load(host, {"MIGAS_OPTOUT": "1"})) == light()


@pytest.mark.parametrize("reason", ["beyond the pace", "backed off"])
def test_an_exit_that_sends_nothing_loads_no_transport(
    host: Host, server: Server, lasting: Callable[[], str], reason: str
) -> None:
    """Nor anything else that a short command would notice."""
    directory = lasting()
    if reason == "backed off":
        Backoff(directory).fail(86400.0)
    else:
        pace = Pace(directory)
        while pace.take():
            pass
    loaded = load(host, {})
    assert ours(loaded) == light() | WRITING | DECIDING
    assert "requests" not in loaded
    # The oldest `platformdirs` that may be installed needs `typing` itself.
    assert not roots(loaded - load(host, {}, "import platformdirs")) & DEAR
    assert roots(loaded) - sys.stdlib_module_names == {"migas", "platformdirs"}
    assert server.requests == 0


@pytest.mark.parametrize("online", [True, False], ids=["delivers", "offline"])
def test_a_delivery_loads_requests_and_no_more(
    host: Host, server: Server, lasting: Callable[[], str], online: bool
) -> None:
    """What else it takes is ours, and is small."""
    lasting()
    if not online:
        server.stop()
    loaded = load(host, {})
    assert ours(loaded) == light() | WRITING | DECIDING | SENDING
    foreign = {name for name in roots(loaded) - sys.stdlib_module_names if not HELPER(name)}
    assert foreign - REQUESTS == {"migas", "platformdirs"}
    assert len(server.crumbs) == online


def trace(host: Host, tmp_path: Path, environ: dict[str, str]) -> list[str]:
    """Return a process's system calls, with those of its threads."""
    return [call for _, call in trace_threads(host, tmp_path, environ)]


def trace_threads(
    host: Host,
    tmp_path: Path,
    environ: dict[str, str],
    code: str = "import migas; migas.add_project('owner/repo', '1')",
) -> list[tuple[str, str]]:
    """Return a process's system calls, each behind the number of its thread; the main one's first.

    One that another thread's call interrupts is in two lines, of which the first has the arguments.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    path = tmp_path / "trace"
    arguments = ["-f", "-y", "-qq", "-o", str(path), sys.executable, "-c", code]
    launch = f"import os; os.execvp('strace', {['strace', *arguments]!r})"
    ended = host.run(launch, {**ENVIRON, "PYTHONDONTWRITEBYTECODE": "1", **environ}, measured=False)
    assert ended.calmly, ended
    lines = [line.split(None, 1) for line in path.read_text().splitlines()]
    return [(number, call) for number, call in lines if not call.startswith("<... ")]


#: A host that reports, and a worker of a pool that does; `multiprocessing` needs a module to run.
ON_THE_HOSTS_THREAD = {
    "an ordinary process": HOST + "migas.add_project('owner/repo', '2')",
    "a worker process": "import multiprocessing.process as m\n"
    "m.current_process()._parent_pid = 1\n" + HOST,
}


@pytest.mark.slow
@pytest.mark.parametrize("online", [True, False], ids=["delivers", "offline"])
@pytest.mark.parametrize("kind", ON_THE_HOSTS_THREAD)
def test_the_hosts_own_thread_touches_the_disk_for_an_opt_out_alone(
    host: Host, server: Server, tmp_path: Path, *, kind: str, online: bool
) -> None:
    """From the import to the end of the process, on a home that answers after a while or never.

    A worker process waits until its breadcrumb is on disk, and does not go there itself, either.
    """
    if not online:
        server.stop()
    main, *others = trace_threads(host, tmp_path, {}, ON_THE_HOSTS_THREAD[kind])
    home = str(tmp_path / "home")
    own = [(number, call) for number, call in (main, *others) if home in call]
    # Python's own look for the packages of this user.
    own = [(number, call) for number, call in own if "site-packages" not in call]
    looks = [call for number, call in own if number == main[0]]
    assert len(looks) < len(own)
    assert [call for call in looks if "migas/optout" not in call] == []
    # The home's two places, which are one by default, and the site's, once.
    assert len(looks) <= 3
    assert len(server.crumbs) == online * (2 - ("worker" in kind))


@pytest.mark.slow
def test_an_offline_process_asks_little_of_the_system(
    host: Host, lasting: Callable[[], str], tmp_path: Path, home: Path
) -> None:
    """On a network's disk each call may be a round trip; and no network is touched at all."""
    directory = lasting()
    Backoff(directory).fail(86400.0)
    trace(host, tmp_path, {})  # the first one makes the user's id and the boxes
    calls = trace(host, tmp_path, {})
    assert not [call for call in calls if call.startswith(("socket(", "connect("))]
    # What is asked of a file that is open costs no round trip by itself.
    open_ones = re.compile(r'(close|read|write|getdents\w*|fstat)\(|\w*fstatat\(\d+<[^>]*>, ""')
    own = [call for call in calls if str(home) in call and not open_ones.match(call)]
    counted = Counter(call.split("(")[0] for call in own if "O_DIRECTORY" not in call)
    # Whose each directory is: the id's, the spool for what is written and for each of two stamps,
    # and three boxes, since any may have been deleted or replaced. One process in some hundred
    # looks at three more, at random, and sweeps them.
    tidies = len(own) - counted.total() == 10
    assert len(own) - counted.total() == (10 if tidies else 7), own
    # The user's id and the spool's mark are read, and the breadcrumb written.
    assert counted.pop("openat") == 3
    assert counted.pop("renameat") == 1
    # For an opt-out; who may write above the spool, and whose home this is, if this is root; when
    # to send; in a container, whether each of the three directories above the id is a link. The
    # name of `stat` is the C library's.
    assert sum(counted.values()) <= (23 if tidies else 13), own
    # Nearly all of them import modules: some 1,500 more than the some 400 of a bare interpreter.
    assert len(calls) < 3000
