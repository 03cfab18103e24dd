"""Dead letters that a store keeps: who may read them, and sending one once more."""

from typing import Any

import pytest

from bus.core.errors import BodyTypeError, DeniedError, StoreBrokenError, UsageError
from bus.core.limits import HEADER_BYTES_MAX, HEADERS_MAX
from bus.core.message import Message
from bus.core.outcome import Accepted, Denied
from bus.subscription import Delivery
from tests.fakes.buses import data
from tests.fakes.durable import DurableBus, Place, Takes, spoil_letters


def roles() -> Any:
    """Return data with an agent that reads letters and may not publish."""
    made = data(
        reads={"publish": [{"subject": "other"}], "subscribe": ["$DEAD.>"]},
    )
    made["agents"]["intern"]["roles"] = ["reads"]
    return made


async def letter_of(bus: DurableBus) -> Any:
    """Return the only letter there is."""
    (letter,) = await bus.agent("critic").dead_letters()
    return letter


async def test_a_letter_is_sent_once_more_with_another_body(place: Place) -> None:
    """As a new message that descends from the one that died; the letter goes then."""
    bus, takes = place.bus(), Takes("bad")
    bus.agent("worker").subscribe("a", takes, max_deliver=1)
    others = Takes()
    bus.agent("critic").subscribe("a", others)
    async with bus:
        (died,) = await bus.keep("a", "bad", headers={"x-order": "7"})
        await bus.settle()
    again, takes = place.bus(), Takes("bad")
    again.agent("worker").subscribe("a", takes, max_deliver=1)
    others = Takes()
    again.agent("critic").subscribe("a", others)
    async with again:
        letter = await letter_of(again)
        outcome = await again.agent("critic").resend(letter.id, "good")
        assert isinstance(outcome, Accepted)
        assert (outcome.deliveries, outcome.duplicate) == (1, False)
        await again.settle()
        assert takes.bodies == ["good"]
        assert others.bodies == []  # they had it
        sent = takes.seen[0].message
        assert sent.id != died.id
        assert (sent.parent, sent.root, sent.depth) == (died.id, died.id, 1)
        assert sent.sender == "critic"
        assert "planner" in sent.authors
        assert sent.headers == {"x-order": "7"} | {
            name: value
            for name, value in sent.headers.items()
            if name.startswith("assent-")
        }
        assert await again.agent("critic").dead_letters() == []
        with pytest.raises(UsageError, match="no dead letter"):
            await again.agent("critic").resend(letter.id)


async def test_a_letter_is_sent_once_more_as_it_is(place: Place) -> None:
    """With the body, type and content type it had."""
    bus, seen = place.bus(), list[Message]()

    async def takes(delivery: Delivery) -> None:
        seen.append(delivery.message)
        if len(seen) == 1:
            delivery.term()

    bus.agent("worker").subscribe("a", takes)
    async with bus:
        await bus.keep("a", b"\x00raw", type="command", content_type="image/png")
        await bus.settle()
        letter = await letter_of(bus)
        assert isinstance(await bus.agent("critic").resend(letter.id), Accepted)
        await bus.settle()
        assert [(m.body, m.type, m.content_type) for m in seen] == [
            (b"\x00raw", "command", "image/png")
        ] * 2


async def test_a_letter_with_as_many_headers_as_there_may_be_is_sent_once_more(
    place: Place,
) -> None:
    """What the bus adds to them takes none of their room; so it may die once more."""
    headers = {f"h{n:02}": "" for n in range(HEADERS_MAX)}
    headers["h00"] = "x" * (HEADER_BYTES_MAX - 3 * HEADERS_MAX)
    bus, takes = place.bus(), Takes(1)
    bus.agent("worker").subscribe("a", takes, max_deliver=1)
    async with bus:
        await bus.keep("a", 1, headers=headers, dedup="mine")
        for _ in range(3):
            await bus.settle()
            letter = await letter_of(bus)
            assert isinstance(await bus.agent("critic").resend(letter.id), Accepted)
        await bus.settle()
        assert takes.bodies == [1] * 4
        for delivery in takes.seen:
            assert headers.items() <= delivery.message.headers.items()
            assert len(delivery.message.headers) == HEADERS_MAX + 1


async def test_what_is_sent_once_more_is_authorised_anew(place: Place) -> None:
    """Who may read a letter need not be allowed to send it; the letter stays then."""
    bus, takes = place.bus(roles()), Takes("bad")
    bus.agent("worker").subscribe("a", takes, max_deliver=1)
    async with bus:
        await bus.keep("a", "bad")
        await bus.settle()
        (letter,) = await bus.agent("intern").dead_letters()
        outcome = await bus.agent("intern").resend(letter.id, "good")
        assert isinstance(outcome, Denied)
        await bus.settle()
        assert takes.bodies == ["bad"]
        assert len(await bus.agent("critic").dead_letters()) == 1
        with pytest.raises(BodyTypeError):
            await bus.agent("critic").resend(letter.id, object())
        assert len(await bus.agent("critic").dead_letters()) == 1


