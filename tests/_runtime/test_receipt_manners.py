"""A receipt has a dict's manners and, as a future, those of `concurrent.futures`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import json
import logging
import pickle
import sys
import threading
from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from support import FORKS, PATIENCE, SLOW

from migas import Receipt
from migas._runtime import receipt as receipt_module
from migas._runtime.daemon import Thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Host

    from migas.testing import Server
    from migas.typedefs import Answer

ANSWER = {"success": True, "message": "", "latest_version": "2.0"}

#: What reads a whole receipt.
LOOKS: dict[str, Callable[[Any], object]] = {
    "dict()": dict,
    "copy()": lambda receipt: receipt.copy(),
    "**": lambda receipt: {**receipt},
    "list()": list,
    "items()": lambda receipt: list(receipt.items()),
    "values()": lambda receipt: list(receipt.values()),
    "|": lambda receipt: receipt | {},
    "| from the right": lambda receipt: {} | receipt,
    "==": lambda receipt: receipt == {},
    "json": lambda receipt: json.dumps(receipt, default=dict),
    "pickle": pickle.dumps,
}


def make_pending(patience: float = PATIENCE) -> tuple[Receipt, list[None]]:
    """Return a receipt without an answer, and a list that grows when somebody asks for it."""
    urged: list[None] = []
    return Receipt(patience, lambda: urged.append(None)), urged


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_whole_look_waits_once(
    look: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One patience for all keys, and none for a later look; the answer is seen when it comes."""
    waits: list[float] = []
    translate = receipt_module._lock_timeout

    def record(timeout: float | None) -> float:
        if timeout:
            waits.append(timeout)
        return translate(timeout)

    monkeypatch.setattr(receipt_module, "_lock_timeout", record)
    receipt, _ = make_pending(0.001)
    look(receipt)
    assert waits == [0.001]
    assert receipt["message"] == "no answer within 0.001 seconds"
    look(receipt)
    assert waits == [0.001]
    receipt.settle(ANSWER)
    assert dict(receipt) == ANSWER


def test_news_are_asked_for_after_a_look_in_vain() -> None:
    """A look that finds the answer at last has its patience for the news of the version."""
    seconds: list[float] = []

    def ask(left: float) -> dict[str, object]:
        seconds.append(left)
        return {"latest_version": "2.0"}

    receipt = Receipt(0.2, lambda: None, ask_news=ask)
    assert receipt["success"] is False
    receipt.settle({"success": True, "message": ""})
    assert receipt["latest_version"] == "2.0"
    assert len(seconds) == 1
    assert 0 < seconds[0] <= 0.2


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda each: copy.deepcopy([each])[0]])
def test_a_copy_is_the_receipt_itself(make: Callable[[Receipt], Receipt]) -> None:
    """A host may copy what holds a receipt: nobody waits, and the answer is seen (pain 38)."""
    receipt, urged = make_pending()
    assert make(receipt) is receipt
    assert not urged


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_receipt_is_pickled_with_its_answer(protocol: int) -> None:
    """What is unpickled is a settled receipt, with a future's manners and a dict's (pain 38)."""
    urged: list[None] = []

    def answer_soon() -> None:
        urged.append(None)
        threading.Thread(target=receipt.settle, args=[ANSWER]).start()

    receipt = Receipt(PATIENCE, answer_soon)
    receipt.add_done_callback(print)
    loaded = pickle.loads(pickle.dumps(receipt, protocol))
    assert type(loaded) is Receipt
    assert loaded.done()
    assert loaded.result(0) == loaded.future().result(0) == dict(loaded) == ANSWER
    assert urged


def test_a_receipt_can_be_merged_from_both_sides() -> None:
    """As a dict can be; the result is a dict, and what stands on the right goes first."""
    receipt: Any = Receipt.settled(ANSWER)
    assert receipt | {"message": "mine"} == {**ANSWER, "message": "mine"}
    assert {"message": "mine", "more": 1} | receipt == {**ANSWER, "more": 1}
    assert OrderedDict(more=1) | receipt == {**ANSWER, "more": 1}
    assert MappingProxyType({"more": 1}) | receipt == {**ANSWER, "more": 1}
    assert receipt | receipt == ANSWER
    gathered: dict[str, object] = {"more": 1}
    gathered |= receipt
    assert gathered == {**ANSWER, "more": 1}
    merged = receipt
    merged |= {"more": 1}
    assert merged == gathered
    assert dict(receipt) == ANSWER
    for wrong in (None, [("more", 1)], "more"):
        with pytest.raises(TypeError):
            receipt | wrong
        with pytest.raises(TypeError):
            wrong | receipt


def test_a_receipt_is_compared_by_its_answer_from_both_sides() -> None:
    """With a dict; with another receipt by identity, as a future is."""
    receipt = Receipt.settled(ANSWER)
    assert receipt == ANSWER
    assert ANSWER == receipt  # noqa: SIM300  # the other side is asked first
    assert receipt != {}
    assert {} != receipt  # noqa: SIM300
    assert receipt != Receipt.settled(ANSWER)


