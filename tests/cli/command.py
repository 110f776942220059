"""What the tests of the commands share: a command run as a person runs it, and what it finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from support import PATIENCE

from migas._crumb import breadcrumb
from migas._disk.spool import open_spool
from migas._runtime.settings import Settings


def run(*arguments: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command with ``text`` as its input, and with these variables besides."""
    return subprocess.run(
        [sys.executable, "-m", "migas", *arguments],
        capture_output=True,
        env={**os.environ, **environ},
        input=text,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )


def read_json(*arguments: str, **environ: str) -> Any:
    """Run a command with `--json`, and return what it printed."""
    done = run(*arguments, "--json", **environ)
    assert done.stderr == ""
    return json.loads(done.stdout)


def put(count: int) -> None:
    """Put so many breadcrumbs on disk, whose versions are 0, 1 and so on."""
    spool = open_spool(Settings.from_env(os.environ))
    for number in range(count):
        crumb = breadcrumb.sanitize("owner/repo", number, {"error_desc": "boom"}, {}).breadcrumb
        spool.put(breadcrumb.encode(crumb))