async def test_who_may_not_read_letters_sees_and_sends_none(place: Place) -> None:
    """Nor does another tenant, which is not even told that there is one."""
    few = data(few={"publish": [{"subject": ">"}], "subscribe": [">"]})
    few["agents"]["intern"]["roles"] = ["few"]
    bus, takes = place.bus(few), Takes("bad")
    bus.agent("worker").subscribe("a", takes, max_deliver=1)
    async with bus:
        await bus.keep("a", "bad")
        await bus.settle()
        letter = await letter_of(bus)
        assert await bus.agent("intern").dead_letters() == []
        with pytest.raises(DeniedError):
            await bus.agent("intern").resend(letter.id)
        assert await bus.agent("spy").dead_letters() == []
        with pytest.raises(UsageError, match="no dead letter"):
            await bus.agent("spy").resend(letter.id)
        await bus.settle()
        assert takes.bodies == ["bad"]


async def test_a_letter_waits_for_a_consumer_that_is_away(place: Place) -> None:
    """Where it was forgotten the letter stays, and who sends it is told."""
    bus, takes = place.bus(), Takes("bad")
    sub = bus.agent("worker").subscribe("a", takes, max_deliver=1)
    async with bus:
        await bus.keep("a", "bad", "bad")
        await bus.settle()
        await bus.agent("worker").unsubscribe(sub)
        first, second = await bus.agent("critic").dead_letters()
        outcome = await bus.agent("critic").resend(first.id, "good")
        assert isinstance(outcome, Accepted)
        assert outcome.deliveries == 1
        later = Takes()
        sub = bus.agent("worker").subscribe("a", later)
        await bus.settle()
        assert later.bodies == ["good"]
        await bus.agent("worker").unsubscribe(sub, forget=True)
        with pytest.raises(UsageError, match="publish its body anew"):
            await bus.agent("critic").resend(second.id)
        assert [x.id for x in await bus.agent("critic").dead_letters()] == [second.id]


async def test_a_letter_that_was_changed_is_told_and_not_sent(place: Place) -> None:
    """The others can be read as ever."""
    bus, takes = place.bus(), Takes("bad", "worse")
    bus.agent("worker").subscribe("a", takes, max_deliver=1)
    async with bus:
        await bus.keep("a", "bad", "worse")
        await bus.settle()
        letters = await bus.agent("critic").dead_letters()
        spoil_letters(bus.line, letters[0].id)
        changed, other = await bus.agent("critic").dead_letters()
        assert changed.message is None
        assert other == letters[1]
        with pytest.raises(StoreBrokenError, match="was changed"):
            await bus.agent("critic").resend(changed.id)
        assert len(await bus.agent("critic").dead_letters()) == 2


async def test_letters_are_read_by_pages(place: Place) -> None:
    """After an id, as many as are asked for."""
    bus, takes = place.bus(), Takes(*range(5))
    bus.agent("worker").subscribe("a", takes, max_deliver=1)
    async with bus:
        await bus.keep("a", *range(5))
        await bus.settle()
        critic = bus.agent("critic")
        every = await critic.dead_letters()
        assert [letter.id for letter in every] == [1, 2, 3, 4, 5]
        assert await critic.dead_letters(after=2, limit=2) == every[2:4]
        assert await critic.dead_letters(after=5) == []


async def test_what_dies_after_a_restart_has_a_number_of_its_own(place: Place) -> None:
    """No letter takes another's place."""
    for number in range(3):
        bus, takes = place.bus(), Takes(number)
        bus.agent("worker").subscribe("a", takes, max_deliver=1)
        async with bus:
            await bus.keep("a", number)
            await bus.settle()
            letters = await bus.agent("critic").dead_letters()
            assert [letter.id for letter in letters] == list(range(1, number + 2))
            if number == 1:
                await place.crash(bus)


async def test_a_dead_letter_of_a_request_tells_who_asked(place: Place) -> None:
    """At once; and the letter is kept."""
    bus, takes = place.bus(), Takes("bad")
    bus.agent("worker").subscribe("a", takes, max_deliver=1)
    async with bus:
        with pytest.raises(Exception, match="gave up"):
            await bus.agent("planner").request("a", "bad")
        await bus.settle()
        assert (await letter_of(bus)).attempts == 1
