"""What users of other buses complain about, each named after the failure."""

import asyncio

import pytest

from bus import Accepted, Denied, Failed, Message, Rejected
from bus.core.errors import PolicyUnavailableError
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.subscription import Delivery
from bus.testing import TestBus
from tests.fakes.buses import Background, Inbox, PartsBus, at_rest, new_bus, totals
from tests.fakes.busparts import Policy


async def test_silent_stop_a_subscription_goes_on_after_any_fault() -> None:
    """Errors, odd errors, cancellations and bad bodies: the next message is served."""

    class OddError(Exception):
        pass

    faults = [RuntimeError("x"), asyncio.CancelledError(), OddError(), StopIteration()]
    done: list[str] = []

    async def handler(body: str) -> None:
        if body.isdigit():
            raise faults[int(body)]
        done.append(body)

    async with new_bus() as bus:
        sub = bus.agent("worker").subscribe("a", handler, max_deliver=1)
        for n in range(len(faults)):
            await bus.agent("planner").publish("a", str(n))
        await bus.agent("planner").publish("a", 5)  # not even a text
        await bus.agent("planner").publish("a", "fine")
        await bus.settle()
        assert done == ["fine"]
        assert len(bus.dead_letters) == len(faults) + 1
        assert at_rest(sub)


async def test_silent_loss_every_accepted_message_has_an_ending() -> None:
    """Delivered, dead, expired, evicted or refused: the counts add up to the last one."""

    async def moody(body: int, delivery: Delivery) -> None:
        if body % 5 == 0:
            raise RuntimeError
        if body % 7 == 0:
            delivery.term()

    async with new_bus() as bus:
        sub = bus.agent("worker").subscribe(
            "a", moody, capacity=20, overflow="drop_oldest", max_deliver=2
        )
        for n in range(200):
            await bus.agent("planner").publish("a", n, ttl=0.1 if n % 3 else None)
            if n % 20 == 0:
                await bus.advance(0.05)
        await bus.advance(5)
        counts = totals(bus)
        ended = counts.delivered + counts.dead + counts.expired + counts.evicted
        assert counts.accepted == ended == 200
        assert at_rest(sub)


async def test_silent_loss_at_the_end_what_was_not_handled_is_told() -> None:
    """`close` says how many deliveries were left, and they are dead letters."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox(held=True))
        await bus.agent("planner").publish_many([("a", n) for n in range(10)])
        await bus.settle()
        assert await bus.close(drain=0) == 10
    assert len(bus.dead_letters) == 10


async def test_blocking_handlers_hold_up_nobody_else() -> None:
    """A handler that never returns costs its own subscription a worker, no more."""
    async with new_bus() as bus:
        stuck, other = Inbox(held=True), Inbox()
        bus.agent("worker").subscribe("a", stuck)
        bus.agent("critic").subscribe("a", other)
        await bus.agent("planner").publish_many([("a", n) for n in range(50)])
        await bus.settle()
        assert other.done == list(range(50))
        assert len(stuck.got) == 1


async def test_retries_happen_as_documented() -> None:
    """Five attempts by default; 0.2 s, then doubling; each with its number."""
    attempts: list[tuple[int, float]] = []

    async with new_bus() as bus:
        start = bus.clock.now_ns()

        async def handler(delivery: Delivery) -> None:
            attempts.append((delivery.attempt, (bus.clock.now_ns() - start) / 1e9))
            raise RuntimeError

        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(10)
    assert [number for number, _ in attempts] == [1, 2, 3, 4, 5]
    assert [at for _, at in attempts] == pytest.approx([0, 0.2, 0.6, 1.4, 3.0])


def test_a_fake_broker_that_drifts_there_is_none() -> None:
    """TestBus adds a clock and nothing else: it overrides no part of the engine."""
    own = {name for name in vars(TestBus) if not name.startswith("__")}
    assert own <= {"advance", "settle"}


async def test_fail_open_defaults_there_are_none() -> None:
    """No data, no roles, no answer: in each case nothing is let through."""
    policy = {"agents": {"a1": {"tenant": "acme"}}, "tenants": {"acme": {}}}
    async with new_bus(policy) as bus:
        assert isinstance(await bus.agent("a1").publish("a", 1), Denied)
    unavailable = Policy(PolicyUnavailableError("no answer"))
    async with PartsBus(authorizer=unavailable) as bus:
        bus.agent("worker").subscribe("a", Inbox())
        outcome = await bus.agent("planner").publish("a", 1)
        assert isinstance(outcome, Failed)
        assert outcome.code == "policy_unavailable"


async def test_decision_records_are_not_dropped_under_load() -> None:
    """Each of 2,000 decisions is in the record, allowed or denied."""
    async with PartsBus() as bus:
        bus.agent("worker").subscribe("notes.*", Inbox(), capacity=10_000)
        intern = bus.agent("intern")
        items: list[tuple[str, object]] = [
            ("notes.a" if n % 2 else "payments", n) for n in range(2_000)
        ]
        outcomes = await intern.publish_many(items)
        recorded = {record[2] for record in bus.audit.records}
        assert all(outcome.id in recorded for outcome in outcomes)
        assert bus.audit.events().count("denied") == 1_000


async def test_no_identity_on_messages_each_has_sender_tenant_and_revision() -> None:
    """What a handler gets says who sent it and under which policy."""
    seen: list[Message] = []

    async def handler(delivery: Delivery) -> None:
        seen.append(delivery.message)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert (seen[0].sender, seen[0].tenant) == ("planner", "acme")
        assert seen[0].revision == bus.revision


async def test_history_limits_reject_no_work() -> None:
    """Many more messages than any memo or history holds are all handled."""
    async with new_bus() as bus:
        handled: list[int] = []

        async def handler(body: int) -> None:
            handled.append(body)

        bus.agent("worker").subscribe("s.>", handler, capacity=100)
        for n in range(2_000):
            outcome = await bus.agent("planner").publish(f"s.{n}", n)
            assert isinstance(outcome, Accepted)
        await bus.settle()
        assert len(handled) == 2_000


async def test_an_oversize_payload_fails_at_once_and_says_its_size() -> None:
    """At the publish, not at a handler, and with the bound."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox())
        outcome = await bus.agent("planner").publish("a", bytes(PAYLOAD_BYTES_MAX + 1))
        assert isinstance(outcome, Rejected)
        assert str(PAYLOAD_BYTES_MAX) in outcome.reason
        assert str(PAYLOAD_BYTES_MAX + 1) in outcome.reason


async def test_an_unbounded_queue_there_is_none() -> None:
    """A publisher that is faster than its consumer waits by default."""
    async with new_bus() as bus, Background() as background:
        sub = bus.agent("worker").subscribe("a", Inbox(held=True))
        items: list[tuple[str, object]] = [("a", n) for n in range(sub.capacity + 5)]
        task = background.run(bus.agent("planner").publish_many(items))
        for _ in range(3):
            await bus.settle()
        assert not task.done()
        assert sub.size == sub.capacity == 10_000
