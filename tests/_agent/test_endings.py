"""How a program ended is reported, however it was started and whatever ran it: never wrongly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipapp
import zipfile
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas._disk.spool import Spool

#: Before Python 3.12 nobody sees an exit that was not through `sys.exit`, looked up after `track`.
NOTICED = sys.version_info >= (3, 12)

#: Everything stays on disk, so that nothing is sent and nothing waited for.
OFFLINE = {"MIGAS_TIMEOUT": "0"}

COMPLETED, NOTHING = ("C", None, None), None


def failed(text: str, kind: str = "SystemExit") -> tuple[str, str, str]:
    return ("F", kind, text)


#: What a program does after it has called `track`, and the final status that is right.
ENDS: dict[str, tuple[str, tuple[str | None, ...] | None]] = {
    "its end": ("pass", COMPLETED),
    "a status that it returns": ("return 3", failed("exit status 3")),
    "one of several": ("return 3 if sys.argv else 0", failed("exit status 3")),
    "one that is computed": ("return int('0')", COMPLETED),
    "a text that it returns": ("return 'no luck'", failed("no luck")),
    "sys.exit": ("sys.exit(3)", failed("exit status 3")),
    "sys.exit with a text": ("sys.exit('no luck')", failed("no luck")),
    "sys.exit, looked up before": ("leave(3)", failed("exit status 3")),
    "a SystemExit": ("raise SystemExit(3)", failed("exit status 3")),
    "a SystemExit of nothing": ("raise SystemExit", COMPLETED),
    "an exit that is caught": ("try: sys.exit(3)\n    except SystemExit: pass", COMPLETED),
    "an exit for another": (
        "try: sys.exit(3)\n    except SystemExit: raise SystemExit(4)",
        failed("exit status 4"),
    ),
    "an exit after another": (
        "try: sys.exit(3)\n    finally: sys.exit(4)",
        failed("exit status 4"),
    ),
    "an error": ("raise ValueError('too small')", failed("too small", "ValueError")),
    "an error that is caught": (
        "try: raise ValueError\n    except ValueError: pass",
        COMPLETED,
    ),
    "an interruption": ("raise KeyboardInterrupt", ("S", None, None)),
    "an argument that is wrong": (
        "import argparse; argparse.ArgumentParser().error('no')",
        failed("exit status 2"),
    ),
    "an error of a second thread": (
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        COMPLETED,
    ),
    "an exit of a second thread": (
        "t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()",
        COMPLETED,
    ),
    "os._exit": ("os._exit(3)", NOTHING),
}

PROGRAM = """
import os, sys, threading
from sys import exit as leave
import migas
def main():
    migas.track('owner/repo', '1')
    {end}
