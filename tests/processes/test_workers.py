"""Workers and children of any kind: one run of one user, in which a use is told once."""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest
from support import FORKS, need, versions

from migas._agent.reported import MAX_USES, TOLD, Reported, make_use_key
from migas._runtime import identifier
from migas._runtime.native import make_rlock
from migas._runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas.testing import Server

METHODS = ["fork", "spawn", "forkserver"] if hasattr(os, "fork") else ["spawn"]

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"

#: A package with the one line. Its parent and every worker that starts anew import it.
PACKAGE = """
import logging
import migas
migas.add_project('owner/repo', '1')

def nest(depth):
    if depth:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
            pool.submit(nest, depth - 1).result()
    migas.add_project('owner/repo', f'{10 + depth}')

def work(number):
    migas.add_project('owner/repo', f'{number}')
    return number
"""

HEAD = """
import multiprocessing, os, sys, time
import concurrent.futures
import migas
if __name__ in ('__main__', '__mp_main__'):
    import package
"""

KINDS = {
    "Process": """
    context = multiprocessing.get_context('{method}')
    workers = [context.Process(target=package.work, args=(n,)) for n in (2, 3)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert [worker.exitcode for worker in workers] == [0, 0]
    """,
    "Pool": """
    with multiprocessing.get_context('{method}').Pool(2) as pool:
        assert pool.map(package.work, (2, 3)) == [2, 3]
        pool.close()
        pool.join()
    """,
    "ProcessPoolExecutor": """
    context = multiprocessing.get_context('{method}')
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(package.work, (2, 3))) == [2, 3]
    """,
}


@pytest.fixture
def program(tmp_path: Path, host: Host) -> Callable[..., object]:
    """Run a program that has the package, as a file: what starts anew imports it."""
    (tmp_path / "package.py").write_text(PACKAGE)

    def run(code: str, environ: dict[str, str] | None = None) -> None:
        main = "\nif __name__ == '__main__':\n" + textwrap.indent(textwrap.dedent(code), "    ")
        (tmp_path / "program.py").write_text(HEAD + main)
        start = f"import os; os.execv({sys.executable!r}, [{sys.executable!r}, 'program.py'])"
        ended = host.run(start, {**FORKS, **(environ or {})}, measured=False)
        assert ended.calmly, ended

    return run


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_workers_tell_what_they_add_and_not_what_their_parent_has_told(
    program: Callable[..., None],
    server: Server,
    deliver: Callable[[], None],
    kind: str,
    method: str,
) -> None:
    """Though they import the package anew, and though some skip every exit hook (pain 11)."""
    program(kind.format(method=method))
    deliver()
    assert versions(server) == ["1", "2", "3"]
    [session] = {crumb["session_id"] for crumb in server.crumbs}
    assert session is not None


@pytest.mark.slow
def test_the_workers_of_joblib(
    program: Callable[..., None], server: Server, deliver: Callable[[], None]
) -> None:
    """loky starts interpreters of its own."""
    need("joblib")
    program("""
    import joblib
    jobs = [joblib.delayed(package.work)(n) for n in (2, 3)]
    assert joblib.Parallel(2)(jobs) == [2, 3]
    from joblib.externals.loky import get_reusable_executor
    get_reusable_executor().shutdown(wait=True)
    """)
    deliver()
    assert versions(server) == ["1", "2", "3"]
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 1


@pytest.mark.slow
def test_the_workers_of_dask(
    program: Callable[..., None], server: Server, deliver: Callable[[], None], tmp_path: Path
) -> None:
    """A local cluster's nannies start them."""
    need("distributed")
    program(
        """
    import distributed, logging
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host='127.0.0.1'
    )
    with cluster, distributed.Client(cluster) as client:
        assert client.gather(client.map(package.work, [2, 3])) == [2, 3]
    """,
        {"DASK_TEMPORARY_DIRECTORY": str(tmp_path / "dask"), "DASK_LOGGING__DISTRIBUTED": "error"},
    )
    deliver()
    assert versions(server) == ["1", "2", "3"]
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 1


