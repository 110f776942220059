"""A run reports a start event, and one final status that is right."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import BRIEFLY_IDLE, FORKS, SLOW, await_condition, need

import migas
from migas._agent.endings import SignalWatcher
from migas._agent.process import Process
from migas._agent.run import Plan
from migas._agent.track import Track

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from support import Host

    from migas._disk.spool import Spool
    from migas.testing import Server

posix = pytest.mark.skipif(os.name != "posix", reason="no such signals")

HEAD = """
import _thread, logging, os, signal, sys, threading, time
import migas
def interrupt(number=signal.SIGINT):
    # Before it is too late: CPython forgets a Ctrl-C for some imports.
    import migas._delivery.writer
    os.kill(os.getpid(), number)
    time.sleep(30)
"""
#: The three ways to track a run. Each reports the same.
FORMS = {
    "call": "{head}\ndef main():\n    migas.track('owner/repo', '1')\n{body}\nmain()\n{tail}",
    "block": "{head}\ndef main():\n  with migas.track('owner/repo', '1'):\n{body}\nmain()\n{tail}",
    "decorator": "{head}\n@migas.track('owner/repo', '1')\ndef main():\n{body}\nmain()\n{tail}",
}

COMPLETED, FAILED, SUSPENDED = "Completed after 0:00:", "Failed after 0:00:", "Suspended by "


def run_form(host: Host, form: str, body: str, tail: str = "") -> tuple[int, str]:
    """Run ``body`` in a tracked program, and return its status and what it wrote on stderr."""
    indented = "\n".join(f"    {line}" for line in body.splitlines() or ["pass"])
    ended = host.run(FORMS[form].format(head=HEAD, body=indented, tail=tail), FORKS)
    return ended.status, ended.err


def read_reports(server: Server) -> list[tuple[str, ...]]:
    """Return the stored breadcrumbs, start events first: status, description, and error if any."""
    reports = [
        (
            str(crumb["status"]),
            re.sub(r"\d\d$", "", str(crumb["status_desc"] or "")),
            *(str(crumb[name]) for name in ("error_type", "error_desc") if crumb[name]),
        )
        for crumb in server.crumbs
    ]
    return sorted(reports, key=lambda report: report[0] != "R")


#: What a program does last, its exit status, and the final status that is right.
ENDS = [
    pytest.param(("", 0, ("C", COMPLETED)), id="its end"),
    pytest.param(("sys.exit(0)", 0, ("C", COMPLETED)), id="exit 0"),
    pytest.param(("sys.exit()", 0, ("C", COMPLETED)), id="exit None"),
    pytest.param(("sys.exit(False)", 0, ("C", COMPLETED)), id="exit False"),
    pytest.param(("sys.exit(3)", 3, ("F", FAILED, "SystemExit", "exit status 3")), id="exit 3"),
    pytest.param(
        ("sys.exit('no /data/x here')", 1, ("F", FAILED, "SystemExit", "no <path> here")),
        id="exit with a text",
    ),
    pytest.param(("sys.exit(143)", 143, ("S", SUSPENDED + "SIGTERM after 0:00:")), id="exit 143"),
    pytest.param(
        (
            "open('/data/jane/x')",
            1,
            ("F", FAILED, "FileNotFoundError", "[Errno 2] No such file or directory: '<path>'"),
        ),
        id="an exception",
    ),
    pytest.param(("raise ValueError", 1, ("F", FAILED, "ValueError")), id="one without a text"),
    pytest.param(
        (
            "try: 1 / 0\nexcept OverflowError: pass",
            1,
            ("F", FAILED, "ZeroDivisionError", "division by zero"),
        ),
        id="one that nobody handles",
    ),
    pytest.param(("try: 1 / 0\nexcept Exception: pass", 0, ("C", COMPLETED)), id="a handled one"),
    pytest.param(
        ("try: sys.exit(3)\nexcept SystemExit: pass", 0, ("C", COMPLETED)), id="a caught exit"
    ),
    pytest.param(
        ("try: sys.exit(3)\nfinally: sys.exit(0)", 0, ("C", COMPLETED)), id="another exit"
    ),
    pytest.param(
        ("try: interrupt()\nexcept KeyboardInterrupt: pass", 0, ("C", COMPLETED)),
        id="a caught Ctrl-C",
    ),
    pytest.param(
        (
            "try: interrupt()\nexcept KeyboardInterrupt: sys.exit(1)",
            1,
            ("S", SUSPENDED + "SIGINT after 0:00:"),
        ),
        id="an exit for a Ctrl-C",
    ),
]


@pytest.mark.slow
@posix
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ENDS)
def test_a_run_has_a_start_event_and_the_right_final_status(
    host: Host, server: Server, form: str, end: tuple[str, int, tuple[str, ...]]
) -> None:
    """Each way to end is reported as what it is, and leaves the exit status alone."""
    body, status, report = end
    assert run_form(host, form, body)[0] == status
    assert read_reports(server) == [("R", ""), report]


@posix
@pytest.mark.parametrize("form", FORMS)
def test_a_ctrl_c_suspends(
    host: Host, server: Server, deliver: Callable[[], None], form: str
) -> None:
    """A Ctrl-C is written and not sent, and the process ends by that signal, as without us."""
    status, err = run_form(host, form, "interrupt()")
    assert (status, err.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")
    deliver()
    assert read_reports(server) == [("R", ""), ("S", SUSPENDED + "SIGINT after 0:00:")]


@posix
@pytest.mark.parametrize("form", FORMS)
def test_a_termination_suspends(
    host: Host,
    server: Server,
    spool: Callable[..., Spool],
    deliver: Callable[[], None],
    form: str,
) -> None:
    """A SIGTERM is written and not sent, and the process ends by that signal at once."""
    server.stop()
    status, err = run_form(host, form, "interrupt(signal.SIGTERM)")
    assert (status, err) == (-signal.SIGTERM, "")
    assert spool().count() == 2
    server.start()
    deliver()
    assert read_reports(server) == [("R", ""), ("S", SUSPENDED + "SIGTERM after 0:00:")]


@posix
@pytest.mark.parametrize(
    ("handler", "status"),
    [
        pytest.param("lambda *a: sys.exit(7)", 7, id="it exits"),
        pytest.param("lambda *a: (print('saved'), os._exit(8))", 8, id="it ends at once"),
        pytest.param("lambda *a: stopped.set()", 0, id="it sets a flag"),
    ],
)
def test_a_hosts_own_handler_has_its_way(
    host: Host,
    server: Server,
    deliver: Callable[[], None],
    handler: str,
    status: int,
) -> None:
    """The run is reported as suspended, and the host ends as it does without us."""
    code = f"""
