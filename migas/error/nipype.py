"""Errors of nipype's nodes (https://nipype.readthedocs.io): what a `NodeExecutionError` says."""

from __future__ import annotations

import re

from migas._crumb.breadcrumb import MAX_ERROR_DESC, keep_ends

from . import strip_filenames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

#: Bytes of the traceback that are sent at most.
MAX_TRACEBACK_SIZE = MAX_ERROR_DESC

_NODE = re.compile(r"Exception raised while executing Node ([\w.-]+?)\.?(?:\s|$)")
_REPORT = re.compile(r"\bTraceback:\s+(.*)", re.DOTALL)


def node_execution_error(
    etype: type[BaseException],  # noqa: ARG001  # every handler is called with these three
    evalue: str,
    etb: TracebackType | None,  # noqa: ARG001
) -> dict[str, object]:
    r"""Return the fields of a last word: which node failed, and the traceback that it reports.

    A handler for `track(…, error_handlers={"NodeExecutionError": node_execution_error})`, or for
    short `error_handlers="nipype"`. The command and its output are left out, since they are full
    of what is private.

    Parameters:
        etype: the exception's class.
        evalue: its text, as nipype wrote it: node, command, output and traceback.
        etb: its traceback here, which says nothing of the node's.

    Example:
        >>> text = "Exception raised while executing Node bet.\n\nTraceback:\n\tOSError: no space"
        >>> node_execution_error(RuntimeError, text, None)["error_desc"]
        'OSError: no space'
    """
    node, report = _NODE.search(evalue), _REPORT.search(evalue)
    lines = (report[1] if report else evalue).splitlines()
    # Without what marks a place in the line above: from Python 3.11 on half of it would be that.
    said = [line.strip() for line in lines if line.strip("\t ^~")]
    traceback = strip_filenames("\n".join(said))
    return {
        "status": "F",
        "status_desc": f"Exception raised from node {node[1] if node else '<?>'}",
        "error_type": "NodeExecutionError",
        "error_desc": keep_ends(traceback, MAX_TRACEBACK_SIZE) or "No traceback available",
    }
