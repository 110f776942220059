"""Each field has a meaning for a person."""

from __future__ import annotations

from migas._crumb.breadcrumb import Breadcrumb
from migas._crumb.meanings import FIELDS, SERVER_NOTES


def test_each_field_of_a_breadcrumb_has_its_meaning() -> None:
    """In the order in which the fields are declared, so that no field can be left out."""
    assert tuple(FIELDS) == Breadcrumb._fields
    assert all({**FIELDS, **SERVER_NOTES}.values())
