"""The usage of several periods: writes one request that asks for all of them.

The server counts a request once in its limit, however many questions it holds.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Questions of one request. The server asks its database for all of them at once, and for all its
#: clients it has 15 connections (migas-server 0.9.0, by SQLAlchemy's defaults).
MAX_QUESTIONS = 10


def encode_usages(project: str, spans: Sequence[tuple[str, str]], unique: bool) -> bytes:
    """Write one request for the usage in each of ``spans``, under the alias `a` and its index.

    Parameters:
        project: `owner/repo`.
        spans: start and end of each, as `graphql.format_date` writes them; `MAX_QUESTIONS` at most.
            These take 1,000 bytes besides the name, of the 2,500 that the server takes.
        unique: True to count users.
    """
    # `unique` is false by default.
    also = ",unique:true" if unique else ""
    fields = " ".join(
        f'a{index}:get_usage(project:$p,start:"{start}",end:"{end}"{also})'
        for index, (start, end) in enumerate(spans)
    )
    request = {"query": f"query($p:String!){{{fields}}}", "variables": {"p": project}}
    return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
