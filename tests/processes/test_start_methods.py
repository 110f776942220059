"""Start methods of `multiprocessing`: a use is reported once, in one session, by each of them.

A fork server's children have the environment of the moment at which the server began.
"""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import pytest
from support import FORKS, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas.testing import Server

METHODS = multiprocessing.get_all_start_methods()

UUID = "3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11"

#: The host's package. Whoever imports it reports its use.
PACKAGE = """
import migas
migas.add_project('owner/repo', '1')

def work(version):
    migas.add_project('owner/repo', version)
"""

#: `nest` and what it runs in do not carry us; its child does.
PROGRAM = """
import concurrent.futures, logging, multiprocessing
{head}

def run(method, target, *arguments):
    process = multiprocessing.get_context(method).Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0

def work(version):
    import package
    package.work(version)

def nest(method, version):
    run(method, work, version)

if __name__ == '__main__':
    method = {method!r}
    context = multiprocessing.get_context(method)
    {first}
    import migas, package
    {then}
    run(method, package.work, 'Process')
    run(method, work, 'Process of main')
    run(method, nest, method, 'nested')
    with context.Pool(1) as pool:
        pool.map(work, ['Pool'])
        pool.close()
        pool.join()
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(work, 'ProcessPoolExecutor').result()
"""

VERSIONS = ["1", "Pool", "Process", "Process of main", "ProcessPoolExecutor", "nested"]


@pytest.mark.slow
@pytest.mark.parametrize("begins", ["before", "after"])
@pytest.mark.parametrize("method", METHODS)
def test_a_use_is_reported_once_and_in_one_session(
    host: Host, server: Server, deliver: Callable[[], None], method: str, begins: str
) -> None:
    """By workers of any pool, bare or nested, that begin before the host's report or after it."""
    first = "run(method, abs, -1)" if begins == "before" else "pass"
    main = PROGRAM.format(head="", method=method, first=first, then="pass")
    ended = host.run_program({"main.py": main, "package.py": PACKAGE}, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == VERSIONS
    [session] = {crumb["session_id"] for crumb in server.crumbs}
    assert session is not None


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_session_that_is_set_later_reaches_all_later_workers(
    host: Host, server: Server, deliver: Callable[[], None], method: str
) -> None:
    """Also those that import the host with the main module, before they know their own process."""
    then = f"migas.setup(session_id={UUID!r})"
    main = PROGRAM.format(
        head="import package", method=method, first="run(method, abs, -1)", then=then
    )
    ended = host.run_program({"main.py": main, "package.py": PACKAGE}, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == VERSIONS
    others = {crumb["session_id"] for crumb in server.crumbs if crumb["version"] != "1"}
    assert others == {UUID}


PRELOADED = """
import logging, multiprocessing
if __name__ == '__main__':
    import package
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['package'])
    process = context.Process(target=package.work, args=('2',))
    process.start()
    process.join()
    assert process.exitcode == 0
"""


@pytest.mark.skipif("forkserver" not in METHODS, reason="this system has no fork server")
def test_a_fork_server_that_imports_the_host_is_a_worker(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """What its parent has reported it does not report anew."""
    files = {"main.py": PRELOADED, "package.py": PACKAGE}
    ended = host.run_program(files, FORKS, measured=False)
    assert ended.calmly, ended
    deliver()
    assert versions(server) == ["1", "2"]
    assert len({crumb["session_id"] for crumb in server.crumbs}) == 1
