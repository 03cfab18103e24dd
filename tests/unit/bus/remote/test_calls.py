"""Calls: each ends once, in order, and no more wait than may."""

import asyncio

import pytest

from bus.core.errors import BusNotStartedError, UnavailableError
from bus.remote import calls as module
from bus.remote.calls import UNKNOWN, UNSENT, Call, Calls


def added(calls: Calls, number: int, **kind: bool) -> Call:
    """Add a call of one byte."""
    call = Call(
        number, b"x", again=kind.get("again", False), bound=kind.get("bound", False)
    )
    calls.add(call, first=kind.get("first", False))
    return call


def said(call: Call) -> str:
    """Return what a call ended with."""
    return str(call.future.exception())


async def test_calls_are_taken_in_order_as_far_as_they_fit() -> None:
    """Places and bytes are bounded; one may go before all."""
    calls = Calls()
    for number in (1, 2, 3):
        added(calls, number)
    added(calls, 4, first=True)
    assert calls.take(2, 100) == ([b"x", b"x"], 98)
    assert calls.take(5, 1) == ([b"x"], 0)
    assert len(calls) == 4


async def test_what_is_forgotten_is_not_sent() -> None:
    """And an answer to it is nobody's."""
    calls = Calls()
    first = added(calls, 1)
    calls.forget(1)
    calls.forget(1)
    assert first.future.cancelled()
    assert calls.take(5, 100) == ([], 100)
    calls.answered(1, "late")
    calls.failed(1, UnavailableError("late"))
    assert not calls.postpone(1)


async def test_an_answer_ends_a_call_once() -> None:
    """Who has gone is passed over."""
    calls = Calls()
    one, two, three = added(calls, 1), added(calls, 2), added(calls, 3)
    calls.answered(1, "yes")
    assert await one.future == "yes"
    two.future.cancel()
    calls.answered(2, "yes")
    three.future.cancel()
    calls.failed(3, UnavailableError("no"))
    assert len(calls) == 0


async def test_a_lost_line_sorts_calls_by_what_is_known() -> None:
    """Sent again, sent late, unknown, or of that line alone."""
    calls = Calls()
    again, once = added(calls, 1, again=True), added(calls, 2)
    bound = added(calls, 3, bound=True)
    calls.take(3, 100)
    late, unsent = added(calls, 4), added(calls, 5, bound=True)
    calls.lost(ours=False)
    assert said(once) == said(bound) == UNKNOWN
    assert said(unsent) == UNSENT
    assert not again.future.done()
    assert not late.future.done()
    assert calls.take(5, 100)[0] == [b"x", b"x"]
    calls.lost(ours=True)
    assert said(again) == said(late) == UNKNOWN


async def test_a_node_without_a_store_knows_nothing_again() -> None:
    """What was tried before ends; what was not is sent."""
    calls = Calls()
    tried = added(calls, 1, again=True)
    calls.take(1, 100)
    calls.lost(ours=False)
    fresh = added(calls, 2, again=True)
    calls.not_kept()
    assert said(tried) == UNKNOWN
    assert not fresh.future.done()


async def test_a_call_that_was_not_taken_is_postponed() -> None:
    """Unless it is of this line."""
    calls = Calls()
    added(calls, 1)
    bound = added(calls, 2, bound=True)
    calls.take(2, 100)
    assert calls.postpone(1)
    assert not calls.postpone(2)
    calls.lost(ours=False)
    assert calls.take(2, 100)[0] == [b"x"]
    assert said(bound) == UNKNOWN


async def test_who_waits_for_room_is_let_in_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One for each that has ended; who gives up passes it on."""
    monkeypatch.setattr(module, "CLIENT_CALLS_BYTES_MAX", 2)
    calls = Calls()
    added(calls, 1)
    added(calls, 2)
    assert calls.full
    entered: list[str] = []

    async def enter(name: str) -> None:
        await calls.room()
        entered.append(name)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(enter(name)) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        calls.answered(1, "yes")
        tasks[1].cancel()  # let in already: the next one is
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert entered == ["c"]
        calls.end_all(lambda tried: BusNotStartedError(f"over {tried}"))
    assert entered == ["c", "d"]
    assert not calls.full
