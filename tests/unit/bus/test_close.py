"""Drain and close: nothing is lost, nothing hangs, and a closed bus says so."""

import asyncio
from typing import Any

import pytest

from bus import Accepted, Failed
from bus.client import BaseBus
from bus.core.errors import (
    BusNotStartedError,
    UsageError,
)
from bus.core.stats import SubjectStats
from bus.host import Phase
from bus.subscription import Delivery
from tests.fakes.buses import Background, Inbox, PartsBus, new_bus, totals
from tests.fakes.busparts import Stage


def accounted(bus: BaseBus) -> bool:
    """Tell whether every message accepted for one taker has ended, once."""
    counts: SubjectStats = totals(bus)
    ended = counts.delivered + counts.dead + counts.expired + counts.evicted
    return ended + counts.refused == counts.accepted


@pytest.fixture(autouse=True)
async def nothing_hangs() -> Any:
    """Give each of these tests three seconds."""
    async with asyncio.timeout(3):
        yield


async def test_close_waits_for_what_is_queued_and_in_flight() -> None:
    """Everything accepted is handled before the end."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish_many([("a", n) for n in range(500)])
        assert await bus.close(drain=2) == 0
    assert inbox.done == list(range(500))


async def test_what_handlers_publish_while_draining_is_handled_too() -> None:
    """A chain under way runs to its end."""
    async with new_bus() as bus:
        inbox = Inbox()

        async def handler(body: int) -> None:
            if body < 5:
                await bus.agent("worker").publish("a", body + 1)
            else:
                await bus.agent("worker").publish("end", body)

        bus.agent("worker").subscribe("a", handler)
        bus.agent("critic").subscribe("end", inbox)
        await bus.agent("planner").publish("a", 0)
        closing = bus.close(drain=2)
        assert await closing == 0
    assert inbox.done == [5]


@pytest.mark.parametrize("workers", [1, 2, 5])
async def test_a_handler_that_hangs_does_not_hold_the_bus(workers: int) -> None:
    """After the drain it is interrupted; its message and the queued ones are dead."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox, max_in_flight=workers)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        for n in range(2, 8):
            await bus.agent("planner").publish("a", n)
        await bus.settle()
        assert await bus.close(drain=0) == 7
    assert sorted(_bodies(bus)) == list(range(1, 8))
    assert accounted(bus)
    assert bus.audit.events().count("dead") == 7
    assert bus.audit.records[-1][0] == "stopped"


async def test_a_handler_that_hangs_alone_does_not_get_a_new_worker() -> None:
    """Its message goes to the dead letters, not to another worker of a closed bus."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox(held=True), max_in_flight=2)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert await bus.close(drain=0) == 1
    assert _bodies(bus) == [1]


async def test_a_handler_that_is_slow_to_clean_up_is_accounted_for() -> None:
    """Its message is a dead letter although it took a while to stop."""

    async def handler(_: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _turn in range(20):
                await asyncio.sleep(0)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        await bus.close(drain=0)
    assert _bodies(bus) == [1]
    assert accounted(bus)


async def test_a_handler_that_will_not_be_cancelled_does_not_hold_the_bus() -> None:
    """It returns as if nothing had happened; the worker ends all the same."""

    async def handler(_: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish_many([("a", 1), ("a", 2)])
        await bus.settle()
        await bus.close(drain=0)
    assert accounted(bus)


async def test_a_handler_cannot_close_the_bus_that_runs_it() -> None:
    """It would wait for itself; it hears so, and the bus closes later as always."""
    refused: list[str] = []

    async with PartsBus() as bus:

        async def handler(_: int) -> None:
            with pytest.raises(UsageError, match="close"):
                await bus.close(drain=0.01)
            refused.append("refused")

        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert refused == ["refused"]
        assert bus.phase is Phase.RUNNING
    assert bus.audit.records[-1][0] == "stopped"
    assert accounted(bus)


async def test_redeliveries_that_wait_are_dead_letters_at_the_end() -> None:
    """What is due in an hour is neither lost nor waited for."""

    async def handler(delivery: Delivery) -> None:
        delivery.nak(3600)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert await bus.close(drain=0.01) == 1
    assert "closed" in bus.dead_letters[0].reason
    assert accounted(bus)


async def test_publishers_that_wait_for_room_are_told() -> None:
    """They end as Failed; nobody waits on a closed bus."""
    async with new_bus() as bus, Background() as background:
        bus.agent("worker").subscribe("a", Inbox(held=True), capacity=1)
        planner = bus.agent("planner")
        for n in range(2):
            await planner.publish("a", n)
            await bus.settle()
        waiting = [background.run(planner.publish("a", n)) for n in range(2, 5)]
        await bus.settle()
        assert await bus.close(drain=0.01) == 2
        await bus.settle()
        assert all(isinstance(task.result(), Failed) for task in waiting)
    assert accounted(bus)
    assert totals(bus).failed == 3


async def test_requests_that_wait_are_told() -> None:
    """A request in flight at the end raises BusNotStartedError."""
    async with new_bus() as bus, Background() as background:
        bus.agent("worker").subscribe("a", Inbox(held=True))
        asked = background.run(bus.agent("planner").request("a", 1))
        await bus.settle()
        await bus.close(drain=0)
        await bus.settle()
        error = asked.result()
        assert isinstance(error, (BusNotStartedError, Exception))
        assert "closed" in str(error) or "gave up" in str(error)


async def test_a_publish_under_way_in_a_slow_stage_is_not_kept_by_a_closed_bus() -> (
    None
):
    """It fails or raises; it is not accepted into queues that nobody serves."""
    gate = asyncio.Event()

    async def slow(message: Any) -> Any:
        await gate.wait()
        return message

    async with PartsBus(stages=[(">", Stage(slow))]) as bus, Background() as background:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("a", inbox)
        publishing = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        await bus.close(drain=0.01)
        gate.set()
        await bus.settle()
        assert not isinstance(publishing.result(), Accepted)
    assert sub.size == 0
    assert inbox.got == []
    assert "accepted" not in bus.audit.events()


async def test_closing_twice_does_nothing_the_second_time() -> None:
    """Neither after the first close nor beside it."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        both = [background.run(bus.close(drain=d)) for d in (2, 0)]
        await bus.settle()
        assert not any(task.done() for task in both)
        inbox.gate.set()
        assert [await task for task in both] == [0, 0]
        assert await bus.close() == 0
    assert inbox.done == [1]


async def test_a_close_that_is_cancelled_still_closes() -> None:
    """The wait ends; what is left is accounted for all the same."""
    async with PartsBus() as bus, Background() as background:
        bus.agent("worker").subscribe("a", Inbox(held=True))
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        closing = background.run(bus.close(drain=60))
        await bus.settle()
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        assert bus.phase is Phase.CLOSED
    assert _bodies(bus) == [1]
    assert accounted(bus)
    assert bus.audit.records[-1][0] == "stopped"


def _bodies(bus: BaseBus) -> list[Any]:
    """Return what the dead letters say, each message once."""
    return [letter.message.body[0] for letter in bus.dead_letters]
