"""Whatever is answered, in whatever order: what leaves, what is sent again, and when."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from answers import EXAMPLES, EXCHANGES, WORDS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import ROOMY

from migas._agent.agent import TRANSPORT_POLL
from migas._crumb import breadcrumb
from migas._delivery.parcel import Outcome, Parcel, Reply
from migas._delivery.policy import MAX_ATTEMPTS, Exchange, judge
from migas._delivery.sender import Sender
from migas._delivery.throttle import LONGEST, LONGEST_DEMAND, Backoff
from migas._delivery.uploader import Uploader
from migas._disk.entry import MemoryEntry, make_token
from migas._disk.spool import Spool
from migas._runtime.exit import Exit
from migas._runtime.listeners import Listeners
from migas._runtime.loading import TRANSPORT_MODULES, Import
from migas._runtime.receipt import Receipt
from migas._runtime.settings import Settings
from migas._runtime.threads import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

#: Requests after which an upload is taken to have no end: 16 breadcrumbs, split, each in two forms.
STORM = 100


class Meaning(NamedTuple):
    """What the table of outcomes makes of an answer, by the breadcrumbs' places in the request."""

    #: Those that may be discarded.
    leave: frozenset[int] = frozenset()
    #: Those that may have been stored, and nobody knows.
    unknown: frozenset[int] = frozenset()
    #: It is about all of them, and the server may be asked at once.
    is_word: bool = False


def read_table(exchange: Exchange, count: int, *, alone: bool, old: bool) -> Meaning:
    """Read the table, written here once more."""
    reply = judge(exchange, 0.0)
    if reply.outcome is Outcome.UNKNOWN:
        return Meaning(unknown=frozenset(range(count)))
    if reply.outcome is Outcome.REFUSED:
        assert exchange.signed
        assert exchange.status in (400, 413, 422)
        return Meaning(frozenset({0} if count == 1 else ()), is_word=True)
    data, signs = reply.answer.get("data"), exchange.signed or old
    if isinstance(data, dict):
        parts = [data.get(f"a{index}") for index in range(count)]
        leave = {
            index
            for index, part in enumerate(parts)
            if isinstance(part, dict)
            and (part.get("success") or signs or (alone and len(part) > 1))
        }
        missing = {index for index, part in enumerate(parts) if not isinstance(part, dict)}
        unknown = missing if signs else ()
        return Meaning(frozenset(leave), frozenset(unknown), len(leave) == count)
    errors: Any = reply.answer.get("errors")
    if not errors:
        return Meaning()
    error, message = errors[0], errors[0]["message"]
    by_schema = error.get("locations") and not error.get("path")
    refused = message.startswith("Invalid project") or (
        signs and (by_schema or message.startswith("Syntax Error"))
    )
    other_form = (message.startswith("Cannot query field 'add_breadcrumb'") and not old) or (
        alone and exchange.signed and error.get("path")
    )
    leave = {0} if refused and count == 1 else set()
    return Meaning(frozenset(leave), is_word=bool(refused or other_form))


