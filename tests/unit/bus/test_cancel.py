"""Cancellation anywhere leaves counts and room as they were."""

import asyncio
from typing import Any

import pytest

from bus import Accepted
from bus.subscription import Delivery, Subscription
from tests.fakes.buses import Background, Inbox, PartsBus, at_rest, new_bus, totals
from tests.fakes.busparts import Stage


async def full(bus: Any, inbox: Inbox, capacity: int = 1) -> Subscription:
    """Return a subscription whose handler and queue are full."""
    sub: Subscription = bus.agent("worker").subscribe("a", inbox, capacity=capacity)
    for n in range(capacity + 1):
        await bus.agent("planner").publish("a", n)
        await bus.settle()
    return sub


async def test_a_cancelled_publisher_leaves_the_line() -> None:
    """Those behind it move up, and its message is never delivered."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await full(bus, inbox)
        planner = bus.agent("planner")
        first, second, third = (
            background.run(planner.publish("a", n)) for n in (2, 3, 4)
        )
        await bus.settle()
        second.cancel()
        await bus.settle()
        assert second.cancelled()
        inbox.gate.set()
        await bus.settle()
        assert isinstance(first.result(), Accepted)
        assert isinstance(third.result(), Accepted)
        assert inbox.done == [0, 1, 2, 4]
        assert at_rest(sub)
        assert totals(bus).accepted == 4


async def test_cancelling_all_who_wait_frees_the_queue_for_the_next() -> None:
    """The limit is as before, and the next publish does not wait."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await full(bus, inbox)
        waiting = [background.run(bus.agent("planner").publish("a", 9)) for _ in "abc"]
        await bus.settle()
        for task in waiting:
            task.cancel()
        await bus.settle()
        assert not sub.waiting
        assert sub.extra == 0
        inbox.gate.set()
        await bus.settle()
        assert isinstance(await bus.agent("planner").publish("a", 5, wait=0), Accepted)
        await bus.settle()
        assert inbox.done == [0, 1, 5]
        assert at_rest(sub)


async def test_a_publisher_cancelled_just_after_it_was_granted_room_gives_it_on() -> (
    None
):
    """The room is not lost: the next in line gets it."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await full(bus, inbox)
        first = background.run(bus.agent("planner").publish("a", 2))
        await bus.settle()
        second = background.run(bus.agent("planner").publish("a", 3))
        await bus.settle()
        inbox.gate.set()
        for _ in range(50):
            if sub.extra:
                break  # granted, and not yet told
            await asyncio.sleep(0)
        assert sub.extra == 1
        assert not first.done()
        first.cancel()
        await bus.settle()
        assert first.cancelled()
        assert isinstance(second.result(), Accepted)
        assert inbox.done == [0, 1, 3]
        assert at_rest(sub)


async def test_a_publisher_cancelled_between_two_queues_gives_the_first_back() -> None:
    """Room held in one queue while waiting for another is returned."""
    async with new_bus() as bus, Background() as background:
        slow, quick = Inbox(held=True), Inbox()
        blocked = await full(bus, slow)
        free = bus.agent("critic").subscribe("a", quick, capacity=1)
        task = background.run(bus.agent("planner").publish("a", 2))
        await bus.settle()
        task.cancel()
        await bus.settle()
        assert free.extra == 0
        assert at_rest(free)
        slow.gate.set()
        await bus.settle()
        assert at_rest(blocked)
        assert isinstance(await bus.agent("planner").publish("a", 3, wait=0), Accepted)
        await bus.settle()
        assert (slow.done, quick.done) == ([0, 1, 3], [3])


async def test_a_publisher_cancelled_in_a_stage_leaves_nothing() -> None:
    """Not accepted, not delivered, nothing held."""

    async def slow(message: Any) -> Any:
        await asyncio.Event().wait()
        return message

    async with PartsBus(stages=[(">", Stage(slow))]) as bus, Background() as background:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("a", inbox)
        task = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        task.cancel()
        await bus.settle()
        assert task.cancelled()
        assert at_rest(sub)
        assert bus.audit.events() == []


async def test_a_publisher_cancelled_while_the_audit_is_full_leaves_nothing() -> None:
    """Nothing is recorded and nothing delivered; later it works again."""
    async with PartsBus() as bus, Background() as background:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("a", inbox)
        bus.audit.stall()
        task = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        task.cancel()
        await bus.settle()
        bus.audit.recover()
        await bus.agent("planner").publish("a", 2)
        await bus.settle()
        assert inbox.done == [2]
        assert bus.audit.events() == ["accepted", "delivered"]
        assert at_rest(sub)


async def test_a_cancelled_request_is_forgotten_and_its_late_reply_ends_quietly() -> (
    None
):
    """The handler's work is done; nobody waits for the answer any more."""
    gate = asyncio.Event()

    async def handler(body: int) -> int:
        await gate.wait()
        return body

    async with new_bus() as bus, Background() as background:
        sub = bus.agent("worker").subscribe("a", handler)
        planner = bus.agent("planner")
        task = background.run(planner.request("a", 1))
        await bus.settle()
        task.cancel()
        await bus.settle()
        assert task.cancelled()
        gate.set()
        await bus.settle()
        assert at_rest(sub)
        assert bus.dead_letters == ()
        assert await planner.request("a", 2) == 2


