"""What a publisher may ask of a store: names that are kept once, and times to wait for."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bus.core.changes import Append
from bus.core.errors import StoreUnavailableError
from bus.core.outcome import Accepted, Failed, Rejected
from bus.streams import StreamSpec
from tests.fakes.buses import Background, at_rest, codes, new_bus
from tests.fakes.durable import Place, Takes

SHORT = StreamSpec(name="short", patterns=(("a",),), dedup_ns=10_000_000_000)


async def test_a_name_that_was_kept_is_not_kept_again(place: Place) -> None:
    """The second publish has the outcome of the first, and says that it is one."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a", takes)
    async with bus:
        (first,) = await bus.keep("a", 1, dedup="n")
        (again,) = await bus.keep("a", 2, dedup="n")
        assert (again.id, again.duplicate, again.deliveries) == (first.id, True, 1)
        assert not first.duplicate
        await bus.keep("a", 3, dedup="other")
        await bus.keep("a", 4, by="worker", dedup="n")  # its own name
        await bus.settle()
        assert takes.bodies == [1, 3, 4]
        assert bus.audit.events().count("accepted") == 3


async def test_a_name_is_remembered_for_the_window_of_its_stream(place: Place) -> None:
    """Over a restart, and not longer."""
    bus = place.bus(streams=[SHORT])
    async with bus:
        await bus.keep("a", 1, dedup="n")
        await bus.advance(5)
    again, takes = place.bus(streams=[SHORT]), Takes()
    again.agent("critic").subscribe("a", takes)
    async with again:
        (twin,) = await again.keep("a", 2, dedup="n")
        assert twin.duplicate
        await again.advance(6)
        (anew,) = await again.keep("a", 3, dedup="n")
        assert not anew.duplicate
        await again.settle()
        assert takes.bodies == [3]
    third = place.bus(streams=[SHORT])
    async with third:
        await third.advance(5)
        (twin,) = await third.keep("a", 4, dedup="n")
        assert twin.duplicate


async def test_of_many_at_once_with_one_name_one_is_kept(place: Place) -> None:
    """The others wait for it, and have its outcome."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus, Background() as background:
        bus.line.held = True
        publishing = [
            background.run(bus.agent("planner").publish("a", body, dedup="n"))
            for body in range(5)
        ]
        await bus.settle()
        bus.line.release()
        outcomes = [await one for one in publishing]
        assert {outcome.id for outcome in outcomes} == {outcomes[0].id}
        assert [outcome.duplicate for outcome in outcomes] == [False, *[True] * 4]
        await bus.settle()
        assert takes.bodies == [0]
        assert at_rest(sub)


async def test_where_the_first_of_a_name_fails_the_next_is_kept(place: Place) -> None:
    """A name is remembered of what was kept only."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus, Background() as background:
        bus.line.held = True
        first = background.run(bus.agent("planner").publish("a", 1, dedup="n"))
        second = background.run(bus.agent("planner").publish("a", 2, dedup="n"))
        third = background.run(bus.agent("planner").publish("a", 3, dedup="n"))
        await bus.settle()
        bus.line.refusing = StoreUnavailableError("not now")
        bus.line.held = False
        refused, bus.line.waiting = bus.line.waiting, []
        for changes, done in refused:
            bus.line.submit(changes, done)
        bus.line.refusing = None
        await bus.settle()
        assert isinstance(await first, Failed)
        assert not (await second).duplicate
        assert (await third).duplicate
        await bus.settle()
        assert takes.bodies == [2]
        assert at_rest(sub)


async def test_who_is_cancelled_while_waiting_for_its_name_leaves_nothing(
    place: Place,
) -> None:
    """No room held, no name taken."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus, Background() as background:
        bus.line.held = True
        first = background.run(bus.agent("planner").publish("a", 1, dedup="n"))
        waits = background.run(bus.agent("planner").publish("a", 2, dedup="n"))
        await bus.settle()
        waits.cancel()
        await asyncio.wait([waits])
        bus.line.release()
        await first
        await bus.settle()
        assert takes.bodies == [1]
        assert at_rest(sub)
        assert len(bus.line.of(Append)) == 1


async def test_a_name_whose_message_is_gone_still_counts(place: Place) -> None:
    """The stream gave it up within the window: it was kept all the same."""
    small = StreamSpec(name="small", patterns=(("a",),), max_messages=2, discard="old")
    bus = place.bus(streams=[small])
    async with bus:
        await bus.keep("a", 1, dedup="n")
        await bus.keep("a", 2, 3, 4, 5)
        (twin,) = await bus.keep("a", 6, dedup="n")
        assert (twin.duplicate, twin.deliveries) == (True, 0)


async def test_a_delayed_message_waits_for_its_time(place: Place) -> None:
    """In seconds, or until a time; it holds no room meanwhile, and others pass it."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes, capacity=1)
    async with bus:
        now = datetime.fromtimestamp(bus.clock.now_ns() / 1e9, tz=UTC)
        await bus.keep("a", "later", delay=100)
        await bus.keep("a", "at a time", delay=now + timedelta(seconds=50))
        await bus.keep("a", "past", delay=now - timedelta(days=1))
        await bus.settle()
        await bus.keep("a", "now")
        await bus.settle()
        assert takes.bodies == ["past", "now"]
        assert at_rest(sub)
        await bus.advance(49)
        assert takes.bodies == ["past", "now"]
        await bus.advance(2)
        assert takes.bodies == ["past", "now", "at a time"]
        await bus.advance(50)
        assert takes.bodies == ["past", "now", "at a time", "later"]
        assert bus.consumer("critic/a").pending == 0
        assert at_rest(sub)