class World:
    """A sender whose time, disk and server are the test's."""

    def __init__(self, directory: Path, answers: Sequence[Exchange], *, on_disk: bool) -> None:
        self.now = 1_800_000_000.0
        self.answers = list(answers)
        self.on_disk = on_disk
        #: No request may come before: the back-off, as it has to be at least.
        self.closed_until = 0.0
        self.failures = 0
        self.has_repeated = False
        self.in_a_row = 0
        #: By version: may be discarded; and the requests in which it was that came to UNKNOWN.
        self.leaving: set[str] = set()
        self.unknown: Counter[str] = Counter()
        self.noted: set[str] = set()
        if not on_disk:
            (directory / "file").touch()
            directory /= "file"
        self.spool = Spool(str(directory / "spool"), ROOMY, self.clock)
        listeners, ending = Listeners(), Exit(1.0, self.clock)
        backoff = Backoff(self.spool.directory, self.clock, lambda _low, high: high)
        self.sender = Sender(
            Settings(endpoint="http://127.0.0.1:9/graphql"),
            listeners,
            ending,
            Import(self, TRANSPORT_MODULES, TRANSPORT_POLL),  # type: ignore[arg-type]
            clock=self.clock,
        )
        self.sender._spool, self.sender._backoff = self.spool, backoff
        self.sender._uploader = Uploader(
            self.spool, self.send, backoff, listeners, ending, clock=self.clock
        )

    def clock(self) -> float:
        return self.now

    def attempt(self, _modules: object, *, loads_logging: bool) -> bool:
        """As a loader's."""
        return loads_logging

    def note(self, *, looks: bool) -> Parcel:
        """Make a breadcrumb, for whose news somebody ``looks``."""
        version = f"{len(self.noted)}.dev0"
        self.noted.add(version)
        fields = {"language_version": "3.11"}
        crumb = breadcrumb.sanitize("owner/repo", version, {}, fields).breadcrumb
        receipt = Receipt(0.0, lambda: None, ask_news=lambda _seconds: {})
        receipt.is_awaited = looks
        token = make_token()
        data = breadcrumb.encode(crumb)
        entry = self.spool.put(data, token) if self.on_disk else MemoryEntry(token)
        return Parcel(crumb, entry, receipt)

    def send(self, body: bytes, on_write: Callable[[], None]) -> Reply:
        """Answer, and hold that the request was allowed."""
        versions, alone = read_versions(body)
        assert self.now >= self.closed_until - 0.01, "within the back-off"
        assert not self.leaving & set(versions), "sent again, though the server has answered for it"
        self.in_a_row += 1
        assert self.in_a_row < STORM
        if not self.answers:
            return Reply(Outcome.UNSENT, "over", demand=LONGEST_DEMAND)
        exchange = self.answers.pop(0)
        if exchange.whole or exchange.status is not None:
            on_write()
        uploader = self.sender._uploader
        assert uploader is not None
        meaning = read_table(exchange, len(versions), alone=alone, old=uploader._is_server_old())
        self.leaving |= {versions[index] for index in meaning.leave}
        self.unknown.update(versions[index] for index in meaning.unknown)
        assert max(self.unknown.values(), default=0) <= MAX_ATTEMPTS
        reply = judge(exchange, self.now)
        if meaning.is_word:
            self.failures, self.has_repeated = 0, False
        elif reply.stale and not self.has_repeated:
            self.has_repeated = True
        else:
            wait = max(min(2.0**self.failures, LONGEST), reply.demand or 0.0)
            self.closed_until = self.now + min(wait, LONGEST_DEMAND)
            self.failures += 1
        return reply

    def turn(self, parcels: list[Parcel]) -> float:
        """Let the sender have its turn, and look what has left. Returns its pause."""
        self.in_a_row, self.has_repeated = 0, False
        pause = self.sender.handle(list(parcels), True)
        left = {parcel.breadcrumb.project_version for parcel in self.sender.parcels}
        if self.on_disk:
            waiting = [breadcrumb.decode(entry.read()) for entry in self.spool.list_pending()]
            left = {crumb.project_version for crumb in waiting}
        lost = self.noted - left - self.leaving
        assert all(self.unknown[version] == MAX_ATTEMPTS for version in lost), "discarded"
        return pause


def read_versions(body: bytes) -> tuple[list[str], bool]:
    """Return the versions of a request's breadcrumbs, and whether it asks for news."""
    request = json.loads(body)
    variables = request["variables"]
    if "p" in variables and isinstance(variables["p"], dict) and "project" in variables["p"]:
        return [variables["p"]["project_version"]], True
    names = re.findall(
        r"a\d+:add_breadcrumb\(project:\$\w+,project_version:\$(\w+)", request["query"]
    )
    return [variables[name] for name in names], False


#: What a host notes before a turn: for each breadcrumb, whether somebody looks for its news.
NOTES = st.lists(st.booleans(), max_size=3)
WELL = Exchange(whole=True, status=200, signed=True, body=b'{"data": {}}')


@pytest.mark.slow
@example([WELL._replace(status=400)] * 3, [[False, False, False]], True)
@settings(max_examples=EXAMPLES)
@given(
    st.lists(EXCHANGES | WORDS, min_size=1, max_size=12),
    st.lists(NOTES, min_size=1, max_size=8),
    st.booleans(),
)
def test_no_answer_loses_repeats_or_hurries_anything(
    tmp_path_factory: pytest.TempPathFactory,
    answers: list[Exchange],
    notes: list[list[bool]],
    on_disk: bool,
) -> None:
    """Nothing is raised. Only what the table discards leaves; what it calls UNKNOWN is sent three
    times at most; and no request comes within the back-off, from disk or from memory, whatever is
    noted meanwhile.
    """
    world = World(tmp_path_factory.mktemp("world"), answers, on_disk=on_disk)
    for _ in range(40):
        looks = notes.pop(0) if notes else []
        pause = world.turn([world.note(looks=each) for each in looks])
        if not notes and (pause == NEVER or not world.answers):
            break
        # Half of it only, if something else is noted by then.
        world.now += 0.0 if pause == NEVER else pause * (0.5 if notes else 1.0)
