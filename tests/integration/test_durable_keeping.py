"""Accepted means kept: after the commit, over close and crash, for whoever is away."""

import asyncio

import pytest

from bus.core.changes import Append
from bus.core.errors import NoRespondersError, StoreUnavailableError, UsageError
from bus.core.outcome import Accepted, Failed
from tests.fakes.buses import Background, at_rest
from tests.fakes.durable import Place, Takes


async def test_nothing_is_accepted_before_its_commit(place: Place) -> None:
    """Until then nobody is told, nobody receives it and nothing of it is recorded."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus, Background() as background:
        bus.line.held = True
        publishing = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        assert not publishing.done()
        assert takes.bodies == []
        assert "accepted" not in bus.audit.events()
        assert sub.extra == 1
        bus.line.release()
        assert isinstance(await publishing, Accepted)
        await bus.settle()
        assert takes.bodies == [1]
        assert bus.audit.events() == ["accepted", "delivered"]
        assert at_rest(sub)


async def test_what_the_store_refuses_is_not_accepted(place: Place) -> None:
    """The publisher is told why; nothing of it is left, in the counts either."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", 0)
        bus.line.refusing = StoreUnavailableError("the disk is full")
        outcome = await bus.agent("planner").publish("a", 1)
        assert isinstance(outcome, Failed)
        assert "the disk is full" in outcome.reason
        assert bus.audit.events() == ["accepted", "delivered", "failed"]
        assert at_rest(sub)
        bus.line.refusing = None
        await bus.keep("a", 2)
        await bus.settle()
        assert takes.bodies == [0, 2]
        (stream,) = bus.ledger.streams.by_id.values()
        assert stream.messages == 2
        entries = [
            entry.message.body async for entry in bus.agent("critic").replay(">")
        ]
        assert len(entries) == 2


@pytest.mark.parametrize("crashes", [False, True])
async def test_what_was_accepted_is_there_when_it_is_opened_again(
    place: Place, *, crashes: bool
) -> None:
    """What was not settled is delivered then, in order, and what was settled is not."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a.*", takes, max_in_flight=2)
    async with bus:
        await bus.keep("a.x", 0, 1)
        await bus.settle()
        takes.gate.clear()
        await bus.keep("a.y", 2, 3, 4)
        await bus.settle()
        if crashes:
            await place.crash(bus)
    again, later = place.bus(), Takes()
    again.agent("critic").subscribe("a.*", later)
    async with again:
        await again.settle()
        assert later.bodies == [2, 3, 4]
        assert later.attempts == [1, 1, 1]
        assert again.consumer("critic/a.*").pending == 0
    third, nothing = place.bus(), Takes()
    third.agent("critic").subscribe("a.*", nothing)
    async with third:
        await third.settle()
        assert nothing.bodies == []


async def test_what_was_not_committed_at_a_crash_is_not_there(place: Place) -> None:
    """Its publisher was never told that it was accepted."""
    bus = place.bus()
    bus.agent("critic").subscribe("a", Takes())
    async with bus, Background() as background:
        await bus.keep("a", 0)
        await bus.settle()
        bus.line.held = True
        publishing = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        await place.crash(bus)
        assert not publishing.done()
    again, takes = place.bus(), Takes()
    again.agent("critic").subscribe("a", takes)
    async with again:
        await again.settle()
        assert takes.bodies == []


async def test_a_consumer_that_is_away_gets_its_messages_when_it_is_back(
    place: Place,
) -> None:
    """By its name: over an unsubscribe, and over a restart in between."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes(), durable="reviews")
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        (outcome,) = await bus.keep("a", 1)
        assert outcome.deliveries == 1
        await bus.keep("a", 2)
        assert bus.consumer("reviews").behind == 2
        other = Takes()
        bus.agent("critic").subscribe("a", other)
        await bus.settle()
        assert other.bodies == []
    again, takes = place.bus(), Takes()
    async with again:
        await again.keep("a", 3)
        again.agent("critic").subscribe("a", takes, durable="reviews")
        await again.settle()
        assert takes.bodies == [1, 2, 3]
        await again.keep("a", 4)
        await again.settle()
        assert takes.bodies == [1, 2, 3, 4]


