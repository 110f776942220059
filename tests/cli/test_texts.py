"""A notice is printed on the command line as `migas.notice` returns it."""

from __future__ import annotations

import pytest

import migas
from migas._crumb.notice import LONG_STYLES
from migas.cli import main


def test_without_an_option_the_two_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """They may name the package."""
    assert main(["notice"]) == 0
    assert main(["notice", "--project", "hostpkg"]) == 0
    said = f"{migas.notice()}\n{migas.notice(project='hostpkg')}\n"
    assert capsys.readouterr() == (said, "")


@pytest.mark.parametrize("style", LONG_STYLES)
def test_a_notice_is_printed_in_each_style(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what fills its blanks, and nothing else, so that it can be written to a file."""
    values = {"project": "hostpkg", "operator": "Acme", "retention": "a year", "contact": "Jane"}
    options = [word for name, value in values.items() for word in (f"--{name}", value)]
    assert main(["notice", f"--{style}", *options]) == 0
    text = migas.notice(style, **values)  # type: ignore[arg-type]
    assert capsys.readouterr() == (f"{text}\n", "")


def test_a_blank_without_a_style_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """The two lines have none, and a person is told what to add."""
    with pytest.raises(SystemExit) as ended:
        main(["notice", "--contact", "Jane"])
    assert ended.value.code == 2
    assert "--contact needs one of --markdown, --rst and --text" in capsys.readouterr().err
