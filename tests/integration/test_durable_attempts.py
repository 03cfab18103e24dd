"""How durable deliveries end: settled, tried again, given up; over restarts too."""

import asyncio

from bus.core.changes import Retry, Settle
from bus.core.errors import StoreUnavailableError
from bus.subscription import Delivery
from tests.fakes.buses import at_rest
from tests.fakes.durable import Place, Takes


async def test_an_ack_lets_go_of_it_before_the_handler_returns(place: Place) -> None:
    """A restart while the handler goes on does not bring it again."""
    bus = place.bus()
    gate = asyncio.Event()

    async def acks(delivery: Delivery) -> None:
        delivery.ack()
        await gate.wait()

    bus.agent("critic").subscribe("a", acks)
    async with bus:
        await bus.keep("a", 1)
        await bus.settle()
        assert len(bus.line.of(Settle)) == 1
        assert bus.audit.events() == ["accepted", "delivered"]
        await place.crash(bus)
    again, takes = place.bus(), Takes()
    again.agent("critic").subscribe("a", takes)
    async with again:
        await again.settle()
        assert takes.bodies == []


async def test_a_nak_with_a_delay_holds_over_a_restart(place: Place) -> None:
    """The next attempt comes when it is due, not before, and is counted on."""
    bus = place.bus()

    async def naks(delivery: Delivery) -> None:
        delivery.nak(delay=30)

    bus.agent("critic").subscribe("a", naks)
    async with bus:
        await bus.keep("a", 1)
        await bus.settle()
    again, takes = place.bus(), Takes()
    again.agent("critic").subscribe("a", takes)
    async with again:
        await again.advance(29)
        assert takes.bodies == []
        await again.advance(2)
        assert takes.bodies == [1]
        assert takes.attempts == [2]
        assert again.consumer("critic/a").pending == 0


async def test_attempts_follow_the_backoff_list_and_end_as_a_letter(
    place: Place,
) -> None:
    """The letter says why, after how many attempts, from which consumer, and of what."""
    bus, takes = place.bus(), Takes("bad")
    sub = bus.agent("critic").subscribe("a.b", takes, max_deliver=3, backoff=[5, 60])
    async with bus:
        (kept,) = await bus.keep("a.b", "bad")
        await bus.settle()
        assert takes.attempts == [1]
        await bus.advance(6)
        assert takes.attempts == [1, 2]
        await bus.advance(58)
        assert takes.attempts == [1, 2]
        await bus.advance(3)
        assert takes.attempts == [1, 2, 3]
        (letter,) = await bus.agent("critic").dead_letters()
        assert letter.reason == "ValueError: no bad (attempt 3)"
        assert letter.attempts == 3
        assert letter.consumer == "critic/a.b"
        assert letter.message is not None
        assert letter.message.subject == "a.b"
        assert letter.message.sender == "planner"
        assert letter.message.id == kept.id
        assert at_rest(sub)
    again, nothing = place.bus(), Takes()
    again.agent("critic").subscribe("a.b", nothing)
    async with again:
        await again.settle()
        assert nothing.bodies == []
        assert await again.agent("critic").dead_letters() == [letter]


async def test_term_gives_it_up_at_once(place: Place) -> None:
    """With the handler's reason."""
    bus = place.bus()

    async def terms(delivery: Delivery) -> None:
        delivery.term("not for me")

    bus.agent("critic").subscribe("a", terms)
    async with bus:
        await bus.keep("a", 1)
        await bus.settle()
        (letter,) = await bus.agent("critic").dead_letters()
        assert (letter.reason, letter.attempts) == ("not for me", 1)
        assert bus.consumer("critic/a").pending == 0


async def test_a_lease_that_lapses_brings_the_next_attempt(place: Place) -> None:
    """Unless the handler says that it is still at it."""
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    bus.agent("critic").subscribe("a", takes, ack_wait=10, backoff=[0.5])
    async with bus:
        await bus.keep("a", 1)
        for _ in range(4):
            await bus.advance(6)
            takes.seen[-1].in_progress()
        assert takes.attempts == [1]
        await bus.advance(12)
        assert takes.attempts == [1, 2]
        takes.gate.set()
        await bus.settle()
        assert bus.consumer("critic/a").pending == 0
        assert len(bus.line.of(Settle)) == 1
        assert [change.attempt for change in bus.line.of(Retry)] == [1]


async def test_no_more_are_out_than_may_be_and_the_rest_is_not_lost(
    place: Place,
) -> None:
    """What waits for its next attempt counts; new ones go when one of these is over."""
    bus, takes = place.bus(), Takes(0, 1)
    bus.agent("critic").subscribe(
        "a", takes, max_ack_pending=2, max_deliver=2, backoff=[60]
    )
    async with bus:
        await bus.keep("a", *range(5))
        await bus.settle()
        assert takes.bodies == [0, 1]
        await bus.advance(61)
        assert sorted(takes.bodies) == [0, 0, 1, 1, 2, 3, 4]
        assert len(await bus.agent("critic").dead_letters()) == 2


