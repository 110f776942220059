"""A person sees a table and a bar; a pipe and a log see plain lines."""

from __future__ import annotations

import doctest
import io
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE, need

from migas.cli import terminal
from migas.cli.terminal import Line, make_printable, print_error, print_line, print_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migas.testing import Server

#: Tells a terminal something other than a character.
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

WITHOUT_RICH = "import sys; sys.modules['rich'] = None\n"


@pytest.fixture
def see() -> Callable[..., str]:
    """Run code on a terminal, and return all that this was told."""
    pty = pytest.importorskip("pty")

    def run(code: str, *, columns: int = 100) -> str:
        main, other = pty.openpty()
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": f"{columns}"}
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=other, stdout=other, stderr=other, env=environ
        ) as process:
            os.close(other)
            said = b"".join(_read_all(main))
            assert process.wait(PATIENCE) == 0, said
        os.close(main)
        return said.decode()

    return run


def _read_all(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # as Linux tells that nobody writes any more
            return
        if not data:
            return
        yield data


def test_a_pipe_gets_plain_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """In columns, with no blank at a line's end."""
    print_rows([("a", "bc", ""), ("def", "g", "h [b]i[/b]")], ("1", "2", "3"))
    assert capsys.readouterr().out == "1    2   3\na    bc\ndef  g   h [b]i[/b]\n"


def test_what_would_command_a_terminal_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A server's words are not the person's."""
    print_rows([("reason", "\x1b[2Jno\r\n\x9b…")])
    assert capsys.readouterr().out == "reason  ?[2Jno???…\n"


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a file's name or an error's text holds."""
    print_line("a\nb\udcff")
    print_error("c\x1b]0;d\a")
    assert capsys.readouterr() == ("a?b\\xff\n", "migas: c?]0;d?\n")


def test_the_examples_run() -> None:
    """Those in the docstrings."""
    assert doctest.testmod(terminal).failed == 0


def test_no_rows_are_no_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed."""
    print_rows([])
    assert capsys.readouterr().out == ""


def test_a_person_gets_a_table_that_fits(see: Callable[..., str]) -> None:
    """Long cells go on below, and what looks like markup is none."""
    need("rich")
    code = "from migas.cli.terminal import print_rows; print_rows([('name', '[b]' + 70 * 'x')])"
    said = see(code, columns=40)
    assert "\x1b[1m" in said
    lines = ESCAPE.sub("", said).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 for line in lines)
    assert "[b]xxx" in lines[0]
    plain = see(WITHOUT_RICH + code, columns=40)
    assert plain.replace("\r\n", "\n") == ESCAPE.sub("", said).replace("\r\n", "\n")


def test_a_person_sees_a_bar_and_nothing_stays_of_it(see: Callable[..., str]) -> None:
    """How much, how fast, and how long it takes."""
    need("rich")
    code = """
from migas.cli.terminal import show_progress
with show_progress(100, 'breadcrumbs') as progress:
    for done in 10, 20, 40:
        progress.update(done)
"""
    said = see(code)
    assert "40/100 breadcrumbs, " in ESCAPE.sub("", said)
    assert "a second" in said
    assert re.search(r"\d:\d\d:\d\d", said)
    assert said.rstrip("\r\n").endswith("\x1b[2K")  # the line is erased


def test_progress_is_told_in_one_line_and_no_oftener_than_its_pause() -> None:
    """How much, how fast, and how long it takes."""
    now, said = [0.0], io.StringIO()
    line = Line(100, "days", said, pause=2.0, end="\n", clock=lambda: now[0])
    for moment, done in (1.0, 5), (2.0, 60), (3.0, 70), (4.0, 100):
        now[0] = moment
        line.update(done)
    assert said.getvalue().splitlines() == [
        "60 of 100 days, 30 a second, some 1 s to go",
        "100 of 100 days, 25 a second, some 0 s to go",
    ]


def test_on_a_plain_terminal_one_line_is_said_over_and_over() -> None:
    """And then nothing is left of it."""
    now, said = [0.0], io.StringIO()
    line = Line(100, "days", said, pause=0.0, end="\r", clock=lambda: now[0])
    now[0] = 1.0
    line.update(0)
    line.erase()
    first, second, rest = said.getvalue().split("\r")
    assert (first.rstrip(), second.strip(), rest) == ("0 of 100 days, 0 a second", "", "")
    assert len(first) == len(second)


def test_a_plain_terminals_line_of_progress_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A carriage return leads back to the start of the last line only."""
    monkeypatch.setenv("COLUMNS", "20")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    line = Line(100, "breadcrumbs", said, pause=0.0, end="\r", clock=iter([0.0, 1.0]).__next__)
    line.update(40)
    assert said.getvalue() == "40 of 100 breadcrum\r"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "é\N{FULL BLOCK}\N{HORIZONTAL ELLIPSIS}表"),
        ("cp1252", "é#\N{HORIZONTAL ELLIPSIS}\\u8868"),
        ("ascii", "\\xe9#...\\u8868"),
        ("no such encoding", "é\N{FULL BLOCK}\N{HORIZONTAL ELLIPSIS}表"),
        (None, "é\N{FULL BLOCK}\N{HORIZONTAL ELLIPSIS}表"),
    ],
)
def test_what_an_encoding_lacks_loses_no_meaning(encoding: str | None, shown: str) -> None:
    """It is shown by what reads alike, or by its number; a stream need not name an encoding."""

    class Stream(io.StringIO):
        pass

    stream = Stream()
    if encoding is not None:
        Stream.encoding = encoding
    assert make_printable("é\N{FULL BLOCK}\N{HORIZONTAL ELLIPSIS}表", stream) == shown


def test_a_joined_emoji_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Python calls its joiner unprintable; what turns the direction of text is not shown."""
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
    print_rows([(family, "\N{RIGHT-TO-LEFT OVERRIDE}a"), ("ab", "c")])
    assert capsys.readouterr().out == f"{family}  ?a\nab  c\n"


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["", WITHOUT_RICH], ids=["rich", "plain"])
def test_the_commands_say_the_same_on_a_terminal(
    server: Server, see: Callable[..., str], extra: str
) -> None:
    """With `rich` and without it."""
    need("rich")
    said = see(extra + "import sys, migas.cli; sys.exit(migas.cli.main(['status']))", columns=200)
    assert f"{server.endpoint}: it answers" in ESCAPE.sub("", said)
    assert ("\x1b[1m" in said) == (not extra)
