"""Ordering keys: one message of a key at a time, in the order of acceptance."""

import asyncio
from typing import Any

import pytest

from bus import Accepted, Rejected
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.limits import HEADERS_MAX, ORDERING_KEY_BYTES_MAX
from bus.core.message import ORDERING_KEY, Priority
from bus.subscription import Delivery, Subscription
from bus.testing import TestBus
from tests.fakes.buses import (
    Background,
    Inbox,
    PartsBus,
    at_rest,
    data,
    new_bus,
    reload,
    totals,
)


class Desk:
    """A handler whose messages wait until they are let go, each with a word."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.open: dict[Any, asyncio.Future[str]] = {}

    async def __call__(self, body: Any, delivery: Delivery) -> None:
        """Wait for the word, and do as told."""
        self.got.append(body)
        self.open[body] = asyncio.get_running_loop().create_future()
        said = await self.open[body]
        if said == "nak":
            delivery.nak(1.0)
        elif said == "term":
            delivery.term("told to")
        elif said == "early":
            delivery.ack()
            self.open[body] = asyncio.get_running_loop().create_future()
            await self.open[body]
        elif said == "raise":
            raise ValueError("told to")

    def say(self, body: Any, word: str = "ack") -> None:
        """Let the handler of `body` go on."""
        self.open[body].set_result(word)


async def send(bus: TestBus, *bodies: str, **options: Any) -> None:
    """Publish bodies whose first letter is their key; `-` has none."""
    for body in bodies:
        key = None if body[0] == "-" else body[0]
        given = {**options, "ordering_key": key} if key else options
        outcome = await bus.agent("planner").publish("a", body, **given)
        assert isinstance(outcome, Accepted), outcome
    await bus.settle()


def subscribed(bus: TestBus, handler: Any, **options: Any) -> Subscription:
    """Subscribe with four handlers at once."""
    return bus.agent("worker").subscribe(
        "a", handler, **{"max_in_flight": 4, "ack_wait": 3600, **options}
    )


async def test_one_of_a_key_is_in_flight_and_others_are_not_held_up() -> None:
    """Of other keys, or of none."""
    async with new_bus() as bus:
        desk = Desk()
        sub = subscribed(bus, desk)
        await send(bus, "k1", "k2", "l1", "-", "k3", "l2")
        assert desk.got == ["k1", "l1", "-"]
        assert (sub.size, sub.aside, sub.load) == (0, 3, 6)
        assert bus.stats().queued == 3
        for body in ("k1", "k2", "l1", "k3", "-", "l2"):
            desk.say(body)
            await bus.settle()
        assert desk.got == ["k1", "l1", "-", "k2", "k3", "l2"]
        assert at_rest(sub)
        assert not sub.keyed


async def test_later_ones_wait_behind_one_that_waits_for_its_redelivery() -> None:
    """After a nak, a fault and a lapsed lease alike."""
    async with new_bus() as bus:
        desk = Desk()
        sub = subscribed(bus, desk, ack_wait=5.0, backoff=[1.0])
        await send(bus, "k1", "k2", "-1")
        for word in ("nak", "raise"):
            desk.say("k1", word)
            await bus.settle()
            assert desk.got[-1] != "k2"
            await bus.advance(1)
        desk.say("-1")
        await bus.advance(6)  # the lease of k1 lapses, and it is tried again
        await bus.advance(2)
        assert desk.got == ["k1", "-1", "k1", "k1", "k1"]
        desk.say("k1")
        await bus.settle()
        assert desk.got[-1] == "k2"
        desk.say("k2")
        await bus.settle()
        assert at_rest(sub)


async def test_within_a_key_the_order_of_acceptance_holds_over_priorities() -> None:
    """A later message of higher priority does not pass an earlier one of its key."""
    async with new_bus() as bus:
        desk = Desk()
        subscribed(bus, desk, max_in_flight=1)
        await send(bus, "-first")
        await send(bus, "k1", priority=Priority.LOW)
        await send(bus, "k2", "-2", priority=Priority.CRITICAL)
        for body in ("-first", "-2", "k1", "k2"):
            assert desk.got[-1] == body
            desk.say(body)
            await bus.settle()


async def test_one_handler_that_nothing_goes_wrong_in_keeps_the_order_of_all() -> None:
    """Keys reorder nothing where nothing is held up."""
    async with new_bus() as bus:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("a", inbox)
        bodies = [f"{'kl-m'[n % 4]}{n}" for n in range(300)]
        await send(bus, *bodies)
        await bus.settle()
        assert inbox.done == bodies
        assert at_rest(sub)
        assert not sub.keyed
        await send(bus, "-")
        assert not sub.careful


async def test_an_early_ack_lets_the_next_of_the_key_go() -> None:
    """What is settled is not in flight, even while its handler runs."""
    async with new_bus() as bus:
        desk = Desk()
        subscribed(bus, desk)
        await send(bus, "k1", "k2")
        desk.say("k1", "early")
        await bus.settle()
        assert desk.got == ["k1", "k2"]
        desk.say("k1")
        desk.say("k2")
        await bus.settle()


async def test_a_handler_that_was_alone_and_acked_early_is_not_waited_for() -> None:
    """Another worker is employed for what it held up."""
    async with new_bus() as bus:
        desk = Desk()
        sub = subscribed(bus, desk, max_in_flight=2)
        await send(bus, "k1")
        desk.say("k1", "nak")
        await send(bus, "k2")
        await bus.advance(1)
        desk.say("k1", "early")
        await bus.settle()
        assert desk.got == ["k1", "k1", "k2"]
        desk.say("k1")
        desk.say("k2")
        await bus.settle()
        assert at_rest(sub)


@pytest.mark.parametrize("ending", ["dead", "exhausted", "expired", "refused"])
async def test_every_ending_releases_the_key(ending: str) -> None:
    """Not its ack alone."""
    async with new_bus() as bus:
        desk = Desk()
        sub = subscribed(bus, desk, max_deliver=1 if ending == "exhausted" else 3)
        await send(bus, "k1", ttl=0.5 if ending == "expired" else None)
        await send(bus, "k2")
        if ending == "dead":
            desk.say("k1", "term")
        else:
            desk.say("k1", "raise" if ending == "exhausted" else "nak")
        await bus.settle()
        if ending == "refused":
            (delivery,) = sub.delayed
            delivery.message.headers["more"] = "changed after it was stamped"
        await bus.advance(1)
        assert desk.got == ["k1", "k2"]
        counts = totals(bus)
        name = "dead" if ending == "exhausted" else ending
        assert getattr(counts, name) == 1
        desk.say("k2")
        await bus.settle()
        assert at_rest(sub)
        assert not sub.keyed


async def test_a_recalled_message_releases_its_key() -> None:
    """Policy takes back what waits; the next of the key is not its sender's."""
    policy = data()
    async with new_bus(policy) as bus:
        desk = Desk()
        sub = subscribed(bus, desk)
        await send(bus, "k1", "k2")
        await bus.agent("critic").publish("a", "k3", ordering_key="k")
        desk.say("k1", "nak")
        await bus.settle()
        policy["agents"]["planner"]["roles"] = []
        await reload(bus)
        await bus.advance(1)
        assert desk.got == ["k1", "k3"]
        assert totals(bus).recalled == 2
        desk.say("k3")
        await bus.settle()
        assert at_rest(sub)


