"""The schema is the hosted server's, as far as clients use it."""

from __future__ import annotations

from migas.testing.schema import OLD_SCHEMA, SCHEMA


def test_the_schema_is_the_hosted_servers() -> None:
    """Every field and argument that a client of ours uses, by its type."""
    fields = SCHEMA.mutation_type.fields if SCHEMA.mutation_type else {}
    assert {name: str(arg.type) for name, arg in fields["add_breadcrumb"].args.items()} == {
        "project": "String!",
        "project_version": "String!",
        "language": "String!",
        "language_version": "String!",
        "ctx": "ContextInput!",
        "proc": "ProcessInput!",
    }


def test_an_old_server_knows_less() -> None:
    """It lacks what came later; `get_usage` and `add_project` it has."""
    for name, schema in (("new", SCHEMA), ("old", OLD_SCHEMA)):
        assert schema.query_type
        assert schema.mutation_type
        fields = {*schema.query_type.fields, *schema.mutation_type.fields}
        assert {"get_projects", "get_usage", "add_project"} <= fields
        assert ({"check_project", "add_breadcrumb"} <= fields) is (name == "new")