stopped = threading.Event()
signal.signal(signal.SIGTERM, {handler})
migas.track('owner/repo', '1')
os.kill(os.getpid(), signal.SIGTERM)
stopped.wait(30)
"""
    ended = host.run(HEAD + code, SLOW)
    assert (ended.status, ended.err) == (status, "")
    deliver()
    assert read_reports(server) == [("R", ""), ("S", SUSPENDED + "SIGTERM after 0:00:")]


@posix
@pytest.mark.parametrize("order", ["abc", "cba", "bac", "acb"])
def test_runs_that_have_ended_leave_no_handler(host: Host, order: str) -> None:
    """In whatever order they end, the host's own handler is called and no other."""
    code = f"""
before = lambda *a: print('heard', flush=True)
signal.signal(signal.SIGTERM, before)
runs = {{name: migas.track('owner/' + name, '1') for name in 'abc'}}
for name in {order!r}:
    runs[name].stop()
assert signal.getsignal(signal.SIGTERM) is before
os.kill(os.getpid(), signal.SIGTERM)
"""
    ended = host.run(HEAD + code, SLOW)
    assert (ended.status, ended.out, ended.err) == (0, "heard\n", "")


@posix
def test_a_suspension_is_sent_by_the_exit_that_follows(host: Host, server: Server) -> None:
    """The host's own handler lets the program come to its end, and the exit delivers."""
    code = """
signal.signal(signal.SIGTERM, lambda *a: None)
migas.track('owner/repo', '1')
assert migas.flush(60) == 0
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert host.run(HEAD + code, SLOW).calmly
    assert read_reports(server) == [("R", ""), ("S", SUSPENDED + "SIGTERM after 0:00:")]


@posix
def test_a_suspension_is_on_disk_even_if_the_signal_comes_at_once(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """Nothing of ours is loaded yet, and the host's thread writes both breadcrumbs by itself."""
    ended = host.run("import migas, os; migas.track('o/r', '1'); os.kill(os.getpid(), 15)", SLOW)
    assert (ended.status, ended.err) == (-15, "")
    deliver()
    assert read_reports(server) == [("R", ""), ("S", SUSPENDED + "SIGTERM after 0:00:")]