"""

MAIN = PROGRAM + "if __name__ == '__main__': sys.exit(main())\n"


def start_script(host: Path, end: str) -> list[str]:
    (host / "main.py").write_text(MAIN.format(end=end))
    return ["main.py"]


def start_code(_host: Path, end: str) -> list[str]:
    return ["-c", MAIN.format(end=end)]


def start_module(host: Path, end: str) -> list[str]:
    start_package(host, end)
    (host / "package" / "__main__.py").write_text("import sys, package; sys.exit(package.main())\n")
    return ["-m", "package"]


def start_package(host: Path, end: str) -> None:
    (host / "package").mkdir()
    (host / "package" / "__init__.py").write_text(PROGRAM.format(end=end))


def start_archive(host: Path, end: str) -> list[str]:
    start_module(host, end)
    (host / "package" / "__main__.py").rename(host / "package" / "run.py")
    (host / "archive").mkdir()
    (host / "package").rename(host / "archive" / "package")
    zipapp.create_archive(host / "archive", host / "main.pyz", main="package.run:sys.exit")
    (host / "archive" / "__main__.py").write_text("import sys, package\nsys.exit(package.main())\n")
    zipapp.create_archive(host / "archive", host / "main.pyz")
    return ["main.pyz"]


def start_below(*runner: str) -> Callable[[Path, str], list[str]]:
    def start(host: Path, end: str) -> list[str]:
        return [*runner, *start_script(host, end)]

    return start


def start_in(runner: str) -> Callable[[Path, str], list[str]]:
    def start(host: Path, end: str) -> list[str]:
        start_script(host, end)
        (host / "runner.py").write_text(runner)
        return ["runner.py"]

    return start


#: A host that runs the program as the main module, and goes on whatever became of it.
RUN_PATH = """
import runpy
try: runpy.run_path('main.py', run_name='__main__')
except BaseException: pass
"""

RUN_MODULE = """
import runpy, sys
sys.path.insert(0, '')
try: runpy.run_module('main', run_name='__main__', alter_sys=True)
except BaseException: pass
"""

STARTS: dict[str, Callable[[Path, str], list[str]]] = {
    "a script": start_script,
    "python -c": start_code,
    "python -m": start_module,
    "a zip archive": start_archive,
    "python -i": start_below("-i"),
    "coverage": start_below("-m", "coverage", "run", "--data-file=data"),
    "pdb": start_below("-m", "pdb", "-c", "continue"),
    "cProfile": start_below("-m", "cProfile", "-o", "profile"),
    "runpy.run_path": start_in(RUN_PATH),
    "runpy.run_module": start_in(RUN_MODULE),
}


@pytest.fixture
def read_final(spool: Callable[..., Spool]) -> Callable[[], tuple[str | None, ...] | None]:
    """Return what reads the one final status of the test's programs; None if there is none."""

    def read() -> tuple[str | None, ...] | None:
        crumbs = [json.loads(entry.read()) for entry in spool().list_pending()]
        finals = [
            (crumb["status"], crumb["error_type"], crumb["error_desc"])
            for crumb in crumbs
            if crumb["status"] != "R"
        ]
        assert len(finals) <= 1, finals
        return finals[0] if finals else None

    return read


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("start", STARTS)
def test_the_end_of_a_program_is_reported_as_what_it_is(
    host: Host, tmp_path: Path, read_final: Callable[[], object], start: str, end: str
) -> None:
    """Whatever a runner, a profiler or a debugger makes of it; or it is not reported (pain 33)."""
    if start == "coverage":
        need("coverage")
    code, right = ENDS[end]
    arguments = STARTS[start](tmp_path, code)
    environ = {**OFFLINE, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    host.run("", environ, measured=False, arguments=arguments)
    known = [right]
    if not NOTICED:
        known.append(NOTHING)
        if (start, end) == ("coverage", "an error"):  # which it turns into an exit of its own
            known.append(failed("exit status 1"))
    assert read_final() in known


CLICK = """
import click, migas
@click.command()
@click.option('--number', type=int)
@click.pass_context
def main(ctx, number):
    migas.track('owner/repo', '1')
    {end}
@click.group()
def group(): migas.track('owner/repo', '1')
group.add_command(main)
{call}
"""
DECORATED = """
import click, migas
@click.command()
@migas.track('owner/repo', '1')
def main():
    ctx = click.get_current_context()
    {end}
{call}
"""
BLOCK = """
import click, migas
@click.command()
@click.pass_context
def main(ctx):
    with migas.track('owner/repo', '1'):
        {end}
{call}
"""
TYPER = """
import migas, typer
app = typer.Typer(pretty_exceptions_enable=False)
@app.command()
def main(number: int = 0):
    migas.track('owner/repo', '1')
    {end}
{call}
"""
#: Command lines: the program, what it does, how it is called, and the final status that is right.
CLIS = {
    "click, its end": (CLICK, "pass", "main()", COMPLETED),
    "click, exit": (CLICK, "ctx.exit(3)", "main()", failed("exit status 3")),
    "click, return": (CLICK, "return 3", "import sys; sys.exit(main())", COMPLETED),
    "click, an error that it shows": (
        CLICK,
        "raise click.ClickException('no luck')",
        "main()",
        failed("exit status 1"),
    ),
    "click, an interruption": (CLICK, "raise KeyboardInterrupt", "main()", ("S", None, None)),
    "click, a wrong option": (CLICK, "pass", "group(['main', '--x'])", failed("exit status 2")),
    "click, not standalone": (
        CLICK,
        "ctx.exit(3)",
        "raise SystemExit(main(standalone_mode=False))",
        failed("exit status 3"),
    ),
    "click, in a test": (
        CLICK,
        "ctx.exit(3)",
        "from click.testing import CliRunner; CliRunner().invoke(main)",
        COMPLETED,
    ),
    "click, decorated": (DECORATED, "ctx.exit(3)", "main()", failed("exit status 3")),
    "click, decorated, no failure": (DECORATED, "ctx.exit(0)", "main()", COMPLETED),
    "click, in a block": (BLOCK, "ctx.exit()", "main()", COMPLETED),
    "click, in a block, interrupted": (BLOCK, "ctx.exit(130)", "main()", ("S", None, None)),
    "typer, its end": (TYPER, "pass", "app()", COMPLETED),
    "typer, exit": (TYPER, "raise typer.Exit(3)", "app()", failed("exit status 3")),
    "typer, an error": (
        TYPER,
        "raise ValueError('no luck')",
        "app()",
        failed("no luck", "ValueError"),
    ),
    "typer, an abort": (TYPER, "raise typer.Abort", "app()", failed("exit status 1")),
}


@pytest.mark.parametrize("name", CLIS)
def test_the_end_of_a_command_line_is_reported_as_what_it_is(
    host: Host, read_final: Callable[[], object], name: str
) -> None:
    """Click and typer turn nearly every end into an exit of their own."""
    need(name.partition(",")[0])
    text, end, call, right = CLIS[name]
    host.run(text.format(end=end, call=call), OFFLINE, measured=False)
    known: list[object] = [right]
    if "interruption" in name:  # since 8.4 click's exit does not show what it is for
        known.append(failed("exit status 1"))
    if "not stand" in name and not NOTICED:
        known.append(NOTHING)
    assert read_final() in known


@pytest.fixture
def console_script(tmp_path: Path) -> Callable[[str], str]:
    """Return what installs a program by pip, and returns the path of its console script."""
    need("pip")

    def install(end: str) -> str:
        wheel, info = tmp_path / "program-1-py3-none-any.whl", "program-1.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("program.py", PROGRAM.format(end=end))
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: program\nVersion: 1")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
            archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntool = program:main")
            archive.writestr(f"{info}/RECORD", "")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"),
                *("--disable-pip-version-check", "--target", str(tmp_path / "site"), str(wheel)),
            ],
            check=True,
            timeout=PATIENCE,
        )
        return str(tmp_path / "site" / "bin" / "tool")

    return install


