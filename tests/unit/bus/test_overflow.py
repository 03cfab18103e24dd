"""A full queue: the publisher waits, is refused, or the oldest gives way; all bounded."""

from typing import Any

import pytest

from bus import Accepted, Failed
from bus.core.errors import NoRespondersError, OverloadedError
from bus.core.limits import PUBLISH_WAIT_S, RETRY_AFTER_S
from bus.subscription import Delivery, Subscription
from bus.testing import TestBus
from tests.fakes.buses import (
    Background,
    Inbox,
    PartsBus,
    at_rest,
    codes,
    lower_bound,
    new_bus,
    totals,
)


async def filled(bus: TestBus, inbox: Inbox, **options: Any) -> Subscription:
    """Return a subscription with one message in its handler and a full queue of two."""
    sub = bus.agent("worker").subscribe("a", inbox, capacity=2, **options)
    outcomes = []
    for n in range(3):
        outcomes.append(await bus.agent("planner").publish("a", n))
        await bus.settle()
    assert codes(outcomes) == ["Accepted"] * 3
    assert (sub.size, sub.in_flight) == (2, 1)
    return sub


async def test_a_publisher_waits_for_room_by_default() -> None:
    """It is accepted once there is some, and nothing is lost."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await filled(bus, inbox)
        waiting = background.run(bus.agent("planner").publish("a", 3))
        await bus.settle()
        assert not waiting.done()
        inbox.gate.set()
        await bus.settle()
        assert isinstance(waiting.result(), Accepted)
        assert inbox.done == [0, 1, 2, 3]
        assert at_rest(sub)


async def test_a_wait_ends_as_overloaded_with_a_time_to_try_again() -> None:
    """After the publisher's own wait, or the bus's."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await filled(bus, inbox, ack_wait=3600)
        own = background.run(bus.agent("planner").publish("a", 3, wait=2.0))
        usual = background.run(bus.agent("planner").publish("a", 4))
        await bus.advance(1.999)
        assert not own.done()
        await bus.advance(0.001)
        outcome = own.result()
        assert isinstance(outcome, Failed)
        assert outcome.code == "overloaded"
        assert outcome.retry_after_s == RETRY_AFTER_S
        with pytest.raises(OverloadedError):
            outcome.unwrap()
        assert not usual.done()
        await bus.advance(PUBLISH_WAIT_S)
        assert codes([usual.result()]) == ["Failed"]
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0, 1, 2]
        assert at_rest(sub)
        assert totals(bus).failed == 2


async def test_a_wait_of_nothing_is_refused_at_once() -> None:
    """`wait=0` never suspends for long."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        await filled(bus, inbox)
        outcome = await bus.agent("planner").publish("a", 3, wait=0)
        assert isinstance(outcome, Failed)
        assert outcome.code == "overloaded"
        inbox.gate.set()


async def test_a_subscription_that_refuses_never_makes_a_publisher_wait() -> None:
    """Overloaded at once, and fine again when there is room."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        sub = await filled(bus, inbox, overflow="refuse")
        outcome = await bus.agent("planner").publish("a", 3)
        assert isinstance(outcome, Failed)
        assert outcome.code == "overloaded"
        inbox.gate.set()
        await bus.settle()
        assert isinstance(await bus.agent("planner").publish("a", 4), Accepted)
        await bus.settle()
        assert inbox.done == [0, 1, 2, 4]
        assert at_rest(sub)


async def test_a_subscription_that_refuses_does_so_also_after_a_wait_for_another() -> (
    None
):
    """It fills up while the publisher waits elsewhere: refused then, not kept waiting."""
    async with new_bus() as bus, Background() as background:
        slow, brisk = Inbox(held=True), Inbox(held=True)
        worker, planner = bus.agent("worker"), bus.agent("planner")
        worker.subscribe("*.both", slow, capacity=1)
        worker.subscribe("a.*", brisk, capacity=1, overflow="refuse")
        for subject in ("x.both", "y.both", "a.one"):
            await planner.publish(subject, subject)
            await bus.settle()
        waiting = background.run(planner.publish("a.both", 1, wait=60))
        await bus.settle()
        assert isinstance(await planner.publish("a.two", "a.two"), Accepted)
        slow.gate.set()
        await bus.settle()
        assert codes([waiting.result()]) == ["Failed"]
        brisk.gate.set()
        await bus.settle()
        assert brisk.done == ["a.one", "a.two"]