#: Before Python 3.12 nobody sees an exit that is not through `sys.exit`.
UNSEEN = [
    "raise SystemExit(0)",
    "raise SystemExit(3)",
    """thread = threading.Thread(target=lambda: sys.exit(3))
thread.start(); thread.join(); raise SystemExit(0)""",
    "from _sitebuiltins import Quitter; Quitter('exit', '')(4)",
]


@posix
@pytest.mark.parametrize(
    "body",
    [
        "migas.flush(60); os._exit(0)",
        "migas.flush(60); os.kill(os.getpid(), signal.SIGKILL)",
        *([] if sys.version_info >= (3, 12) else UNSEEN),
    ],
)
def test_no_final_status_is_invented(
    host: Host, server: Server, deliver: Callable[[], None], body: str
) -> None:
    """If nobody can know how the program ended, only its start event is reported."""
    run_form(host, "call", body)
    deliver()
    assert read_reports(server) == [("R", "")]


@pytest.mark.parametrize("form", ["block", "decorator"])
def test_a_block_knows_any_exit(host: Host, server: Server, form: str) -> None:
    """A block reports the status of an exit, however it was raised."""
    assert run_form(host, form, "raise SystemExit(3)")[0] == 3
    assert read_reports(server) == [("R", ""), ("F", FAILED, "SystemExit", "exit status 3")]


@pytest.mark.parametrize("form", FORMS)
def test_a_nested_run_is_the_same_run(host: Host, server: Server, form: str) -> None:
    """A run inside a run of the same project is not reported; one of another project is."""
    body = """
migas.track('owner/repo', '1')
with migas.track('owner/repo', '2'):
    @migas.track('owner/repo', '1')
    def inner(): migas.track_exit('owner/repo', '1')
    inner()
with migas.track('owner/other', '1'): pass
"""
    assert run_form(host, form, body) == (0, "")
    assert [crumb["status"] for crumb in server.crumbs if crumb["project"] == "owner/repo"] == [
        "R",
        "C",
    ]
    assert len(server.crumbs) == 4


def test_runs_that_follow_one_another_are_reported_one_by_one(host: Host, server: Server) -> None:
    """A loop over subjects, and a tracker that is used again, report each run."""
    body = """
tracker = migas.track('owner/repo', '1')
with tracker: pass
with tracker: pass
@tracker
def work(): return 7
assert [work(), work()] == [7, 7]
"""
    assert host.run(HEAD + body, SLOW).calmly
    assert sorted(report[0] for report in read_reports(server)) == ["C"] * 4 + ["R"] * 4


def test_a_run_may_be_stopped_by_hand(host: Host, server: Server) -> None:
    """Once: what is open is ended, and the program's end adds nothing. A start is a new run."""
    body = """
run = migas.track('owner/repo', '1')
assert (run.project, run.version) == ('owner/repo', '1')
run.start()
run.stop(ValueError('too small')); run.stop()
run.start(); run.stop()
with migas.track('owner/repo', '1') as run:
    run.start()
    run.stop(KeyboardInterrupt())
"""
    assert host.run(HEAD + body, SLOW).calmly
    assert sorted(report[:1] + report[2:] for report in read_reports(server)) == [
        ("C",),
        ("F", "ValueError", "too small"),
        *[("R",)] * 3,
        ("S",),
    ]


def test_handlers_may_be_a_list_and_have_two_names(host: Host, server: Server) -> None:
    """`track` takes several, and `track_exit` takes them by its earlier name and by that of now."""
    body = """
def explain(word): return {'ValueError': lambda *passed: {'status': 'F', 'error_desc': word}}
try:
    with migas.track('owner/a', '1', error_handlers=['nipype', explain('early'), explain('late')]):
        raise ValueError
except ValueError: pass
migas.track_exit('owner/b', '1', error_funcs=explain('old'))
migas.track_exit('owner/c', '1', error_handlers=explain('new'))
raise ValueError
"""
    assert host.run(HEAD + body, SLOW).status == 1
    said = {(crumb["project"], crumb["error_desc"]) for crumb in server.crumbs}
    assert said - {("owner/a", None)} == {
        ("owner/a", "late"),
        ("owner/b", "old"),
        ("owner/c", "new"),
    }


