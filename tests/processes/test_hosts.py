"""The hosts that call the earlier clients in production run on this one, not a line changed.

They are installed by `tox -e hosts`; elsewhere these tests are skipped.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import signal
from typing import TYPE_CHECKING

import pytest
from support import SLOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Host

    from migas.testing import Server

if importlib.util.find_spec("fmriprep") is None:
    pytest.skip("the hosts are not installed", allow_module_level=True)

HOSTS = ["fmriprep", "mriqc", "nibabies", "petprep", "sdcflows"]

#: What a host's command line does first, and a step of its own.
START = """
import os, signal, sys, time
from {host} import config
from {host}.utils.telemetry import send_crumb, setup_migas
setup_migas()
send_crumb(status='R', status_desc='half way')
print(config.execution.run_uuid, flush=True)
import migas._delivery.writer  # before a Ctrl-C: CPython forgets one for some imports
"""
#: A workflow's node that fails, with a file's name in its error.
NODE = """
from nipype import Function, Node
node = Node(Function(input_names=[], output_names=['out']), name='failing', base_dir=os.getcwd())
node.inputs.function_str = "def work(): raise ValueError('cannot read /data/jane/x.nii.gz')"
node.run()
"""

COMPLETED = ("C", "Completed after")
SIGINT, SIGTERM = ("S", "Suspended by SIGINT after"), ("S", "Suspended by SIGTERM after")
ENDS = [
    pytest.param(("", 0, COMPLETED), id="its end"),
    pytest.param(("sys.exit(0)", 0, COMPLETED), id="exit 0"),
    pytest.param(("sys.exit(1)", 1, ("F", "Failed after")), id="exit 1"),
    pytest.param((NODE, 1, ("F", "Exception raised from node failing")), id="a node fails"),
    pytest.param(
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", -signal.SIGINT, SIGINT), id="Ctrl-C"
    ),
    pytest.param(
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", -signal.SIGTERM, SIGTERM),
        id="SIGTERM",
    ),
    pytest.param(("migas.flush(30); os._exit(3)", 3, None), id="os._exit"),
    pytest.param(
        ("migas.flush(30); os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, None),
        id="SIGKILL",
    ),
]


@pytest.fixture(params=HOSTS)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of the hosts; its own pings and downloads are off."""
    monkeypatch.setenv("NIPYPE_NO_ET", "1")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templates"))
    return str(request.param)


@pytest.mark.parametrize("end", ENDS)
def test_a_host_tells_its_run(
    host: Host,
    server: Server,
    deliver: Callable[[], None],
    name: str,
    end: tuple[str, int, tuple[str, str] | None],
) -> None:
    """That it started, its own step, and how it ended: as one run, and with nothing private.

    A node that fails is told with its traceback: where in the workflow, and what nipype says of it.
    """
    code, status, last = end
    ended = host.run(START.format(host=name) + code, SLOW, measured=False)
    assert ended.status == status, ended
    deliver()
    run = re.escape(ended.out.split()[0].partition("_")[2])
    for crumb in server.crumbs:
        assert crumb["project"] == f"nipreps/{name}"
        assert crumb["version"] == importlib.metadata.version(name)
        assert re.fullmatch(run, str(crumb["session_id"]))
        assert not re.search(r"/data|jane", str(crumb))
    told = [
        (crumb["status"], re.sub(r" \d+:\d\d:\d\d$", "", str(crumb["status_desc"])))
        for crumb in server.crumbs
    ]
    expected = [("R", "workflow start"), ("R", "half way"), *([last] if last else [])]
    assert sorted(told) == sorted(expected)
    if code == NODE:
        [crumb] = [crumb for crumb in server.crumbs if crumb["status"] == "F"]
        assert crumb["error_type"] == "NodeExecutionError"
        assert str(crumb["error_desc"]).endswith("ValueError: cannot read <path>")


def test_a_host_whose_user_says_no_tells_nothing(host: Host, server: Server, name: str) -> None:
    """It sets NO_ET itself, for nipype's sake; that of its user's own counts."""
    ended = host.run(START.format(host=name), {"NO_ET": "1"}, measured=False)
    assert ended.status == 0, ended
    assert server.requests == 0
