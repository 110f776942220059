"""The record: the latest breadcrumbs that left this machine, for their person to read.

It is bounded, and nothing is decided by it: what a race or a full disk takes from it is a line less
to read.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

from migas._crumb import breadcrumb
from migas._disk.directory import open_private

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

#: Outcomes of what has left, or may have.
_LEFT = {Outcome.DELIVERED, Outcome.REFUSED, Outcome.UNKNOWN}

#: How many breadcrumbs this process has noted so far, by outcome. `migas flush` counts by it what
#: itself has delivered: the files are bounded, and other processes write to them, too.
noted = dict.fromkeys(Outcome, 0)

#: What a line says besides the breadcrumb's fields.
_SAID = "sent_at", "outcome", "reason"

#: Characters of a server's reason.
_MAX_REASON = 200


class Record:
    """What left for one server, in the ``directory`` of its spool."""

    def __init__(self, directory: str, clock: Callable[[], float] = time.time) -> None:
        self._earlier, self._latest = (os.path.join(directory, name) for name in FILES)
        self._clock = clock

    def add(self, judged: Iterable[tuple[Breadcrumb, Verdict]]) -> None:
        """Note what has left, if anything; where that cannot be written nobody minds."""
        sent_at = write_time(self._clock())
        judged = [each for each in judged if each[1].outcome in _LEFT]
        for _, verdict in judged:
            noted[verdict.outcome] += 1
        lines = [_encode(sent_at, *each) for each in judged]
        if not lines:
            return
        with contextlib.suppress(OSError):
            with open(self._latest, "ab", opener=open_private) as file:
                # In one piece, since others append as well.
                file.write("".join(lines).encode("ascii"))
                is_full = file.tell() >= FULL
            if is_full:
                os.replace(self._latest, self._earlier)

    def read(self) -> Iterator[dict[str, object]]:
        """List what has left, the earliest first: when, what became of it, and each field."""
        for path in self._earlier, self._latest:
            with contextlib.suppress(OSError), open(path, "rb") as file:
                for line in file:
                    # It may hold anything, and a parser may choke on it.
                    with contextlib.suppress(Exception):
                        yield _decode(line)

    def clear(self) -> None:
        """Forget all of it. Raises `OSError`."""
        for path in self._earlier, self._latest:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def write_time(moment: float) -> str:
    """Write a moment as ISO 8601 does, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _encode(sent_at: str, crumb: Breadcrumb, verdict: Verdict) -> str:
    said = zip(_SAID, (sent_at, verdict.outcome.value, verdict.reason[:_MAX_REASON]), strict=True)
    return json.dumps({**dict(said), **crumb._asdict()}) + "\n"


def _decode(line: bytes) -> dict[str, object]:
    """Read what `_encode` wrote. Raises whatever comes of anything else."""
    found = json.loads(line)
    return {name: found[name] for name in (*_SAID, *breadcrumb.Breadcrumb._fields)}