def test_a_function_that_is_never_called_is_no_run(host: Host, server: Server) -> None:
    """To import a module with a decorated `main` reports nothing and leaves nothing installed."""
    code = """
before = (sys.exit, signal.getsignal(signal.SIGTERM))
@migas.track('owner/repo', '1')
def main(): pass
assert (sys.exit, signal.getsignal(signal.SIGTERM)) == before
"""
    assert host.run(HEAD + code, SLOW).calmly
    assert server.crumbs == []


def test_a_decorator_is_faster_than_the_thread_that_writes(host: Host, server: Server) -> None:
    """Even if that has nothing to load any more, and the interpreter switches at each step."""
    code = """
import migas._agent.track
migas._agent.track.HOLD = 60  # however busy this machine is
migas.add_breadcrumb('owner/repo', '0').result(60)
sys.setswitchinterval(1e-6)
for _ in range(100):
    @migas.track('owner/repo', '1')
    def main(): pass
"""
    assert host.run(HEAD + code, SLOW).calmly
    assert len(server.crumbs) == 1


@pytest.mark.slow
@posix
@pytest.mark.parametrize("end", ["sys.exit(4)", "os._exit(4)", "1 / 0", "os.kill(os.getpid(), 15)"])
@pytest.mark.parametrize("form", FORMS)
def test_a_forked_child_reports_nothing_about_its_parents_run(
    host: Host, server: Server, form: str, end: str
) -> None:
    """However the child ends; and how it ends is not changed by us."""
    body = f"""
child = os.fork()
if child == 0:
    sys.stderr = open(os.devnull, 'w')
    {end}
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert status == {{'1 / 0': 1, 'os.kill(os.getpid(), 15)': -15}}.get({end!r}, 4), status
"""
    assert run_form(host, form, body) == (0, "")
    assert read_reports(server) == [("R", ""), ("C", COMPLETED)]


#: A program whose worker processes import its module again.
POOL = """
import logging, multiprocessing
if __name__ == '__main__':
    import tracked
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        assert pool.map(tracked.work, [1, 2]) == [2, 3]
        pool.close(); pool.join()
"""
WORK = "@migas.track('owner/repo', '1')\ndef work(number): return number + 1\n"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"] if hasattr(os, "fork") else ["spawn"])
def test_a_worker_is_a_part_of_its_parents_run(host: Host, server: Server, method: str) -> None:
    """A worker process that imports the parent's program again and tracks reports nothing."""
    tracked = f"import migas\nmigas.track('owner/repo', '1')\n{WORK}"
    ended = host.run_program({"main.py": POOL.format(method=method), "tracked.py": tracked}, FORKS)
    assert ended.calmly, ended
    assert read_reports(server) == [("R", ""), ("C", COMPLETED)]


@pytest.mark.slow
def test_a_worker_may_have_a_run_of_its_own(host: Host, server: Server) -> None:
    """A function that is decorated in the parent and called in a worker process is a run there."""
    tracked = f"import migas\n{WORK}"
    ended = host.run_program({"main.py": POOL.format(method="spawn"), "tracked.py": tracked}, FORKS)
    assert ended.calmly, ended
    assert sorted(report[0] for report in read_reports(server)) == ["C", "C", "R", "R"]


@pytest.mark.parametrize("variable", ["MIGAS_OPTOUT", "DO_NOT_TRACK"])
def test_opted_out_nothing_is_installed(host: Host, server: Server, variable: str) -> None:
    """No handler, no other `sys.exit` and no report, on the exit path too."""
    code = """
signal.signal(signal.SIGTERM, lambda *a: None)
before = (sys.exit, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
migas.track('owner/repo', '1'); migas.track_exit('owner/repo', '1')
with migas.track('owner/repo', '1'):
    assert before == (sys.exit, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    assert _thread._count() == 0
"""
    assert host.run(HEAD + code, {variable: "1"}).calmly
    assert server.requests == 0


def test_an_opt_out_during_a_run_counts(host: Host, server: Server) -> None:
    """The final status is not reported then."""
    code = """
migas.track('owner/repo', '1')
assert migas.flush(60) == 0
os.environ['MIGAS_OPTOUT'] = '1'
"""
    assert host.run(HEAD + code).calmly
    assert read_reports(server) == [("R", "")]


