"""An exception becomes the fields of a final status."""

from __future__ import annotations

import sys
from typing import NoReturn

import pytest

from migas import error
from migas.error import (
    ERROR_PRESETS,
    inspect_error,
    resolve_error_handlers,
    status_from_exception,
    status_from_signal,
    strip_filenames,
)
from migas.error.nipype import MAX_TRACEBACK_SIZE, node_execution_error


class OddError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


class Cancelled(BaseException):
    """What trio raises in a task that it cancels."""


class AbortError(RuntimeError):
    """What click makes of a Ctrl-C."""


@pytest.mark.parametrize(
    ("exception", "fields"),
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
        pytest.param(Cancelled(), ("S", "Suspended by Cancelled"), id="a task that is cancelled"),
        pytest.param(GeneratorExit(), ("C", "Completed"), id="a generator that is closed"),
    ],
)
def test_an_exception_is_described(
    exception: BaseException | None, fields: tuple[str | None, ...]
) -> None:
    """Each exception has its status, and a failure its type and text."""
    assert tuple(error.describe(exception).values()) == fields


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
    """A Ctrl-C is known whatever libraries made of it, and a circle of causes ends the search."""
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
    """The exception that is being handled comes first."""
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
    """If none is being handled, the host's handler gets the last one that nobody handled."""
    monkeypatch.setattr(sys, "last_value", ValueError("boom"), raising=False)
    assert inspect_error({"ValueError": lambda *passed: {"error_desc": passed[1]}}) == {
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
    """The node's name and its traceback are kept, and nothing of its command and output."""
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
    ("text", "desc", "kept"),
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
def test_a_report_of_another_form_is_kept_as_it_is(text: str, desc: str, kept: str) -> None:
    """nipype raises the same exception with other texts as well."""
    fields = node_execution_error(RuntimeError, text, None)
    assert fields["status_desc"] == f"Exception raised from node {desc}"
    assert fields["error_desc"] == kept


def test_a_long_report_keeps_both_ends() -> None:
    """A long report keeps its ends within the server's limit, in bytes."""
    text = "Traceback:\nTraceback (most recent call last):\n" + "é" * 5000 + "\nValueError: last"
    kept = str(node_execution_error(RuntimeError, text, None)["error_desc"])
    assert kept.startswith("Traceback (most recent call last):\né")
    assert kept.endswith("é\nValueError: last")
    assert len(kept.encode()) <= MAX_TRACEBACK_SIZE


def test_file_names_are_stripped() -> None:
    """Earlier clients have the redaction by this name."""
    assert strip_filenames("cannot read /data/sub-01/bold.nii.gz") == "cannot read <path>"


def explain(*passed: object) -> dict[str, object]:
    return {"status": "F", "error_desc": f"it was {passed[1]}"}


def test_an_exception_has_a_final_status() -> None:
    """That of a handler that fits goes before ours, and no exception is a completed run."""
    assert status_from_exception(None) == {"status": "C", "status_desc": "Completed"}
    assert status_from_exception(ValueError("small"), {"ValueError": explain}) == {
        "status": "F",
        "error_desc": "it was small",
    }
    assert status_from_exception(OSError("small"), error_funcs={ValueError: explain}) == {
        "status": "F",
        "status_desc": "Failed",
        "error_type": "OSError",
        "error_desc": "small",
    }


def test_a_signal_has_a_final_status() -> None:
    """By its name, or by its number if it has none."""
    assert status_from_signal(15) == {"status": "S", "status_desc": "Suspended by SIGTERM"}
    assert status_from_signal(99)["status_desc"] == "Suspended by signal 99"


def test_handlers_are_resolved() -> None:
    """Presets by name, lists in order, and a dict that is the caller's own."""
    nipype = {**ERROR_PRESETS["nipype"]}
    mine: dict[type[BaseException] | str, error.Handler] = {OSError: explain}
    other = resolve_error_handlers(mine)
    assert other == mine
    assert other is not mine
    assert resolve_error_handlers(None) == resolve_error_handlers([]) == {}
    assert resolve_error_handlers("nipype") == nipype
    last: dict[type[BaseException] | str, error.Handler] = {OSError: nipype["NodeExecutionError"]}
    assert resolve_error_handlers([mine, "nipype", last]) == {**nipype, **last}
    failed = nipype["NodeExecutionError"](RuntimeError, REPORT, None)
    assert failed == node_execution_error(RuntimeError, REPORT, None)


@pytest.mark.parametrize("handlers", ["nypipe", 7, [None, 7, "nypipe"]])
def test_handlers_that_are_none_are_left_out(
    handlers: object, caplog: pytest.LogCaptureFixture
) -> None:
    """With a word in the log, and never with an exception."""
    assert resolve_error_handlers(handlers) == {}  # type: ignore[arg-type]
    assert "there are no error handlers" in caplog.text