async def test_what_is_published_while_its_handler_finishes_is_kept_for_it(
    place: Place,
) -> None:
    """From the moment an unsubscribe begins, not from its end."""
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus, Background() as background:
        await bus.keep("a", 0)
        await bus.settle()
        leaving = background.run(bus.agent("critic").unsubscribe(sub, drain=5))
        await bus.settle()
        (outcome,) = await bus.keep("a", 1)
        assert outcome.deliveries == 1
        takes.gate.set()
        await leaving
        later = Takes()
        bus.agent("critic").subscribe("a", later)
        await bus.settle()
        assert takes.bodies == [0]
        assert later.bodies == [1]


async def test_what_is_on_its_way_when_its_taker_leaves_is_kept_for_it(
    place: Place,
) -> None:
    """Also where a publisher waited for another of its name meanwhile."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes())
    async with bus, Background() as background:
        bus.line.held = True
        first = background.run(bus.agent("planner").publish("a", 1))
        named = background.run(bus.agent("planner").publish("a", 2, dedup="n"))
        waits = background.run(bus.agent("planner").publish("a", 2, dedup="n"))
        await bus.settle()
        await bus.agent("critic").unsubscribe(sub)
        bus.line.release()
        await bus.settle()
        assert isinstance(await first, Accepted)
        assert isinstance(await named, Accepted)
        assert (await waits).duplicate
        assert bus.dead_letters == ()
        takes = Takes()
        bus.agent("critic").subscribe("a", takes)
        await bus.settle()
        assert takes.bodies == [1, 2]


async def test_what_is_on_its_way_when_its_taker_comes_back_reaches_it(
    place: Place,
) -> None:
    """It was let in for somebody who was away, and is there when it is kept."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes())
    async with bus, Background() as background:
        await bus.agent("critic").unsubscribe(sub)
        bus.line.held = True
        publishing = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        takes = Takes()
        back = bus.agent("critic").subscribe("a", takes)
        await bus.settle()
        bus.line.release()
        await publishing
        await bus.settle()
        assert takes.bodies == [1]
        assert at_rest(back)


async def test_a_queue_group_shares_one_consumer_and_takes_over(place: Place) -> None:
    """What a member had in hand or in its queue goes to another; nobody gets it twice."""
    bus, left, stays = place.bus(), Takes(), Takes()
    left.gate.clear()
    first = bus.agent("critic").subscribe("a", left, queue="q")
    second = bus.agent("worker").subscribe("a", stays, queue="q")
    async with bus:
        await bus.keep("a", *range(6))
        await bus.settle()
        assert sorted([*left.bodies[1:], *stays.bodies]) == [1, 3, 5]
        assert first.consumer is second.consumer
        await bus.agent("critic").unsubscribe(first, drain=0)
        await bus.settle()
        assert sorted(stays.bodies) == [0, 1, 2, 3, 4, 5]
        assert bus.consumer("group q/a").pending == 0
        assert at_rest(second)


async def test_what_was_on_its_way_to_a_member_that_left_goes_to_another(
    place: Place,
) -> None:
    """At once, and not with the next message."""
    bus, stays = place.bus(), Takes()
    first = bus.agent("critic").subscribe("a", Takes(), queue="q")
    bus.agent("worker").subscribe("a", stays, queue="q")
    async with bus, Background() as background:
        bus.line.held = True
        publishing = [
            background.run(bus.agent("planner").publish("a", body)) for body in (0, 1)
        ]
        await bus.settle()
        await bus.agent("critic").unsubscribe(first)
        bus.line.release()
        for one in publishing:
            await one
        await bus.settle()
        assert sorted(stays.bodies) == [0, 1]


async def test_a_group_of_which_nobody_is_there_is_kept_for(place: Place) -> None:
    """Whoever of it comes first gets it, over a restart."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes(), queue="q")
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a", 1, 2, 3)
    again, takes = place.bus(), Takes()
    again.agent("worker").subscribe("a", takes, queue="q")
    async with again:
        await again.settle()
        assert takes.bodies == [1, 2, 3]


async def test_unsubscribing_keeps_and_forgetting_removes(place: Place) -> None:
    """What is forgotten is gone, also after a restart; nothing is kept for it then."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes())
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a", 1)
        held = Takes()
        held.gate.clear()
        back = bus.agent("critic").subscribe("a", held)
        await bus.agent("critic").unsubscribe(back, drain=0, forget=True)
        (outcome,) = await bus.keep("a", 2)
        assert outcome.deliveries == 0
        assert bus.ledger.consumers.named("acme", "critic/a") is None
    again, takes = place.bus(), Takes()
    again.agent("critic").subscribe("a", takes)
    async with again:
        await again.settle()
        assert takes.bodies == []