async def test_a_key_survives_that_policy_redacts_its_header_meanwhile() -> None:
    """What was accepted in order is delivered in order."""
    policy = data()
    async with new_bus(policy) as bus:
        desk = Desk()
        sub = subscribed(bus, desk)
        await send(bus, "k1", "k2")
        desk.say("k1", "nak")
        await bus.settle()
        policy["roles"]["all"]["redact_headers"] = [ORDERING_KEY]
        await reload(bus)
        await bus.advance(1)
        assert desk.got == ["k1", "k1"]
        desk.say("k1")
        await bus.settle()
        assert desk.got == ["k1", "k1", "k2"]
        desk.say("k2")
        await bus.settle()
        assert at_rest(sub)


async def test_what_stands_aside_takes_room_and_publishers_wait_for_it() -> None:
    """Nothing is unbounded."""
    async with new_bus() as bus, Background() as background:
        desk = Desk()
        sub = subscribed(bus, desk, capacity=3)
        await send(bus, "k1", "k2", "k3", "k4")
        assert (sub.size, sub.aside, sub.extra) == (0, 3, 3)
        waiting = background.run(
            bus.agent("planner").publish("a", "-", ordering_key=None)
        )
        await bus.settle()
        assert not waiting.done()
        desk.say("k1")
        await bus.settle()
        assert isinstance(waiting.result(), Accepted)
        for body in ("k2", "k3", "k4", "-"):
            desk.say(body)
            await bus.settle()
        assert at_rest(sub)


