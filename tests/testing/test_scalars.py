"""Scalars are read, and their errors worded, as the hosted server does: on every Python alike."""

from __future__ import annotations

import pytest

from migas.testing.scalars import parse_moment, parse_version


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-31", "2020-01-31T00:00:00"),
        ("20200131", "2020-01-31T00:00:00"),
        ("2020-02-29", "2020-02-29T00:00:00"),
        ("2020-W01-1", "2019-12-30T00:00:00"),
        ("2020W537", "2021-01-03T00:00:00"),
        ("2020-W01", "2019-12-30T00:00:00"),
        ("2020-01-31T12:30:59Z", "2020-01-31T12:30:59"),
    ],
)
def test_a_moment_has_several_forms(text: str, moment: str) -> None:
    """As Python's own reader takes them."""
    assert parse_moment(text).isoformat() == f"{moment}+00:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2020-13-01", "month must be in 1..12"),
        ("2020-00-01", "month must be in 1..12"),
        ("2020-01-32", "day is out of range for month"),
        ("2021-02-29", "day is out of range for month"),
        ("0000-01-01", "year 0 is out of range"),
        ("2020-13-01T00:00:00Z", "Invalid isoformat string: '2020-13-01T00:00:00Z'"),
        ("2020-W54-1", "Invalid isoformat string: '2020-W54-1'"),
        ("2020-01", "Invalid isoformat string: '2020-01'"),
        ("2020-0101", "Invalid isoformat string: '2020-0101'"),
        ("", "Invalid isoformat string: ''"),
    ],
)
def test_what_is_no_moment_is_refused_in_the_recorded_words(text: str, message: str) -> None:
    """Python words some of them otherwise from 3.14 on: "month must be in 1..12, not 13"."""
    with pytest.raises(ValueError, match=r"^.*$") as caught:
        parse_moment(text)
    assert str(caught.value) == message


def test_a_version_is_written_in_its_normal_form() -> None:
    """By PEP 440, in the words that were recorded."""
    assert parse_version("v1.2.3-rc1") == "1.2.3rc1"
    with pytest.raises(ValueError, match=r"^Invalid version: '1\.2\.3\.dirty'$"):
        parse_version("1.2.3.dirty")
    with pytest.raises(TypeError, match=r"^'float' object is not iterable$"):
        parse_version(1.0)
