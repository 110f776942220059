"""The flush: sends everything that is pending, and counts what became of it.

It runs for as long as the server's limit makes it, which may be minutes, so it shows how far it is,
and a person may stop it. Other processes may send, add and drop breadcrumbs of the same spool at
the same time; `Flushed` says what each number then means.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from migas._agent.process import current_process
from migas._delivery.parcel import Outcome
from migas._delivery.sent_log import noted
from migas.operations import flush as flush_all

from .report import find_spool
from .runner import LEFT, STOPPED, WELL
from .terminal import print_json, print_line, show_progress

if TYPE_CHECKING:
    import argparse

    from migas._disk.spool import Spool


class Flushed(NamedTuple):
    """What became of the breadcrumbs that were pending."""

    #: The server took them from this process; or they count as delivered, since they were sent for
    #: the third time and no answer came.
    delivered: int
    #: The server told this process that it will never take them.
    refused: int
    #: They are on disk, also those that another process has added since, or is sending.
    pending: int
    #: They were removed meanwhile, by any process, since the spool holds no more.
    dropped: int

    @property
    def needs_a_look(self) -> bool:
        """Whether a person may want to know why some were not delivered."""
        return bool(self.refused or self.pending)


def flush(options: argparse.Namespace) -> int:
    """Send everything that is pending, show how far that is, and print what became of it.

    Parameters:
        options: `json`; `timeout`, in seconds, or None: as long as it takes.

    Returns:
        0 if all of it was delivered or dropped, or there was nothing to send; 1 if any was refused
        or is pending; 130 if a Ctrl-C stopped it.
    """
    off, spool = current_process().find_refusal(), find_spool(current_process().use_settings())
    pending = spool.count() if spool else 0
    flushed, is_stopped = Flushed(0, 0, pending, 0), False
    if spool and pending and not off:
        flushed, is_stopped = _flush(spool, pending, options.timeout)
    if options.json:
        print_json({**flushed._asdict(), "switched_off_by": off})
    elif off:
        print_line(f"nothing is sent: telemetry is switched off by {off}; pending {pending}")
    elif not pending:
        print_line("nothing to send")
    else:
        print_line(_describe(flushed, is_stopped=is_stopped))
    if is_stopped:
        return STOPPED
    return LEFT if flushed.needs_a_look else WELL


def _describe(flushed: Flushed, *, is_stopped: bool) -> str:
    """Return the numbers in a line, with what a person may do about them."""
    numbers = ", ".join(f"{name} {number}" for name, number in flushed._asdict().items())
    if is_stopped:
        rest = "; `migas flush` sends the rest" if flushed.pending else ""
        return f"stopped: {numbers}{rest}"
    return numbers + ("; `migas status` says why" if flushed.needs_a_look else "")


def _flush(spool: Spool, pending: int, timeout: float | None) -> tuple[Flushed, bool]:
    """Flush, and return what became of it, and whether a Ctrl-C stopped it."""
    before = _count(spool)
    is_stopped = False
    try:
        left = _flush_on_thread(spool, pending, timeout)
    except KeyboardInterrupt:
        left, is_stopped = spool.count(), True
    after = _count(spool)
    delivered, refused, dropped = (now - then for now, then in zip(after, before, strict=True))
    # The two last ones shrink if a person clears the spool just now.
    return Flushed(max(0, delivered), refused, left, max(0, dropped)), is_stopped


def _count(spool: Spool) -> tuple[int, int, int]:
    """Count what was delivered and refused here so far, and dropped by any process.

    What counts as delivered without an answer is counted on disk alone, for all processes. Another
    process that gives up a breadcrumb during this flush makes ours one too many; that takes a
    silent server, and is not worth a second count.
    """
    return noted[Outcome.DELIVERED] + spool.unanswered, noted[Outcome.REFUSED], spool.dropped


def _flush_on_thread(spool: Spool, pending: int, timeout: float | None) -> int:
    """Flush on another thread, so that a Ctrl-C reaches this one; return how many are pending."""
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(flush_all(timeout)), daemon=True)
    thread.start()
    with show_progress(pending, "breadcrumbs") as progress:
        while thread.is_alive():
            thread.join(progress.pause)
            if thread.is_alive():
                # Other processes may have added to it since.
                progress.update(max(0, pending - spool.count()))
    return results[0] if results else spool.count()