@pytest.mark.slow
def test_a_worker_that_ends_at_once_loses_nothing(
    program: Callable[..., None], server: Server, deliver: Callable[[], None]
) -> None:
    """Forked workers skip atexit, or forget its hooks: ours sees to their end all the same."""
    program("""
    for method in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(method)
        for number in range(5):
            version = 10 * multiprocessing.get_all_start_methods().index(method) + number + 2
            worker = context.Process(target=package.work, args=(version,))
            worker.start()
            worker.join()
            assert worker.exitcode == 0
    """)
    deliver()
    expected = [10 * method + number + 2 for method in range(len(METHODS)) for number in range(5)]
    assert versions(server) == sorted(map(str, [1, *expected]))


@pytest.mark.slow
def test_workers_of_workers_know_what_all_their_parents_have_told(
    program: Callable[..., None], server: Server, deliver: Callable[[], None]
) -> None:
    """However deep."""
    program("package.nest(2)")
    deliver()
    assert versions(server) == ["1", "10", "11", "12"]


CHILDREN = {
    "subprocess": "import subprocess; subprocess.run(command, check=True)",
    "a shell": "import os, shlex; assert not os.system(shlex.join(command))",
    "exec": "import os; os.execv(sys.executable, command)",
    "spawn": "import os; assert not os.spawnv(os.P_WAIT, sys.executable, command)",
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
@pytest.mark.parametrize("start", CHILDREN.values(), ids=CHILDREN)
@pytest.mark.parametrize("said", ["setup()", "the environment", "nothing"])
def test_any_child_inherits_server_user_and_run_and_tells_its_own_use(
    host: Host, server: Server, start: str, said: str
) -> None:
    """By the environment, whatever starts it. A program of its own is a use of its own."""
    child = "import logging, migas; migas.add_project('owner/repo', '1').result(40)"
    given = f"endpoint={server.endpoint!r}, user_id={UUID!r}, session_id={UUID!r}"
    environ = dict(FORKS)
    line = "migas.add_project('owner/repo', '1').result(40)\n"
    if said == "setup()":
        line = f"migas.setup({given})\n" + line
        environ["MIGAS_ENDPOINT"] = "http://127.0.0.1:9"
    if said == "the environment":
        environ.update(MIGAS_USER_ID=UUID, MIGAS_SESSION_ID=UUID.upper())
    head = f"import logging, migas, sys\ncommand = [sys.executable, '-c', {child!r}]\n"
    ended = host.run(head + line + start, environ)
    assert ended.calmly, ended
    parents, childs = server.crumbs
    assert parents["session_id"] == childs["session_id"] != None  # noqa: E711
    assert parents["user_id"] == childs["user_id"]
    assert (parents["session_id"] == UUID) is (said != "nothing")
    assert (parents["user_id"] == UUID) is (said != "nothing")


@pytest.mark.slow
def test_a_workers_own_step_is_told(host: Host, server: Server) -> None:
    """It says other words than its parent, of the same version and with the same status."""
    package = """
import migas
migas.add_project('owner/repo', '1')
def work(number): migas.add_breadcrumb('owner/repo', '1', status_desc=f'step {number}')
"""
    main = """
import logging, multiprocessing
if __name__ == '__main__':
    import package
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        pool.map(package.work, [1, 2]); pool.close(); pool.join()
"""
    ended = host.run_program({"main.py": main, "package.py": package}, FORKS)
    assert ended.calmly, ended
    told = sorted(str(crumb["status_desc"]) for crumb in server.crumbs)
    assert told == ["None", "step 1", "step 2"]


@pytest.mark.slow
def test_two_programs_are_two_runs(host: Host, server: Server) -> None:
    """What one has drawn at random is kept nowhere."""
    code = "import logging, migas; migas.add_project('owner/repo', '1').result(40)"
    for _ in range(2):
        assert host.run(code, FORKS).calmly
    first, second = server.crumbs
    assert first["session_id"] != second["session_id"]


def test_opted_out_nothing_is_handed_down(host: Host) -> None:
    """No identifier, in the environment either."""
    code = (
        "import os, migas; before = dict(os.environ)\n"
        "migas.add_project('owner/repo', '1'); migas.flush()\n"
        "assert dict(os.environ) == before"
    )
    assert host.run(code, {"MIGAS_OPTOUT": "1"}).calmly


@pytest.mark.slow
def test_nothing_is_left_in_the_temporary_directory(
    program: Callable[..., None], tmp_path: Path
) -> None:
    """The earlier client left a file there for each process."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    program(KINDS["Pool"].format(method="spawn"), {"TMPDIR": str(directory)})
    assert list(directory.iterdir()) == []
    assert tempfile.gettempdir() != str(directory)


def test_what_is_handed_down_is_what_the_child_would_not_know() -> None:
    """Nothing else is touched, and nothing is set twice."""
    environ: dict[str, str] = {}
    settings = Settings(session_id=UUID)
    settings.hand_down(environ)
    assert environ == {"MIGAS_SESSION_ID": UUID}
    settings = Settings(endpoint="http://a/graphql", user_id=UUID, session_id=UUID)
    settings.hand_down(environ)
    child = Settings.from_env(environ)
    assert (child.endpoint, child.user_id, child.session_id) == ("http://a/graphql", UUID, UUID)
    Settings(session_id=UUID).hand_down(environ)
    assert Settings.from_env(environ).endpoint == Settings().endpoint


def test_what_has_been_told_is_bounded_and_fit_for_an_environment() -> None:
    """Whatever a host calls itself, and however much it tells."""
    environ: dict[str, str] = {}
    uses = Reported(environ, make_rlock())
    for number in range(200):
        assert uses.may_report(make_use_key("o/\0;\n\udcff" * 50, str(number), None))
        assert uses.may_report(make_use_key("owner/repo", str(number), "C"))
    assert len(environ[TOLD]) < 10_000
    assert environ[TOLD].isprintable()
    assert environ[TOLD].isascii()
    told = environ[TOLD].split(";")
    assert len(told) == MAX_USES
    assert told[1:] == [f"owner/repo {number} C" for number in range(MAX_USES - 1)]


@pytest.mark.parametrize("use", [(None, "1", None), ("a/b", 1, None), (object(), b"", 7)])
def test_what_is_no_text_is_never_taken_for_told(use: tuple[object, object, object]) -> None:
    """Nor is a caller's object asked for its text on the caller's thread."""
    environ: dict[str, str] = {}
    assert Reported(environ, make_rlock()).may_report(make_use_key(*use))
    assert environ == {}


def test_identifiers_are_random_uuids_that_the_standard_library_reads() -> None:
    """Version 4, RFC 9562's variant, canonical."""
    import uuid

    made = {identifier.make_id() for _ in range(1000)}
    assert len(made) == 1000
    for text in made:
        value = uuid.UUID(text)
        assert (value.version, value.variant, str(value)) == (4, uuid.RFC_4122, text)
        for form in (value.hex, value.urn, f"{{{value}}}", f" {text.upper()}\n"):
            assert identifier.parse_id(form) == text
    assert identifier.derive_id(b"x" * 32) == identifier.derive_id(b"x" * 32)


@pytest.mark.parametrize(
    "text", ["", "abc", "g" * 32, "1" * 31, "_" * 32, "\uff11" * 32, "0x" + "1" * 30]
)
def test_what_is_no_identifier_is_refused(text: str) -> None:
    """Not taken for one by chance."""
    with pytest.raises(ValueError, match="no UUID"):
        identifier.parse_id(text)


class Interrupted(dict[str, str]):
    """An environment in which something else happens between a reading and the writing after it."""

    act: Callable[[], object] | None = None

    def __setitem__(self, name: str, value: str) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()
        super().__setitem__(name, value)


@pytest.mark.parametrize("who", ["a signal handler", "another thread"])
def test_of_two_that_report_at_once_none_undoes_what_the_other_has_added(who: str) -> None:
    """The variable is read, changed and written, and a signal handler waits for no lock."""
    threads: list[threading.Thread] = []

    def interrupt() -> None:
        if who == "a signal handler":
            uses.may_report("second")
            return
        thread = threading.Thread(target=uses.may_report, args=["second"])
        thread.start()
        thread.join(0.1)  # it waits for the lock
        threads.append(thread)

    environ = Interrupted()
    uses = Reported(environ, make_rlock())
    environ.act = interrupt
    uses.may_report("first")
    for thread in threads:
        thread.join()
    assert sorted(environ[TOLD].split(";")) == ["first", "second"]