@pytest.mark.parametrize("crashes", [False, True])
async def test_a_delayed_message_is_kept_over_a_restart(
    place: Place, *, crashes: bool
) -> None:
    """It comes when it is due, at once if that was while nobody ran."""
    bus = place.bus()
    bus.agent("critic").subscribe("a", Takes())
    async with bus:
        await bus.keep("a", "soon", delay=10)
        await bus.keep("a", "late", delay=100)
        await bus.settle()
        if crashes:
            await place.crash(bus)
    place.clock.step(place.clock.now_ns() + 20_000_000_000)
    again, takes = place.bus(), Takes()
    again.agent("critic").subscribe("a", takes)
    async with again:
        await again.advance(1)
        assert takes.bodies == ["soon"]
        await again.advance(77)
        assert takes.bodies == ["soon"]
        await again.advance(3)
        assert takes.bodies == ["soon", "late"]
        assert takes.attempts == [1, 1]


async def test_a_delayed_message_waits_for_who_is_away_too(place: Place) -> None:
    """Due while nobody is there, it is pending like any other."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", 1, delay=10)
        await bus.agent("critic").unsubscribe(sub)
        await bus.advance(11)
        assert bus.consumer("critic/a").behind == 1
        await bus.keep("a", 2)
        bus.agent("critic").subscribe("a", takes)
        await bus.settle()
        assert takes.bodies == [1, 2]


async def test_a_delayed_message_whose_consumer_is_forgotten_goes(place: Place) -> None:
    """Nothing is left of it that would be woken."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes())
    async with bus:
        await bus.keep("a", 1, delay=10)
        await bus.agent("critic").unsubscribe(sub, forget=True)
        await bus.advance(11)
        assert await bus.line.next_due_ns() == 0
        assert bus.ledger.rewinding.failure is None


async def test_a_delay_and_a_name_go_together(place: Place) -> None:
    """The name is remembered from when it was kept."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", 1, delay=10, dedup="n")
        (twin,) = await bus.keep("a", 2, dedup="n")
        assert twin.duplicate
        await bus.advance(11)
        assert takes.bodies == [1]


async def test_what_cannot_be_asked_is_rejected(place: Place) -> None:
    """A delay below zero or too long, a time without its zone, a name that is none."""
    bus = place.bus()
    async with bus:
        agent = bus.agent("planner")
        outcomes = [
            await agent.publish("a", 1, delay=-1),
            await agent.publish("a", 1, delay=400 * 24 * 3600.0),
            await agent.publish("a", 1, delay=datetime(2030, 1, 1)),  # noqa: DTZ001 - it has no zone on purpose
            await agent.publish("a", 1, dedup="x" * 10_000),
            await agent.publish("a", 1, headers={"assent-deliver-at": "soon"}),
            await agent.publish(
                "a", 1, delay=datetime.fromtimestamp(4e9, tz=UTC)
            ),  # years ahead
        ]
        assert codes(outcomes) == ["Rejected"] * 6
        assert bus.line.of(Append) == []


async def test_without_a_store_neither_can_be_had() -> None:
    """The publisher is told what to set."""
    async with new_bus() as bus:
        for options in ({"dedup": "n"}, {"delay": 1.0}):
            bus.agent("critic").subscribe("a", Takes())
            outcome = await bus.agent("planner").publish("a", 1, **options)
            assert isinstance(outcome, Rejected)
            assert "store.kind" in outcome.reason


async def test_the_outcome_of_a_twin_is_that_of_what_was_kept(place: Place) -> None:
    """Also the decision in its receipt is the one that let the first in."""
    bus = place.bus()
    async with bus:
        (first,) = await bus.keep("a", 1, dedup="n")
    again = place.bus()
    async with again:
        (twin,) = await again.keep("a", 1, dedup="n")
        assert isinstance(twin, Accepted)
        assert twin.receipt.message_id == first.receipt.message_id
        assert twin.receipt.revision == first.receipt.revision
        assert twin.receipt.input_digest == first.receipt.input_digest