async def test_drop_oldest_gives_up_the_oldest_of_the_lowest_and_counts_it() -> None:
    """Only where a subscription asked for it; each is counted and recorded."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        planner = bus.agent("planner")
        sub = bus.agent("worker").subscribe(
            "a", inbox, capacity=2, overflow="drop_oldest"
        )
        await planner.publish("a", "in the handler")
        await bus.settle()
        await planner.publish("a", "high", priority=2)
        await planner.publish("a", "normal")
        outcome = await planner.publish("a", "newer")
        assert isinstance(outcome, Accepted)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == ["in the handler", "high", "newer"]
        assert totals(bus).evicted == 1
        assert bus.audit.events().count("evicted") == 1
        assert at_rest(sub)


async def test_drop_oldest_stays_within_its_capacity_while_redeliveries_wait() -> None:
    """A failing handler does not make the queue grow without bound."""

    async def failing(delivery: Delivery) -> None:
        delivery.nak(60.0)

    async with new_bus() as bus:
        sub = bus.agent("worker").subscribe(
            "a", failing, capacity=3, overflow="drop_oldest"
        )
        for n in range(50):
            await bus.agent("planner").publish("a", n)
            await bus.settle()
            assert sub.load <= sub.capacity + 1
        counts = totals(bus)
        assert counts.accepted == 50
        assert counts.evicted + sub.load == 50


async def test_one_slow_taker_holds_a_message_back_from_all_or_from_none() -> None:
    """Room with all takers at once: nobody gets a message that another cannot."""
    async with new_bus() as bus, Background() as background:
        slow, quick = Inbox(held=True), Inbox()
        first = await filled(bus, slow)
        second = bus.agent("critic").subscribe("a", quick)
        waiting = background.run(bus.agent("planner").publish("a", 3, wait=1.0))
        await bus.settle()
        assert quick.got == []
        await bus.advance(1.0)
        assert codes([waiting.result()]) == ["Failed"]
        assert quick.got == []
        slow.gate.set()
        await bus.settle()
        assert at_rest(first)
        assert at_rest(second)


async def test_publishers_that_wait_are_served_in_order() -> None:
    """First come, first served; a newcomer does not slip in before them."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await filled(bus, inbox)
        tasks = []
        for n in range(3, 9):
            tasks.append(background.run(bus.agent("planner").publish("a", n)))
            await bus.settle()
        inbox.gate.set()
        late = background.run(bus.agent("critic").publish("a", 9))
        await bus.settle()
        assert codes([t.result() for t in (*tasks, late)]) == ["Accepted"] * 7
        assert inbox.done == list(range(10))
        assert at_rest(sub)


async def test_publishers_waiting_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound they are refused at once."""
    lower_bound(monkeypatch, "PUBLISHERS_WAITING_MAX", 2)
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await filled(bus, inbox)
        waiting = [background.run(bus.agent("planner").publish("a", n)) for n in (3, 4)]
        await bus.settle()
        outcome = await bus.agent("planner").publish("a", 5)
        assert isinstance(outcome, Failed)
        assert outcome.code == "overloaded"
        inbox.gate.set()
        await bus.settle()
        assert codes([task.result() for task in waiting]) == ["Accepted"] * 2
        assert at_rest(sub)


async def test_a_waiting_publisher_is_told_when_the_subscription_ends() -> None:
    """Nobody is left waiting for a queue that is gone."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = await filled(bus, inbox)
        waiting = background.run(bus.agent("planner").publish("a", 3))
        await bus.settle()
        await bus.agent("worker").unsubscribe(sub, drain=0)
        await bus.settle()
        outcome = waiting.result()
        assert isinstance(outcome, Failed)
        with pytest.raises(NoRespondersError):
            outcome.unwrap()


async def test_a_taker_that_ends_while_another_is_waited_for_is_not_delivered_to() -> (
    None
):
    """An accepted message has takers that are there; it does not go into a dead queue."""
    async with new_bus() as bus, Background() as background:
        slow, other = Inbox(held=True), Inbox()
        bus.agent("critic").subscribe("a", slow, capacity=1)
        for n in range(2):
            await bus.agent("planner").publish("a", n)
            await bus.settle()
        ending = bus.agent("worker").subscribe("a", other)
        waiting = background.run(bus.agent("planner").publish("a", 2))
        await bus.settle()
        await bus.agent("worker").unsubscribe(ending)
        slow.gate.set()
        await bus.settle()
        outcome = waiting.result()
        if isinstance(outcome, Accepted):
            assert outcome.deliveries == 1
            assert slow.done == [0, 1, 2]
        else:
            assert slow.done == [0, 1]
        assert ending.load == 0
        assert totals(bus).accepted * 1 == totals(bus).delivered


async def test_two_publishers_that_need_the_same_two_queues_do_not_block_each_other() -> (
    None
):
    """Rooms are taken in one order, whatever the order of the subscriptions."""
    async with new_bus() as bus, Background() as background:
        one, two = Inbox(held=True), Inbox(held=True)
        subs = [
            bus.agent("worker").subscribe("*.x", one, capacity=1),
            bus.agent("critic").subscribe("m.*", two, capacity=1),
        ]
        planner = bus.agent("planner")
        for n in range(2):
            await planner.publish("m.x", n)
            await bus.settle()
        tasks = [background.run(planner.publish("m.x", n)) for n in range(2, 8)]
        await bus.settle()
        one.gate.set()
        await bus.settle()
        two.gate.set()
        await bus.settle()
        assert codes([task.result() for task in tasks]) == ["Accepted"] * 6
        assert one.done == two.done == list(range(8))
        assert all(at_rest(sub) for sub in subs)
