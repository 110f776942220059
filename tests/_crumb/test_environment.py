"""What runs here is known by its real signs."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest
from containers import LASTING, PASSING
from packaging.version import Version

from migas._crumb.environment import (
    CI_VARIABLES,
    Environment,
    find_ci,
    find_container,
    find_python_version,
    is_persistent,
    look_for_container,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("environ", "marker", "container"),
    [
        ({}, None, "unknown"),
        ({}, ".dockerenv", "docker"),
        ({}, "run/.containerenv", "docker"),
        ({"container": "podman"}, None, "docker"),
        ({"container": "oci"}, None, "docker"),
        ({"container": "lxc"}, None, "unknown"),
        ({}, ".singularity.d", "apptainer"),
        ({"APPTAINER_CONTAINER": "/image.sif"}, None, "apptainer"),
        ({"SINGULARITY_NAME": "image.sif"}, None, "apptainer"),
        ({"APPTAINER_NAME": "image.sif"}, ".dockerenv", "apptainer"),
        ({"APPTAINER_NAME": ""}, None, "unknown"),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, None, "docker"),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, ".singularity.d", "apptainer"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "count"}, None, "docker"),
        ({"K_SERVICE": "app"}, None, "docker"),
        ({"CLOUD_RUN_JOB": "app"}, None, "docker"),
    ],
)
def test_a_container_is_known_by_its_signs(
    tmp_path: Path, environ: dict[str, str], marker: str | None, container: str
) -> None:
    """Each runtime and each service leaves a marker file or a variable."""
    if marker:
        path = tmp_path / marker
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert find_container(environ, str(tmp_path)) == container


@pytest.mark.parametrize(
    ("environ", "marker", "sign"),
    [
        ({}, None, ""),
        ({}, ".dockerenv", "{root}/.dockerenv"),
        ({"K_SERVICE": "app"}, ".singularity.d", "{root}/.singularity.d"),
        ({"APPTAINER_NAME": "image.sif"}, ".dockerenv", "APPTAINER_NAME"),
        ({"K_SERVICE": "app"}, None, "K_SERVICE"),
        ({"container": "podman"}, None, "container"),
    ],
)
def test_the_sign_of_a_container_is_named(
    tmp_path: Path, environ: dict[str, str], marker: str | None, sign: str
) -> None:
    """So that a person who reads `migas status` can tell why it is one."""
    if marker:
        (tmp_path / marker).touch()
    kind, found = look_for_container(environ, str(tmp_path))
    assert found == sign.format(root=tmp_path).replace("/", os.sep)
    assert (kind == "unknown") == (sign == "")


@pytest.mark.parametrize("variable", CI_VARIABLES)
def test_a_ci_service_is_known_by_its_variable(tmp_path: Path, variable: str) -> None:
    """Each common service sets one of these, most of them CI."""
    assert Environment.detect({variable: "true"}, str(tmp_path)).is_ci
    assert find_ci({variable: "true"}) == variable


@pytest.mark.parametrize("environ", [{}, {"CI": ""}, {"CI": "false"}, {"CI": "0"}])
def test_no_ci_is_claimed_without_a_sign(tmp_path: Path, environ: dict[str, str]) -> None:
    """CI=false means no CI at some services."""
    assert not Environment.detect(environ, str(tmp_path)).is_ci
    assert find_ci(environ) == ""


@pytest.mark.parametrize("kind", PASSING)
def test_a_home_that_ends_with_its_container_is_known(tmp_path: Path, kind: str) -> None:
    """By the kernel's list of mounts, as each runtime has it written (pain 64)."""
    container, home = PASSING[kind], str(tmp_path / "my home")
    root = str(container.make(tmp_path / "root", tmp_path / "my home"))
    assert find_container(container.environ, root) != "unknown"
    assert not is_persistent(f"{home}/.config/migas", container.environ, root)


@pytest.mark.parametrize("kind", LASTING)
def test_a_home_that_somebody_keeps_lasts(tmp_path: Path, kind: str) -> None:
    """A claimed volume, a directory of the machine around it, or the machine itself (pain 64)."""
    container, home = LASTING[kind], LASTING[kind].home or str(tmp_path / "my home")
    root = str(container.make(tmp_path / "root", tmp_path / "my home"))
    assert is_persistent(f"{home}/.config/migas", container.environ, root)
    assert not is_persistent(home, {**container.environ, "CI": "true"}, root)


def test_a_link_out_of_a_container_is_followed(tmp_path: Path) -> None:
    """A home may lie in the container, and its cache on a volume; and the other way round."""
    container = LASTING["Docker, a named volume"]
    volume, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
    for path in (volume, elsewhere):
        path.mkdir()
    root = str(container.make(tmp_path / "root", volume.resolve()))
    (volume / "cache").symlink_to(elsewhere)
    (elsewhere / "cache").symlink_to(volume)
    assert not is_persistent(str(volume / "cache"), {}, root)
    assert is_persistent(str(elsewhere / "cache" / "migas"), {}, root)


def test_the_interpreters_version_is_one_that_the_server_takes() -> None:
    """Versions by PEP 440 only: a build from a repository calls itself 3.13.0rc1+ elsewhere."""
    assert str(Version(find_python_version())) == find_python_version()
    numbers = [int(number) for number in re.findall(r"\d+", find_python_version())]
    assert numbers[:3] == list(sys.version_info[:3])


def test_the_environment_is_named_in_the_servers_words() -> None:
    """The language is Python, and the platform has its short name."""
    found = Environment.detect()
    assert (found.language, found.platform) == ("python", sys.platform)
