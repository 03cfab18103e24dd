"""Leases: a handler has `ack_wait` for each attempt, and says so if it needs longer."""

import asyncio

import pytest

from bus.core.errors import AlreadySettledError
from bus.subscription import Delivery
from tests.fakes.buses import Inbox, at_rest, new_bus, totals

SLACK_S = 0.5  # leases are looked at four times a second


async def test_a_handler_past_ack_wait_is_interrupted_and_the_message_retried() -> None:
    """At the last attempt it is a dead letter that says why."""
    interrupted: list[int] = []

    async def handler(delivery: Delivery) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            interrupted.append(delivery.attempt)
            raise

    async with new_bus() as bus:
        sub = bus.agent("worker").subscribe("a", handler, ack_wait=1.0, max_deliver=2)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(0.9)
        assert interrupted == []
        await bus.advance(0.1 + SLACK_S)
        assert interrupted == [1]
        await bus.advance(0.2 + 1.0 + SLACK_S)
        assert interrupted == [1, 2]
        assert "ack_wait" in bus.dead_letters[0].reason
        assert at_rest(sub)


async def test_the_worker_goes_on_after_an_interruption() -> None:
    """The next message is served by the same subscription."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox, ack_wait=1.0, max_deliver=1)
        await bus.agent("planner").publish("a", "hangs")
        await bus.advance(1.0 + SLACK_S)
        inbox.gate.set()
        await bus.agent("planner").publish("a", "fine")
        await bus.settle()
        assert inbox.done == ["fine"]
        assert at_rest(sub)


async def test_a_sign_of_life_starts_the_lease_anew() -> None:
    """A handler that says in_progress in time is never interrupted."""
    step = asyncio.Event()
    done: list[int] = []

    async def handler(delivery: Delivery) -> None:
        for _ in range(4):
            await step.wait()
            step.clear()
            delivery.in_progress()
        done.append(delivery.attempt)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, ack_wait=2.0)
        await bus.agent("planner").publish("a", 1)
        for _ in range(4):
            await bus.advance(1.5)
            step.set()
            await bus.settle()
        assert done == [1]
        assert totals(bus).redelivered == 0


async def test_each_attempt_has_a_lease_of_its_own() -> None:
    """The second attempt does not inherit the time the first one used."""
    interrupted: list[int] = []
    first = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        try:
            if delivery.attempt == 1:
                await first.wait()
                delivery.nak(0)
                return
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            interrupted.append(delivery.attempt)
            raise

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, ack_wait=2.0)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(1.9)
        first.set()
        await bus.settle()
        await bus.advance(1.5)
        assert interrupted == []
        await bus.advance(0.5 + SLACK_S)
        assert interrupted == [2]


async def test_a_handler_that_swallows_the_interruption_and_returns_has_done_it() -> (
    None
):
    """What it finished is delivered, and later messages are not disturbed."""
    done: list[int] = []

    async def handler(body: int) -> None:
        try:
            if body == 1:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            done.append(-body)
            return
        await asyncio.sleep(0)
        done.append(body)

    async with new_bus() as bus:
        sub = bus.agent("worker").subscribe("a", handler, ack_wait=1.0)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(1.0 + SLACK_S)
        for body in (2, 3):
            await bus.agent("planner").publish("a", body)
            await bus.advance(1.0)
        assert done == [-1, 2, 3]
        assert totals(bus).delivered == 3
        assert at_rest(sub)


async def test_a_handler_that_settled_and_hangs_is_interrupted_without_a_retry() -> (
    None
):
    """An acked message does not come back because its handler lingers."""
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        delivery.ack()
        with pytest.raises(AlreadySettledError):
            delivery.in_progress()
        await asyncio.Event().wait()

    async with new_bus() as bus:
        sub = bus.agent("worker").subscribe("a", handler, ack_wait=1.0)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(5)
        assert attempts == [1]
        assert at_rest(sub)
        assert totals(bus).delivered == 1


async def test_closing_while_a_handler_cleans_up_after_its_lease_ends() -> None:
    """The bus closes although the handler is slow to give in."""
    cleaning = asyncio.Event()

    async def handler(_: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(3), new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, ack_wait=1.0)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(1.0 + SLACK_S)
        assert cleaning.is_set()
        await bus.close(drain=0)


async def test_closing_at_the_moment_a_lease_ends() -> None:
    """Two reasons to stop at once are not taken for one."""
    async with asyncio.timeout(3), new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox(held=True), ack_wait=1.0)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        until = bus.clock.now_ns() + int((1.0 + SLACK_S) * 1e9)
        while bus.clock.step(until):
            pass  # time passes and nobody runs: the interruption is still to be felt
        await bus.close(drain=0)
        assert len(bus.dead_letters) == 1
