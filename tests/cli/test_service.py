"""A local server on the command line runs until it is told to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

from migas.cli import main
from migas.testing import Server

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_server_runs_until_it_is_told_to_end(tmp_path: Path, end: signal.Signals) -> None:
    """Its address is its first line; Ctrl-C and a polite kill end it calmly."""
    command = [sys.executable, "-m", "migas", "serve", "--port", "0"]
    command += ["--database", str(tmp_path / "crumbs.sqlite")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.split()[3].rstrip(";")
        request = urllib.request.Request(
            address, b'{"query": "{get_projects}"}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            assert response.read() == b'{"data": {"get_projects": []}}'
        process.send_signal(end)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


def test_a_port_or_a_file_that_cannot_be_had_is_explained_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for what a person can mend."""
    with Server() as server:
        assert main(["serve", "--port", str(server.port)]) == 1
    assert f"port {server.port}" in capsys.readouterr().err
    assert main(["serve", "--database", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
