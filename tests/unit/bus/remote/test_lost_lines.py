"""A line that is lost: another one is found, and each call ends once, by what is known."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus import Accepted, Delivery, Failed, Gap
from bus.config.keeping import StoreSettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.errors import (
    AlreadySettledError,
    BusNotStartedError,
    UnavailableError,
)
from bus.remote.client import RemoteBus, connect
from tests.fakes.buses import Background, Inbox, new_bus
from tests.fakes.faces import Door, opened, until


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A bus that keeps nothing, and its door."""
    async with new_bus() as bus, opened(bus) as made:
        yield made


@pytest.fixture
async def keeping() -> AsyncIterator[Door]:
    """A bus with a store, and its door."""
    store = StoreSettings(kind="memory")
    async with new_bus(None, store=store) as bus, opened(bus) as made:
        yield made


def planner(door: Door, **options: Any) -> RemoteBus:
    """Return a connection of the planner's."""
    return connect(door.url, **{"token": "planner", **options})


async def test_another_line_is_found_and_subscriptions_stand_again(door: Door) -> None:
    """Without a call of the caller's; that something may be missing is told."""
    told: list[Gap] = []
    inbox = Inbox()
    async with planner(door, on_gap=told.append) as remote:
        subscription = remote.agent().subscribe("a", inbox, queue="group")
        await subscription.ready()
        door.hang_up()
        await until(lambda: remote.lines == 2)
        await until(lambda: subscription.gaps == 1)
        assert isinstance(await remote.agent().publish("a", 1), Accepted)
        await until(lambda: inbox.got == [1])
        assert [(gap.pattern, gap.queue) for gap in told] == [("a", "group")]
        assert told[0].since_ns <= told[0].until_ns
        assert (remote.gaps, remote.gap_count) == (tuple(told), 1)


async def test_a_durable_subscription_misses_nothing(keeping: Door) -> None:
    """What was published meanwhile is there, and no gap is told."""
    inbox = Inbox()
    async with planner(keeping) as remote:
        subscription = remote.agent().subscribe("a", inbox)
        await subscription.ready()
        assert subscription.kept
        assert subscription.consumer
        await keeping.shut()
        for number in range(3):
            outcome = await keeping.bus.agent("critic").publish("a", number)
            assert isinstance(outcome, Accepted)
        await keeping.open()
        await until(lambda: inbox.done == [0, 1, 2])
        assert (subscription.gaps, remote.gap_count) == (0, 0)


