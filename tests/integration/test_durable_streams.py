"""Streams: what they keep, what makes way, and reading back."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from bus.core.decision import Decision
from bus.core.errors import (
    DeniedError,
    MalformedMessageError,
    StoreUnavailableError,
    UsageError,
)
from bus.core.message import Message
from bus.core.outcome import Accepted, Failed
from bus.ports import Action
from bus.streams import Discard, StreamSpec
from tests.fakes.buses import Background, at_rest, data, lower_bound
from tests.fakes.durable import DurableBus, Place, Takes
from tests.fakes.ruling import Ruling

NS = 1_000_000_000

PAGE = 100


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages of a hundred, so that hundreds of messages are many."""
    lower_bound(monkeypatch, "FEED_MESSAGES_MAX", PAGE)
    lower_bound(monkeypatch, "FEED_MESSAGES_LOW", PAGE // 4)


def spec(discard: Discard = "settled", **limits: Any) -> StreamSpec:
    """Return a stream of `a.>`."""
    return StreamSpec(name="small", patterns=(("a", ">"),), discard=discard, **limits)


class DecidesLater(Ruling):
    """Lets everybody in at once, and answers about messages once the gate is open."""

    def decide_now(self, action: Action, message: Message) -> Decision | None:
        """Leave it for later."""
        del action, message
        return None


async def bodies(bus: DurableBus, pattern: str, **options: Any) -> list[Any]:
    """Return what the critic reads back, as numbers."""
    reading = bus.agent("critic").replay(pattern, **options)
    return [entry.message.body[-1] async for entry in reading]


async def test_the_oldest_that_is_settled_makes_way(place: Place) -> None:
    """At the limit of a count, by what is needed; other subjects are not touched."""
    bus = place.bus(streams=[spec(max_messages=3)])
    async with bus:
        await bus.keep("b", 100)
        await bus.keep("a.x", 1, 2, 3)
        assert await bodies(bus, "a.>") == [1, 2, 3]
        await bus.keep("a.y", 4)
        assert await bodies(bus, "a.>") == [2, 3, 4]
        assert await bodies(bus, ">") == [2, 3, 4, 100] or await bodies(bus, "b") == [
            100
        ]
    again = place.bus(streams=[spec(max_messages=3)])
    async with again:
        await again.keep("a.x", 5)
        assert await bodies(again, "a.>") == [3, 4, 5]


async def test_what_is_wanted_still_stays_and_publishers_are_told(place: Place) -> None:
    """`settled` refuses with overloaded; once the consumer has gone on there is room."""
    bus, takes = place.bus(streams=[spec(max_messages=3)]), Takes()
    takes.gate.clear()
    sub = bus.agent("critic").subscribe("a.*", takes)
    async with bus:
        await bus.keep("a.x", 1, 2, 3)
        outcome = await bus.agent("planner").publish("a.x", 4)
        assert isinstance(outcome, Failed)
        assert outcome.code == "overloaded"
        takes.gate.set()
        await bus.settle()
        await bus.keep("a.x", 4)
        await bus.settle()
        assert takes.bodies == [1, 2, 3, 4]
        assert at_rest(sub)


async def test_old_ones_make_way_whoever_wants_them(place: Place) -> None:
    """`old`: who is away loses the oldest, which is recorded; what is left comes."""
    bus, takes = place.bus(streams=[spec("old", max_messages=3)]), Takes()
    sub = bus.agent("critic").subscribe("a.*", takes)
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a.x", *range(1, 8))
        assert bus.audit.events().count("evicted") == 4
        bus.agent("critic").subscribe("a.*", takes)
        await bus.settle()
        assert takes.bodies == [5, 6, 7]
        assert bus.consumer("critic/a.*").pending == 0
        assert bus.ledger.rewinding.failure is None
        await bus.keep("a.x", 8)
        await bus.settle()
        assert takes.bodies == [5, 6, 7, 8]


async def test_old_ones_that_are_in_memory_are_delivered_all_the_same(
    place: Place,
) -> None:
    """Nothing is missing when their taker leaves and comes back, and the count is right."""
    bus, takes = place.bus(streams=[spec("old", max_messages=3)]), Takes()
    takes.gate.clear()
    sub = bus.agent("critic").subscribe("a.*", takes)
    async with bus:
        await bus.keep("a.x", *range(1, 8))
        await bus.agent("critic").unsubscribe(sub, drain=0)
        later = Takes()
        bus.agent("critic").subscribe("a.*", later)
        await bus.settle()
        assert later.bodies == [5, 6, 7]
        assert bus.consumer("critic/a.*").pending == 0
        assert bus.ledger.rewinding.failure is None


async def test_old_ones_that_wait_for_their_time_go_without_a_trace_in_the_counts(
    place: Place,
) -> None:
    """A delayed message that made way is not counted out of what is pending."""
    bus, takes = place.bus(streams=[spec("old", max_messages=3)]), Takes()
    sub = bus.agent("critic").subscribe("a.*", takes)
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a.x", 1, 2, delay=100)
        await bus.keep("a.x", 3, 4, 5)
        bus.agent("critic").subscribe("a.*", takes)
        await bus.settle()
        assert takes.bodies == [3, 4, 5]
        await bus.keep("a.x", 6)
        await bus.advance(200)
        assert takes.bodies == [3, 4, 5, 6]
        assert bus.consumer("critic/a.*").pending == 0
        assert bus.ledger.rewinding.failure is None


async def test_room_that_was_held_for_what_made_way_is_given_back(place: Place) -> None:
    """A publisher does not wait for the room of a message that is gone."""
    limit = PAGE + 10
    bus, takes = place.bus(streams=[spec("old", max_messages=20)]), Takes()
    takes.gate.clear()
    sub = bus.agent("critic").subscribe("a.*", takes, capacity=limit)
    async with bus:
        for number in range(limit + 40):
            outcome = await bus.agent("planner").publish("a.x", number, wait=0)
            if not isinstance(outcome, Accepted):
                break
        assert sub.extra <= 20
        takes.gate.set()
        await bus.settle()
        assert at_rest(sub)
        assert bus.consumer("critic/a.*").pending == 0


async def test_a_full_stream_that_refuses_takes_nothing(place: Place) -> None:
    """`refuse`: not even settled ones make way."""
    bus = place.bus(streams=[spec("refuse", max_messages=2)])
    async with bus:
        await bus.keep("a.x", 1, 2)
        outcome = await bus.agent("planner").publish("a.x", 3)
        assert isinstance(outcome, Failed)
        assert outcome.code == "overloaded"
        assert await bodies(bus, "a.>") == [1, 2]
        await bus.keep("b", 1)


async def test_bytes_are_limited_too(place: Place) -> None:
    """What is stored stays within a message of the limit."""
    bus = place.bus(streams=[spec("old", max_bytes=20_000)])
    async with bus:
        for _ in range(30):
            await bus.keep("a.x", bytes(3_000))
        (stream,) = bus.ledger.streams.by_id.values()
        kept = [entry async for entry in bus.agent("critic").replay("a.>")]
        assert 0 < stream.bytes <= 20_000 + 1_000
        assert len(kept) == stream.messages < 7


@pytest.mark.parametrize("discard", ["settled", "old"])
async def test_what_is_too_old_goes(place: Place, discard: Discard) -> None:
    """Settled or not, as the stream says; over a restart too."""
    streams = [spec(discard, max_age_ns=60 * NS)]
    bus = place.bus(streams=streams)
    sub = bus.agent("critic").subscribe("a.wanted", Takes())
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a.x", 1)
        await bus.keep("a.wanted", 2)
        await bus.advance(40)
        await bus.keep("a.x", 3)
        assert await bodies(bus, "a.>") == [1, 2, 3]
        await bus.advance(22)
        kept = [2, 3] if discard == "settled" else [3]
        assert await bodies(bus, "a.>") == kept
    place.clock.step(place.clock.now_ns() + 100 * NS)
    again, takes = place.bus(streams=streams), Takes()
    async with again:
        await again.advance(2)
        kept = [2, 3] if discard == "settled" else []
        assert await bodies(again, "a.>") == kept
        again.agent("critic").subscribe("a.wanted", takes)
        await again.advance(2)
        assert takes.bodies == ([2] if discard == "settled" else [])
        assert await bodies(again, "a.>") == []


async def test_a_publisher_that_is_cancelled_while_room_is_made_leaves_the_counts_right(
    place: Place,
) -> None:
    """The cut is carried out, and told, all the same."""
    bus = place.bus(streams=[spec("old", max_messages=3)])
    async with bus, Background() as background:
        await bus.keep("a.x", 1, 2, 3)
        for turns in range(1, 8):
            publishing = background.run(bus.agent("planner").publish("a.x", 9))
            for _ in range(turns):
                await asyncio.sleep(0)
            publishing.cancel()
            await bus.settle()
        await bus.keep("a.x", 4, 5)
        (stream,) = bus.ledger.streams.by_id.values()
        kept = await bodies(bus, "a.>")
        assert stream.messages == len(kept) == 3


async def test_tenants_share_no_stream(place: Place) -> None:
    """One's messages take no room of another's, and are not read by it."""
    bus = place.bus(streams=[spec("refuse", max_messages=2)])
    async with bus:
        await bus.keep("a.x", 1, 2)
        await bus.keep("a.x", 7, by="spy")
        assert isinstance(await bus.agent("planner").publish("a.x", 3), Failed)
        await bus.keep("a.x", 8, by="spy")
        spied = [entry async for entry in bus.agent("spy").replay(">")]
        assert [entry.message.body[-1] for entry in spied] == [7, 8]
        assert [entry.sequence for entry in spied] == [1, 2]
        assert await bodies(bus, ">") == [1, 2]


async def test_reading_back_from_a_sequence_a_time_or_all(place: Place) -> None:
    """Up to what is kept by then, with the decision that let each in."""
    bus = place.bus(streams=[spec(max_messages=100)])
    async with bus:
        await bus.keep("a.x", 1, 2)
        await bus.advance(10)
        since = datetime.fromtimestamp(bus.clock.now_ns() / NS, tz=UTC)
        await bus.keep("a.y", 3)
        await bus.keep("b", 4)
        assert await bodies(bus, "a.x") == [1, 2]
        assert await bodies(bus, "a.>", start=2) == [2, 3]
        assert await bodies(bus, ">", start=since) == [3, 4]
        assert await bodies(bus, ">", start="new") == []
        assert await bodies(bus, ">", start=99) == []
        assert await bodies(bus, ">", stream="small") == [1, 2, 3]
        (entry,) = [e async for e in bus.agent("critic").replay("b")]
        assert entry.decision.allow
        for start in ("al", 0, -1, 1.5, None, datetime(2030, 1, 1)):  # noqa: DTZ001 - without its zone on purpose
            with pytest.raises(MalformedMessageError):
                await bodies(bus, ">", start=start)
        with pytest.raises(UsageError, match="no-such"):
            await bodies(bus, ">", stream="no-such")


async def test_reading_back_is_for_who_may_subscribe(place: Place) -> None:
    """Also dead letters are hidden from who may not have them, whatever the pattern."""
    roles = data(few={"publish": [{"subject": ">"}], "subscribe": [">"]})
    roles["agents"]["intern"]["roles"] = ["few"]
    bus = place.bus(roles)
    bus.agent("worker").subscribe("a", Takes(1), max_deliver=1)
    bus.agent("critic").subscribe("$DEAD.>", Takes())
    async with bus:
        await bus.keep("a", 1)
        await bus.settle()
        read = bus.agent("intern").replay(">")
        assert [entry.message.subject async for entry in read] == ["a"]
        read = bus.agent("critic").replay("$DEAD.>")
        assert [entry.message.subject async for entry in read] == ["$DEAD.a"]
    narrow = place.bus()
    async with narrow:
        with pytest.raises(DeniedError):
            _ = [e async for e in narrow.agent("intern").replay("a")]


@pytest.mark.parametrize("crashes", [False, True])
async def test_a_consumer_that_begins_in_the_past_goes_on_where_it_was(
    place: Place, *, crashes: bool
) -> None:
    """What came meanwhile follows what it reads back, and nothing comes twice."""
    total = 2 * PAGE + 50
    bus, takes = place.bus(), Takes()
    async with bus:
        await bus.keep_all("a", range(total))
        takes.gate.clear()
        bus.agent("critic").subscribe("a", takes, start="all", max_in_flight=2)
        await bus.settle()
        await bus.keep("a", total)
        if crashes:
            await place.crash(bus)
    assert takes.bodies == [0, 1]
    again, later = place.bus(), Takes()
    again.agent("critic").subscribe("a", later, start="all")
    async with again:
        await again.keep("a", total + 1)
        await again.advance(5)
        await again.keep("a", total + 2)
        await again.advance(1)
        assert later.bodies == list(range(total + 3))
        assert again.consumer("critic/a").pending == 0


async def test_more_than_a_page_may_come_while_it_reads_back(place: Place) -> None:
    """It does not wait for the one behind the other for ever."""
    total = 3 * PAGE
    bus, takes = place.bus(), Takes()
    async with bus:
        await bus.keep_all("a", range(total))
        takes.gate.clear()
        sub = bus.agent("critic").subscribe("a", takes, start="all", capacity=5_000)
        await bus.settle()
        await bus.keep_all("a", range(total, 2 * total))
        assert sub.load <= 2 * PAGE
        takes.gate.set()
        await bus.advance(10)
        assert takes.bodies == list(range(2 * total))
        assert at_rest(sub)


@pytest.mark.parametrize("start", [3, "time"])
async def test_a_consumer_may_begin_at_a_sequence_or_a_time(
    place: Place, start: Any
) -> None:
    """What is before that is not for it."""
    bus, takes = place.bus(), Takes()
    async with bus:
        await bus.keep("a", 1)
        await bus.keep("b", 2)
        await bus.advance(10)
        if start == "time":
            start = datetime.fromtimestamp(bus.clock.now_ns() / NS, tz=UTC)
        await bus.keep("a", 3, 4)
        bus.agent("critic").subscribe("a", takes, start=start)
        await bus.keep("a", 5)
        await bus.settle()
        assert takes.bodies == [3, 4, 5]


async def test_what_is_on_its_way_when_it_begins_is_read_back_or_comes(
    place: Place,
) -> None:
    """Not lost between the two: submitted, or waiting for its name, or in an outbox."""
    bus, takes = place.bus(), Takes()

    async def publishes(body: int) -> None:
        await bus.agent("worker").publish("a", body)
        await gate.wait()

    gate = takes.gate
    gate.clear()
    bus.agent("worker").subscribe("in", publishes, once=True)
    async with bus, Background() as background:
        await bus.keep("in", 3)
        await bus.settle()
        bus.line.held = True
        publish = bus.agent("planner").publish
        first = background.run(publish("a", 1))
        second = background.run(publish("a", 2, dedup="n"))
        twin = background.run(publish("a", 9, dedup="n"))
        await bus.settle()
        bus.agent("critic").subscribe("a", takes, start="all")
        await bus.settle()
        gate.set()
        await bus.settle()
        bus.line.release()
        assert (await twin).duplicate
        assert isinstance(await first, Accepted)
        assert isinstance(await second, Accepted)
        await bus.advance(2)
        assert sorted(takes.bodies) == [1, 2, 3]


async def test_who_begins_in_the_past_misses_nothing_that_waits_for_room(
    place: Place,
) -> None:
    """What is planned before it came, and kept after, is planned anew in between."""
    bus, slow, takes = place.bus(), Takes(), Takes()
    slow.gate.clear()
    sub = bus.agent("worker").subscribe("a", slow, capacity=1)
    async with bus, Background() as background:
        publish = bus.agent("planner").publish
        await bus.keep("a", 1, 2)
        waiting = [background.run(publish("a", body, wait=50)) for body in (3, 4)]
        await bus.settle()
        assert not any(one.done() for one in waiting)
        begins = bus.agent("critic").subscribe("a", takes, start="all", capacity=1)
        await bus.advance(1)
        assert takes.bodies == [1, 2]
        slow.gate.set()
        await bus.settle()
        assert [(await one).deliveries for one in waiting] == [2, 2]
        await bus.advance(1)
        assert takes.bodies == slow.bodies == [1, 2, 3, 4]
        assert at_rest(sub)
        assert at_rest(begins)


async def test_who_begins_in_the_past_misses_nothing_that_waits_for_policy(
    place: Place,
) -> None:
    """A decision that takes its time does not fix the plan before it is made."""
    ruling = DecidesLater()
    ruling.gate.clear()
    bus, takes = place.bus(authorizer=ruling), Takes()
    async with bus, Background() as background:
        waits = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        bus.agent("critic").subscribe("a", takes, start="all")
        await bus.settle()
        ruling.gate.set()
        assert (await waits).deliveries == 1
        await bus.settle()
        assert takes.bodies == [1]


async def test_who_leaves_while_it_reads_back_goes_on_later(place: Place) -> None:
    """And who is forgotten meanwhile is gone, with nothing left behind."""
    total = 2 * PAGE
    bus, takes = place.bus(), Takes()
    async with bus:
        await bus.keep_all("a", range(total))
        takes.gate.clear()
        agent = bus.agent("critic")
        sub = agent.subscribe("a", takes, start="all")
        await bus.settle()
        await agent.unsubscribe(sub, drain=0)
        await bus.advance(1)
        later = Takes()
        sub = agent.subscribe("a", later)
        await bus.advance(1)
        assert later.bodies == list(range(total))
        other = Takes()
        other.gate.clear()
        sub = agent.subscribe("a", other, durable="second", start="all")
        await bus.settle()
        await agent.unsubscribe(sub, drain=0, forget=True)
        await bus.advance(1)
        assert bus.ledger.consumers.named("acme", "second") is None
    again = place.bus()
    async with again:
        assert again.ledger.consumers.named("acme", "second") is None
        assert again.consumer("critic/a").pending == 0


async def test_reading_back_waits_for_a_store_that_is_not_there(place: Place) -> None:
    """It goes on when the store does."""
    bus, takes = place.bus(), Takes()
    async with bus:
        await bus.keep("a", *range(10))
        bus.line.refusing = StoreUnavailableError("not now")
        bus.agent("critic").subscribe("a", takes, start="all")
        await bus.advance(3)
        assert takes.bodies == []
        bus.line.refusing = None
        await bus.keep("a", 10)
        await bus.advance(5)
        assert takes.bodies == list(range(11))