async def test_what_stands_aside_gives_way_to_newer_ones_where_asked_for() -> None:
    """The oldest of the lowest priority, in the queue or not; its key goes on."""
    async with new_bus() as bus:
        desk = Desk()
        sub = subscribed(bus, desk, capacity=2, overflow="drop_oldest")
        for body in ("k1", "k2", "k3", "k4", "k5"):
            await send(bus, body)
        assert totals(bus).evicted == 2
        assert (sub.size, sub.aside) == (0, 2)
        for body in ("k1", "k4", "k5"):
            assert desk.got[-1] == body
            desk.say(body)
            await bus.settle()
        assert at_rest(sub)


async def test_what_waits_for_its_redelivery_gives_way_and_releases_its_key() -> None:
    """It is evicted when nothing else is left to give way."""
    async with new_bus() as bus:
        desk = Desk()
        sub = subscribed(bus, desk, capacity=1, overflow="drop_oldest")
        await send(bus, "k1")
        desk.say("k1", "nak")
        await bus.settle()
        await send(bus, "k2")
        assert totals(bus).evicted == 1
        assert desk.got == ["k1", "k2"]
        desk.say("k2")
        await bus.settle()
        assert at_rest(sub)


async def test_a_queue_of_one_key_does_not_stop_the_loop_or_the_others() -> None:
    """What stands behind it is reached, over many turns."""
    async with new_bus() as bus:
        desk = Desk()
        sub = subscribed(bus, desk, max_in_flight=2)
        planner = bus.agent("planner")
        many = [("a", f"k{n}") for n in range(1_000)]
        await planner.publish_many(many, ordering_key="k")
        await planner.publish("a", "-")
        await bus.settle()
        assert desk.got == ["k0", "-"]
        assert sub.aside == 999
        await bus.agent("worker").unsubscribe(sub, drain=0)
        await bus.settle()
        assert len(bus.dead_letters) == 1_001
        assert sub.load == 0


@pytest.mark.parametrize("fails", [None, "close"])
async def test_keys_are_drained_like_anything(fails: str | None) -> None:
    """A close waits for what stands aside; what is left then is a dead letter."""
    async with new_bus() as bus:
        inbox = Inbox(held=fails is not None)
        subscribed(bus, inbox)
        await send(bus, *(f"k{n}" for n in range(10)))
        left = await bus.close(drain=0.05)
        assert left == (10 if fails else 0)
        assert len(inbox.done) == 10 - left
        assert totals(bus).dead == left


async def test_each_subscription_orders_for_itself() -> None:
    """A key that one holds does not hold up another."""
    async with new_bus() as bus:
        slow, quick = Desk(), Inbox()
        subscribed(bus, slow)
        bus.agent("critic").subscribe("a", quick)
        await send(bus, "k1", "k2")
        assert slow.got == ["k1"]
        assert quick.done == ["k1", "k2"]
        slow.say("k1")
        await bus.settle()
        slow.say("k2")


