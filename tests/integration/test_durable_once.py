"""Handlers whose effects happen once: what they publish, and their ack, in one transaction."""

import asyncio
from typing import Any

import pytest

from bus.core.changes import Append, Settle
from bus.core.errors import (
    MalformedMessageError,
    StoreUnavailableError,
    UsageError,
)
from bus.core.outcome import Accepted, Rejected
from bus.subscription import Delivery
from tests.fakes.buses import Background, at_rest
from tests.fakes.durable import DurableBus, Place, Takes


class Works:
    """A handler that publishes its body on `out` and then does as it is told."""

    def __init__(self, bus: DurableBus) -> None:
        self.bus = bus
        self.runs = 0
        self.outcomes: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = 0

    async def __call__(self, body: Any, delivery: Delivery) -> None:
        """Publish, wait for the gate, and fail if it is to."""
        del delivery
        self.runs += 1
        self.outcomes.append(await self.bus.agent("worker").publish("out", body))
        await self.gate.wait()
        if self.fails:
            self.fails -= 1
            raise ValueError("after it has published")


def working(bus: DurableBus, **options: Any) -> tuple[Works, Takes, Any]:
    """Return a handler on `in`, what takes its effects, and its subscription."""
    works, takes = Works(bus), Takes()
    bus.agent("critic").subscribe("out", takes)
    options = {"once": True, "backoff": [1], **options}
    return works, takes, bus.agent("worker").subscribe("in", works, **options)


async def test_its_effects_and_its_ack_are_one_transaction(place: Place) -> None:
    """Nothing of them is visible before that."""
    bus = place.bus()
    works, takes, sub = working(bus)
    async with bus:
        works.gate.clear()
        await bus.keep("in", 1)
        await bus.settle()
        assert isinstance(works.outcomes[0], Accepted)
        assert takes.bodies == []
        assert bus.audit.events() == ["accepted"]
        assert len(bus.line.of(Append)) == 1
        works.gate.set()
        await bus.settle()
        assert takes.bodies == [1]
        assert bus.audit.events() == ["accepted", "accepted", "delivered", "delivered"]
        kinds = [type(change) for change in bus.line.sent]
        at = kinds.index(Settle)
        assert kinds[at - 1] is Append
        assert at_rest(sub)


async def test_a_handler_that_fails_after_it_published_has_no_effect(
    place: Place,
) -> None:
    """The attempt that succeeds has them, once."""
    bus = place.bus()
    works, takes, sub = working(bus, max_deliver=5)
    works.fails = 2
    async with bus:
        await bus.keep("in", 1)
        await bus.advance(10)
        assert works.runs == 3
        assert takes.bodies == [1]
        assert at_rest(sub)
        (stream,) = bus.ledger.streams.by_id.values()
        assert stream.messages == 2


async def test_a_handler_that_is_given_up_has_no_effect(place: Place) -> None:
    """Its message is a letter, and what it published never was."""
    bus = place.bus()
    works, takes, _ = working(bus, max_deliver=2)
    works.fails = 2
    async with bus:
        await bus.keep("in", 1)
        await bus.advance(10)
        assert takes.bodies == []
        assert len(await bus.agent("critic").dead_letters()) == 1
        assert [e async for e in bus.agent("critic").replay("out")] == []


async def test_a_crash_before_the_commit_has_no_effect_and_one_after_it_has(
    place: Place,
) -> None:
    """Each once, whenever the process ends."""
    bus = place.bus()
    works, takes, _ = working(bus)
    async with bus:
        await bus.keep("in", 1)
        await bus.settle()
        assert takes.bodies == [1]
        bus.line.held = True  # published and acked, and not on disk
        background = asyncio.TaskGroup()
        async with background:
            task = background.create_task(bus.agent("planner").publish("in", 2))
            await bus.settle()
            task.cancel()
        bus.line.release()
        bus.line.held = True
        await bus.settle()
        assert works.runs == 2
        await place.crash(bus)
    again = place.bus()
    works, takes, _ = working(again)
    async with again:
        await again.settle()
        assert works.runs == 1
        assert takes.bodies == [2]
        await place.crash(again)
    third = place.bus()
    works, takes, _ = working(third)
    async with third:
        await third.settle()
        assert (works.runs, takes.bodies) == (0, [])


