"""The preset `nipype`: reads the text of a `NodeExecutionError` of https://nipype.readthedocs.io.

It knows the form of that text as nipype 1.12 writes it. What may go wrong: another release writes
another form. Then the whole text, redacted, is the description of the error.
"""

from __future__ import annotations

import re

from migas._crumb.breadcrumb import MAX_ERROR_DESC, keep_ends

from . import strip_filenames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

#: How many bytes of a traceback are sent; of a longer one both ends.
MAX_TRACEBACK_SIZE = MAX_ERROR_DESC

_NODE = re.compile(r"Exception raised while executing Node ([\w.-]+?)\.?(?:\s|$)")
_REPORT = re.compile(r"\bTraceback:\s+(.*)", re.DOTALL)


def node_execution_error(
    etype: type[BaseException],  # noqa: ARG001  # every handler is called with these three
    evalue: str,
    etb: TracebackType | None,  # noqa: ARG001
) -> dict[str, object]:
    r"""Return the fields of a final status: which node failed, and its traceback.

    `track(…, error_handlers="nipype")` uses it as the handler of `NodeExecutionError`. The node's
    command and output are left out, since they are full of private paths and names.

    Parameters:
        etype: the exception's class; not used.
        evalue: the exception's text, as nipype wrote it: node, command, output and traceback.
        etb: the traceback of this process, which does not show the node's; not used.

    Returns:
        `status`, `status_desc`, `error_type`, and a redacted `error_desc` of at most
        `MAX_TRACEBACK_SIZE` bytes.

    Example:
        >>> text = "Exception raised while executing Node bet.\n\nTraceback:\n\tOSError: no space"
        >>> node_execution_error(RuntimeError, text, None)["error_desc"]
        'OSError: no space'
    """
    node, report = _NODE.search(evalue), _REPORT.search(evalue)
    lines = (report[1] if report else evalue).splitlines()
    # Without the lines of `^^^^` that Python 3.11 and later put below a line of code: they would
    # take half of the room.
    kept = [line.strip() for line in lines if line.strip("\t ^~")]
    traceback = strip_filenames("\n".join(kept))
    return {
        "status": "F",
        "status_desc": f"Exception raised from node {node[1] if node else '<?>'}",
        "error_type": "NodeExecutionError",
        "error_desc": keep_ends(traceback, MAX_TRACEBACK_SIZE) or "No traceback available",
    }
