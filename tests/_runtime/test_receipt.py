"""What a caller gets back: nothing to pay for, an answer for whoever waits."""

from __future__ import annotations

import threading

import pytest
from support import PATIENCE, await_condition

from migas import Receipt


class Pending:
    """A receipt, and how often somebody could not wait."""

    def __init__(self, patience: float = 0.0) -> None:
        self.hurried = 0
        self.receipt = Receipt(patience, self._hurry)

    def _hurry(self) -> None:
        self.hurried += 1


def test_without_an_answer_a_look_inside_says_why() -> None:
    """Code for the blocking client goes on, after its timeout."""
    pending = Pending()
    assert pending.receipt["success"] is False
    assert pending.receipt.get("latest_version") is None
    assert dict(pending.receipt) == {"success": False, "message": "no answer within 0 seconds"}
    assert len(pending.receipt) == 2
    assert pending.hurried > 0


def test_looking_at_it_from_outside_never_waits() -> None:
    """repr(), done(), bool(), comparing and hashing are free."""
    pending = Pending(PATIENCE)
    assert repr(pending.receipt) == "<Receipt pending>"
    assert not pending.receipt.done()
    assert pending.receipt
    assert hash(pending.receipt) == hash(pending.receipt)
    assert pending.receipt != Pending(PATIENCE).receipt
    assert pending.hurried == 0


def test_the_first_answer_counts() -> None:
    """A breadcrumb has one fate."""
    pending = Pending()
    pending.receipt.settle({"success": True})
    pending.receipt.settle({"success": False})
    assert dict(pending.receipt.result(0)) == {"success": True}
    assert pending.receipt.done()
    assert repr(pending.receipt) == "<Receipt {'success': True}>"
    assert pending.hurried == 0


def test_a_result_is_waited_for_and_hurried() -> None:
    """Whoever waits need not wait for the half second that others save."""
    pending = Pending()

    def settle() -> None:
        await_condition(lambda: pending.hurried == 1)
        pending.receipt.settle({"success": True})

    threading.Thread(target=settle).start()
    assert dict(pending.receipt.result()) == {"success": True}
    assert dict(pending.receipt.result(PATIENCE)) == {"success": True}
    assert pending.hurried == 1


def test_a_result_that_does_not_come_is_a_timeout() -> None:
    """As with a future."""
    with pytest.raises(TimeoutError, match=r"0\.01 seconds"):
        Pending().receipt.result(0.01)


def test_many_may_wait() -> None:
    """The latch lets everybody through."""
    pending = Pending()
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.append(pending.receipt.result(PATIENCE)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    pending.receipt.settle({"success": True})
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [{"success": True}] * 5


def test_callbacks_are_called_once_with_the_receipt() -> None:
    """Before and after the answer alike; what they raise is dropped."""
    receipt = Pending().receipt
    called: list[object] = []
    receipt.add_done_callback(lambda _: 1 // 0)
    receipt.add_done_callback(called.append)
    assert called == []
    receipt.settle({"success": True})
    receipt.add_done_callback(called.append)
    receipt.add_done_callback(lambda _: 1 // 0)
    assert called == [receipt, receipt]


def test_a_result_is_the_callers_own() -> None:
    """What one caller changes no other sees (found in the earlier clients)."""
    receipt = Receipt.settled({"success": True})
    receipt.result()["success"] = False
    assert receipt["success"] is True


def test_a_forked_child_does_not_wait_for_its_parents_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that would bring it is not there (pain 12)."""
    pending = Pending(PATIENCE)
    monkeypatch.setattr("migas._runtime.receipt.getpid", lambda: -1)
    assert "parent" in str(pending.receipt["message"])
    assert pending.hurried == 0
