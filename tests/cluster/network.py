"""The network: nodes in namespaces of their own, behind a login node that is this process's."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

#: The login node's addresses, in the cluster and to the world outside, and the server's there.
LOGIN, UPLINK, OUTSIDE = "10.77.0.1", "198.51.100.1", "198.51.100.2"

#: Has the world see one address of the whole cluster.
_MASQUERADE = """
table ip cluster {
    chain out {
        type nat hook postrouting priority 100
        oifname uplink masquerade
    }
}
"""

#: A test's server listens on loopback only.
_TO_LOOPBACK = f"""
table ip world {{
    chain in {{
        type nat hook prerouting priority -100
        ip daddr {OUTSIDE} meta l4proto tcp dnat to 127.0.0.1
    }}
}}
"""


def run(*command: str, given: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Run a command to its end, and return what it says. Raises `RuntimeError`."""
    done = subprocess.run(
        command, input=given, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Node:
    """A machine: its own network, mounts and name, and everything else in common."""

    def __init__(self, name: str) -> None:
        self.name = name
        setup = f"hostname {name} && ip link set lo up && echo && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "sh", "-c", setup], stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline()
        self.pid = self._holder.pid

    def command(self, *command: str) -> list[str]:
        """Return what runs a command on this node."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--uts", *command]

    def run(self, *command: str, given: str | None = None) -> str:
        """Run a command there. Raises `RuntimeError`."""
        return run(*self.command(*command), given=given)

    def plug(self, link: str, address: str) -> None:
        """Connect it, by a cable whose other end is the login node's ``link``."""
        run("ip", "link", "add", link, "type", "veth", "peer", "eth0", "netns", str(self.pid))
        run("ip", "link", "set", link, "up")
        self.run("ip", "address", "add", address, "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def go_online(self) -> None:
        """Let it reach the world outside."""
        self.run("ip", "route", "replace", "default", "via", LOGIN)

    def go_offline(self) -> None:
        """Leave it without a route there."""
        with contextlib.suppress(RuntimeError):  # it has none
            self.run("ip", "route", "delete", "default")

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Have the sockets that this thread makes be the node's."""
        with open("/proc/thread-self/ns/net") as mine, open(f"/proc/{self.pid}/ns/net") as its:
            _enter(its)
            try:
                yield
            finally:
                _enter(mine)

    def stop(self) -> None:
        """Let go of it: it ends with the last process there."""
        self._holder.kill()
        self._holder.communicate()


def _enter(namespace: TextIO) -> None:
    os.setns(namespace.fileno(), os.CLONE_NEWNET)  # type: ignore[attr-defined]  # from 3.12 on


class Network:
    """Compute nodes at one switch with the login node, through which they may get outside."""

    def __init__(self, names: list[str]) -> None:
        socket.sethostname("login")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "switch", "type", "bridge")
        run("ip", "address", "add", f"{LOGIN}/24", "dev", "switch")
        run("ip", "link", "set", "switch", "up")
        run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        run("nft", "--file", "-", given=_MASQUERADE)
        self.outside = Node("outside")
        self.outside.plug("uplink", f"{OUTSIDE}/24")
        run("ip", "address", "add", f"{UPLINK}/24", "dev", "uplink")
        self.outside.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
        self.outside.run("nft", "--file", "-", given=_TO_LOOPBACK)
        self.nodes = [Node(name) for name in names]
        for number, node in enumerate(self.nodes, 11):
            node.plug(node.name, f"10.77.0.{number}/24")
            run("ip", "link", "set", node.name, "master", "switch")

    def stop(self) -> None:
        """Let go of the nodes."""
        for node in (*self.nodes, self.outside):
            node.stop()
