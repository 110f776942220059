"""The network's disk: a GlusterFS volume of the login node's, mounted on each compute node."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from support import await_condition

from .network import LOGIN, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .network import Network

#: Where its daemons keep what they know. They are the machine's own as long as these tests last.
_STATE = ["/var/lib/glusterd", "/var/log/glusterfs", "/run/gluster"]


class Disk:
    """A file system that is served by the login node, and that the nodes see at ``path``."""

    def __init__(self, network: Network, root: Path) -> None:
        self.path = root / "disk"
        self._brick = root / "brick"
        self._nodes = network.nodes
        for state in _STATE:
            Path(state).mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "gluster", state)
        self._daemon = subprocess.Popen(["glusterd", "--no-daemon"])
        await_condition(self._is_up)
        run("gluster", "volume", "create", "disk", f"{LOGIN}:{self._brick}", "force")
        run("gluster", "volume", "start", "disk")
        self.path.mkdir()
        for node in self._nodes:
            node.run("mount", "-t", "glusterfs", f"{LOGIN}:/disk", str(self.path))

    def on_server(self, path: Path) -> Path:
        """Return where the server keeps what the nodes see at ``path``, to look at only."""
        return self._brick / path.relative_to(self.path)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Have its server answer nobody."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Unmount it, and end its server."""
        for node in self._nodes:
            node.run("umount", "--lazy", str(self.path))
        self._signal(signal.SIGKILL)
        self._daemon.kill()
        self._daemon.wait()
        for state in _STATE:
            run("umount", "--lazy", state)

    def _signal(self, number: signal.Signals) -> None:
        for file in Path("/run/gluster/vols/disk").glob("*.pid"):
            os.kill(int(file.read_text()), number)

    def _is_up(self) -> bool:
        asked = subprocess.run(["gluster", "volume", "list"], capture_output=True, check=False)
        return asked.returncode == 0