async def test_forgetting_while_messages_are_on_their_way_harms_nobody(
    place: Place,
) -> None:
    """They are accepted for the others; what waits for its turn is for them alone."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", Takes())
    bus.agent("worker").subscribe("a", takes)
    async with bus, Background() as background:
        bus.line.held = True
        sent = background.run(bus.agent("planner").publish("a", 1, dedup="n"))
        waits = background.run(bus.agent("planner").publish("a", 2, dedup="n"))
        await bus.settle()
        await bus.agent("critic").unsubscribe(sub, forget=True)
        bus.line.release()
        assert isinstance(await sent, Accepted)
        assert (await waits).duplicate
        await bus.keep("a", 3)
        await bus.settle()
        assert takes.bodies == [1, 3]
        assert bus.ledger.rewinding.failure is None


async def test_what_was_named_and_failed_goes_on_without_who_was_forgotten(
    place: Place,
) -> None:
    """The second of a name is kept once the first was refused, for who is there then."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", Takes())
    bus.agent("worker").subscribe("a", takes)
    async with bus, Background() as background:
        bus.line.held = True
        refused = background.run(bus.agent("planner").publish("a", 1, dedup="n"))
        waits = background.run(bus.agent("planner").publish("a", 2, dedup="n"))
        await bus.settle()
        await bus.agent("critic").unsubscribe(sub, forget=True)
        bus.line.refusing = StoreUnavailableError("not now")
        bus.line.release()
        assert isinstance(await refused, Failed)
        bus.line.refusing = None
        assert isinstance(await waits, (Accepted, Failed))
        await bus.keep("a", 3)
        await bus.settle()
        assert takes.bodies[-1] == 3


async def test_a_subscription_may_opt_out(place: Place) -> None:
    """Nothing is kept for it, and what is there when it ends becomes dead letters."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes, durable=False)
    async with bus:
        await bus.keep("a", 1)
        await bus.settle()
        assert takes.bodies == [1]
        assert sub.consumer is None
        assert bus.line.of(Append)[0].deliveries == ()
        await bus.agent("critic").unsubscribe(sub)
        (outcome,) = await bus.keep("a", 2)
        assert outcome.deliveries == 0
        later = Takes()
        bus.agent("critic").subscribe("a", later, durable=False)
        await bus.settle()
        assert later.bodies == []


async def test_two_handlers_of_one_durable_name_are_refused(place: Place) -> None:
    """At the start, and on a bus that runs; whoever was first stays."""
    early = place.bus()
    early.agent("critic").subscribe("a", Takes())
    early.agent("critic").subscribe("a", Takes())
    with pytest.raises(UsageError, match="subscribed already"):
        await early.__aenter__()
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a", takes, durable="n")
    async with bus:
        for who, pattern, why in (
            ("critic", "a", "subscribed already"),
            ("critic", "b", "the store keeps 'n' for 'a'"),
            ("worker", "a", "a durable name of its own"),
        ):
            with pytest.raises(UsageError, match=why):
                bus.agent(who).subscribe(pattern, Takes(), durable="n")
        await bus.keep("a", 1)
        await bus.settle()
        assert takes.bodies == [1]


async def test_a_request_needs_somebody_who_is_there(place: Place) -> None:
    """It is not kept for who is away; an answer is never stored."""
    bus = place.bus()

    async def answer(body: int) -> int:
        return body + 1

    sub = bus.agent("critic").subscribe("ask", answer)
    async with bus, Background() as background:
        asked = background.run(bus.agent("planner").request("ask", 1))
        await bus.settle()
        assert await asked == 2
        assert len(bus.line.of(Append)) == 1
        await bus.agent("critic").unsubscribe(sub)
        with pytest.raises(NoRespondersError):
            await bus.agent("planner").request("ask", 1)
        assert len(bus.line.of(Append)) == 1


async def test_a_publisher_that_is_cancelled_leaves_the_accounts_right(
    place: Place,
) -> None:
    """What was submitted is accepted all the same, once."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus, Background() as background:
        bus.line.held = True
        publishing = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        publishing.cancel()
        await asyncio.wait([publishing])
        bus.line.release()
        await bus.settle()
        assert takes.bodies == [1]
        assert bus.audit.events() == ["accepted", "delivered"]
        assert at_rest(sub)