def test_a_receipt_can_be_written_as_json() -> None:
    """Through `dict`, by hand or as the encoder's `default`, at any depth."""
    receipt = Receipt.settled(ANSWER)
    assert json.loads(json.dumps(dict(receipt))) == ANSWER
    assert json.loads(json.dumps({"receipts": [receipt]}, default=dict)) == {"receipts": [ANSWER]}


def test_a_future_of_a_receipt_gets_its_answer() -> None:
    """It is asked for at once, by each future; callbacks get the future, as everywhere."""
    receipt, urged = make_pending()
    futures = [receipt.future(), receipt.future()]
    assert len(urged) == 2
    assert receipt.is_awaited
    called: list[object] = []
    futures[0].add_done_callback(called.append)
    threading.Timer(0.01, receipt.settle, [ANSWER]).start()
    done, pending = concurrent.futures.wait(futures, PATIENCE)
    assert done == set(futures)
    assert not pending
    assert called == [futures[0]]
    futures[0].result()["success"] = False
    assert futures[1].result() == receipt.result() == ANSWER


def test_asyncio_waits_for_a_future_of_a_receipt() -> None:
    """While the loop goes on."""
    receipt, _ = make_pending()

    async def main() -> Answer:
        future = asyncio.wrap_future(receipt.future())
        threading.Timer(0.01, receipt.settle, [ANSWER]).start()
        return await future

    assert asyncio.run(main()) == ANSWER


def test_a_future_that_nobody_waits_for_any_longer_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Cancelled, timed out, or left behind by a closed loop: the answer comes, and no log line."""
    caplog.set_level(logging.DEBUG)
    receipt, _ = make_pending()
    future = receipt.future()
    assert not future.cancel()

    async def main() -> None:
        asyncio.wrap_future(receipt.future())
        asyncio.wrap_future(receipt.future()).cancel()
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await asyncio.wait_for(asyncio.wrap_future(receipt.future()), 0.001)

    asyncio.run(main())
    caplog.clear()
    receipt.add_done_callback(lambda _: 1 // 0)
    future.add_done_callback(lambda _: 1 // 0)
    thread = Thread(lambda: receipt.settle(ANSWER), "settles")
    thread.start()
    assert future.result(PATIENCE) == ANSWER
    thread.await_end(PATIENCE)
    assert not caplog.records


#: A host that waits for futures wherever it can.
HOST = """
import atexit, os, sys
from concurrent.futures import wait

def look(where, receipt):
    future = receipt.future()
    assert not wait([future], 60).not_done, where
    print(where, future.result()['success'], future.result()['message'], flush=True)

@atexit.register
def late():
    look('late', first)
    look('new', migas.add_project('owner/repo', '3'))

import migas
first = migas.add_project('owner/repo', '1')
look('life', first)
if sys.argv[1:] == ['fork']:
    second = migas.add_project('owner/repo', '2')
    if os.fork() == 0:
        look('child', second)
        look('own', migas.add_project('owner/repo', '4'))
        os._exit(0)
    os.wait()
"""


@pytest.mark.slow
def test_futures_are_settled_in_life_in_forked_children_and_after_the_exit(
    host: Host, server: Server
) -> None:
    """A child has its own; what comes after our exit hook stays on disk, as its receipt says."""
    ended = host.run_program({"main.py": HOST}, {**FORKS, **SLOW}, ("main.py", "fork"))
    assert ended.calmly, ended
    said = {line.split()[0]: line for line in ended.out.splitlines()}
    assert (said["late"], said["life"]) == ("late True ", "life True ")
    # The parent sends its second one meanwhile, and may take the child's along from the disk.
    assert said["own"] in ("own True ", "own False another process is sending it")
    assert said["child"].startswith("child False the breadcrumb belongs to the parent")
    assert said["new"].startswith("new False nothing is sent")
    assert len(server.crumbs) == 3


def test_futures_are_settled_at_once_when_opted_out(host: Host, server: Server) -> None:
    """With the reason, and nothing more."""
    ended = host.run_program({"main.py": HOST}, {"MIGAS_OPTOUT": "1"})
    assert ended.calmly, ended
    assert ended.out.splitlines() == [
        f"{where} False switched off by MIGAS_OPTOUT" for where in ("life", "late", "new")
    ]
    assert server.requests == 0


#: A host whose worker returns what it got.
POOL = """
import multiprocessing, os, migas

def work(number):
    return migas.add_breadcrumb('owner/repo', str(number))

if __name__ == '__main__':
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        [receipt] = pool.map(work, [1])
    print(receipt.done(), sorted(receipt.result().items()), os.getpid() == receipt._pid)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="hosts start another way there")
def test_a_worker_may_return_a_receipt(host: Host, server: Server) -> None:
    """It comes with the answer, and belongs to the process that it came to."""
    ended = host.run_program({"main.py": POOL}, SLOW)
    assert ended.calmly, ended
    assert ended.out == "True [('message', ''), ('success', True)] True\n"
    assert len(server.crumbs) == 1


def test_pickling_in_a_forked_child_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there would bring the answer (pain 12)."""
    receipt, urged = make_pending()
    monkeypatch.setattr("migas._runtime.receipt.getpid", lambda: -1)
    assert "parent" in str(pickle.loads(pickle.dumps(receipt))["message"])
    assert "parent" in str(receipt.future().result(0)["message"])
    assert not urged
