"""The Python face, likewise: subscriptions, what is kept, and how things end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus import Accepted, Delivery, Failed
from bus.core.errors import (
    BusNotStartedError,
    DeniedError,
    HandlerError,
    LimitExceededError,
    MalformedMessageError,
    SubjectError,
    UsageError,
)
from tests.fakes.buses import Background, Inbox
from tests.fakes.faces import KINDS, Face, face, until


@pytest.fixture(params=KINDS)
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Face]:
    """A bus without a store, from either side."""
    async with face(request.param) as made:
        yield made


@pytest.fixture(params=KINDS)
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Face]:
    """A bus with a store, from either side."""
    async with face(request.param, durable=True) as made:
        yield made


async def test_a_subscription_that_cannot_be_is_refused(here: Face) -> None:
    """With the same error, before anything is delivered."""
    worker = await here.agent("worker")
    inbox = Inbox()

    async def three(body: Any, delivery: Delivery, more: Any) -> None:
        del body, delivery, more

    for pattern, handler, options, kind in (
        ("a..b", inbox, {}, SubjectError),
        ("a", three, {}, HandlerError),
        ("a", lambda body: body, {}, HandlerError),
        ("a", inbox, {"max_in_flight": 0}, MalformedMessageError),
        ("a", inbox, {"max_deliver": 10**9}, LimitExceededError),
        ("a", inbox, {"backoff": []}, MalformedMessageError),
        ("a", inbox, {"colour": "red"}, MalformedMessageError),
        ("a", inbox, {"queue": "a b"}, MalformedMessageError),
        ("a", inbox, {"start": "all"}, MalformedMessageError),
    ):
        with pytest.raises(kind):
            worker.subscribe(pattern, handler, **options)
    assert here.bus.stats().subscriptions == 0


async def test_policy_lets_nobody_listen_who_may_not(here: Face) -> None:
    """What it says is raised."""
    with pytest.raises(DeniedError):
        await here.subscribe("intern", "secrets.>", Inbox())
    assert here.bus.stats().subscriptions == 0


async def test_a_decorated_function_handles(here: Face) -> None:
    """As with `subscribe`."""
    worker = await here.agent("worker")
    got: list[int] = []

    @worker.subscriber("a")  # type: ignore[untyped-decorator]  # either kind of agent
    async def work(body: int) -> None:
        got.append(body)

    await until(lambda: here.bus.stats().subscriptions == 1)
    planner = await here.agent("planner")
    await planner.publish("a", 1)
    await until(lambda: got == [1])


async def test_an_ended_subscription_handles_no_more(here: Face) -> None:
    """What it had is done first."""
    inbox, other = Inbox(), Inbox()
    subscription = await here.subscribe("worker", "a", inbox)
    await here.subscribe("critic", "a", other)
    planner, worker = await here.agent("planner"), await here.agent("worker")
    await planner.publish_many([("a", number) for number in range(5)])
    assert await worker.unsubscribe(subscription, drain=5) == 0
    assert inbox.done == [0, 1, 2, 3, 4]
    await planner.publish("a", 9)
    await until(lambda: 9 in other.got)
    await here.rest()
    assert 9 not in inbox.got


async def test_what_a_handler_does_not_finish_dies_where_nothing_is_kept(
    here: Face,
) -> None:
    """Counted, and in the dead letters."""
    inbox = Inbox(held=True)
    subscription = await here.subscribe("worker", "a", inbox)
    planner, worker = await here.agent("planner"), await here.agent("worker")
    await planner.publish_many([("a", number) for number in range(3)])
    await until(lambda: inbox.got)
    assert await worker.unsubscribe(subscription, drain=0) == 3
    await until(lambda: len(here.bus.dead_letters) == 3)
    assert inbox.done == []


async def test_what_nobody_was_there_for_is_kept(kept: Face) -> None:
    """A durable subscription goes on where it was, once."""
    inbox = Inbox()
    first = await kept.subscribe("worker", "a", inbox, durable="mine")
    planner, worker = await kept.agent("planner"), await kept.agent("worker")
    assert isinstance(await planner.publish("a", 1), Accepted)
    await until(lambda: inbox.done == [1])
    await worker.unsubscribe(first)
    assert isinstance(await planner.publish("a", 2), Accepted)
    await kept.subscribe("worker", "a", inbox, durable="mine")
    await until(lambda: inbox.done == [1, 2])


async def test_a_subscription_may_begin_at_the_beginning(kept: Face) -> None:
    """Or at a sequence."""
    planner = await kept.agent("planner")
    for number in range(1, 4):
        assert isinstance(await planner.publish("a", number), Accepted)
    everything, rest = Inbox(), Inbox()
    await kept.subscribe("worker", "a", everything, durable="all", start="all")
    await kept.subscribe("worker", "a", rest, durable="rest", start=3)
    await until(lambda: everything.done == [1, 2, 3])
    await until(lambda: rest.done == [3])


async def test_a_message_of_one_name_is_kept_once(kept: Face) -> None:
    """The second is the first one, and says so."""
    planner = await kept.agent("planner")
    first = await planner.publish("a", 1, dedup="order-7")
    second = await planner.publish("a", 1, dedup="order-7")
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.id == first.id
    other = await planner.publish("a", 1)
    assert other.id != first.id


async def test_a_message_waits_until_it_is_due(kept: Face) -> None:
    """By the clock of the bus."""
    inbox = Inbox()
    await kept.subscribe("worker", "a", inbox)
    planner = await kept.agent("planner")
    assert isinstance(await planner.publish("a", 1, delay=30), Accepted)
    await kept.advance(29)
    assert inbox.got == []
    await kept.advance(2)
    await until(lambda: inbox.got == [1])


async def test_a_handler_that_is_silent_for_too_long_is_interrupted(here: Face) -> None:
    """And its message comes again."""
    attempts: list[int] = []
    cancelled: list[int] = []

    async def work(body: Any, delivery: Delivery) -> None:
        del body
        attempts.append(delivery.attempt)
        try:
            if delivery.attempt == 1:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(delivery.attempt)
            raise

    await here.subscribe("worker", "a", work, ack_wait=0.5, backoff=[0.01])
    planner = await here.agent("planner")
    await planner.publish("a", 1)
    await until(lambda: attempts == [1])
    await here.advance(1.0)
    await until(lambda: cancelled == [1])
    await here.advance(1.0)
    await until(lambda: attempts == [1, 2])


async def test_handlers_run_at_once_as_many_as_was_asked_for(here: Face) -> None:
    """And no more."""
    inbox = Inbox(held=True)
    await here.subscribe("worker", "a", inbox, max_in_flight=3)
    planner = await here.agent("planner")
    await planner.publish_many([("a", number) for number in range(9)])
    await until(lambda: len(inbox.got) == 3)
    await here.rest()
    assert len(inbox.got) == 3
    inbox.gate.set()
    await until(lambda: len(inbox.done) == 9)


async def test_a_cancelled_publish_leaves_the_rest_alone(here: Face) -> None:
    """Who waits for room may give up."""
    inbox = Inbox(held=True)
    await here.subscribe("worker", "a", inbox, capacity=1, overflow="wait")
    planner = await here.agent("planner")
    for number in range(2):
        await planner.publish("a", number)
    async with Background() as background:
        waiting = background.run(planner.publish("a", 2, wait=60))
        await here.rest()
        waiting.cancel()
        await here.rest()
        assert waiting.cancelled()
    inbox.gate.set()
    await until(lambda: len(inbox.done) >= 2)
    assert isinstance(await planner.publish("a", 3), Accepted)
    await until(lambda: 3 in inbox.done)


async def test_a_cancelled_request_is_forgotten(here: Face) -> None:
    """Its reply is nobody's."""
    inbox = Inbox(held=True)
    await here.subscribe("worker", "a", inbox)
    planner = await here.agent("planner")
    async with Background() as background:
        asking = background.run(planner.request("a", 1))
        await until(lambda: inbox.got)
        asking.cancel()
        await here.rest()
        assert asking.cancelled()
    inbox.gate.set()
    await until(lambda: inbox.done)
    assert not here.bus.dead_letters