def test_what_the_host_has_installed_is_put_back(host: Host, server: Server) -> None:
    """After a block everything is as it was; what the host changes meanwhile is left alone."""
    code = """
mine, other = (lambda *a: None), (lambda *a: None)
signal.signal(signal.SIGTERM, mine)
before = sys.exit
with migas.track('owner/repo', '1'):
    assert signal.getsignal(signal.SIGTERM) is not mine
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert (sys.exit, signal.getsignal(signal.SIGTERM)) == (before, mine)
with migas.track('owner/repo', '1'):
    signal.signal(signal.SIGTERM, other)
assert signal.getsignal(signal.SIGTERM) is other
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with migas.track('owner/repo', '1'):
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
signal.signal(signal.SIGTERM, mine)
with migas.track('owner/repo', '1', signals=()):
    pass
with migas.track('owner/repo', '1'):
    signal.raise_signal(signal.SIGTERM)
assert (sys.exit, signal.getsignal(signal.SIGTERM)) == (before, mine)
with migas.track('owner/repo', '1', signals=[signal.SIGTERM, 9, 0, 4711]):
    pass
"""
    assert host.run(HEAD + code, SLOW).calmly
    assert len(server.crumbs) == 12


def test_a_run_that_is_over_leaves_no_thread(host: Host, server: Server) -> None:
    """A block needs none until the exit, and the host's threads are counted as before."""
    code = """
with migas.track('owner/repo', '1'): pass
@migas.track('owner/repo', '1')
def main(): pass
assert migas.flush(60) == 0
deadline = time.monotonic() + 60
while _thread._count() > 0:
    assert time.monotonic() < deadline
    time.sleep(0.01)
"""
    assert host.run(HEAD + BRIEFLY_IDLE + code, SLOW).calmly
    assert len(server.crumbs) == 2


@posix
def test_a_signal_passes_through_nested_runs(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """Each project's run is reported as suspended, once."""
    code = """
migas.track('owner/repo', '1')
with migas.track('owner/other', '1'):
    interrupt(signal.SIGTERM)
"""
    assert host.run(HEAD + code, SLOW).status == -15
    deliver()
    assert sorted(report[0] for report in read_reports(server)) == ["R", "R", "S", "S"]


@posix
def test_a_signal_that_ends_nothing_lets_the_host_go_on(host: Host, server: Server) -> None:
    """Its default action is to do nothing, and the program goes on."""
    code = """
with migas.track('owner/repo', '1', signals=[signal.SIGCHLD]):
    os.kill(os.getpid(), signal.SIGCHLD)
    print('goes on')
"""
    ended = host.run(HEAD + code, SLOW)
    assert (ended.out, ended.calmly) == ("goes on\n", True)
    assert read_reports(server) == [("R", ""), ("S", SUSPENDED + "SIGCHLD after 0:00:")]


@pytest.mark.slow
@posix
def test_a_handler_that_adds_is_no_trouble(
    host: Host, server: Server, deliver: Callable[[], None]
) -> None:
    """A signal may interrupt the main thread anywhere in our code; no report is lost for that."""
    code = """
import itertools
numbers = itertools.count()
signal.signal(signal.SIGUSR1, lambda *a: migas.add_breadcrumb('owner/repo', f'{next(numbers)}'))
signal.setitimer(signal.ITIMER_REAL, 0)
pid = os.getpid()
def shoot():
    for _ in range(200):
        os.kill(pid, signal.SIGUSR1); time.sleep(0.001)
thread = threading.Thread(target=shoot); thread.start()
while thread.is_alive():
    with migas.track('owner/other', '1'): time.sleep(0.001)
while next(numbers) < 1: pass
"""
    assert host.run(HEAD + code, {**SLOW, "MIGAS_TIMEOUT": "0"}).calmly
    deliver()
    others = [crumb["status"] for crumb in server.crumbs if crumb["project"] == "owner/other"]
    assert others.count("R") == others.count("C") > 0


@pytest.mark.slow
def test_the_final_status_of_a_long_run_is_sent_by_its_own_exit(host: Host, server: Server) -> None:
    """From Python 3.12 on an exit starts no thread, so our idle one stays for it."""
    code = """
import migas._runtime.threads
migas._runtime.threads.IDLE = 0.01
migas.track_exit('owner/repo', '1')
migas.setup(session_id='3f0c6e2a-5d39-4f0e-9a37-0f6b3c5d7e11')
migas.add_breadcrumb('owner/repo', '1').result(60)
time.sleep(0.5)
"""
    assert host.run(HEAD + code, SLOW).calmly
    assert read_reports(server) == [("R", ""), ("C", COMPLETED)]


def test_a_block_that_is_still_open_at_the_exit_has_no_final_status(
    host: Host, server: Server
) -> None:
    """The exit stops a daemon thread, and nobody knows how its block would have ended."""
    code = """
inside = threading.Event()
def work():
    with migas.track('owner/repo', '1'):
        inside.set(); time.sleep(60)
threading.Thread(target=work, daemon=True).start()
inside.wait()
"""
    assert host.run(HEAD + code, SLOW).calmly
    assert read_reports(server) == [("R", "")]


def test_a_run_in_a_thread_is_reported(host: Host, server: Server) -> None:
    """A thread catches no signal, and a plain call in it reports the program's end, not its own."""
    code = """
def work():
    with migas.track('owner/repo', '1'): sys.exit(3)
for target in work, lambda: migas.track('owner/other', '1'):
    thread = threading.Thread(target=target); thread.start(); thread.join()
"""
    assert host.run(HEAD + code, SLOW).calmly
    found = {crumb["project"]: crumb["status"] for crumb in server.crumbs}
    assert found == {"owner/repo": "F", "owner/other": "C"}
    assert len(server.crumbs) == 4


def test_an_interactive_programs_errors_did_not_end_it(host: Host, server: Server) -> None:
    """A shell and a test runner keep the last exception; it did not end the program."""
    code = """
def main():
    migas.track('owner/repo', '1')
    try: 1 / 0
    except ZeroDivisionError as error: sys.last_exc = sys.last_value = error
main()
"""
    assert host.run(HEAD + code, SLOW).calmly
    assert read_reports(server) == [("R", ""), ("C", COMPLETED)]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("migas.track('owner/repo', '1', [7], None); sys.last_value = sys.last_exc = 'text'", "C"),
        ("migas.track('owner/repo', '1', 7); raise KeyError(1)", "F"),
        (
            """class Odd(KeyError): args = property(lambda self: 1 / 0)
with migas.track('owner/repo', '1', {KeyError: None}): raise Odd""",
            "F",
        ),
    ],
)
def test_nonsense_costs_no_final_status(host: Host, server: Server, body: str, status: str) -> None:
    """Arguments and exceptions of no sense are reported, and no traceback of ours is printed."""
    ended = host.run(f"{HEAD}\n{body}", SLOW)
    assert f"{os.sep}migas{os.sep}" not in ended.err
    assert [report[0] for report in read_reports(server)] == ["R", status]