async def test_those_behind_what_waits_long_are_read_all_the_same(
    place: Place,
) -> None:
    """A thousand that are tried again in an hour do not stop those in the store."""
    bus, handled = place.bus(), list[int]()

    async def later(body: int, delivery: Delivery) -> None:
        handled.append(body)
        if body < 1_000:
            delivery.nak(delay=3600)

    agent = bus.agent("critic")
    away = agent.subscribe("a", later)
    async with bus:
        await agent.unsubscribe(away)
        await bus.keep_all("a", range(1_400))
        agent.subscribe("a", later, max_ack_pending=5_000)
        for _ in range(4):
            await bus.settle()
        assert handled == list(range(1_400))


async def test_fencing_tokens_rise_over_attempts_consumers_and_restarts(
    place: Place,
) -> None:
    """Whoever was handed it later has the higher token."""
    tokens: list[int] = []
    for crashes in (True, False, False):
        bus, takes = place.bus(), Takes("bad")
        other = Takes()
        bus.agent("critic").subscribe("a", takes, max_deliver=9, backoff=[1])
        bus.agent("worker").subscribe("a", other)
        async with bus:
            await bus.keep("a", "bad", "good")
            await bus.advance(2)
            seen = [delivery.token for delivery in takes.seen]
            assert seen == sorted(seen)
            found = sorted(seen + [delivery.token for delivery in other.seen])
            assert len(set(found)) == len(found)
            assert found[0] > (tokens[-1] if tokens else 0)
            tokens += found
            if crashes:
                await place.crash(bus)


async def test_a_message_that_ends_its_process_becomes_a_letter(place: Place) -> None:
    """Attempts are noted before they are made once a process has died."""
    handed: list[int] = []
    for _ in range(3):
        bus, takes = place.bus(), Takes()
        takes.gate.clear()
        bus.agent("critic").subscribe("a", takes, max_deliver=2)
        async with bus:
            if not handed:
                await bus.keep("a", "poison", "good")
            await bus.settle()
            handed += takes.attempts
            await place.crash(bus)
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("a", takes, max_deliver=2)
    async with bus:
        await bus.settle()
        assert handed == [1, 1, 2]
        assert takes.bodies == ["good"]
        (letter,) = await bus.agent("critic").dead_letters()
        assert "its process ended while it was handled" in letter.reason
        assert letter.attempts == 2
        assert bus.consumer("critic/a").pending == 0


async def test_a_clean_end_counts_no_attempt(place: Place) -> None:
    """What was in a handler's hands is handed out anew, as often as it is closed."""
    for number in range(5):
        bus, takes = place.bus(), Takes()
        takes.gate.clear()
        bus.agent("critic").subscribe("a", takes, max_deliver=2)
        async with bus:
            if not number:
                await bus.keep("a", 1)
            await bus.settle()
            assert takes.attempts == [1]
        assert bus.line.of(Retry) == []


async def test_an_attempt_that_cannot_be_noted_waits(place: Place) -> None:
    """It is not made while the store is not there, and made when it is."""
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", 1)
        await bus.settle()
        await place.crash(bus)
    again, later = place.bus(), Takes()
    async with again:
        again.line.refusing = StoreUnavailableError("not now")
        again.agent("critic").subscribe("a", later)
        await again.settle()
        assert later.bodies == []
        again.line.refusing = None
        await again.advance(5)
        assert later.bodies == [1]


async def test_an_end_that_could_not_be_noted_brings_it_again_after_a_restart(
    place: Place,
) -> None:
    """At least once: it is not lost, and in this process not delivered twice."""
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.keep("a", 1)
        bus.line.refusing = StoreUnavailableError("not now")
        takes.gate.set()
        await bus.settle()
        assert takes.bodies == [1]
        bus.line.refusing = None
        await bus.keep("a", 2)
        await bus.advance(3)
        assert takes.bodies == [1, 2]
    again, later = place.bus(), Takes()
    again.agent("critic").subscribe("a", later)
    async with again:
        await again.settle()
        assert later.bodies == [1]


async def test_a_message_that_has_expired_is_not_delivered(place: Place) -> None:
    """Also where it expired while nobody was there; its delivery is over."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes())
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a", "brief", ttl=10)
        await bus.keep("a", "long", ttl=1000)
    again, takes = place.bus(), Takes()
    async with again:
        await again.advance(20)
        again.agent("critic").subscribe("a", takes)
        await again.settle()
        assert takes.bodies == ["long"]
        assert "expired" in again.audit.events()
        assert again.consumer("critic/a").pending == 0
        kept = [entry.message.body async for entry in again.agent("critic").replay("a")]
        assert len(kept) == 1
