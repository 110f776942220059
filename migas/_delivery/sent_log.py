"""The record: the latest breadcrumbs that were sent from this machine, for their person to read.

A request that could not be sent has a line, too, with the reason. The record lies in the spool of
the server that they were sent to. It is bounded, and nothing is decided by it: a race or a full
disk may cost a line.
"""

from __future__ import annotations

import contextlib
import json
import time

from migas._crumb import breadcrumb
from migas._disk.directory import open_directory
from migas._runtime.clock import read_clock

from .parcel import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from migas._crumb.breadcrumb import Breadcrumb

    from .parcel import Verdict

#: Bytes after which a file is full. One that is, and the one begun since, are kept.
FULL = 65536

#: The files, the earlier one first.
FILES = "sent-earlier.jsonl", "sent.jsonl"
_EARLIER, _LATEST = FILES

#: Bytes that a file may have: what several processes add at the same time comes on top.
_LARGEST = 16 * FULL

#: How many breadcrumbs this process has noted so far, by outcome. `migas flush` counts by it what
#: itself has delivered: the files are bounded, and other processes write to them, too.
noted = dict.fromkeys(Outcome, 0)

#: Outcomes of what was sent, or may have been.
_SENT = {Outcome.DELIVERED, Outcome.REFUSED, Outcome.UNKNOWN}

#: What a line holds besides the breadcrumb's fields.
_FIELDS = "sent_at", "outcome", "reason"

#: Characters of a server's reason.
_MAX_REASON = 200


class Record:
    """What was sent to one server.

    Parameters:
        directory: the path of the server's spool, in which the record lies.
        clock: the time in seconds since the epoch.
    """

    def __init__(self, directory: str, clock: Callable[[], float] = read_clock) -> None:
        self._directory = directory
        self._clock = clock

    def add(self, judged: Iterable[tuple[Breadcrumb, Verdict]]) -> None:
        """Note one request's breadcrumbs that were sent, or may have been, each with its verdict.

        Of those that were not sent the first one is noted, with the reason. If the record cannot be
        written, as on a full disk, they are not in it.
        """
        sent_at = write_time(self._clock())
        judged = list(judged)
        sent = [each for each in judged if each[1].outcome in _SENT]
        unsent = [each for each in judged if each[1].outcome is Outcome.UNSENT]
        for _, verdict in sent:
            noted[verdict.outcome] += 1
        lines = [_encode(sent_at, *each) for each in (*sent, *unsent[:1])]
        if not lines:
            return
        # In one piece, since others append as well.
        data = "".join(lines).encode("ascii")
        with contextlib.suppress(OSError), open_directory(self._directory) as spool:
            if spool.append(_LATEST, data, _LARGEST) + len(data) >= FULL:
                spool.move(_LATEST, spool, _EARLIER, _LARGEST)

    def read(self) -> Iterator[dict[str, object]]:
        """Yield what was sent, and which requests could not be, the earliest first.

        Each has `sent_at`, `outcome` and `reason`, and the breadcrumb's fields. Lines that are none
        of ours are passed over.
        """
        lines: list[bytes] = []
        with contextlib.suppress(OSError), open_directory(self._directory) as spool:
            for name in FILES:
                with contextlib.suppress(OSError):
                    lines += spool.read(name, _LARGEST).splitlines()
        for line in lines:
            # It may hold anything, and a parser may choke on it.
            with contextlib.suppress(Exception):
                yield _decode(line)

    def clear(self) -> None:
        """Remove the record. Raises `OSError` if something is left of it."""
        with contextlib.suppress(FileNotFoundError), open_directory(self._directory) as spool:
            for name in FILES:
                with contextlib.suppress(FileNotFoundError):
                    spool.remove(name, _LARGEST)


def write_time(moment: float) -> str:
    """Write a moment, in seconds since the epoch, as ISO 8601 does, in UTC.

    Example:
        >>> write_time(0.0)
        '1970-01-01T00:00:00Z'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _encode(sent_at: str, crumb: Breadcrumb, verdict: Verdict) -> str:
    noted = zip(
        _FIELDS, (sent_at, verdict.outcome.value, verdict.reason[:_MAX_REASON]), strict=True
    )
    return json.dumps({**dict(noted), **crumb._asdict()}) + "\n"


def _decode(line: bytes) -> dict[str, object]:
    """Read what `_encode` wrote. Raises whatever comes of anything else."""
    found = json.loads(line)
    return {name: found[name] for name in (*_FIELDS, *breadcrumb.Breadcrumb._fields)}
