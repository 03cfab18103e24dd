"""The durable side of a bus: rewinding, faults of the store, and who is told of them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bus.core.errors import StoreBrokenError, StoreUnavailableError
from bus.streams import StreamSpec
from tests.fakes.buses import at_rest, lower_bound
from tests.fakes.durable import DurableBus, Place, Takes

PAGE = 4
BROKEN = StoreBrokenError("a row of it was changed")
AWAY = StoreUnavailableError("it cannot be read now")


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages of four."""
    lower_bound(monkeypatch, "FEED_MESSAGES_MAX", PAGE)
    lower_bound(monkeypatch, "FEED_MESSAGES_LOW", 2)


@pytest.fixture
def place(tmp_path: Any) -> Place:
    """Return where a store in memory is."""
    return Place("memory", tmp_path)


def failing(bus: DurableBus, read: str, error: Exception, times: int = 1) -> None:
    """Have the next reads of one kind fail."""
    inner: Callable[..., Any] = getattr(bus.line, read)
    left = [times]

    async def fails(*args: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error
        return await inner(*args)

    setattr(bus.line, read, fails)


async def away_with(bus: DurableBus, *bodies: int) -> None:
    """Have messages kept for the critic, who is away."""
    sub = bus.agent("critic").subscribe("a", Takes())
    await bus.agent("critic").unsubscribe(sub)
    await bus.keep("a", *bodies)


async def test_a_store_that_cannot_be_read_is_read_again(place: Place) -> None:
    """After a while; nothing is lost or counted twice."""
    bus, takes = place.bus(), Takes()
    async with bus:
        await away_with(bus, *range(10))
        failing(bus, "deliveries", AWAY, 2)
        sub = bus.agent("critic").subscribe("a", takes)
        await bus.settle()
        assert takes.bodies == []
        await bus.advance(3)
        assert takes.bodies == list(range(10))
        assert at_rest(sub)
        assert bus.store_failure is None


async def test_a_page_that_is_broken_is_told_and_delivers_nothing(place: Place) -> None:
    """Until the consumer is rewound, once the store is whole again."""
    bus, takes = place.bus(), Takes()
    async with bus:
        await away_with(bus, 1, 2)
        failing(bus, "deliveries", BROKEN)
        sub = bus.agent("critic").subscribe("a", takes)
        await bus.advance(3)
        assert takes.bodies == []
        assert bus.store_failure is BROKEN
        assert bus.ledger.rewinding.health() == (False, str(BROKEN))
        await bus.ledger.rewinding.rewind_stuck()
        await bus.settle()
        assert takes.bodies == [1, 2]
        assert bus.ledger.rewinding.health()[0]
        assert at_rest(sub)


async def test_deliveries_that_vanished_are_told(place: Place) -> None:
    """Where no stream's limits took them, the store is not what it was."""
    bus, takes = place.bus(), Takes()
    async with bus:
        await away_with(bus, *range(3))
        rows = place.memory._tables.pending[1]  # noqa: SLF001 - a tamperer does not ask
        del rows[2]
        bus.agent("critic").subscribe("a", takes)
        await bus.settle()
        assert takes.bodies == [0, 1, 2] or len(takes.bodies) == 2
        assert "1 deliveries of critic/a are missing" in str(bus.store_failure)
        assert bus.consumer("critic/a").pending == 0


async def test_rewinding_leaves_what_is_in_hand_where_it_is(place: Place) -> None:
    """Nothing comes twice, and one key's go one at a time all the same."""
    bus, takes = place.bus(), Takes("k0")
    takes.gate.clear()
    sub = bus.agent("critic").subscribe("a", takes, max_in_flight=3, backoff=[1])
    async with bus:
        await bus.keep("a", "k0", "k1", "k2", ordering_key="k")
        await bus.keep("a", *range(12))
        await bus.settle()
        assert takes.bodies == ["k0", 0, 1]
        consumer = bus.consumer("critic/a")
        for _ in range(3):
            bus.ledger.rewinding.rewind(consumer)
            await bus.settle()
            assert takes.bodies == ["k0", 0, 1]
            assert consumer.pending == 15
        takes.fails.clear()
        takes.gate.set()
        await bus.advance(3)
        assert [b for b in takes.bodies if isinstance(b, str)] == ["k0", "k1", "k2"]
        assert sorted(b for b in takes.bodies if isinstance(b, int)) == list(range(12))
        assert at_rest(sub)
        assert consumer.pending == 0


async def test_rewinding_while_the_last_one_waits_begins_anew(place: Place) -> None:
    """What is acked in between is not brought again by the first."""
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", 1, 2)
        await bus.settle()
        consumer = bus.consumer("critic/a")
        bus.line.held = True
        bus.ledger.rewinding.rewind(consumer)
        await bus.settle()
        takes.gate.set()
        await bus.settle()
        bus.ledger.rewinding.rewind(consumer)
        bus.line.release(1)
        bus.line.held = True
        await bus.settle()
        assert takes.bodies == [1]
        bus.line.release()
        await bus.settle()
        assert takes.bodies == [1, 2]
        assert at_rest(sub)


async def test_the_age_of_the_oldest_is_told(place: Place) -> None:
    """0 where nothing waits; None where it cannot be read."""
    bus = place.bus()
    async with bus:
        await away_with(bus)
        consumer, rewinding = bus.consumer("critic/a"), bus.ledger.rewinding
        assert await rewinding.oldest_ns(consumer, bus.clock.now_ns()) == 0
        await bus.keep("a", 1)
        await bus.advance(5)
        assert await rewinding.oldest_ns(consumer, bus.clock.now_ns()) == 5_000_000_000
        failing(bus, "deliveries", AWAY)
        assert await rewinding.oldest_ns(consumer, bus.clock.now_ns()) is None
        assert rewinding.lag == 1


@pytest.mark.parametrize("error", [AWAY, BROKEN])
async def test_scheduled_messages_survive_a_store_that_cannot_be_read(
    place: Place, error: Exception
) -> None:
    """They come late where it was away; a broken one is told."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", 1, delay=5)
        failing(bus, "due", error)
        await bus.advance(6)
        assert (bus.store_failure is error) is (error is BROKEN)
        await bus.keep("a", 2, delay=1)
        await bus.advance(4)
        assert sorted(takes.bodies) == [1, 2]


async def test_scheduled_messages_that_cannot_be_woken_are_tried_again(
    place: Place,
) -> None:
    """The store refuses: they stay where they are."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", *range(3), delay=5)
        bus.line.refusing = AWAY
        await bus.advance(7)
        assert takes.bodies == []
        bus.line.refusing = None
        await bus.advance(2)
        assert sorted(takes.bodies) == [0, 1, 2]
        assert bus.consumer("critic/a").pending == 0


