"""The documentation is true: its tables are complete, and its links lead somewhere."""

from __future__ import annotations

import configparser
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from left_out import LEFT_OUT
from support import PAGES, ROOT, locate_page, read_page, read_section

import migas
from migas._agent import reported, sessions
from migas._crumb import breadcrumb
from migas._delivery import graphql, policy, sender, throttle
from migas._runtime import optout, settings

#: A row of a table that begins with code.
ROW = r"^\| (`[^|]*`) \|"

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def make_anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_links_lead_somewhere(page: str) -> None:
    """To a file, and to a heading in it."""
    text = read_page(page)
    for target in re.findall(r"\]\(([^)\s]*)\)", re.sub(r"`[^`\n]*`", "", text)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (locate_page(page).parent / file).resolve() if file else locate_page(page)
        assert path.exists(), target
        if anchor:
            assert anchor in make_anchors(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"README"}))
def test_a_page_begins_with_what_it_answers(page: str) -> None:
    """A title, and then a question, by which `migas help` lists it."""
    assert re.match(r"# [A-Z].*\n\n[^\n]+(?:\n[^\n]+)*\?\n\n", read_page(page))


def test_the_first_page_is_short_and_names_all_others() -> None:
    """Its table of contents has each of its headings."""
    text = read_page("README")
    assert len(text.splitlines()) <= 270
    contents = re.findall(r"^- \[(.*)\]\(#", text, re.MULTILINE)
    assert contents == re.findall(r"^## (.*)$", text, re.MULTILINE)
    named = re.findall(r"^\| \[\S+\]\((\S+)\) \|", text, re.MULTILINE)
    assert {ROOT / name for name in named} == {locate_page(page) for page in PAGES} - {
        ROOT / "README.md"
    }


def test_the_badges_say_what_the_project_says() -> None:
    """The Pythons, the licence, and how many packages a run needs."""
    badges = re.findall(r"img\.shields\.io/badge/(\S+)-blue", read_page("README"))
    versions = re.findall(r":: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    assert badges == [
        f"python-{versions[0]}_to_{versions[-1]}",
        f"license-{PROJECT['license'].replace('-', '_')}",
        "typed-strict",
        f"run--time_packages-{len(PROJECT['dependencies'])}",
    ]


def test_the_numbers_for_administrators_are_the_codes() -> None:
    """The bounds of a request, the rate and the pace."""
    text = read_page("servers")
    assert f"at most {graphql.MAX_BODY:,} bytes, up to {graphql.MAX_BATCH} breadcrumbs" in text
    assert f"at most {throttle.REQUESTS} requests a minute" in text
    assert f"a full one each {sender.LEISURE:g} s" in text
    assert (throttle.EXITS, throttle.EXITS_PERIOD, policy.MAX_ATTEMPTS, policy.SILENCE) == (
        10,
        3600.0,
        3,
        60.0,
    )


def test_every_variable_is_named() -> None:
    """And none that does not exist."""
    modules = (settings, reported, sessions)
    source = "".join(map(inspect.getsource, modules))
    read = set(re.findall(r"\bMIGAS_[A-Z_]+\b", source)) | set(optout.OPTOUT_VARIABLES)
    text = read_page("settings")
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)) == read
    assert f"`{settings.DEFAULT_ENDPOINT}`" in text
    assert f"| {settings.DEFAULT_TIMEOUT:g} |" in text
    assert f"| {settings.DEFAULT_EXIT_TIMEOUT:g} |" in text


@pytest.mark.parametrize("page", ["README", "privacy", "settings"])
def test_every_way_to_say_no_by_a_variable_is_named(page: str) -> None:
    """On each page that lists them."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|", read_page(page), re.MULTILINE)
    assert rows[:3] == list(optout.OPTOUT_VARIABLES)


@pytest.mark.parametrize(
    ("page", "heading"), [("README", "## What is collected"), ("privacy", "## What is sent")]
)
def test_every_field_that_is_collected_is_named(page: str, heading: str) -> None:
    """Word for word."""
    rows = re.findall(ROW, read_section(page, heading), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(breadcrumb.Breadcrumb._fields)


def test_every_function_is_described() -> None:
    """With its arguments, as its signature has them."""
    text = read_page("functions")
    for name in set(migas.__all__) - {"__version__"}:
        assert f"**`{name}" in text, name


def test_every_module_has_its_place_in_the_house() -> None:
    """Who looks for it finds it."""
    section = read_section("tests/README", "## Where a change goes")
    rows = re.findall(r"^\|.*\|$", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)/?`", row)}
    package = Path(migas.__file__).parent
    modules = {path.stem for path in package.rglob("*.py")} - {"__init__", "__main__"}
    assert modules - named == set()


def test_how_well_redaction_works_is_said_in_its_corpus_own_numbers() -> None:
    """A person reads there what may be left of a text."""
    groups = tomllib.loads((ROOT / "tests/data/redaction.toml").read_text())["groups"]
    entries = [entry for group in groups.values() for entry in group]
    kept = [entry["kept"] for entry in entries if entry.get("kept")]
    text = " ".join(read_page("privacy").split())
    words = {5: "five", 7: "seven", 10: "ten"}
    lost = sum(len(entry.get("lost", ())) for entry in entries)
    assert f"of the {len(entries)} texts" in text
    assert f"{len(entries) - len(kept)} lose every private piece" in text
    assert f"{words[len(kept)]} keep {words[sum(map(len, kept))]} pieces" in text
    assert f"{words[lost].capitalize()} pieces that a developer could use are lost" in text


def test_what_tox_leaves_out_is_named() -> None:
    """At the end of `tox`, and in the contributors' table: each environment of `tox -m full`."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini")
    first = set(settings["tox"]["env_list"].split(", "))
    full = set(settings["tox"]["labels"].partition("full = ")[2].split(", "))
    commands = [command.split()[2].split(",") for command in LEFT_OUT]  # tox -e a,b
    assert {name for names in commands for name in names} == full - first | {"quick"}
    cells = re.findall(ROW, read_section("tests/README", "## What the tests are"), re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == full | first


def test_the_lowest_releases_are_those_that_are_tested() -> None:
    """The bounds of pyproject.toml and the pins of tox.ini's `lowest` say the same."""
    bounds = dict(
        re.findall(r'"([\w-]+)>=([\d.]+)[,<\d.]*"', (ROOT / "pyproject.toml").read_text())
    )
    section = (ROOT / "tox.ini").read_text().split("[testenv:lowest]")[1].split("[testenv:")[0]
    pins = dict(re.findall(r"^    ([\w-]+)==([\d.]+)$", section, re.MULTILINE))
    assert {"graphql-core", "packaging", "platformdirs", "requests"} <= set(pins)
    assert pins == {name: bounds[name] for name in pins}
