"""Order: by priority, FIFO within one and per sender, and nobody starves."""

import asyncio
from typing import Any

from bus import Failed
from bus.core.limits import DELIVERIES_PER_TURN, OVERTAKES_MAX
from bus.core.message import Priority
from bus.subscription import Delivery
from tests.fakes.buses import Background, Inbox, at_rest, new_bus


async def test_higher_priority_goes_first_and_equals_in_order() -> None:
    """Critical, high, normal, low; FIFO within each."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        await planner.publish("a", "first")
        await bus.settle()
        for n in range(3):
            for priority in Priority:
                await planner.publish("a", f"{priority.name} {n}", priority=priority)
        inbox.gate.set()
        await bus.settle()
    assert inbox.done == ["first"] + [
        f"{p.name} {n}" for p in reversed(Priority) for n in range(3)
    ]


async def test_a_low_priority_message_is_overtaken_at_most_the_stated_times() -> None:
    """However much of higher priority keeps coming."""
    served: list[Any] = []

    async with new_bus() as bus:
        planner = bus.agent("planner")

        async def handler(body: Any) -> None:
            served.append(body)
            if body == "start":
                await planner.publish("a", "low", priority=0)
                for n in range(10):
                    await planner.publish("a", n, priority=3)
            elif isinstance(body, int) and len(served) < 2 * OVERTAKES_MAX:
                await planner.publish("a", body + 10, priority=3)

        bus.agent("worker").subscribe("a", handler)
        await planner.publish("a", "start")
        for _ in range(20):
            await bus.settle()
    overtakers = served.index("low") - 1
    assert 0 < overtakers <= OVERTAKES_MAX


async def test_order_per_sender_holds_over_many_turns_of_the_loop() -> None:
    """Two senders, each in its own order, over more than one batch."""
    async with new_bus() as bus:
        got: list[tuple[str, int]] = []

        async def handler(body: int, delivery: Delivery) -> None:
            got.append((delivery.message.sender, body))

        sub = bus.agent("worker").subscribe("a", handler, capacity=10)

        async def send(name: str) -> None:
            for n in range(2 * DELIVERIES_PER_TURN):
                (await bus.agent(name).publish("a", n)).unwrap()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send("planner"))
            tasks.create_task(send("critic"))
        await bus.settle()
        for name in ("planner", "critic"):
            numbers = [n for sender, n in got if sender == name]
            assert numbers == list(range(2 * DELIVERIES_PER_TURN))
        assert at_rest(sub)


async def test_a_busy_subscription_lets_others_have_their_turn() -> None:
    """After a batch the worker lets the loop go round."""
    async with new_bus() as bus:
        seen_at: list[int] = []
        served: list[int] = []

        async def handler(body: int) -> None:
            served.append(body)

        async def other(_: int) -> None:
            seen_at.append(len(served))

        bus.agent("worker").subscribe("a", handler)
        bus.agent("critic").subscribe("b", other)
        planner = bus.agent("planner")
        many = 10 * DELIVERIES_PER_TURN
        await planner.publish_many([("a", n) for n in range(many)])
        before = len(served)
        await planner.publish("b", 0)
        await bus.settle()
        assert len(served) == many
        assert seen_at[0] - before <= 2 * DELIVERIES_PER_TURN


async def test_max_in_flight_handlers_run_at_once_and_no_more() -> None:
    """As many workers as were asked for."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox, max_in_flight=3)
        await bus.agent("planner").publish_many([("a", n) for n in range(5)])
        await bus.settle()
        assert len(inbox.got) == sub.in_flight == 3
        assert bus.stats().in_flight == 3
        assert bus.stats().queued == 2
        inbox.gate.set()
        await bus.settle()
        assert sorted(inbox.done) == list(range(5))
        assert at_rest(sub)


async def test_a_queue_group_shares_the_messages() -> None:
    """Each message goes to one member; all members work."""
    async with new_bus() as bus:
        one, two, all_ = Inbox(), Inbox(), Inbox()
        bus.agent("worker").subscribe("a", one, queue="workers")
        bus.agent("critic").subscribe("a", two, queue="workers")
        bus.agent("planner").subscribe("a", all_)
        await bus.agent("planner").publish_many([("a", n) for n in range(10)])
        await bus.settle()
    assert len(one.done) == len(two.done) == 5
    assert sorted(one.done + two.done) == all_.done == list(range(10))


async def test_two_members_of_one_agent_share_a_queue_group_too() -> None:
    """An agent that subscribes twice to its group has two members in it."""
    async with new_bus() as bus:
        one, two = Inbox(), Inbox()
        for inbox in (one, two):
            bus.agent("worker").subscribe("a", inbox, queue="workers")
        await bus.agent("planner").publish_many([("a", n) for n in range(10)])
        await bus.settle()
    assert len(one.done) == len(two.done) == 5


async def test_a_taker_that_ends_while_its_room_is_held_gives_the_others_theirs() -> (
    None
):
    """A message that waits for a second queue fails, and the third has its room back."""
    async with new_bus() as bus, Background() as background:
        held = Inbox(held=True)
        ending = bus.agent("critic").subscribe("a", Inbox(), capacity=1)
        free = bus.agent("planner").subscribe("a", Inbox(), capacity=1)
        bus.agent("worker").subscribe("*", held, capacity=1)
        for n in range(2):
            await bus.agent("planner").publish("b", n)
            await bus.settle()
        waiting = background.run(bus.agent("planner").publish("a", 2))
        await bus.settle()
        await bus.agent("critic").unsubscribe(ending, drain=0)
        held.gate.set()
        await bus.settle()
        assert isinstance(waiting.result(), Failed)
        assert held.done == [0, 1]
        assert at_rest(free)
