"""The environment: the interpreter, the platform, the container and the CI service that we run in.

This module owns the signs by which each is known: variables of the environment and a few marker
files. What may go wrong: a container or a service that leaves none of these signs is not
recognised. Then the breadcrumb says `unknown` or no CI, and the agent assumes that the disk lasts.
"""

from __future__ import annotations

import os
import sys

from migas._runtime.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Variables by which the common CI services are known. Most of them set `CI`.
CI_VARIABLES = (
    "CI",
    "CONTINUOUS_INTEGRATION",
    "APPVEYOR",
    "BAMBOO_BUILDKEY",
    "BITBUCKET_BUILD_NUMBER",
    "BUILDKITE",
    "CIRCLECI",
    "CIRRUS_CI",
    "CODEBUILD_BUILD_ID",
    "DRONE",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "HUDSON_URL",
    "JENKINS_URL",
    "SEMAPHORE",
    "TASKCLUSTER_ROOT_URL",
    "TEAMCITY_VERSION",
    "TF_BUILD",
    "TRAVIS",
    "WOODPECKER",
)

#: Apptainer sets these in its containers, and Singularity did, as it was called before.
_APPTAINER_VARIABLES = (
    "APPTAINER_CONTAINER",
    "APPTAINER_NAME",
    "SINGULARITY_CONTAINER",
    "SINGULARITY_NAME",
)

_RELEASE_LEVELS = {"alpha": "a", "beta": "b", "candidate": "rc", "final": ""}


class Environment(NamedTuple):
    """Where this process runs. The fields are those of a `Breadcrumb`, with the same names."""

    language: str
    language_version: str
    platform: str
    #: `docker`, `apptainer` or `unknown`. The server has no word for Podman: it counts as `docker`.
    container: str
    is_ci: bool

    @classmethod
    def detect(cls, environ: Mapping[str, str] = os.environ, root: str = "/") -> Environment:
        """Find out where this process runs.

        Parameters:
            environ: the variables to look at.
            root: the directory that holds the containers' marker files; `/` but in tests.
        """
        return cls(
            language="python",
            language_version=find_python_version(),
            platform=sys.platform,
            container=find_container(environ, root),
            is_ci=any(
                environ.get(name, "").lower() not in ("", "0", "false") for name in CI_VARIABLES
            ),
        )

    @property
    def is_disposable(self) -> bool:
        """Return True if all files are thrown away after this run, wherever they lie: in CI."""
        return self.is_ci

    @property
    def has_disposable_root(self) -> bool:
        """Return True if the root file system is thrown away after this run.

        A Docker container's own file system ends with it, and a volume that is mounted into it
        lasts. An Apptainer container's home is the user's own directory outside.
        """
        return self.container == "docker"


def find_python_version() -> str:
    """Return the interpreter's version in the form of PEP 440.

    `platform.python_version()` adds a `+` to a build between two releases, and the server refuses
    a request with any version that is not of that form (measured on server 0.9.0).

    Example:
        >>> find_python_version().startswith("3.")
        True
    """
    info = sys.version_info
    level = _RELEASE_LEVELS[info.releaselevel]
    return f"{info.major}.{info.minor}.{info.micro}" + (f"{level}{info.serial}" if level else "")


def find_container(environ: Mapping[str, str], root: str) -> str:
    """Return the kind of container that this process runs in, in the server's words.

    Returns:
        `apptainer`, `docker` (for Podman and other OCI containers, too) or `unknown`.
    """
    # Apptainer first: it runs inside Docker on some services, never the other way round.
    if any(environ.get(name) for name in _APPTAINER_VARIABLES):
        return "apptainer"
    if os.path.exists(os.path.join(root, ".singularity.d")):
        return "apptainer"
    markers = (".dockerenv", os.path.join("run", ".containerenv"))
    if any(os.path.exists(os.path.join(root, marker)) for marker in markers):
        return "docker"
    # systemd's convention, which Podman follows: https://systemd.io/CONTAINER_INTERFACE
    return "docker" if environ.get("container") in ("docker", "podman", "oci") else "unknown"
