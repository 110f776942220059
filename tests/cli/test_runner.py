"""A command ends with a sentence and a status, whatever happens to it and to its output."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command import put, run
from support import PATIENCE

from migas.cli import main, runner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migas.testing import Server

needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs a shell and /dev/full")


def shell(text: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which `migas` is this interpreter's."""
    return subprocess.run(
        ["bash", "-c", f'migas() {{ "{sys.executable}" -m migas "$@"; }}; {text}'],
        env={**os.environ, **environ},
        capture_output=True,
        timeout=PATIENCE,
        text=True,
        check=False,
    )


@needs_posix
@pytest.mark.parametrize(
    "arguments", ["show", "show --json", "show --pending --json", "help flush", "notice --rst"]
)
def test_a_reader_that_goes_away_is_no_error(arguments: str) -> None:
    """As `head` does when it has enough."""
    put(3)
    done = shell(f"migas {arguments} | true; echo ${{PIPESTATUS[0]}}")
    # The first lines may be taken by the pipe before its reader is gone.
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


@needs_posix
def test_a_reader_that_takes_the_first_letter_gets_it() -> None:
    """And no traceback follows, as where `head -c 1` has enough."""
    put(40)
    done = shell("migas show --pending --json | head -c 1; migas notice | head -n 1")
    assert (done.stdout[:20], done.stderr) == ("[Usage statistics ar", "")


@needs_posix
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [("show", ""), ("show", "1"), ("show --pending --json", ""), ("--version", "")],
)
def test_a_pipe_that_nobody_reads_is_no_error(arguments: str, unbuffered: str) -> None:
    """Nor is one that was closed before the command began to write."""
    put(3)
    receiver, sender = os.pipe()
    os.close(receiver)
    with subprocess.Popen(
        [sys.executable, "-m", "migas", *arguments.split()],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=sender,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(sender)
        _, err = process.communicate(timeout=PATIENCE)
    assert err == ""
    assert process.returncode == 141


@needs_posix
@pytest.mark.parametrize(
    ("arguments", "unbuffered"), [("show", ""), ("show", "1"), ("--version", ""), ("flush", "")]
)
def test_an_output_that_cannot_be_written_is_explained(arguments: str, unbuffered: str) -> None:
    """A report that is lost is no success, however late that is found out."""
    done = shell(f"migas {arguments} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (
        1,
        "migas: No space left on device\n",
    )


@pytest.mark.slow
@needs_posix
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_does_its_work_though_streams_are_closed(server: Server, closed: str) -> None:
    """As some daemons start what they run."""
    put(2)
    done = shell(f"migas flush {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(server.crumbs) == 2
    assert shell(f"migas show --pending {closed}").returncode == 0
    assert shell(f"migas usage nonsense {closed}").returncode == 1


@needs_posix
def test_an_error_does_not_stand_in_the_output(server: Server) -> None:
    """Where stderr is closed Python would print it to stdout, in the midst of JSON."""
    server.stop()
    said = shell("migas usage owner/repo --by month --json 2>&-").stdout
    assert said.startswith("{\n")
    assert said.endswith("}\n")


@pytest.mark.slow
@needs_posix
def test_what_an_encoding_lacks_is_replaced(server: Server, tmp_path: Path) -> None:
    """A stream may be ASCII's, and a name no text at all."""
    with_bars = shell(
        "migas usage owner/repo --by month --plot -", PYTHONIOENCODING="ascii", LC_ALL="C"
    )
    assert (with_bars.returncode, with_bars.stderr) == (0, "")
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9")
    for each in name, f"{tmp_path}/é":
        done = shell("migas status", MIGAS_CACHE_DIR=each, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"in {tmp_path}/\\xe9" in done.stdout
    assert server.requests


@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "replace"])
def test_whatever_prints_an_accent_meets_no_error(
    monkeypatch: pytest.MonkeyPatch, errors: str
) -> None:
    """Its number is printed, also where the locale is C; a person's own choice is kept."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=errors)
    monkeypatch.setattr(sys, "stdout", stream)
    assert runner.run(lambda: stream.write("\u00e9")) == 1
    shown = b"?" if errors == "replace" else b"\\xe9"
    assert stream.buffer.getvalue() == shown


def test_a_stream_that_is_no_file_is_printed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no encoding and no descriptor, as in some notebooks, and may fail as a file does."""

    class Stream:
        def __init__(self) -> None:
            self.said = ""

        def write(self, text: str) -> None:
            self.said += text

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

        def isatty(self) -> bool:
            return False

        def fileno(self) -> int:
            raise io.UnsupportedOperation("fileno")

    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", error := io.StringIO())
    assert main(["notice"]) == 1
    assert stream.said.startswith("Usage statistics")
    assert error.getvalue() == "migas: No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="no such signals")
def test_a_command_may_be_stopped_while_it_starts(tmp_path: Path) -> None:
    """No traceback, wherever a Ctrl-C finds it."""
    (tmp_path / "platformdirs.py").write_text("raise KeyboardInterrupt")
    done = run("status", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (runner.WrongError("do this instead"), 2, "migas: do this instead\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "migas: x: Permission denied\n"),
        (ModuleNotFoundError(name="matplotlib.figure"), 2, "pip install 'migas[plot]'\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_end_has_its_status(
    fault: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And its sentence, on stderr."""

    def fail() -> int:
        raise fault

    assert runner.run(fail) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(said)


def test_a_mistake_of_ours_is_not_hidden() -> None:
    """It is ours to mend, and a traceback says where."""

    def fail() -> int:
        raise ModuleNotFoundError(name="migas.nonsense")

    with pytest.raises(ModuleNotFoundError):
        runner.run(fail)


def test_a_private_name_is_in_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A person is told what a value should have been."""
    wrong: dict[str, Callable[[str], bool]] = {
        "usage owner/repo --since yesterday": lambda said: "'yesterday' is no date as 2026" in said,
        "usage owner/repo --until 2026-02-30": lambda said: "'2026-02-30' is no date" in said,
        "usage owner/repo --since 20260131": lambda said: "'20260131' is no date" in said,
        "flush --timeout soon": lambda said: "'soon' is no number of seconds >= 0" in said,
        "flush --timeout nan": lambda said: "'nan' is no number of seconds" in said,
        "serve --port http": lambda said: "'http' is no port: 0 to 65535" in said,
        "serve --port 65536": lambda said: "'65536' is no port" in said,
        "clear everything": lambda said: "invalid choice: 'everything'" in said,
    }
    for line, explains in wrong.items():
        with pytest.raises(SystemExit) as ended:
            main(line.split())
        said = capsys.readouterr().err
        assert (ended.value.code, explains(said)) == (2, True), said
        assert not any(word.startswith("_") for word in said.split())
