"""A lane: publishes in order, none of which waits for the store before the next begins."""

import asyncio

import pytest

from bus.awaiting import ended
from bus.config.keeping import StoreSettings
from bus.core.errors import BusNotStartedError
from bus.core.outcome import Accepted, Failed, Rejected
from bus.subscription import Delivery
from tests.fakes.buses import new_bus


async def test_a_message_on_its_way_to_a_store_is_a_future() -> None:
    """Of its outcome; several are on their way together, in order."""
    bus = new_bus(store=StoreSettings(kind="memory"))
    got: list[bytes] = []

    async def keep(delivery: Delivery) -> None:
        got.append(delivery.message.body)

    async with bus:
        bus.agent("worker").subscribe("a.b", keep)
        lane = bus.agent("planner").lane()
        coming = [await lane.publish("a.b", bytes([n])) for n in range(5)]
        assert all(isinstance(outcome, asyncio.Future) for outcome in coming)
        outcomes = [await ended(outcome) for outcome in coming]
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        await bus.settle()
    assert got == [bytes([n]) for n in range(5)]


async def test_a_lane_without_a_store_tells_the_outcome_at_once() -> None:
    """Also of what cannot be made."""
    bus = new_bus()
    async with bus:
        lane = bus.agent("planner").lane()
        nobody = await lane.publish("a.b", b"")
        wrong = await lane.publish("a..b", b"")
        late = await lane.publish("a.b", b"", wait=-1.0)
    assert isinstance(nobody, Failed)
    assert isinstance(wrong, Rejected)
    assert isinstance(late, Rejected)


async def test_what_comes_of_a_message_descends_from_it() -> None:
    """And what is published next does not."""
    bus = new_bus()
    got: list[Delivery] = []

    async def keep(delivery: Delivery) -> None:
        got.append(delivery)

    async with bus:
        bus.agent("worker").subscribe("a.b", keep)
        lane = bus.agent("planner").lane()
        await ended(await lane.publish("a.b", b"1"))
        await bus.settle()
        parent = got[0].message
        await ended(await lane.publish_from(parent, "a.b", b"2"))
        await ended(await lane.publish("a.b", b"3"))
        await bus.settle()
    assert [delivery.message.parent for delivery in got] == [None, parent.id, None]


async def test_a_closed_bus_fails_what_is_published() -> None:
    """It is not raised: who publishes many learns of each."""
    bus = new_bus()
    async with bus:
        lane = bus.agent("planner").lane()
        lane.require_open()
    outcome = await lane.publish("a.b", b"")
    assert isinstance(outcome, Failed)
    assert outcome.code == "unavailable"
    with pytest.raises(BusNotStartedError, match="no more"):
        lane.require_open()
