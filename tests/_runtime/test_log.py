"""The agent's own log is silent until somebody listens, and never feeds itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

from migas._runtime import log
from migas._runtime.daemon import Thread
from migas._runtime.log import keep_ours_out

if TYPE_CHECKING:
    from support import Host

    from migas.testing import Server

SAY = "from migas._runtime import log; log.say(log.WARNING, '%s is ignored', 'x')\n"


@pytest.mark.parametrize(
    ("before", "loaded"), [("", False), ("import logging", True)], ids=["not loaded", "loaded"]
)
def test_a_warning_that_nobody_listens_to_is_not_printed(
    host: Host, before: str, loaded: bool
) -> None:
    """Nothing reaches stderr, and `logging` is not loaded for it."""
    ended = host.run(f"{before}\n{SAY}import sys; print('logging' in sys.modules)", measured=False)
    assert (ended.out, ended.calmly) == (f"{loaded}\n", True), ended


def test_the_hosts_handlers_hear_it(host: Host) -> None:
    """A handler of the host's gets our records as it gets any other logger's."""
    ended = host.run(f"import logging; logging.basicConfig(format='%(name)s %(message)s')\n{SAY}")
    assert (ended.status, ended.err) == (0, "migas x is ignored\n")


def test_a_user_who_asks_for_it_sees_it_on_stderr(host: Host) -> None:
    """Records from that level on are printed once, however often the log is configured."""
    code = f"""
from migas._runtime import log
log.configure(log.WARNING); log.configure(log.WARNING)
log.say(log.INFO, 'too low')
{SAY}"""
    ended = host.run(code)
    assert (ended.status, ended.err) == (0, "migas: WARNING: x is ignored\n")


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_a_level_for_all_loggers_is_not_meant_for_ours(host: Host, level: int) -> None:
    """Unset, ours is WARNING: no failure becomes a line of a host's output (pain 25)."""
    code = f"""
import logging; logging.basicConfig(level={level}, format='%(message)s')
from migas._runtime import log
log.say(log.INFO, 'too low')
logging.getLogger('migas').setLevel({level})
log.say({level}, 'asked for')"""
    ended = host.run(code)
    assert (ended.status, ended.err) == (0, "asked for\n")


def test_a_hosts_handler_that_raises_fails_nothing_of_ours(host: Host, server: Server) -> None:
    """The first report warns of a setting, and is sent nevertheless."""
    code = """
import logging
class Handler(logging.Handler):
    def emit(self, record): raise RuntimeError('on purpose')
logging.getLogger().addHandler(Handler())
import migas
migas.add_project('owner/repo', '1')"""
    ended = host.run(code, {"MIGAS_TIMEOUT": "nonsense"})
    assert (ended.status, len(server.crumbs)) == (0, 1), ended


def test_a_servers_words_are_one_line_that_no_terminal_obeys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A reason may hold an escape sequence, or a line that seems to be another record."""
    log.say(log.WARNING, "%s: %s", "owner/repo", "no\x1b[2J\r\nmigas: fine")
    assert caplog.messages == [r"owner/repo: no\x1b[2J\r\nmigas: fine"]


def test_a_closed_stream_is_no_trouble(host: Host) -> None:
    """A record for a stream that the host has closed is dropped, without a traceback."""
    code = f"""
import os, sys
from migas._runtime import log
real, sys.stderr = sys.stderr, open(os.devnull, 'w')
log.configure(log.WARNING)
sys.stderr.close(); sys.stderr = real
{SAY}"""
    ended = host.run(code)
    assert ended.calmly, ended


def test_what_a_library_logs_on_our_thread_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """A library's record is dropped on our thread, and kept on the host's."""
    library = logging.getLogger("a_library_of_ours")
    keep_ours_out(library.name)
    thread = Thread(lambda: library.warning("ours"), "test")
    thread.start()
    thread.await_end(PATIENCE)
    library.warning("the host's")
    assert caplog.messages == ["the host's"]