class OddError(SystemExit):
    """A host's own, at which nobody may look."""

    @property
    def code(self) -> None:  # type: ignore[override]
        raise KeyError


def test_an_exception_at_which_nobody_may_look_is_the_hosts(server: Server) -> None:
    """It passes through, and nothing is reported about it."""
    with pytest.raises(OddError), Track(plan(), at_once=False):
        raise OddError
    assert migas.flush(60) == 0
    assert server.requests == 0


class LimitError(TimeoutError):
    """A host's time limit."""


@pytest.mark.parametrize("place", ["SignalWatcher.start", "Process.enter"])
@pytest.mark.parametrize("error", [LimitError, KeyboardInterrupt, MemoryError])
def test_a_run_whose_start_is_interrupted_hides_no_later_one(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    error: type[BaseException],
) -> None:
    """What a notebook's user interrupts is tried again; an open run would have it for its part."""
    owner = {"SignalWatcher.start": SignalWatcher, "Process.enter": Process}[place]
    name = place.rpartition(".")[2]
    begin = getattr(owner, name)

    def fail(*arguments: Any, **options: Any) -> None:
        begin(*arguments, **options)
        raise error

    handlers = {fail.__code__} if issubclass(error, Exception) else set()
    monkeypatch.setattr("migas._runtime.signals._find_handlers", lambda: handlers)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises(error), Track(plan(), at_once=False):
            pass
    with Track(plan(), at_once=False):
        pass
    assert migas.flush(60) == 0
    assert [crumb["status"] for crumb in server.crumbs][-1] == "C"


def test_a_run_whose_end_is_interrupted_hides_no_later_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the host's time limit swallowed: it goes on."""

    def fail(*_arguments: object) -> None:
        raise LimitError

    monkeypatch.setattr("migas._runtime.signals._find_handlers", lambda: {fail.__code__})
    with monkeypatch.context() as patch:
        patch.setattr("migas.error.describe", fail)
        with pytest.raises(LimitError), Track(plan(), at_once=False):
            pass
    with Track(plan(), at_once=False):
        pass
    assert migas.flush(60) == 0
    assert [crumb["status"] for crumb in server.crumbs] == ["C"]


