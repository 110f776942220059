"""Real hosts that start, end and are killed: they notice nothing, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import LASTS, NOWHERE, PATIENCE, SLOW

from migas._crumb.breadcrumb import decode
from migas._delivery.throttle import Backoff
from migas._runtime.settings import DEFAULT_ENDPOINT
from migas.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server

LINE = "import migas; migas.add_project('owner/repo', '1.2.3')\n"

#: Ends the process as the kernel does: no handler, no hook, no flush.
KILL = "os.kill(os.getpid(), signal.SIGKILL)\n"

#: Prints whatever the process does that an opted-out one must not, by the interpreter's own report.
GUARD = """
import sys
def watch(event, args):
    writes = event == 'open' and isinstance(args[2], int) and args[2] & 0o103
    if event.startswith('socket.') or event == '_thread.start_new_thread' or writes:
        print(event, args, file=sys.stderr)
    if event in ('os.mkdir', 'os.rename', 'subprocess.Popen', 'os.fork'):
        print(event, args, file=sys.stderr)
sys.dont_write_bytecode = True
"""


def await_the_end_of_the_backoff(spool: Spool) -> None:
    """A first failure keeps a user's processes away from a server for a second at most."""
    deadline = time.monotonic() + PATIENCE
    while Backoff(spool.directory).remaining():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_breadcrumb_arrives_from_a_host_that_ends_at_once(host: Host, server: Server) -> None:
    """The one line is all that a host needs."""
    ended = host.run(LINE, SLOW)
    assert ended.calmly, ended
    [crumb] = server.crumbs
    assert (crumb["project"], crumb["version"]) == ("owner/repo", "1.2.3")


#: Reports what the agent's threads import while the import lock is free, or not theirs.
IMPORT_GUARD = """
import _imp, logging, sys
def watch(event, args):
    if event == 'import' and not _imp.lock_held():
        daemon = sys.modules.get('migas._runtime.daemon')
        if getattr(daemon, 'find_own_thread', int)():
            print(args[0], file=sys.stderr)
sys.addaudithook(watch)
"""


@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_nothing_is_imported_in_the_background_but_exclusively(
    host: Host, server: Server, online: bool
) -> None:
    """Neither by us nor by what we call: each import waits for its turn (pains 28, 29)."""
    if not online:
        server.stop()
    # "localhost" has to be looked up, which a bare address has not.
    environ = {"MIGAS_ENDPOINT": server.endpoint.replace("127.0.0.1", "localhost")}
    code = IMPORT_GUARD + (
        "import time, migas; receipt = migas.add_project('owner/repo', '1')\n"
        "while not receipt.done(): time.sleep(0.01)\n"
        "print(receipt['success'])\n"
    )
    ended = host.run(code, environ, measured=False)
    assert ended.calmly, ended
    assert ended.out == f"{online}\n"


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.52, 0.56, 0.6, 0.65])
def test_an_exit_in_the_middle_of_a_background_import_does_not_hang(
    host: Host, delay: float
) -> None:
    """No lock of the interpreter's is left to a thread that is no more."""
    # logging's own end, for one, takes its lock once more.
    code = f"import logging, time; logging.basicConfig()\n{LINE}time.sleep({delay})"
    ended = host.run(code, {"MIGAS_EXIT_TIMEOUT": "0"}, measured=False)
    assert ended.calmly, ended


def test_a_breadcrumb_arrives_from_a_host_that_lives(host: Host, server: Server) -> None:
    """Delivery does not wait for the exit where the host has loaded what it takes."""
    process = host.start(LINE + "import logging, time; time.sleep(60)")
    [crumb] = server.await_crumbs(1, PATIENCE)
    assert process.poll() is None
    assert crumb["project"] == "owner/repo"


