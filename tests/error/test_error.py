"""What an exception says of a run, and what of it is told."""

from __future__ import annotations

import sys
from typing import NoReturn

import pytest

from migas import error
from migas.error import inspect_error, strip_filenames
from migas.error.nipype import MAX_TRACEBACK_SIZE, node_execution_error


class OddError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


class AbortError(RuntimeError):
    """What click makes of a Ctrl-C."""


@pytest.mark.parametrize(
    ("exception", "told"),
    [
        pytest.param(None, ("C", "Completed"), id="none"),
        pytest.param(ValueError("boom"), ("F", "Failed", "ValueError", "boom"), id="a failure"),
        pytest.param(
            FileNotFoundError(2, "No such file"),
            ("F", "Failed", "FileNotFoundError", "[Errno 2] No such file"),
            id="several arguments",
        ),
        pytest.param(KeyError("key"), ("F", "Failed", "KeyError", "key"), id="without quotes"),
        pytest.param(OddError("a", "b"), ("F", "Failed", "OddError", None), id="no text"),
        pytest.param(KeyboardInterrupt(), ("S", "Suspended by SIGINT"), id="Ctrl-C"),
        pytest.param(SystemExit(), ("C", "Completed"), id="exit"),
        pytest.param(SystemExit(130), ("S", "Suspended by SIGINT"), id="exit 130"),
        pytest.param(SystemExit(2), ("F", "Failed", "SystemExit", "exit status 2"), id="exit 2"),
        pytest.param(SystemExit(True), ("F", "Failed", "SystemExit", "exit status 1"), id="True"),
        pytest.param(SystemExit("no"), ("F", "Failed", "SystemExit", "no"), id="exit with a text"),
        pytest.param(GeneratorExit(), ("C", "Completed"), id="a generator that is closed"),
    ],
)
def test_an_exception_is_described(
    exception: BaseException | None, told: tuple[str | None, ...]
) -> None:
    """By its status, and a failure by its type and text."""
    assert tuple(error.describe(exception).values()) == told


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


def abort() -> NoReturn:
    try:
        interrupt()
    except KeyboardInterrupt as error:
        raise AbortError from error


def leave() -> NoReturn:
    try:
        abort()
    except AbortError:
        sys.exit(1)


def test_what_came_of_a_ctrl_c_is_one() -> None:
    """Whatever libraries have made of it on the way; and a circle is none."""
    with pytest.raises(SystemExit) as raised:
        leave()
    assert error.describe(raised.value)["status"] == "S"
    circle = ValueError()
    circle.__context__ = OSError()
    circle.__context__.__context__ = circle
    assert not error.is_interrupted(circle)


def fill_disk() -> NoReturn:
    raise OSError("disk")


def test_the_error_at_work_is_inspected() -> None:
    """The one that is being handled comes first."""
    try:
        fill_disk()
    except OSError:
        found = inspect_error()
    assert found == {
        "status": "F",
        "status_desc": "Failed",
        "error_type": "OSError",
        "error_desc": "disk",
    }


def test_the_last_error_is_inspected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is being handled, the interpreter's last one, by the host's own handler."""
    monkeypatch.setattr(sys, "last_value", ValueError("boom"), raising=False)
    assert inspect_error({"ValueError": lambda *said: {"error_desc": said[1]}}) == {
        "error_desc": "boom"
    }


#: What nipype's own code wrote for a node that really failed, in somebody's home.
REPORT = """Exception raised while executing Node failing.

Cmdline:
\tmri_convert --out_type mgz /home/jane/T1.nii /home/jane/T1.mgz
Stdout:
\tcannot determine the type of /home/jane/T1.nii
Stderr:

Traceback:
\tTraceback (most recent call last):
\t  File "/home/jane/env/lib/nipype/interfaces/base/core.py", line 402, in run
\t    runtime = self._run_interface(runtime)
\t              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
\t  File "<string>", line 1, in work
\tValueError: cannot read /home/jane/T1.nii
"""


def test_a_nodes_report_is_read() -> None:
    """Its name, and the traceback; of the command and its output nothing."""
    assert node_execution_error(RuntimeError, REPORT, None) == {
        "status": "F",
        "status_desc": "Exception raised from node failing",
        "error_type": "NodeExecutionError",
        "error_desc": "Traceback (most recent call last):\n"
        'File "<path>", line 402, in run\n'
        "runtime = self._run_interface(runtime)\n"
        'File "<string>", line 1, in work\n'
        "ValueError: cannot read <path>",
    }


@pytest.mark.parametrize(
    ("text", "desc", "told"),
    [
        pytest.param("", "<?>", "No traceback available", id="empty"),
        pytest.param(
            "Subnodes of node: bet failed:\n\tOSError",
            "<?>",
            "Subnodes of node: bet failed:\nOSError",
            id="no traceback",
        ),
    ],
)
def test_a_report_of_another_form_is_told_as_it_is(text: str, desc: str, told: str) -> None:
    """nipype raises the same exception with other texts as well."""
    said = node_execution_error(RuntimeError, text, None)
    assert said["status_desc"] == f"Exception raised from node {desc}"
    assert said["error_desc"] == told


def test_a_long_report_keeps_both_ends() -> None:
    """Within the server's limit, in bytes."""
    text = "Traceback:\nTraceback (most recent call last):\n" + "é" * 5000 + "\nValueError: last"
    told = str(node_execution_error(RuntimeError, text, None)["error_desc"])
    assert told.startswith("Traceback (most recent call last):\né")
    assert told.endswith("é\nValueError: last")
    assert len(told.encode()) <= MAX_TRACEBACK_SIZE


def test_file_names_are_stripped() -> None:
    """The name by which earlier clients knew it."""
    assert strip_filenames("cannot read /data/sub-01/bold.nii.gz") == "cannot read <path>"
