"""Nothing that we import or call warns the host, and no filter of the host's stops a delivery."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trustme
from support import SLOW, versions

from migas.testing import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support import Host

#: Delivers once in its life, has the connection closed, and delivers once more at its exit.
HOST = """
import logging, time
import migas
migas.add_project('owner/repo', 'life').result(60)
deadline = time.monotonic() + 60
while migas._agent.process.current_process()._agent._exit.request is not None:
    assert time.monotonic() < deadline
    time.sleep(0.01)
migas.add_project('owner/repo', 'exit')
"""

OPTIONS = {
    "errors": ("-bb", "-W", "error", "-X", "warn_default_encoding"),
    "every warning": ("-W", "always"),
    "development mode": ("-X", "dev", "-X", "tracemalloc=1"),
}

#: Has the clock of a process say 2015, as far as the C library tells it.
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec = 1430000000 + now->tv_sec % 10000000;
    return status;
}
"""


@pytest.fixture
def warning_path(tmp_path: Path) -> str:
    """A directory with a chardet that requests warns of, as some releases do of the newest."""
    (tmp_path / "path" / "chardet").mkdir(parents=True)
    (tmp_path / "path" / "chardet" / "__init__.py").write_text("__version__ = '99.0.0'\n")
    return str(tmp_path / "path")


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_host_that_listens_to_all_warnings_hears_none(
    host: Host, server: Server, warning_path: str, options: tuple[str, ...]
) -> None:
    """Neither of chardet nor of a socket, in life and at the exit (pains 35 and 36)."""
    code = f"import sys; sys.path.insert(0, {warning_path!r})\n{HOST}"
    ended = host.run("", SLOW, arguments=[*options, "-c", code], measured=False)
    assert ended.calmly, ended
    assert versions(server) == ["exit", "life"]


def test_the_host_itself_would_be_warned(host: Host, warning_path: str) -> None:
    """The chardet of these tests is one that requests does warn of."""
    ended = host.run(f"import sys; sys.path.insert(0, {warning_path!r}); import requests")
    assert "RequestsDependencyWarning" in ended.err


def test_an_exit_that_loads_requests_itself_warns_nobody(
    host: Host, server: Server, warning_path: str
) -> None:
    """An exit hook imports on the host's own thread, where errors would end the delivery."""
    code = f"""
import sys, warnings; sys.path.insert(0, {warning_path!r})
warnings.simplefilter('error')
before = list(warnings.filters)
import atexit
atexit.register(lambda: print(warnings.filters == before))
import migas; migas.add_project('owner/repo', 'exit')
"""
    ended = host.run(code, SLOW, measured=False)
    assert ended.calmly, ended
    assert (ended.out, versions(server)) == ("True\n", ["exit"])


def test_a_command_warns_nobody(host: Host, server: Server, warning_path: str) -> None:
    """A person who types `migas status` cannot mend what requests warns of."""
    code = f"import sys; sys.path.insert(0, {warning_path!r}); from migas.cli import main; main()"
    ended = host.run("", arguments=["-W", "error", "-c", code, "status"], measured=False)
    assert ended.calmly, ended
    assert server.requests > 0


@pytest.fixture
def secure_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that speaks HTTPS, which hosts trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Server(tls=context) as server:
        monkeypatch.setenv("MIGAS_ENDPOINT", server.endpoint)
        yield server


@pytest.mark.slow
def test_a_clock_of_2015_is_nobodys_business(
    host: Host, secure_server: Server, tmp_path: Path
) -> None:
    """urllib3 warns of such a clock at each connection by HTTPS."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("there is no compiler")
    (tmp_path / "clock.c").write_text(CLOCK)
    library = tmp_path / "clock.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", library, tmp_path / "clock.c", "-ldl"], check=True
    )
    code = f"import datetime; print(datetime.date.today().year)\n{HOST}"
    environ = {**SLOW, "LD_PRELOAD": str(library)}
    ended = host.run("", environ, arguments=["-W", "error", "-c", code], measured=False)
    assert ended.calmly, ended
    assert (ended.out, versions(secure_server)) == ("2015\n", ["exit", "life"])


@pytest.mark.slow
def test_an_exit_that_cannot_send_all_leaves_no_connection_open(host: Host, server: Server) -> None:
    """The guard of each host looks for one, and with `-W error` the interpreter does (pain 36)."""
    code = """
import logging, time, migas
migas.add_project('owner/repo', 'first').result(60)
for number in range(100): migas.add_project('owner/repo', f'{number}'); time.sleep(0.002)
"""
    environ = {"MIGAS_EXIT_TIMEOUT": "0.02"}
    ended = host.run("", environ, arguments=["-W", "error", "-c", code], measured=False)
    assert ended.calmly, ended
    assert "first" in versions(server)