@pytest.mark.parametrize("holds", [True, False])
def test_a_run_that_nobody_can_end_hides_no_later_one(server: Server, *, holds: bool) -> None:
    """As where a Ctrl-C comes between two steps of a `with` statement; one that is open does."""
    begun = Track(plan(), at_once=False)
    begun.__enter__()
    if not holds:
        del begun
        gc.collect()
    with Track(plan(), at_once=False):
        pass
    assert migas.flush(60) == 0
    assert [crumb["status"] for crumb in server.crumbs] == ["C"] * (not holds)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def plan(handlers: object = None, **fields: object) -> Plan:
    return Plan("owner/repo", "1", handlers, (), fields, init_ping=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "duration"),
    [(0.9, "0:00:00"), (59.9, "0:00:59"), (3600, "1:00:00"), (360_061, "100:01:01")],
)
def test_the_final_status_says_how_long_it_took(
    server: Server, seconds: float, duration: str
) -> None:
    """In hours, minutes and seconds."""
    clock = Clock()
    with Track(plan(), at_once=False, clock=clock):
        clock.now += seconds
    await_condition(lambda: len(server.crumbs) == 1)
    assert server.crumbs[0]["status_desc"] == f"Completed after {duration}"


def fail(_etype: type, evalue: str, _etb: object) -> dict[str, object]:
    return {"status": "F", "error_type": "Mine", "error_desc": evalue}


def explain(_etype: type, _evalue: str, _etb: object) -> dict[str, object]:
    return {"status": "S", "status_desc": "out of memory"}


def break_down(_etype: type, _evalue: str, _etb: object) -> dict[str, object]:
    raise RuntimeError


@pytest.mark.parametrize(
    ("handlers", "fields", "reported"),
    [
        pytest.param({"KeyError": fail}, {}, ("F", "Failed after 0:00:00", "Mine", "k"), id="name"),
        pytest.param({KeyError: fail}, {}, ("F", "Failed after 0:00:00", "Mine", "k"), id="class"),
        pytest.param(
            {LookupError: fail}, {}, ("F", "Failed after 0:00:00", "Mine", "k"), id="base"
        ),
        pytest.param(
            {Exception: fail, "LookupError": explain}, {}, ("S", "out of memory"), id="the nearest"
        ),
        pytest.param(
            {KeyError: break_down},
            {},
            ("F", "Failed after 0:00:00", "KeyError", "k"),
            id="one that fails",
        ),
        pytest.param(
            {KeyError: lambda *_: None},
            {},
            ("F", "Failed after 0:00:00", "KeyError", "k"),
            id="one that returns None",
        ),
        pytest.param(
            {OSError: fail}, {}, ("F", "Failed after 0:00:00", "KeyError", "k"), id="none"
        ),
        pytest.param(
            "no such preset", {}, ("F", "Failed after 0:00:00", "KeyError", "k"), id="no preset"
        ),
        pytest.param(
            None,
            {"status_desc": "step 1", "status": "C"},
            ("F", "step 1", "KeyError", "k"),
            id="the host's own text",
        ),
    ],
)
def test_a_hosts_handler_says_what_an_exception_means(
    server: Server, handlers: object, fields: dict[str, object], reported: tuple[str, ...]
) -> None:
    """It is chosen as `except` does; without its fields the exception is described as it is."""
    with pytest.raises(KeyError), Track(plan(handlers, **fields), at_once=False):
        raise KeyError("k")
    await_condition(lambda: len(server.crumbs) == 1)
    [crumb] = server.crumbs
    found = [crumb[name] for name in ("status", "status_desc", "error_type", "error_desc")]
    assert tuple(value for value in found if value is not None) == reported


def test_a_coroutine_is_a_run_to_its_end(server: Server) -> None:
    """A coroutine's run ends with its body, and one that is cancelled is suspended."""
    begun = asyncio.Event()

    @migas.track("owner/repo", "1")
    async def work(number: int) -> int:
        begun.set()
        await asyncio.sleep(0 if number else 3600)
        return number

    async def main() -> int:
        result = await work(3)
        begun.clear()
        task = asyncio.create_task(work(0))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return result

    assert asyncio.run(main()) == 3
    await_condition(lambda: len(server.crumbs) == 4)
    found = sorted(str(crumb["status_desc"]) for crumb in server.crumbs)[:2]
    assert found == ["Completed after 0:00:00", "None"]
    assert sorted(str(crumb["status"]) for crumb in server.crumbs) == ["C", "R", "R", "S"]