@pytest.mark.slow
@pytest.mark.parametrize("end", ["its end", "a status that it returns"])
def test_a_console_script_has_a_final_status(
    host: Host,
    tmp_path: Path,
    read_final: Callable[[], object],
    console_script: Callable[[str], str],
    end: str,
) -> None:
    """What pip writes is `sys.exit(main())`, which looks `sys.exit` up before `track` is called."""
    code, right = ENDS[end]
    environ = {**OFFLINE, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *sys.path])}
    host.run("", environ, measured=False, arguments=[console_script(code)])
    assert read_final() == right


#: Suites whose own code tracks: what pytest ends with is what they end with.
SUITE = """
import migas
{module}
def test_something():
    {test}
    assert {well}
"""
TRACK = "migas.track('owner/repo', '1')"


@pytest.mark.slow
@pytest.mark.parametrize("well", [True, False])
@pytest.mark.parametrize("how", ["-m pytest, module", "-m pytest, test", "pytest.main, test"])
def test_a_suite_that_tracks_ends_as_pytest_does(
    host: Host, tmp_path: Path, read_final: Callable[[], object], how: str, well: bool
) -> None:
    """An error of a test, which pytest keeps in `sys`, has not ended the program."""
    runner, place = how.split(", ")
    places = {"module": "pass", "test": "pass", place: TRACK}
    (tmp_path / "test_it.py").write_text(SUITE.format(well=well, **places))
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    options = ["-q", "-p", "no:cacheprovider", "test_it.py"]
    start = runner.split() if runner == "-m pytest" else ["-c", code]
    # No plugin: ours would opt the suite out, and the others take most of a second to load.
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **OFFLINE}
    environ = {**alone, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = host.run("", environ, measured=False, arguments=[*start, *options])
    assert ended.status == (not well), ended
    right = COMPLETED if well else failed("exit status 1")
    assert read_final() in [right, *([] if NOTICED else [NOTHING])]


#: Programs in which `track` is called elsewhere than below the main module's frame.
ELSEWHERE = {
    "in exec": 'exec(\'import migas; migas.track("owner/repo", "1")\', {{}})\n{end}',
    "in exec, in its own name": 'exec(\'import migas; migas.track("owner/repo", "1")\')\n{end}',
    "in a script that is run": (
        "import runpy, sys\ntry: runpy.run_path('other.py')\nexcept SystemExit: pass\n{end}"
    ),
    "on another thread": (
        "import sys, threading, migas\n"
        "t = threading.Thread(target=migas.track, args=('owner/repo', '1')); t.start(); t.join()\n"
        "{end}"
    ),
    "in a greenlet": (
        "import gevent, sys, migas\ngevent.spawn(migas.track, 'owner/repo', '1').join()\n{end}"
    ),
    "while the interpreter starts": "import sys\n{end}",
}


@pytest.mark.parametrize("end", ["pass", "import sys; sys.exit(3)", "raise ValueError('small')"])
@pytest.mark.parametrize("place", ELSEWHERE)
def test_the_end_counts_of_the_program_and_not_of_what_it_runs(
    host: Host, tmp_path: Path, read_final: Callable[[], object], place: str, end: str
) -> None:
    """Code whose own frame has long returned, or that has a stack of its own, is a part of it."""
    if "greenlet" in place:
        need("gevent")
    track = "import migas; migas.track('owner/repo', '1')"
    (tmp_path / "other.py").write_text(f"{track}; raise SystemExit(4)")
    environ = {**OFFLINE, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if "starts" in place:
        (tmp_path / "early").mkdir()
        (tmp_path / "early" / "sitecustomize.py").write_text(track)
        environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "early"), environ["PYTHONPATH"]])
    (tmp_path / "main.py").write_text(ELSEWHERE[place].format(end=end))
    host.run("", environ, measured=False, arguments=["main.py"])
    rights = {"pass": COMPLETED, "raise ValueError('small')": failed("small", "ValueError")}
    right = rights.get(end, failed("exit status 3"))
    # Of a stack that is not the main module's, nobody can tell that the main module returned.
    is_apart = place in ("in a greenlet", "while the interpreter starts")
    # gevent 26.9 on Python 3.15 has no event of an exception that leaves the main module.
    is_new = place == "in a greenlet" and sys.version_info >= (3, 15)
    may_be_unknown = is_apart and (end == "pass" or not NOTICED or is_new)
    assert read_final() in [right, *([NOTHING] if may_be_unknown else [])]