async def test_a_scheduled_message_that_was_changed_is_a_letter(place: Place) -> None:
    """When it is due."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", 1, 2, delay=5)
        (rows,) = place.memory._tables.messages.values()  # noqa: SLF001 - a tamperer does not ask
        rows[1] = rows[1][0], rows[2][1]
        await bus.advance(7)
        assert takes.bodies == [2]
        (letter,) = await bus.agent("critic").dead_letters()
        assert letter.message is None
        assert bus.consumer("critic/a").pending == 0


@pytest.mark.parametrize("error", [AWAY, BROKEN])
async def test_a_limit_of_age_is_looked_at_again(
    place: Place, error: Exception
) -> None:
    """Where the store could not be cut; that it is broken is told."""
    spec = StreamSpec(name="s", patterns=(("a",),), max_age_ns=2_000_000_000)
    bus = place.bus(streams=[spec])
    async with bus:
        await bus.keep("a", 1)
        failing(bus, "trim", error)
        await bus.advance(6)
        assert [entry async for entry in bus.agent("critic").replay("a")] == []
        assert (bus.store_failure is error) is (error is BROKEN)


@pytest.mark.parametrize("error", [AWAY, BROKEN])
async def test_a_publisher_hears_why_there_is_no_room(
    place: Place, error: Exception
) -> None:
    """And the next one has it, when the store can be cut."""
    spec = StreamSpec(name="s", patterns=(("a",),), max_messages=1)
    bus = place.bus(streams=[spec])
    async with bus:
        await bus.keep("a", 1)
        failing(bus, "trim", error)
        outcome = await bus.agent("planner").publish("a", 2)
        assert type(outcome).__name__ == "Failed"
        await bus.keep("a", 3)


async def test_a_read_that_is_under_way_at_the_end_is_ended(place: Place) -> None:
    """Closing does not wait for it."""
    bus = place.bus()
    async with bus:
        await away_with(bus, 1)
        bus.line.page_gate = asyncio.Event()
        bus.agent("critic").subscribe("a", Takes())
        await bus.settle()
    again = place.bus()
    async with again:
        assert again.consumer("critic/a").pending == 1
