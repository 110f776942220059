"""The documentation is read by its topics, from a directory or a zip archive."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from command import run
from support import need

from migas.cli import main, runner, topics
from migas.cli.topics import list_topics, read_topic, show_topic, show_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.resources.abc import Traversable
    from pathlib import Path

PRIVACY = """\
# Privacy

What is *sent*, and how
to say no.

See [numbers](numbers.md).

- one \N{EN DASH} two
"""


@pytest.fixture(params=["directory", "archive"])
def docs(tmp_path: Path, request: pytest.FixtureRequest) -> Traversable:
    """Two documents, and a file that is none."""
    files = {"privacy.md": PRIVACY, "numbers.md": "# Numbers\n\nHow many?\n", "x.txt": "no"}
    if request.param == "directory":
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(f"migas/docs/{name}", text)
    return zipfile.Path(tmp_path / "package.zip", "migas/docs/")


def end(command: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a command as the command line does; return its status and what it printed."""
    status = runner.run(command)
    return (status, *capsys.readouterr())


def test_the_topics_are_listed_with_their_sentence(
    docs: Traversable, capsys: pytest.CaptureFixture[str]
) -> None:
    """In alphabetical order, as plain text."""
    assert list_topics(docs) == ["numbers", "privacy"]
    status, out, _ = end(lambda: show_topics(docs), capsys)
    assert status == 0
    assert "\nnumbers  How many?\nprivacy  What is sent, and how to say no.\n" in out


@pytest.mark.parametrize("name", ["privacy", "Privacy", "privacy.md"])
def test_a_topic_is_shown(docs: Traversable, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As text, with what a link leads to."""
    status, out, _ = end(lambda: show_topic(name, docs=docs), capsys)
    assert status == 0
    assert out.startswith("Privacy\n=======\n\nWhat is sent, and how to say no.\n")
    assert "See numbers (migas help numbers).\n" in out


def test_a_topic_is_prettier_with_rich(
    docs: Traversable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says the same."""
    need("rich")
    monkeypatch.setattr(topics, "page", lambda render: print(render(True)))
    monkeypatch.setenv("COLUMNS", "40")
    assert show_topic("privacy", docs=docs) == 0
    out = capsys.readouterr().out
    assert "numbers (migas help numbers)" in out
    assert "# Privacy" not in out
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize("is_pretty", [False, True], ids=["plain", "rich"])
def test_an_ascii_terminal_reads_it_too(
    docs: Traversable, monkeypatch: pytest.MonkeyPatch, is_pretty: bool
) -> None:
    """What its encoding lacks is shown by what reads alike, a list's dot too."""
    need("rich")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(topics, "page", lambda render: stream.write(render(is_pretty)))
    assert show_topic("privacy", docs=docs) == 0
    stream.seek(0)
    text = stream.read()
    assert re.search(r"^ *[-*] one - two$", text, re.MULTILINE)
    assert "\\u" not in text


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("privcy", "did you mean `migas help privacy`?"),
        ("flash", "did you mean `migas help flush`?"),
        ("numb", "did you mean `migas help numbers`?"),
        ("vacy", "did you mean `migas help privacy`?"),
        ("xyz", "`migas help` lists all topics"),
        ("../privacy", "did you mean `migas help privacy`?"),
        ("", "`migas help` lists all topics"),
    ],
)
def test_an_unknown_topic_names_those_that_are_near(
    docs: Traversable, name: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Among them commands; the status is 2."""
    status, out, error = end(lambda: show_topic(name, ["flush", "status"], docs), capsys)
    assert (status, out) == (2, "")
    assert error == f"migas: there is no topic {name!r}; {meant}\n"


def test_where_the_documents_are_left_out_a_sentence_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a package manager may do."""
    status, _, error = end(lambda: show_topics(tmp_path / "nowhere"), capsys)
    assert (status, error.startswith("migas: the documents are not installed here")) == (2, True)


def test_each_document_of_the_package_has_a_title_and_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which is what lists of topics are made of."""
    for topic in list_topics():
        title, sentence, *_ = read_topic(topic).split("\n\n")
        assert title.startswith("# ")
        assert sentence.strip().endswith((".", "?"))
        assert main(["help", topic]) == 0
        assert capsys.readouterr().out.startswith(title.removeprefix("# "))


def test_a_command_is_explained_as_a_topic(capsys: pytest.CaptureFixture[str]) -> None:
    """As by its own `--help`."""
    assert main(["help", "flush"]) == 0
    assert capsys.readouterr().out.startswith("usage: migas flush [-h]")


def test_no_traceback_comes_of_asking_for_help() -> None:
    """In a process of its own, whatever is installed."""
    done = run("help")
    assert (done.returncode, "Traceback" in done.stderr) == (0 if list_topics() else 2, False)
    done = run("help", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