@pytest.mark.parametrize(
    ("lines", "right"),
    [
        pytest.param("1 / 0\n", COMPLETED, id="an error and its end"),
        pytest.param("1 / 0\nexit(3)\n", failed("exit status 3"), id="an exit"),
    ],
)
def test_the_lines_of_a_prompt_end_nothing_but_by_an_exit(
    host: Host, read_final: Callable[[], object], lines: str, right: object
) -> None:
    """Each line is a stack of its own, and what is wrong in one ends no program."""
    process = host.start(
        "",
        OFFLINE,
        measured=False,
        stdin=subprocess.PIPE,
        arguments=["-i", "-c", "import migas; migas.track('owner/repo', '1')"],
    )
    process.communicate(lines, timeout=PATIENCE)
    assert read_final() in [right, *([] if NOTICED else [NOTHING])]


def test_what_stands_in_for_sys_exit_can_be_sent_to_another_process(host: Host) -> None:
    """As by `Process(target=sys.exit)`: it is pickled by its name, and copied as a function is."""
    code = """
import copy, pickle, sys, migas
name = sys.exit.__name__
migas.track('owner/repo', '1')
assert pickle.loads(pickle.dumps(sys.exit)) is copy.deepcopy(sys.exit) is sys.exit
assert (sys.exit.__name__, sys.exit.__module__) == (name, 'sys')
"""
    assert host.run(code, OFFLINE).calmly


