"""An interpreter that a program in C ends and begins again finds no thread of an earlier life."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

import migas

if TYPE_CHECKING:
    from pathlib import Path

#: Runs its second argument in as many interpreters as its first says, and prints after each how
#: many threads the process has.
PROGRAM = r"""
#include <Python.h>
#include <dirent.h>
#include <unistd.h>
static int count_threads(void) {
    int count = 0;
    struct dirent *entry;
    DIR *directory = opendir("/proc/self/task");
    while ((entry = readdir(directory)))
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}
int main(int argc, char **argv) {
    for (int life = 0; life < atoi(argv[1]); life++) {
        Py_Initialize();
        if (PyRun_SimpleString(argv[2])) return 3;
        if (Py_FinalizeEx()) return 4;
        /* The system may need a moment to end a thread that Python knows to be at its end. */
        for (int n = 0; n < 500 && count_threads() > 1; n++) usleep(10000);
        printf("%d\n", count_threads());
        fflush(stdout);
    }
    return 0;
}
"""

LIVES = "5"

#: What the agent imports to send, so that each life ends with its request under way.
IMPORTS = "import sys; sys.path[:0] = {path!r}; import logging, requests\n"


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Compile the program, where there is a compiler and Python is a library."""
    compiler = shutil.which("cc")
    library = sysconfig.get_config_var("LIBDIR")
    if compiler is None or not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        pytest.skip("needs a compiler, and Python as a shared library")
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("the threads are counted as Linux shows them")
    (tmp_path / "program.c").write_text(PROGRAM)
    path = str(tmp_path / "program")
    flags = [f"-I{sysconfig.get_paths()['include']}", f"-L{library}", f"-Wl,-rpath,{library}"]
    name = f"-lpython{sysconfig.get_config_var('LDVERSION')}"
    built = subprocess.run(
        [compiler, "-o", path, f"{path}.c", *flags, name], capture_output=True, check=False
    )
    if built.returncode:
        pytest.skip("Python's headers are not installed")
    return path


def run(program: str, code: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, LIVES, code],
        # No coverage is measured there, which does not survive the first of these lives.
        env={
            **{name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")},
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_interpreter_that_begins_again_meets_no_thread_of_ours(
    program: str, scheme: str
) -> None:
    """Nobody answers, or shakes hands, and the thread that waits for it is woken by our exit."""
    source = os.path.dirname(os.path.dirname(migas.__file__))
    imports = IMPORTS.format(path=[source, *sys.path])
    bare = run(program, imports, {})
    if bare.returncode:
        pytest.skip("this Python cannot import ssl in a second life, without us either")
    environ = {"MIGAS_TIMEOUT": "50", "MIGAS_EXIT_TIMEOUT": "0.5"}
    # A busy machine may take longer than the exit has patience.
    patient = "import migas._agent.agent as agents; agents.FAREWELL = 30.0\n"
    line = patient + "import migas; migas.add_project('owner/repo', '1')\n"
    # A back-off that the life before has begun would have this one send nothing.
    apart = "os.environ['MIGAS_CACHE_DIR'] = os.environ['HOME'] + f'/{os.urandom(4).hex()}'\n"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ["MIGAS_ENDPOINT"] = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/graphql"
        ended = run(program, f"{imports}import os\n{apart}{line}", environ)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    assert ended.stdout == "1\n" * int(LIVES)