@pytest.mark.parametrize("kind", KINDS)
async def test_closing_finishes_what_is_under_way(kind: str) -> None:
    """And then nothing can be asked any more."""
    async with face(kind) as here:
        inbox = Inbox()
        await here.subscribe("worker", "a", inbox)
        planner, worker = await here.agent("planner"), await here.agent("worker")
        await planner.publish_many([("a", number) for number in range(50)])
        closing: Any = here.remotes["worker"] if here.remote else here.bus
        assert await closing.close(drain=5) == 0
        assert inbox.done == list(range(50))
        assert not closing.running
        with pytest.raises(BusNotStartedError):
            await worker.publish("a", 1)
        with pytest.raises(BusNotStartedError):
            await worker.publish_many([("a", 1)])
        with pytest.raises(BusNotStartedError):
            await worker.request("a", 1)
        with pytest.raises(BusNotStartedError):
            worker.subscribe("a", inbox)
        assert await closing.close() == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_cannot_close_what_runs_it(kind: str) -> None:
    """It would wait for itself."""
    async with face(kind) as here:
        raised: list[BaseException] = []

        async def work(body: Any) -> None:
            del body
            closing: Any = here.remotes["worker"] if here.remote else here.bus
            try:
                await closing.close()
            except UsageError as error:
                raised.append(error)

        await here.subscribe("worker", "a", work)
        planner = await here.agent("planner")
        await planner.publish("a", 1)
        await until(lambda: raised)
        assert isinstance(await planner.publish("a", 2), Accepted)


async def test_a_bus_that_stops_meanwhile_ends_every_outcome(here: Face) -> None:
    """None is lost: what was not taken says so."""
    await here.subscribe("worker", "a", Inbox())
    planner = await here.agent("planner", patience=0.0)
    async with Background() as background:
        many = background.run(planner.publish_many([("a", n) for n in range(2_000)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await here.bus.close(drain=0)
        outcomes = await many
    if isinstance(outcomes, BusNotStartedError):
        return  # it had not begun
    assert len(outcomes) == 2_000
    assert {type(one) for one in outcomes} <= {Accepted, Failed}
