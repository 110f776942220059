"""The hosts: programs that carry a client."""

from __future__ import annotations

from typing import NamedTuple


class Host(NamedTuple):
    """A program that tells of itself by a client."""

    name: str
    #: Code that runs before the client is imported, and after its last call.
    before: str = ""
    after: str = ""
    #: The package that it takes.
    needs: str = ""


#: Some two seconds of it.
CHUNKS = 1500

#: Work in Python, which holds the GIL, as chunks of about a millisecond. It tells how long they
#: took, and how many were done in the first half second.
_WORK = """
start = time.perf_counter()
early = 0
for chunk in range(int(os.environ["BENCH_CHUNKS"])):
    sum(number * number for number in range(16_000))
    early += time.perf_counter() - start < 0.5
tell(worked=time.perf_counter() - start, early=early)
"""

HOSTS = [
    Host("bare"),
    Host("nibabel", before="import nibabel", needs="nibabel"),
    Host("requests", before="import requests", needs="requests"),
    Host("busy", after=_WORK),
]

#: It has come to rest, with all written, before it ends. Not in tables, since it takes its time.
RESTING = Host("resting", after="time.sleep(1)")
