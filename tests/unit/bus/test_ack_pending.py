"""`max_ack_pending`: what is out and not settled is bounded; only retries go past it."""

import asyncio
from typing import Any

import pytest

from bus import Failed
from bus.subscription import Delivery
from tests.fakes.buses import (
    Background,
    Inbox,
    at_rest,
    data,
    new_bus,
    reload,
    totals,
)


class Flaky:
    """A handler that naks each first attempt, for `delay` seconds."""

    def __init__(self, delay: float = 1.0) -> None:
        self.delay = delay
        self.got: list[tuple[int, int]] = []

    async def __call__(self, body: int, delivery: Delivery) -> None:
        """Keep body and attempt."""
        self.got.append((body, delivery.attempt))
        if delivery.attempt == 1:
            delivery.nak(self.delay)


async def test_at_the_bound_nothing_new_goes_out_and_what_is_due_does() -> None:
    """Naked messages wait for their redelivery, and the others for them."""
    async with new_bus() as bus:
        flaky = Flaky()
        sub = bus.agent("worker").subscribe("a", flaky, max_ack_pending=2)
        await bus.agent("planner").publish_many([("a", n) for n in range(5)])
        await bus.settle()
        assert flaky.got == [(0, 1), (1, 1)]
        assert (sub.size, len(sub.delayed)) == (3, 2)
        assert len(sub.idle) == 1  # its worker does not look again and again
        await bus.advance(1)
        assert flaky.got[2:6] == [(0, 2), (2, 1), (1, 2), (3, 1)]
        await bus.advance(10)
        assert [attempt for _, attempt in flaky.got] == [1, 1, 2, 1, 2, 1, 2, 1, 2, 2]
        assert totals(bus).delivered == 5
        assert at_rest(sub)
        assert not sub.careful


async def test_fewer_run_at_once_than_may_where_fewer_may_be_out() -> None:
    """It bounds what is in the hands of handlers too."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe(
            "a", inbox, max_in_flight=5, max_ack_pending=2
        )
        await bus.agent("planner").publish_many([("a", n) for n in range(6)])
        await bus.settle()
        assert inbox.got == [0, 1]
        assert (sub.in_flight, sub.size) == (2, 4)
        inbox.gate.set()
        await bus.settle()
        assert sorted(inbox.done) == list(range(6))
        assert at_rest(sub)


async def test_a_handler_that_has_settled_and_still_runs_is_not_waited_for() -> None:
    """What counts is what is not settled."""
    gate = asyncio.Event()
    got: list[int] = []

    async def handler(body: int, delivery: Delivery) -> None:
        got.append(body)
        await asyncio.sleep(0)
        delivery.ack()
        await gate.wait()

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, max_in_flight=3, max_ack_pending=1)
        await bus.agent("planner").publish_many([("a", n) for n in range(3)])
        await bus.settle()
        assert got == [0, 1, 2]
        gate.set()
        await bus.settle()


async def test_publishers_are_pushed_back_by_the_queue_behind_it() -> None:
    """What is not handed out stays in the queue, and fills it."""
    async with new_bus() as bus, Background() as background:
        flaky = Flaky(delay=5)
        sub = bus.agent("worker").subscribe("a", flaky, capacity=3, max_ack_pending=1)
        planner = bus.agent("planner")
        await planner.publish("a", 0)
        await bus.settle()
        for n in (1, 2):
            await planner.publish("a", n)
        refused = await planner.publish("a", 3, wait=0)
        assert isinstance(refused, Failed)
        assert refused.code == "overloaded"
        waiting = background.run(planner.publish("a", 4))
        await bus.settle()
        assert flaky.got == [(0, 1)]
        assert not waiting.done()
        await bus.advance(5)
        assert waiting.done()
        assert flaky.got == [(0, 1), (0, 2), (1, 1)]
        await bus.advance(30)
        assert at_rest(sub)


@pytest.mark.parametrize("ending", ["dead", "expired", "recalled", "evicted"])
async def test_every_ending_of_what_is_out_lets_another_go(ending: str) -> None:
    """Not its ack alone."""
    policy = data()
    async with new_bus(policy) as bus:
        got: list[int] = []

        async def handler(body: int, delivery: Delivery) -> None:
            got.append(body)
            if body == 0 and delivery.attempt == 1:
                delivery.nak(2)
            elif body == 0:
                delivery.term("no")

        given: dict[str, Any] = {}
        if ending == "evicted":
            given = {"capacity": 2, "overflow": "drop_oldest"}
        bus.agent("worker").subscribe("a", handler, max_ack_pending=1, **given)
        ttl = 1.0 if ending == "expired" else None
        await bus.agent("planner").publish("a", 0, ttl=ttl)
        await bus.settle()
        await bus.agent("critic").publish("a", 1)
        await bus.settle()
        assert got == [0]
        if ending == "recalled":
            policy["agents"]["planner"]["roles"] = []
            await reload(bus)
        if ending == "evicted":
            await bus.agent("critic").publish_many([("a", 2), ("a", 3), ("a", 4)])
        await bus.advance(2)
        assert getattr(totals(bus), ending) >= 1
        assert got[-1] == (4 if ending == "evicted" else 1)