def test_a_generator_is_a_run_to_its_end(server: Server) -> None:
    """A generator's run ends with its body, and what is sent and thrown reaches it."""

    @migas.track("owner/repo", "1")
    def count() -> Generator[int, int, str]:
        """Count."""
        received = yield 1
        yield received
        return "done"

    generator = count()
    assert [next(generator), generator.send(7)] == [1, 7]
    with pytest.raises(KeyError):
        generator.throw(KeyError())
    assert (count.__name__, count.__doc__) == ("count", "Count.")
    await_condition(lambda: len(server.crumbs) == 2)
    assert sorted(str(crumb["status"]) for crumb in server.crumbs) == ["F", "R"]


def test_the_hosts_variables_do_not_live_on(host: Host) -> None:
    """A run that lasts as long as the program keeps nothing of the caller's alive."""
    code = """
import gc, weakref
class Thing: pass
def main():
    thing = Thing()
    migas.track('owner/repo', '1')
    try: sys.exit(3)
    except SystemExit: pass
    return weakref.ref(thing)
gc.disable()
assert main()() is None
"""
    assert host.run(HEAD + code).calmly


def test_asyncio_still_turns_a_ctrl_c_into_a_cancellation(host: Host) -> None:
    """It does so where it finds Python's own handler in place."""
    code = """
import asyncio
async def main():
    try: os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(30)
    except asyncio.CancelledError: print('cancelled'); raise
migas.track('owner/repo', '1')
asyncio.run(main())
"""
    ended = host.run(HEAD + code)
    assert ended.err.splitlines()[-1] == "KeyboardInterrupt"
    assert ended.out == "cancelled\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody knows that it is the same")
@pytest.mark.parametrize("kind", ["program", "block"])
def test_a_program_that_executes_itself_anew_ends_the_run_that_it_began(
    host: Host, server: Server, kind: str
) -> None:
    """It has one start event and one final status. A block's run was another one's: it has none."""
    begin = {
        "program": "migas.track('owner/repo', '1')",
        "block": "with migas.track('owner/repo', '1'):",
    }
    code = f"""
import os, sys, migas
def go_on():
    if len(sys.argv) == 1:
        assert migas.flush(30) == 0
        os.execv(sys.executable, [sys.executable, *sys.argv, 'again'])
    raise ValueError('no luck')
{begin[kind]}
{"    " * (kind == "block")}go_on()
"""
    ended = host.run_program({"main.py": code}, measured=False)
    assert ended.status == 1, ended
    statuses = [crumb["status"] for crumb in server.crumbs]
    assert statuses == ["R", *["F"] * (kind == "program")]


#: Loops that turn a Ctrl-C into an exception by a handler of their own.
LOOPS = {"asyncio": "asyncio.run(first()); asyncio.run(second())", "trio": "trio.run(first)"}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_run_that_starts_in_a_loop_leaves_it_its_handler(host: Host, loop: str) -> None:
    """Else a later loop would find ours in place of Python's, and cancel nothing."""
    need(loop)
    code = f"""
import asyncio, {loop}
def show(): print(getattr(signal.getsignal(signal.SIGINT), '__module__', None))
async def first():
    show(); migas.track('owner/repo', '1'); show()
async def second():
    try: os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(30)
    except asyncio.CancelledError: print('cancelled')
{LOOPS[loop]}
"""
    ended = host.run(HEAD + code, measured=False)
    before, after, *rest = ended.out.splitlines()
    assert before == after
    assert rest == (["cancelled"] if loop == "asyncio" else []), ended


@pytest.mark.slow
def test_a_console_script_and_a_module_are_programs_as_well(host: Host, server: Server) -> None:
    """A program that `python -m` starts reports its end, whatever runs around it."""
    program = """
import logging, sys, migas
migas.track('owner/repo', '1')
if len(sys.argv) > 1: sys.exit(2)
"""
    for arguments, status in ((), 0), (("x",), 2):
        ended = host.run_program({"prog.py": program}, SLOW, ("-m", "prog", *arguments))
        assert ended.status == status
    assert sorted(report[0] for report in read_reports(server)) == ["C", "F", "R", "R"]
