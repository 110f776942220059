"""What our own code warns of reaches nobody, and nothing of the host's warnings changes."""

from __future__ import annotations

import os
import threading
import types
import warnings
from typing import TYPE_CHECKING

import pytest
from support import PATIENCE

from migas._runtime.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from support import Host


@pytest.mark.filterwarnings("error")
def test_a_quiet_thread_warns_nobody_and_changes_no_filter() -> None:
    """Neither a warning nor a filter, or a block that sets filters, is the host's business."""
    before = list(warnings.filters)
    with quiet:
        warnings.warn("of ours", stacklevel=1)
        warnings.warn("of ours", DeprecationWarning, stacklevel=1)
        warnings.simplefilter("always")
        warnings.filterwarnings("always")
        warnings.filters.append(("always", None, Warning, None, 0))  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.warn("of ours", stacklevel=1)
    assert list(warnings.filters) == before
    assert type(warnings) is types.ModuleType
    with pytest.raises(UserWarning, match="the host's"):
        warnings.warn("the host's", stacklevel=1)


def test_meanwhile_other_threads_warn_and_set_filters_as_ever() -> None:
    """What the host's threads do with `warnings` while a thread of ours is quiet counts."""
    entered, go = threading.Event(), threading.Event()

    def be_quiet() -> None:
        with quiet:
            entered.set()
            go.wait(PATIENCE)

    thread = threading.Thread(target=be_quiet)
    thread.start()
    assert entered.wait(PATIENCE)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("the host's", stacklevel=1)
        assert [str(each.message) for each in caught] == ["the host's"]
        assert isinstance(warnings, types.ModuleType)
    finally:
        go.set()
        thread.join(PATIENCE)
    assert type(warnings) is types.ModuleType


@pytest.mark.filterwarnings("error")
def test_a_resource_that_the_host_has_not_closed_is_still_told_of() -> None:
    """Python may collect the host's garbage on any thread, a quiet one as well."""
    with quiet, pytest.raises(ResourceWarning):
        warnings.warn("a file is not closed", ResourceWarning, stacklevel=1)


def test_a_thread_may_be_quiet_twice() -> None:
    """An import within a delivery does not end its quiet."""
    with quiet:
        with quiet:
            pass
        warnings.warn("of ours", stacklevel=1)
    assert not quiet.is_active()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_an_ordinary_module(host: Host) -> None:
    """A fork in the middle of a delivery copies neither the quiet nor the module's class."""
    ended = host.run(
        """
import os, threading, types, warnings
from migas._runtime.quiet import quiet
entered = threading.Event()
def be_quiet():
    with quiet:
        entered.set()
        threading.Event().wait()
threading.Thread(target=be_quiet, daemon=True).start()
entered.wait()
warnings.simplefilter('ignore')
child = os.fork()
if not child:
    warnings.simplefilter('ignore')
    os._exit(0 if type(warnings) is types.ModuleType and not quiet._depths else 7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    )
    assert (ended.status, ended.out) == (0, "0\n"), ended


ONCE = """
import warnings
def warn(): warnings.warn('once', UserWarning)
warn()
{line}
warn()
"""


def test_a_warning_that_the_host_has_shown_once_is_not_shown_again(
    host: Host, tmp_path: Path
) -> None:
    """A filter more or less has Python forget what it has shown, so none is added at all."""
    (tmp_path / "filtering.py").write_text("import warnings\nwarnings.simplefilter('always')\n")
    line = "from migas._runtime.loading import load; load('filtering')"
    alone = host.run(ONCE.format(line=""))
    beside = host.run(ONCE.format(line=line))
    assert alone.err.count("UserWarning: once") == 1, alone
    assert beside.err.count("UserWarning: once") == 1, beside