@pytest.mark.parametrize("order", ["a.stop(), b.stop()", "b.stop(), a.stop()"])
def test_runs_that_end_in_any_order_leave_sys_exit_as_it_was(host: Host, order: str) -> None:
    """What one run has put in its place calls what was there before that run."""
    code = f"""
import sys, migas
before = sys.exit
a, b = migas.track('owner/a', '1'), migas.track('owner/b', '1')
{order}
assert sys.exit is before
"""
    assert host.run(code, OFFLINE).calmly


only_noticed = pytest.mark.skipif(not NOTICED, reason="needs sys.monitoring")


@only_noticed
def test_nothing_is_replaced_where_the_interpreter_tells(host: Host) -> None:
    """One tool serves all runs, and the last one gives its id back."""
    code = """
import sys, migas
before, tools = sys.exit, lambda: [sys.monitoring.get_tool(number) for number in range(6)]
found = tools()
runs = [migas.track(f'owner/{name}', '1') for name in 'abc']
assert sys.exit is before
assert tools() == [*found[:4], 'migas', *found[5:]]
for run in runs: run.stop()
assert tools() == found
"""
    assert host.run(code, OFFLINE).calmly


@only_noticed
@pytest.mark.parametrize("taken", [(4,), (3, 4)], ids=["one id", "both ids"])
def test_other_tools_keep_their_ids(
    host: Host, read_final: Callable[[], object], taken: tuple[int, ...]
) -> None:
    """Without an id of our own `sys.exit` is replaced, as it is before Python 3.12."""
    code = f"""
import sys, migas
for number in {taken}: sys.monitoring.use_tool_id(number, 'theirs')
before = sys.exit
migas.track('owner/repo', '1')
assert (sys.exit is before) is (len({taken}) == 1)
assert all(sys.monitoring.get_tool(number) == 'theirs' for number in {taken})
sys.exit(3)
"""
    host.run(code, OFFLINE, measured=False)
    assert read_final() == failed("exit status 3")


@only_noticed
def test_coverage_by_the_same_means_goes_on(
    host: Host, tmp_path: Path, read_final: Callable[[], object]
) -> None:
    """Two tools of `sys.monitoring` see the same program, and each what it would see alone."""
    need("coverage")
    arguments = STARTS["coverage"](tmp_path, "raise SystemExit(3)")
    path = os.pathsep.join(filter(None, sys.path))
    environ = {**OFFLINE, "PYTHONPATH": path, "COVERAGE_CORE": "sysmon"}
    host.run("", environ, measured=False, arguments=arguments)
    assert read_final() == failed("exit status 3")
    code = """
import coverage, os
data = coverage.CoverageData('data'); data.read()
print(len(data.lines(os.path.abspath('main.py'))))
"""
    # All but the empty first line.
    assert host.run(code, measured=False).out == f"{MAIN.count(chr(10)) - 1}\n"


def test_an_exception_is_not_kept_alive(host: Host) -> None:
    """What a failed program held is released when it would be without us."""
    script = """
import migas
migas.track('owner/repo', '1', error_handlers={ValueError: lambda *passed: {'status': 'F'}})
def main(held): raise ValueError
main(make())
"""
    code = f"""
import runpy, weakref
class Held: pass
def make():
    global held
    one = Held(); held = weakref.ref(one); return one
open('script.py', 'w').write({script!r})
try: runpy.run_path('script.py', dict(make=make), run_name='__main__')
except ValueError: pass
assert held() is None
"""
    assert host.run(code, OFFLINE).calmly


def test_each_run_of_a_program_has_its_final_status(
    host: Host, spool: Callable[..., Spool]
) -> None:
    """Two packages track the same program, and both learn how it has exited."""
    code = "import sys, migas\nfor name in 'ab': migas.track(f'owner/{name}', '1')\nsys.exit(3)"
    host.run(code, OFFLINE, measured=False)
    crumbs = [json.loads(entry.read()) for entry in spool().list_pending()]
    finals = {each["project"]: each["error_desc"] for each in crumbs if each["status"] == "F"}
    assert finals == {"owner/a": "exit status 3", "owner/b": "exit status 3"}