async def test_who_is_called_with_a_gap_may_fail(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the connection goes on."""

    def fail(gap: Gap) -> None:
        raise ValueError(gap.pattern)

    async with planner(door, on_gap=fail) as remote:
        subscription = remote.agent().subscribe("a", Inbox())
        await subscription.ready()
        door.hang_up()
        await until(lambda: remote.gap_count == 1)
        assert "on_gap failed" in caplog.text
        assert isinstance(await remote.agent().publish("a", 1), Accepted)


async def test_what_was_in_a_handlers_hands_comes_again(keeping: Door) -> None:
    """The old delivery cannot be settled any more: the node has it again."""
    got: list[Delivery] = []
    raised: list[BaseException] = []
    gate = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        got.append(delivery)
        if len(got) > 1:
            return
        await gate.wait()
        for settle in (delivery.ack, delivery.nak, delivery.term, delivery.in_progress):
            try:
                settle()
            except AlreadySettledError as error:
                raised.append(error)
        try:
            await delivery.reply(1)
        except AlreadySettledError as error:
            raised.append(error)

    async with planner(keeping) as remote:
        subscription = remote.agent().subscribe("a", work, backoff=[0.0])
        await subscription.ready()
        await remote.agent().publish("a", 1)
        await until(lambda: got)
        keeping.hang_up()
        await until(lambda: remote.lines == 2)
        gate.set()
        await until(lambda: len(got) == 2)
        assert len(raised) == 5
        assert got[0].message.id == got[1].message.id


async def test_a_publish_is_sent_again_under_its_name(keeping: Door) -> None:
    """The node knows it again: one message, however often it was sent."""
    inbox = Inbox()
    await keeping.bus.agent("worker").subscribe("a", inbox).ready()
    async with planner(keeping) as remote, Background() as background:
        agent = remote.agent()
        await keeping.shut()
        many = background.run(agent.publish_many([("a", n) for n in range(50)]))
        await until(lambda: not remote.connected)
        await keeping.open()
        outcomes = await many
        assert {type(one) for one in outcomes} == {Accepted}
        await until(lambda: len(inbox.got) >= 50)
        assert sorted(inbox.got) == list(range(50))


async def test_what_nobody_knows_of_is_said_to_be_unknown(door: Door) -> None:
    """A node that keeps nothing cannot be asked again."""
    inbox = Inbox(held=True)
    worker = door.bus.agent("worker")
    await worker.subscribe("a", inbox, capacity=1, overflow="wait").ready()
    async with planner(door) as remote, Background() as background:
        agent = remote.agent()
        for number in range(2):
            await agent.publish("a", number)
        waiting = background.run(agent.publish("a", 2, wait=60))
        asking = background.run(agent.request("a", 3))
        await asyncio.sleep(0.05)
        door.hang_up()
        outcome, error = await waiting, await asking
        assert isinstance(outcome, Failed)
        assert outcome.code == "unavailable"
        assert "not known" in outcome.reason
        assert type(error) is UnavailableError
        assert "not known" in str(error)
    inbox.gate.set()


async def test_what_was_not_sent_waits_for_another_line(door: Door) -> None:
    """And is sent there, in order."""
    inbox = Inbox()
    await door.bus.agent("worker").subscribe("a", inbox).ready()
    async with planner(door, resend=False) as remote, Background() as background:
        await door.shut()
        await until(lambda: not remote.connected)
        many = background.run(
            remote.agent().publish_many([("a", number) for number in range(9)])
        )
        await asyncio.sleep(0.02)
        await door.open()
        assert {type(one) for one in await many} == {Accepted}
        await until(lambda: inbox.got == list(range(9)))


async def test_patience_ends(door: Door) -> None:
    """Calls do not wait for ever for a node that is away; it is looked for all the same."""
    await door.bus.agent("worker").subscribe("a", Inbox()).ready()
    async with planner(door, patience=0.05) as remote:
        agent = remote.agent()
        subscription = agent.subscribe("b", Inbox())
        await subscription.ready()
        await door.shut()
        await until(lambda: not remote.connected)
        outcome = await agent.publish("a", 1)
        assert isinstance(outcome, Failed)
        assert "not sent" in outcome.reason
        with pytest.raises(UnavailableError):
            await agent.unsubscribe(subscription, drain=60)
        with pytest.raises(UnavailableError, match="not sent"):
            await agent.request("a", 1)
        late = await agent.publish_many([("a", 1)])
        assert [type(one) for one in late] == [Failed]
        assert remote.running
        await door.open()
        await until(lambda: remote.connected)
        assert isinstance(await agent.publish("a", 2), Accepted)


async def test_a_credential_that_ends_ends_the_connection(door: Door) -> None:
    """No line is looked for with what is refused; everybody is told why."""
    inbox = Inbox()
    async with planner(door) as remote:
        agent = remote.agent()
        subscription = agent.subscribe("a", inbox)
        await subscription.ready()
        door.names.closed.add("planner")
        door.hang_up()
        await subscription.finished()
        assert isinstance(subscription.failure, UnauthenticatedError)
        assert not remote.running
        with pytest.raises(BusNotStartedError, match="revoked"):
            await agent.publish("a", 1)
        with pytest.raises(BusNotStartedError, match="revoked"):
            agent.subscribe("a", inbox)


async def test_a_connection_that_is_closed_meanwhile_ends_its_calls(door: Door) -> None:
    """Nobody waits for ever."""
    inbox = Inbox(held=True)
    await door.bus.agent("worker").subscribe("a", inbox).ready()
    remote = await planner(door)
    async with Background() as background:
        asking = background.run(remote.agent().request("a", 1))
        await until(lambda: inbox.got)
        await remote.close(drain=0)
        assert isinstance(await asking, BusNotStartedError)
    inbox.gate.set()


async def test_a_line_that_is_looked_for_can_be_closed(door: Door) -> None:
    """At once."""
    remote = await planner(door)
    await door.shut()
    await until(lambda: not remote.connected)
    async with asyncio.timeout(5):
        assert await remote.close() == 0
    assert not remote.running
