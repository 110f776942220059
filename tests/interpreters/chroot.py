"""Makes a Debian of another suite in a directory, and runs commands in it.

A command runs in the checkout, mounted at `/src`. Nothing stays mounted: mounts lie in a namespace
that ends with the command. The directory may be removed at any time, and is then made again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .apt import find_mirror, install_missing
from .environment import make_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Where the checkout is mounted.
INSIDE = "/src"

_PROGRAMS = {
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/bin/unshare": "util-linux",
}

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_UNSHARE = ("/usr/bin/unshare", "--mount")

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: The root is mounted on itself, so that `/proc/self/mountinfo` names a disk for it.
_ENTER = f"""
set -e
mount --bind "$0" "$0"
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount --bind "$1" "$0{INSIDE}"
shift
exec chroot "$0" sh -c 'cd {INSIDE} && exec "$@"' sh "$@"
"""

#: What the commands have of the environment.
_NAMES = ("LANG", "TERM", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")

_PREFIXES = ("PIP_", "SSL_CERT_", "MIGAS_TEST_")

#: The home of whoever runs the commands: the same path there as here.
_HOME = os.path.expanduser("~")

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class Chroot(NamedTuple):
    """A Debian in a directory.

    Parameters
    ----------
    directory
        Its root; made when first needed.
    suite
        Debian's name for the release, such as `forky` or `sid`.
    packages
        What is installed beside the smallest system. A directory that exists is taken as it is:
        other packages need another directory.
    """

    directory: Path
    suite: str
    packages: tuple[str, ...]

    def prepare(self) -> str:
        """Make the system where there is none yet.

        Returns what stands in the way, in a few words; `""` when the system is there.
        """
        if not sys.platform.startswith("linux"):
            return "Linux alone has chroots of Debian"
        if os.geteuid() != 0:
            return "only root can make a chroot"
        keys = {} if os.path.exists(_KEYRING) else {_KEYRING: "debian-archive-keyring"}
        if obstacle := install_missing({**_PROGRAMS, **keys}):
            return obstacle
        attempt = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
        if attempt.returncode:
            return attempt.stderr.strip()
        try:
            make_whole(self.directory, self._bootstrap)
        except subprocess.CalledProcessError as error:
            last = (error.stdout + error.stderr).strip().rpartition("\n")[2]
            return f"debootstrap cannot make {self.suite}: {last}"
        return ""

    def _bootstrap(self, part: Path) -> None:
        # A suite younger than debootstrap has no script of its own. Those of all suites since 2019
        # are links to the same.
        script = Path("/usr/share/debootstrap/scripts", self.suite)
        command = [*_UNSHARE, "/usr/sbin/debootstrap", "--variant=minbase"]
        command += [f"--include={','.join(self.packages)}", f"--keyring={_KEYRING}"]
        command += [self.suite, str(part), find_mirror()]
        command += [str(script if script.exists() else script.with_name("sid"))]
        subprocess.run(
            command,
            env={**os.environ, "PATH": _PATH},
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
        )
        (part / INSIDE[1:]).mkdir()

    def run(
        self, command: Sequence[str], source: Path, environ: Mapping[str, str] | None = None
    ) -> int:
        """Run a command in the system, as root, and return its exit status.

        Parameters
        ----------
        command
            The program and its arguments, with paths inside of the system.
        source
            The checkout, mounted at `INSIDE`, where the command begins.
        environ
            Variables beside those that pip, certificates, proxies and these tests need.
        """
        self._copy_configuration()
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in _NAMES or name.startswith(_PREFIXES) or name.lower().endswith("_proxy")
        }
        return subprocess.run(
            [*_UNSHARE, "sh", "-c", _ENTER, str(self.directory), str(source.resolve()), *command],
            env={**inherited, "HOME": _HOME, "PATH": _PATH, **(environ or {})},
            check=False,
        ).returncode

    def _copy_configuration(self) -> None:
        """Give the system the machine's names, certificates and settings of pip, as of now."""
        paths = {"/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", _CERTIFICATES}
        names = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        paths.update(os.getenv(name, "") for name in names)
        paths.update(
            os.path.join(_HOME, name) for name in (".config/pip/pip.conf", ".pip/pip.conf")
        )
        for path in filter(os.path.isfile, paths):
            target = self.directory / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # a link there would lead out of the system
            shutil.copyfile(path, target)