async def test_a_request_cancelled_while_it_waits_for_room_leaves_the_line() -> None:
    """Neither the line nor the inbox remembers it."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await full(bus, inbox)
        task = background.run(bus.agent("planner").request("a", 2))
        await bus.settle()
        task.cancel()
        await bus.settle()
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0, 1]
        assert at_rest(sub)


async def test_an_unsubscribe_that_is_cancelled_loses_nothing() -> None:
    """What was queued is handled or dead, and it can be ended again."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await full(bus, inbox, capacity=3)
        task = background.run(bus.agent("worker").unsubscribe(sub, drain=60))
        await bus.settle()
        task.cancel()
        await bus.settle()
        assert task.cancelled()
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0, 1, 2, 3]
        assert await bus.agent("worker").unsubscribe(sub, drain=0) == 0
        assert bus.stats().subscriptions == 0


async def test_a_broadcast_cancelled_while_it_waits_leaves_nothing() -> None:
    """Same as a publish."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await full(bus, inbox)
        task = background.run(bus.agent("planner").broadcast("a", 2))
        await bus.settle()
        task.cancel()
        await bus.settle()
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0, 1]
        assert at_rest(sub)


async def test_publish_many_cancelled_midway_has_published_a_prefix() -> None:
    """What was accepted before is delivered; nothing after it."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await full(bus, inbox)
        items: list[tuple[str, object]] = [("a", n) for n in range(2, 10)]
        task = background.run(bus.agent("planner").publish_many(items))
        await bus.settle()
        task.cancel()
        await bus.settle()
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0, 1]
        assert at_rest(sub)
        assert totals(bus).accepted == 2


@pytest.mark.parametrize("turns", range(1, 12))
async def test_a_reply_cancelled_at_any_turn_leaves_the_bus_consistent(
    turns: int,
) -> None:
    """Whenever the requester gives up, the next request works."""

    async def handler(body: int, delivery: Delivery) -> int:
        await asyncio.sleep(0)
        await delivery.reply(body)
        await asyncio.sleep(0)
        return body

    async with new_bus() as bus, Background() as background:
        sub = bus.agent("worker").subscribe("a", handler)
        planner = bus.agent("planner")
        task = background.run(planner.request("a", 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await bus.settle()
        assert task.done()
        assert await planner.request("a", 2) == 2
        await bus.settle()
        assert at_rest(sub)
        assert totals(bus).failed == 0


@pytest.mark.parametrize("turns", range(12))
async def test_a_publisher_cancelled_at_any_turn_was_accepted_or_never_was(
    turns: int,
) -> None:
    """Delivered means accepted, and what was not accepted is nowhere."""

    async def slow(message: Any) -> Any:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return message

    async with PartsBus(stages=[(">", Stage(slow))]) as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await full(bus, inbox)
        task = background.run(bus.agent("planner").publish("a", 2))
        for _ in range(3):
            await asyncio.sleep(0)
        inbox.gate.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await bus.settle()
        assert inbox.done in ([0, 1], [0, 1, 2])
        assert totals(bus).accepted == totals(bus).delivered == len(inbox.done)
        assert isinstance(await bus.agent("planner").publish("a", 3, wait=0), Accepted)
        await bus.settle()
        assert inbox.done[-1] == 3
        assert at_rest(sub)
