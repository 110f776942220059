"""A long text is shown page by page to a person, and as it is to everybody else."""

from __future__ import annotations

import doctest
import sys
from typing import TYPE_CHECKING

import pytest

from migas.cli import pager
from migas.cli.pager import find_pager, page, shows_colours

if TYPE_CHECKING:
    from pathlib import Path


class Terminal:
    """Takes what is printed, as a person's terminal does."""

    encoding = "ascii"

    def __init__(self) -> None:
        self.said = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.said += text

    def flush(self) -> None:
        pass


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of stdout, which pytest would take back after a fixture."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.delenv("LESS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return terminal


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({}, ["less"]),
        ({"PAGER": ""}, []),
        ({"PAGER": "cat"}, []),
        ({"PAGER": "'less"}, []),
        ({"PAGER": "less -S"}, ["less", "-S"]),
        ({"PAGER": "'/a b/less' -x"}, ["/a b/less", "-x"]),
        ({"TERM": "dumb"}, []),
    ],
)
def test_the_pager_is_the_persons_or_less(environ: dict[str, str], command: list[str]) -> None:
    """As for git; no pager is one, too."""
    assert find_pager({"TERM": "xterm", **environ}) == command
    assert find_pager({name: environ[name] for name in environ if name != "TERM"}) == []


def test_the_pager_gets_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the terminal's encoding, with what git has less do."""
    terminal = open_terminal(monkeypatch)
    code = "import os, sys; open(sys.argv[1], 'wb').write("
    code += "os.environ['LESS'].encode() + b' ' + sys.stdin.buffer.read())"
    monkeypatch.setenv("PAGER", f"'{sys.executable}' -c \"{code}\" '{tmp_path}/said'")
    page(lambda is_pretty: f"caf\u00e9 {is_pretty}")
    assert (tmp_path / "said").read_bytes().replace(b"\r", b"") == b"FRX caf\\xe9 False\n"
    assert terminal.said == ""


def test_a_person_who_has_read_enough_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pager ends before it has taken all of the text."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("PAGER", f"'{sys.executable}' -c pass")
    page(lambda _is_pretty: "line\n" * 100_000)
    assert terminal.said == ""


def test_without_a_pager_the_text_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there is no such program, too."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("PAGER", "/nowhere/less")
    page(lambda _is_pretty: "text")
    monkeypatch.setenv("PAGER", "")
    page(lambda _is_pretty: "again")
    assert terminal.said == "text\nagain\n"


def test_a_pipe_gets_the_text_without_a_pager(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without colours."""
    monkeypatch.setenv("PAGER", "/nowhere/less")
    page(lambda is_pretty: f"text {is_pretty}")
    assert capsys.readouterr() == ("text False\n", "")


def test_only_a_pager_that_shows_colours_gets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a person would see the sequences that mean them."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(pager, "is_pretty", lambda stream: stream is terminal)
    assert shows_colours(["less"], {"LESS": "FRX"})
    assert shows_colours(["/usr/bin/less", "-R"], {})
    assert not shows_colours(["less"], {"LESS": "F"})
    assert not shows_colours(["more"], {"LESS": "FRX"})
    monkeypatch.setattr(pager, "is_pretty", lambda _stream: False)
    assert not shows_colours(["less"], {"LESS": "FRX"})


def test_the_examples_run() -> None:
    """Those in the docstrings."""
    assert doctest.testmod(pager).failed == 0
