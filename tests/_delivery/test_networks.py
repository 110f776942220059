"""Addresses that lead nowhere, in networks made for it, with the system's own resolver."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE

#: Answers every request, on all addresses of its own network.
SERVER = """
import http.server, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        print(self.path, flush=True)
        self.send_response(200)
        self.send_header('Content-Length', '12')
        self.end_headers()
        self.wfile.write(b'{"data": {}}')
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
print(flush=True)
import sys; sys.stdin.readline()
server = Server(('::', 8000), Handler)
print(flush=True)
server.serve_forever()
"""

#: Runs in a network and with mounts of its own. A packet to an address that ends in 7 or 9 is lost:
#: it goes out to hardware that nobody has.
CLIENT = """
import json, os, socket, subprocess, sys, time
directory, timeout = sys.argv[1], float(sys.argv[2])
def run(command): subprocess.run(command.split(), check=True)
server = subprocess.Popen(
    ['unshare', '-n', sys.executable, '-c', sys.argv[3]],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
server.stdout.readline()
run('ip link set lo up')
run('ip link add near type veth peer name far')
run(f'ip link set far netns {server.pid}')
for place, device, v4, v6 in (
    ('', 'near', ['192.0.2.1'], ['2001:db8::1']),
    (f'nsenter -n -t {server.pid} ', 'far',
     ['192.0.2.20', '192.0.2.21'], ['2001:db8::20', 'fd00::20']),
):
    for address in v4: run(f'{place}ip addr add {address}/24 dev {device}')
    for address in v6: run(f'{place}ip -6 addr add {address}/64 dev {device} nodad')
    run(f'{place}ip link set {device} up')
run('ip -6 route add fd00::/64 dev near')
run(f'nsenter -n -t {server.pid} ip -6 route add default dev far')
for address in ('192.0.2.7', '192.0.2.9', '2001:db8::9'):
    run(f'ip neigh add {address} lladdr 02:00:00:00:00:09 dev near nud permanent')
run('mount --make-rprivate /')
run(f'mount --bind {directory}/hosts /etc/hosts')
server.stdin.write('\\n'); server.stdin.flush()
server.stdout.readline()
from migas._delivery.transport import Transport  # urllib3 looks for IPv6 when it is imported
told = {}
for line in open('/etc/hosts'):
    name = line.split()[1]
    found = [each[4][0] for each in socket.getaddrinfo(name, 8000, type=socket.SOCK_STREAM)]
    began = time.monotonic()
    reply = Transport(f'http://{name}:8000/graphql').send(b'{}', timeout)
    told[name] = [found, reply.outcome.name, reply.reason, time.monotonic() - began]
    # The exit's budget is shorter than the time that one address may take.
    host = [sys.executable, '-c', "import migas; migas.add_project('owner/repo', '1')"]
    environ = {'MIGAS_ENDPOINT': f'http://{name}:8000/{name}/graphql', 'MIGAS_TIMEOUT': '60',
               'MIGAS_EXIT_TIMEOUT': '20'}
    if name != 'nowhere.test':
        subprocess.run(host, env={**os.environ, **environ}, check=True)
server.kill()
print(json.dumps([told, server.stdout.read().split()]))
"""

#: Of each name, in the order of RFC 6724: a unique local address comes last where the machine has
#: none of that kind.
NAMES = {
    "six.test": ["2001:db8::9", "192.0.2.20"],
    "four.test": ["192.0.2.9", "fd00::20"],
    "three.test": ["192.0.2.7", "192.0.2.20", "192.0.2.21"],
    "nowhere.test": ["2001:db8::9", "192.0.2.9"],
}


@pytest.fixture
def networks() -> list[str]:
    """The beginning of a command that runs in a network and with mounts of its own."""
    command = ["unshare", "--net", "--mount"]
    needed = ("unshare", "nsenter", "ip", "mount")
    if not all(map(shutil.which, needed)) or sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root makes a network of its own, on Linux with iproute2")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no network of one's own")
    return command


@pytest.mark.slow
def test_an_address_that_leads_nowhere_costs_a_quarter_of_a_second(
    networks: list[str], tmp_path: Path
) -> None:
    """IPv6, IPv4 or the first of three machines: the timeout, which it would cost, is not near.

    So a host that ends has its request sent within its exit's budget.
    """
    lines = [f"{address} {name}\n" for name, found in NAMES.items() for address in found]
    (tmp_path / "hosts").write_text("".join(lines))
    timeout = 4.0
    arguments = [sys.executable, "-c", CLIENT, str(tmp_path), str(timeout), SERVER]
    ended = subprocess.run(
        [*networks, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    told, asked = json.loads(ended.stdout)
    # Each once, or again where a slow machine has let the back-off pass within the exit.
    assert {path for path in asked if ".test" in path} == {
        f"/{name}/graphql" for name in list(NAMES)[:3]
    }
    assert {name: found for name, (found, *_) in told.items()} == NAMES
    nowhere = told.pop("nowhere.test")
    assert nowhere[1:3] == ["UNSENT", "the server was not reached in time"]
    assert nowhere[3] >= timeout
    for name, (_, outcome, _, elapsed) in told.items():
        assert (outcome, elapsed < timeout) == ("DELIVERED", True), (name, told)