async def test_a_store_that_refuses_the_commit_refuses_all_of_it(place: Place) -> None:
    """It is tried again when the store is there, and counts no attempt."""
    bus = place.bus()
    works, takes, sub = working(bus, max_deliver=2)
    works.gate.clear()
    async with bus:
        await bus.keep("in", 1)
        await bus.settle()
        bus.line.refusing = StoreUnavailableError("not now")
        works.gate.set()
        await bus.advance(3)
        assert works.runs >= 3
        assert takes.bodies == []
        assert bus.audit.events() == ["accepted"]
        bus.line.refusing = None
        await bus.advance(3)
        assert takes.bodies == [1]
        assert at_rest(sub)
        assert await bus.agent("critic").dead_letters() == []


async def test_a_lease_that_lapses_during_the_commit_changes_nothing(
    place: Place,
) -> None:
    """From its submission on the delivery is nobody else's."""
    bus = place.bus()
    works, takes, sub = working(bus, ack_wait=5)
    works.gate.clear()
    async with bus:
        await bus.keep("in", 1)
        await bus.settle()
        bus.line.held = True
        works.gate.set()
        await bus.advance(30)
        assert works.runs == 1
        bus.line.release()
        await bus.advance(30)
        assert works.runs == 1
        assert takes.bodies == [1]
        assert at_rest(sub)
        await bus.keep("in", 2)
        await bus.settle()
        assert takes.bodies == [1, 2]


async def test_a_lease_that_lapses_before_the_commit_drops_it(place: Place) -> None:
    """The next attempt has the effects."""
    bus = place.bus()
    works, takes, sub = working(bus, ack_wait=5)
    works.gate.clear()
    async with bus:
        await bus.keep("in", 1)
        await bus.advance(7)
        assert works.runs == 2
        works.gate.set()
        await bus.settle()
        assert takes.bodies == [1]
        assert at_rest(sub)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_subscription_that_ends_during_the_commit_changes_nothing(
    place: Place, *, refused: bool
) -> None:
    """Who subscribes next gets the message only if the commit was refused."""
    bus = place.bus()
    works, takes, sub = working(bus)
    works.gate.clear()
    async with bus:
        await bus.keep("in", 1)
        await bus.keep("in", 2)
        await bus.settle()
        bus.line.held = True
        works.gate.set()
        await bus.settle()
        await bus.agent("worker").unsubscribe(sub, drain=0)
        later = Works(bus)
        back = bus.agent("worker").subscribe("in", later, once=True, backoff=[1])
        await bus.settle()
        if refused:
            held, bus.line.waiting = bus.line.waiting, []
            bus.line.refusing = StoreUnavailableError("not now")
            bus.line.held = False
            bus.line.submit(*held[0])
            bus.line.refusing = None
            for changes, done in held[1:]:
                bus.line.submit(changes, done)
        bus.line.release()
        await bus.advance(5)
        assert works.runs == 1
        assert later.runs == (2 if refused else 1)
        assert sorted(takes.bodies) == [1, 2]
        assert at_rest(back)
        assert bus.consumer("worker/in").pending == 0
        assert bus.ledger.rewinding.failure is None