@pytest.mark.slow
def test_offline_a_breadcrumb_waits_and_goes_with_the_next(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """Offline is normal: no message, and one request delivers what waits (pains 4, 5)."""
    server.stop()
    ended = [host.run(LINE, SLOW) for _ in range(2)]
    assert all(one.calmly for one in ended), ended
    assert len(spool().list_pending()) == 2
    server.start()
    await_the_end_of_the_backoff(spool())
    assert host.run(LINE, SLOW).calmly
    assert len(server.crumbs) == 3
    assert server.requests == 1
    assert spool().list_pending() == []


@pytest.mark.slow
def test_while_a_server_is_left_alone_a_process_does_not_even_load_what_it_takes(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """An offline process costs next to nothing once another has found that out (pain 2)."""
    server.stop()
    assert host.run(LINE, SLOW).calmly
    Backoff(spool().directory).fail(demand=600.0)
    report = "import atexit, sys; atexit.register(lambda: print('requests' in sys.modules))\n"
    server.start()
    ended = host.run(report + LINE, SLOW, measured=False)
    assert (ended.out, ended.calmly) == ("False\n", True), ended
    assert server.requests == 0
    assert len(spool().list_pending()) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_servers_name_that_the_locale_cannot_spell_is_no_error(
    host: Host, spool: Callable[..., Spool]
) -> None:
    """What this process starts has no server then, and never the default one."""
    ended = host.run(
        r"import migas, os; migas.setup(endpoint='http://m\xfcller.invalid');"
        "migas.add_project('owner/repo', '1'); print(ascii(os.environ['MIGAS_ENDPOINT']))",
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "MIGAS_TIMEOUT": "0"},
    )
    assert ended.calmly, ended
    # The latter where the environment has every letter, as on Windows.
    assert ended.out in ("'unusable'\n", "'http://m\\xfcller.invalid/graphql'\n")
    assert spool("http://m\xfcller.invalid/graphql").count() == 1


@pytest.mark.parametrize(
    "end", [KILL, "os._exit(0)", "import faulthandler; faulthandler._sigsegv()"]
)
def test_a_violent_end_loses_nothing(
    host: Host, server: Server, spool: Callable[..., Spool], end: str
) -> None:
    """What has reached the disk stays there, and a later process delivers it."""
    written = "glob.glob(os.environ['XDG_CACHE_HOME'] + '/migas/*/[nc]*/*')"
    wait = f"while not {written}: time.sleep(0.005)"
    host.run(f"import glob, os, signal, time\n{LINE}{wait}\n{end}", measured=False)
    arrived, [*waiting] = len(server.crumbs), spool().list_pending()
    assert arrived + len(waiting) == 1
    assert host.run("import migas; assert migas.flush(30) == 0").calmly
    assert len(server.crumbs) == 1


@pytest.mark.parametrize("variable", ["MIGAS_OPTOUT", "DO_NOT_TRACK", "NO_ET"])
def test_opted_out_nothing_happens_on_any_path(host: Host, home: Path, variable: str) -> None:
    """No thread, no socket, no file, no identifier: as the interpreter itself reports (pain 24)."""
    code = GUARD + (
        "import json, requests, platformdirs, http.client, datetime\n"
        "import migas._delivery.graphql, migas.config\n"
        "import migas, migas.operations; from migas import *\n"
        "sys.addaudithook(watch)\n"
        "setup(endpoint='http://127.0.0.1:9', session_id='nonsense')\n"
        "setup(filename='migas.json', save_config=True)\n"
        "r = add_project('owner/repo', '1')\n"
        "print(r['success'], r.result(), r.done())\n"
        "print(flush(5), get_usage('owner/repo', '2026-01-01'), check_project('owner/repo', '1'))\n"
    )
    ended = host.run(code, {variable: "1"}, measured=False)
    assert ended.calmly, ended
    assert ended.out.count(variable) == 3
    assert list(home.iterdir()) == []


def test_opting_out_while_the_process_runs_silences_its_exit(host: Host, server: Server) -> None:
    """The exit is a path like any other (found in the reference client)."""
    ended = host.run(LINE + "import os; os.environ['MIGAS_OPTOUT'] = '1'")
    assert ended.calmly, ended
    assert server.requests == 0


NONSENSE = [
    pytest.param("migas.add_project(None, None)", {}, id="None"),
    pytest.param("migas.add_project('noslash', '1')", {}, id="no slash"),
    pytest.param("migas.add_project(object(), b'1', status=7, foo={})", {}, id="odd types"),
    pytest.param("migas.add_project('a/b', '1')", {"MIGAS_TIMEOUT": "abc"}, id="timeout"),
    pytest.param(
        "import logging; migas.add_project('a/b', '1')", {"MIGAS_TIMEOUT": "abc"}, id="with logging"
    ),
    pytest.param("migas.add_project('a/b', '1')", {"MIGAS_TIMEOUT": "-1"}, id="negative timeout"),
    pytest.param("migas.add_project('a/b', '1')", {"MIGAS_TIMEOUT": "0"}, id="no timeout"),
    pytest.param("migas.add_project('a/b', '1')", {"MIGAS_EXIT_TIMEOUT": "x"}, id="exit timeout"),
    pytest.param("migas.add_project('a/b', '1')", {"MIGAS_EXIT_TIMEOUT": "0"}, id="no exit time"),
    pytest.param("migas.add_project('a/b', '1')", {"MIGAS_LOG_LEVEL": "nonsense"}, id="level"),
    pytest.param(
        "migas.setup(user_id='x', session_id='y'); migas.add_project('a/b', '1')",
        {},
        id="setup",
    ),
    pytest.param(
        "migas.setup(filename='/nowhere/x', save_config=True); migas.add_project('a/b', '')",
        {},
        id="file",
    ),
]


@pytest.mark.parametrize(("code", "environ"), NONSENSE)
def test_nonsense_neither_raises_nor_speaks_and_the_breadcrumb_waits(
    host: Host, spool: Callable[..., Spool], code: str, environ: dict[str, str]
) -> None:
    """A host is not punished for what it, or its user, got wrong (pain 25)."""
    ended = host.run(f"import migas; {code}", environ)
    assert ended.calmly, ended
    [entry] = spool(NOWHERE).list_pending()
    decode(entry.read())


@pytest.mark.parametrize(
    ("code", "environ"),
    [
        pytest.param("pass", {"MIGAS_ENDPOINT": "no url"}, id="environment"),
        pytest.param("migas.setup(endpoint='x y')", {}, id="setup"),
    ],
)
def test_an_endpoint_that_is_none_switches_telemetry_off(
    host: Host, spool: Callable[..., Spool], code: str, environ: dict[str, str]
) -> None:
    """Who meant a server of their own tells nobody else, and the host does not notice."""
    # If a breadcrumb were for the default server after all, no network lets it out.
    blocked = {"HTTPS_PROXY": "http://127.0.0.1:9", **SLOW}
    ended = host.run(f"import migas; {code}; {LINE}", {**environ, **blocked})
    assert ended.calmly, ended
    assert not [*spool(NOWHERE).list_pending(), *spool(DEFAULT_ENDPOINT).list_pending()]


@pytest.mark.parametrize(
    ("level", "speaks"), [("debug", True), ("DEBUG", True), ("10", True), ("error", False)]
)
def test_the_log_level_may_be_written_in_any_way(host: Host, level: str, speaks: bool) -> None:
    """A user who asks for the agent's own log gets it on stderr (found in the reference client)."""
    ended = host.run(
        "import migas; migas.add_project('a/b', '1', foo=1)", {"MIGAS_LOG_LEVEL": level, **SLOW}
    )
    assert ended.status == 0
    assert ("a/b: foo left out: unknown field" in ended.err) is speaks, ended


HOMES = {
    "is not there": "import os; os.rmdir(os.environ['HOME'])",
    "is a file": "import os; os.rmdir(os.environ['HOME']); open(os.environ['HOME'], 'w').close()",
    "takes no byte": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX homes")
@pytest.mark.parametrize("ruin", HOMES.values(), ids=HOMES)
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_without_a_usable_home_the_agent_goes_on_in_memory(
    host: Host, home: Path, server: Server, ruin: str, online: bool
) -> None:
    """A home that cannot be written is no reason to speak, or to make one (pains 19, 20)."""
    if not online:
        server.stop()
    code = f"{ruin}\nimport migas; migas.add_project('owner/repo', '1')\n"
    environ = {"XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "", "PYTHONDONTWRITEBYTECODE": "1"}
    ended = host.run(code, {**environ, **SLOW}, measured=False)
    assert ended.calmly, ended
    assert len(server.crumbs) == online
    assert not home.is_dir() or not any(path.is_file() for path in home.rglob("*"))


MOUNTS = {
    "read-only": "mount --bind {home} {home} && mount -o remount,ro,bind {home}",
    "full": "mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs {home}",
}


@pytest.mark.parametrize("mount", MOUNTS.values(), ids=MOUNTS)
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_a_home_that_is_full_or_read_only_is_no_reason_to_speak(
    home: Path, server: Server, mount: str, online: bool
) -> None:
    """What cannot be kept is sent, if it can be (pain 19)."""
    unshare = shutil.which("unshare")
    command = [unshare or "", "-m", "sh", "-c", mount.format(home=home) + ' && exec "$0" "$@"']
    if (
        not unshare
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount")
    if not online:
        server.stop()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(
        [*command, sys.executable, "-c", LINE],
        env={**environ, **SLOW},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(server.crumbs) == online
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("hook", ["before", "after"])
def test_a_breadcrumb_of_the_hosts_own_exit_hook_is_kept(
    host: Host, spool: Callable[..., Spool], hook: str
) -> None:
    """Where no thread starts any more the caller's own writes to the disk (pains 9, 10)."""
    note = "atexit.register(lambda: migas.add_project('owner/repo', '1'))"
    imported = "import migas"
    lines = [note, imported] if hook == "before" else [imported, note]
    ended = host.run("import atexit\n" + "\n".join(lines))
    assert ended.calmly, ended
    assert len(spool().list_pending()) == 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_carries_its_own_and_not_its_parents(host: Host, server: Server) -> None:
    """What the parent queued stays the parent's; the child begins anew (pains 12, 13)."""
    code = """
import os, sys, migas
migas.add_project('owner/parent', '1')
child = os.fork()
if not child:
    assert migas.add_project('owner/child', '1').result(30)['success']
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
"""
    ended = host.run(code, {"PYTHONWARNINGS": "ignore::DeprecationWarning", **SLOW})
    assert ended.calmly, ended
    assert sorted(str(crumb["project"]) for crumb in server.crumbs) == [
        "owner/child",
        "owner/parent",
    ]


@pytest.mark.parametrize(("module", "kept"), [("platformdirs", 0), ("requests", 1)])
def test_a_broken_installation_is_told_to_whoever_asks_and_to_nobody_else(
    host: Host, tmp_path: Path, spool: Callable[..., Spool], module: str, kept: int
) -> None:
    """What can be kept is kept, and what cannot be sent costs nothing."""
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text("raise ImportError('a broken installation')")
    for ask in ("", "; print(r.result(30)['message'], migas.flush())"):
        code = f"import logging, migas; r = migas.add_project('owner/repo', '1'){ask}"
        ended = host.run(code)
        assert ended.calmly, ended
        assert bool(ask) == (f"a broken installation {2 * kept}\n" in ended.out), ended
    assert spool().count() == 2 * kept


def test_a_host_that_lives_inside_an_import_loses_nothing(
    host: Host, tmp_path: Path, server: Server
) -> None:
    """A program that is run by being imported is served at its exit."""
    (tmp_path / "program.py").write_text(LINE + "import time; time.sleep(0.3)\n")
    ended = host.run("import logging, program", SLOW)
    assert ended.calmly, ended
    assert len(server.crumbs) == 1


def test_a_host_inside_an_import_gets_what_it_waits_for(
    host: Host, tmp_path: Path, server: Server
) -> None:
    """Whoever waits loads the transport on its own thread."""
    program = (
        "import migas\nprint(migas.add_project('a/b', '1').result(30)['success'], migas.flush(30))"
    )
    (tmp_path / "program.py").write_text(program)
    ended = host.run("import program")
    assert (ended.out, ended.calmly) == ("True 0\n", True), ended
    assert len(server.crumbs) == 1


def test_the_exit_is_quick_where_nothing_is_in_flight(host: Host, server: Server) -> None:
    """A process that only imports migas makes no request and waits for nothing."""
    server.inject(Fault.hang())
    assert host.run("import migas", {"MIGAS_EXIT_TIMEOUT": "3600"}).calmly
    assert server.requests == 0


@pytest.mark.slow
def test_threads_that_call_at_once_are_all_heard(host: Host, server: Server) -> None:
    """No breadcrumb is lost between threads, and none is sent twice."""
    code = """
import threading, migas
def call(number):
    for step in range(5):
        migas.add_project('owner/repo', f'{number}.{step}')
threads = [threading.Thread(target=call, args=(n,)) for n in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
assert migas.flush(60) == 0
"""
    ended = host.run(code)
    assert ended.calmly, ended
    versions = [crumb["version"] for crumb in server.crumbs]
    assert len(versions) == len(set(versions)) == 100


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_ctrl_c_ends_a_host_as_it_always_did(
    host: Host, server: Server, spool: Callable[..., Spool]
) -> None:
    """The agent installs no signal handler: the status is that of a host without it."""
    server.inject(Fault.hang())
    statuses = []
    for line in ("", LINE):
        # What is still to be imported when it comes would make CPython forget the Ctrl-C.
        imports = "import migas._delivery.sender, migas._delivery.writer, time"
        code = f"{imports}\n{line}print('ready', flush=True)\n{LASTS}"
        process = host.start(code, measured=False)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while line and not spool().list_pending():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        statuses.append(process.wait(PATIENCE))
    assert statuses[0] == statuses[1]