async def test_members_of_a_queue_group_keep_a_key_together() -> None:
    """While one of it is not settled the others of it go to the same member."""
    async with new_bus() as bus:
        desks = [Desk() for _ in range(4)]
        for n, desk in enumerate(desks):
            bus.agent(("planner", "critic", "worker")[n % 3]).subscribe(
                "a" if n < 3 else ">", desk, queue="g", max_in_flight=3
            )
        await send(bus, "k1", "l1", "m1", "k2", "n1", "l2", "k3")
        got = [body for desk in desks for body in desk.got]
        assert sorted(got) == ["k1", "l1", "m1", "n1"]
        for body in ("k1", "k2", "k3"):
            (desk,) = (d for d in desks if body in d.got)
            desk.say(body)
            await bus.settle()
        holders = [d for d in desks if {"k1", "k2", "k3"} & set(d.got)]
        assert len(holders) == 1
        for desk in desks:
            for body in ("l1", "m1", "n1"):
                if body in desk.got:
                    desk.say(body)
        await bus.settle()
        (desk,) = (d for d in desks if "l2" in d.got)
        desk.say("l2")
        await bus.settle()


async def test_the_key_travels_as_a_stamped_header() -> None:
    """With the headers of the publisher's own, which are left as they are."""
    async with new_bus() as bus:
        seen: list[dict[str, str]] = []

        async def handler(delivery: Delivery) -> None:
            await asyncio.sleep(0)
            seen.append(delivery.message.headers)

        bus.agent("worker").subscribe("a", handler)
        planner = bus.agent("planner")
        own = {"x": "1"}
        await planner.publish("a", 1, headers=own, ordering_key="customer-7")
        await planner.publish("a", 2, headers={ORDERING_KEY: "ä"}, ordering_key="ä")
        await planner.publish_many([("a", 3)], ordering_key="c")
        await bus.settle()
        assert seen == [
            {"x": "1", ORDERING_KEY: "customer-7"},
            {ORDERING_KEY: "ä"},
            {ORDERING_KEY: "c"},
        ]
        assert own == {"x": "1"}


async def test_a_request_may_have_a_key() -> None:
    """As anything that is published."""
    async with new_bus() as bus:

        async def handler(delivery: Delivery) -> str:
            await asyncio.sleep(0)
            return delivery.message.headers[ORDERING_KEY]

        bus.agent("worker").subscribe("a", handler)
        assert await bus.agent("planner").request("a", 1, ordering_key="k") == "k"


BAD = [
    ({"ordering_key": ""}, MalformedMessageError),
    ({"ordering_key": "a\n"}, MalformedMessageError),
    ({"ordering_key": 7}, MalformedMessageError),
    ({"ordering_key": "\ud800"}, MalformedMessageError),
    ({"ordering_key": "ä" * (ORDERING_KEY_BYTES_MAX // 2) + "b"}, LimitExceededError),
    ({"headers": {ORDERING_KEY: ""}}, MalformedMessageError),
    ({"headers": {ORDERING_KEY: "k" * 129}}, LimitExceededError),
    ({"headers": {ORDERING_KEY: "k"}, "ordering_key": "l"}, MalformedMessageError),
    ({"headers": ["x"], "ordering_key": "l"}, MalformedMessageError),
    (
        {"headers": {f"h{n}": "" for n in range(HEADERS_MAX)}, "ordering_key": "l"},
        LimitExceededError,
    ),
]


@pytest.mark.parametrize(("options", "error"), BAD)
async def test_a_key_that_cannot_be_is_rejected(
    options: dict[str, Any], error: type[Exception]
) -> None:
    """By whatever way it comes."""
    async with PartsBus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcome = await bus.agent("planner").publish("a", 1, **options)
        assert isinstance(outcome, Rejected)
        assert isinstance(outcome.error, error)
        await bus.settle()
        assert inbox.got == []