async def test_a_member_that_ends_during_a_refused_commit_leaves_it_to_another(
    place: Place,
) -> None:
    """Of its queue group; at once, and once."""
    bus = place.bus()
    works, takes, sub = working(bus, queue="q")
    works.gate.clear()
    async with bus:
        await bus.keep("in", 1)
        await bus.settle()
        later = Works(bus)
        other = bus.agent("critic").subscribe(
            "in", later, once=True, queue="q", backoff=[1]
        )
        bus.line.held = True
        works.gate.set()
        await bus.settle()
        await bus.agent("worker").unsubscribe(sub, drain=0)
        bus.line.refusing = StoreUnavailableError("not now")
        bus.line.release()
        await bus.settle()
        bus.line.refusing = None
        await bus.advance(5)
        assert (works.runs, later.runs) == (1, 1)
        assert takes.bodies == [1]
        assert at_rest(other)
        assert bus.consumer("group q/in").pending == 0
        assert bus.ledger.rewinding.failure is None


async def test_what_others_publish_meanwhile_is_not_in_its_way(place: Place) -> None:
    """A transaction has its place in a stream when it is committed, not before."""
    bus = place.bus()
    works, takes, _ = working(bus)
    works.gate.clear()
    async with bus:
        await bus.keep("in", "slow")
        await bus.settle()
        await bus.keep("out", "quick", "again")
        await bus.settle()
        assert takes.bodies == ["quick", "again"]
        works.gate.set()
        await bus.settle()
        assert takes.bodies == ["quick", "again", "slow"]
        assert works.runs == 1
        assert bus.consumer("critic/out").pending == 0


async def test_it_cannot_ack_for_itself_but_may_give_it_back_or_up(
    place: Place,
) -> None:
    """That it returns is its ack; with a nak or term it has no effects."""
    bus, told = place.bus(), list[str]()
    takes = Takes()
    bus.agent("critic").subscribe("out", takes)

    async def settles(body: str, delivery: Delivery) -> None:
        await bus.agent("worker").publish("out", body)
        if body == "ack":
            try:
                delivery.ack()
            except UsageError as error:
                told.append(str(error))
        elif body == "nak" and delivery.attempt == 1:
            delivery.nak(delay=1)
        elif body == "term":
            delivery.term("no")

    sub = bus.agent("worker").subscribe("in", settles, once=True)
    async with bus:
        await bus.keep("in", "ack", "nak", "term")
        await bus.settle()
        assert takes.bodies == ["ack"]
        assert "that it returns is its ack" in told[0]
        await bus.advance(2)
        assert takes.bodies == ["ack", "nak"]
        (letter,) = await bus.agent("critic").dead_letters()
        assert letter.reason == "no"
        assert at_rest(sub)


async def test_it_cannot_wait_for_an_answer(place: Place) -> None:
    """What it sends goes out when it is done."""
    bus, told = place.bus(), list[str]()

    async def asks(body: int) -> None:
        try:
            await bus.agent("worker").request("q", body, timeout=1)
        except MalformedMessageError as error:
            told.append(str(error))

    bus.agent("critic").subscribe("q", Takes())
    bus.agent("worker").subscribe("in", asks, once=True)
    async with bus:
        await bus.keep("in", 1)
        await bus.settle()
        assert "cannot wait for a reply" in told[0]
        assert bus.consumer("critic/q").pending == 0


