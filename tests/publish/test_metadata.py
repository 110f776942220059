"""What pyproject.toml says of the package is true, and is said alike wherever else it stands."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
METADATA = PROJECT["project"]
EXTRAS: dict[str, list[str]] = METADATA["optional-dependencies"]

#: The page with the recipe for conda-forge.
PAGE = ROOT / "migas" / "docs" / "publishing.md"

#: The packages that conda-forge has under another name. matplotlib brings a toolkit for windows.
CONDA = {"matplotlib": "matplotlib-base"}

TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")


def name_and_bound(requirement: str) -> tuple[str, str]:
    """Split a requirement into the package's name and its lower bound."""
    parsed = Requirement(requirement)
    [bound] = [each.version for each in parsed.specifier if each.operator == ">="]
    return parsed.name, bound


def for_conda(requirement: str) -> str:
    """Write a requirement as conda does."""
    parsed = Requirement(requirement)
    bounds = sorted(map(str, parsed.specifier), reverse=True)
    return f"{CONDA.get(parsed.name, parsed.name)} {','.join(bounds)}"


def read_recipe() -> str:
    """Return the recipe that the page shows."""
    if not PAGE.exists():
        pytest.skip(f"there is no {PAGE.name}")
    [recipe] = re.findall(
        r"^```yaml\n(context:.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return str(recipe)


def read_list(recipe: str, key: str) -> set[str]:
    """Return the items of a list in a recipe, but for Python's own and pip."""
    [items] = re.findall(rf"^  {key}:\n((?:    - .*\n)+)", recipe, re.MULTILINE)
    found = {item.strip().strip("-").strip() for item in items.splitlines()}
    return {item for item in found if not item.startswith(("python ", "pip"))}


def test_the_oldest_releases_are_tested() -> None:
    """Each lower bound of the package and its extras is what tox's `lowest` installs."""
    requirements = [
        *METADATA["dependencies"],
        *(each for extra in EXTRAS.values() for each in extra),
    ]
    pins = re.findall(r"^([\w-]+) ?== ?([\d.]+)$", TOX["testenv:lowest"]["deps"], re.MULTILINE)
    assert dict(pins) == dict(map(name_and_bound, requirements))


def test_the_interpreters_are_those_that_are_tested() -> None:
    """The classifiers, `requires-python`, and tox's environments."""
    classifiers = METADATA["classifiers"]
    found = re.findall(
        r"^Programming Language :: Python :: (3\.\d+)$", "\n".join(classifiers), re.MULTILINE
    )
    assert METADATA["requires-python"] == f">={found[0]}"
    tested = sorted(map(int, re.findall(r"\bpy3(\d+)\b", TOX["tox"]["labels"])))
    assert found == [f"3.{minor}" for minor in tested]


def test_the_classifiers_exist() -> None:
    """PyPI refuses others."""
    known = pytest.importorskip("trove_classifiers").classifiers
    assert set(METADATA["classifiers"]) <= known
    assert len(METADATA["classifiers"]) == len(set(METADATA["classifiers"]))


def test_the_licence_is_the_one_that_is_named() -> None:
    """Its whole text."""
    [path] = METADATA["license-files"]
    text = (ROOT / path).read_text("utf-8")
    assert METADATA["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_readmes_links_are_whole_on_pypi() -> None:
    """Those to files of this repository lead there, and all others are as they were."""
    [substitution] = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"][
        "substitutions"
    ]
    readme = (ROOT / "README.md").read_text("utf-8")
    written = re.sub(substitution["pattern"], substitution["replacement"], readme)
    before, after = (re.findall(r"\]\(([^)]*)\)", text) for text in (readme, written))
    for old, new in zip(before, after, strict=True):
        if old.startswith(("https://", "#")):
            assert new == old
        else:
            assert new == f"{METADATA['urls']['Source']}/blob/HEAD/{old}"
            assert (ROOT / old.partition("#")[0]).exists(), old


def test_the_conda_recipe_asks_for_the_same() -> None:
    """To build and to run; the extras are bounds for who installs them."""
    recipe = read_recipe()
    extras = {for_conda(each) for extra in EXTRAS.values() for each in extra}
    assert read_list(recipe, "host") == set(map(for_conda, PROJECT["build-system"]["requires"]))
    assert read_list(recipe, "run") == set(map(for_conda, METADATA["dependencies"]))
    assert read_list(recipe, "run_constraints") == extras


def test_the_conda_recipe_describes_the_same_package() -> None:
    """Its command, its oldest Python, its licence, its summary and where it is at home."""
    recipe = read_recipe()
    [(command, target)] = METADATA["scripts"].items()
    for line in (
        f"- {command} = {target}",
        f'python_min: "{METADATA["requires-python"].removeprefix(">=")}"',
        f"license: {METADATA['license']}",
        f"license_file: {METADATA['license-files'][0]}",
        f"summary: {METADATA['description']}",
        f"homepage: {METADATA['urls']['Homepage']}",
        f"documentation: {METADATA['urls']['Documentation']}",
        f"repository: {METADATA['urls']['Source']}",
    ):
        assert re.search(rf"^ +{re.escape(line)}$", recipe, re.MULTILINE), line