async def test_its_return_value_goes_out_with_it(place: Place) -> None:
    """To a subject in the transaction; to who requests when that is committed."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("answers", takes)
    fails = [True]

    async def doubles(body: int) -> int:
        if fails and body == 2:
            fails.clear()
            raise ValueError("not yet")
        return 2 * body

    sub = bus.agent("worker").subscribe("in", doubles, once=True, backoff=[1])
    async with bus, Background() as background:
        await bus.keep("in", 2, reply_to="answers")
        await bus.settle()
        assert takes.bodies == []
        await bus.advance(2)
        assert takes.bodies == [4]
        bus.line.held = True
        asked = background.run(bus.agent("planner").request("in", 4))
        await bus.settle()
        bus.line.release()
        bus.line.held = True
        await bus.settle()
        assert not asked.done()
        bus.line.release()
        await bus.settle()
        assert await asked == 8
        assert at_rest(sub)


async def test_two_of_one_name_in_one_transaction_are_one(place: Place) -> None:
    """And the name is free again where the transaction is dropped."""
    bus, takes, outcomes = place.bus(), Takes(), list[Any]()
    bus.agent("critic").subscribe("out", takes)
    fails = [True]

    async def names(body: int) -> None:
        for number in range(2):
            outcomes.append(
                await bus.agent("worker").publish("out", number, dedup=f"n{body}")
            )
        if fails:
            fails.clear()
            raise ValueError("once")

    bus.agent("worker").subscribe("in", names, once=True, backoff=[1])
    async with bus:
        await bus.keep("in", 1)
        await bus.advance(3)
        assert [outcome.duplicate for outcome in outcomes] == [False, True] * 2
        assert takes.bodies == [0]


async def test_two_that_take_the_same_names_in_opposite_order_do_not_wait_for_each_other(
    place: Place,
) -> None:
    """The one that would close the circle is undone at once, whatever it makes of it."""
    bus, takes, outcomes = place.bus(), Takes(), dict[str, list[Any]]()
    bus.agent("critic").subscribe("out", takes)
    both = asyncio.Barrier(2)

    def named(first: str, second: str) -> Any:
        async def names(body: str) -> None:
            told = outcomes.setdefault(body, [])
            for name in (first, second):
                told.append(
                    await bus.agent("worker").publish(
                        "out", f"{body} {name}", dedup=name
                    )
                )
                if len(told) == 1:
                    await both.wait()

        return names

    options: dict[str, Any] = {"once": True, "backoff": [1], "ack_wait": 1000}
    bus.agent("worker").subscribe("in.x", named("x", "y"), **options)
    bus.agent("worker").subscribe("in.y", named("y", "x"), **options)
    async with bus:
        await bus.keep("in.x", "one")
        await bus.keep("in.y", "two")
        await bus.settle()
        ended = [one for told in outcomes.values() for one in told]
        refused = [one for one in ended if not isinstance(one, Accepted)]
        assert [outcome.code for outcome in refused] == ["overloaded"]
        assert len(takes.bodies) == 2
        await bus.advance(2)
        assert len(takes.bodies) == 2
        undone = next(told for told in outcomes.values() if refused[0] in told)
        assert [outcome.duplicate for outcome in undone[2:]] == [True, True]
        assert bus.consumer("worker/in.x").pending == 0
        assert bus.consumer("worker/in.y").pending == 0


async def test_who_goes_on_after_it_returned_is_refused(place: Place) -> None:
    """A task of the handler's that outlives it has no transaction to publish in."""
    bus, outcomes = place.bus(), list[Any]()
    more, tasks = asyncio.Event(), list[Any]()

    async def leaves(body: int) -> None:
        async def late() -> None:
            await more.wait()
            outcomes.append(await bus.agent("worker").publish("out", body))

        tasks.append(background.run(late()))

    bus.agent("worker").subscribe("in", leaves, once=True)
    async with bus, Background() as background:
        await bus.keep("in", 1)
        await bus.settle()
        more.set()
        await bus.settle()
        assert isinstance(outcomes[0], Rejected)
        assert "is over" in outcomes[0].reason


async def test_delayed_effects_wait_for_their_time(place: Place) -> None:
    """They are kept with the rest, and come when they are due."""
    bus, takes = place.bus(), Takes()
    bus.agent("critic").subscribe("out", takes)

    async def schedules(body: int) -> None:
        await bus.agent("worker").publish("out", body, delay=10)

    bus.agent("worker").subscribe("in", schedules, once=True)
    async with bus:
        await bus.keep("in", 1)
        await bus.settle()
        assert takes.bodies == []
        await bus.advance(11)
        assert takes.bodies == [1]


async def test_once_needs_a_durable_subscription(place: Place) -> None:
    """It is refused where nothing is kept for it."""
    bus = place.bus()
    with pytest.raises(MalformedMessageError, match="once needs a store"):
        bus.agent("worker").subscribe("in", Takes(), once=True, durable=False)
