"""Subscribing: authorised, checked at once, and ended without loss."""

import asyncio
from typing import Any

import pytest

from bus import Accepted, Failed
from bus.core.errors import (
    BusError,
    DeniedError,
    LimitExceededError,
    MalformedMessageError,
    SubjectError,
)
from bus.core.limits import (
    ACK_WAIT_S_MAX,
    BACKLOG_MESSAGES_MAX,
    BACKOFF_STEPS_MAX,
    DELIVERIES_MAX_ALLOWED,
    IN_FLIGHT_MAX,
    MAX_ACK_PENDING,
    MAX_ACK_PENDING_ALLOWED,
    NAK_DELAY_S_MAX,
)
from tests.fakes.buses import Inbox, PartsBus, at_rest, lower_bound, new_bus, totals
from tests.fakes.busparts import Stage


async def test_subscribing_is_authorised_and_the_refusal_recorded() -> None:
    """A role grants patterns; anything wider is denied with reasons."""
    async with PartsBus() as bus:
        intern = bus.agent("intern")
        for pattern in (">", "*", "notes.>", "payments.*", "$DEAD.>", "orders"):
            with pytest.raises(DeniedError) as caught:
                intern.subscribe(pattern, Inbox())
            assert caught.value.reasons
        intern.subscribe("notes.today", Inbox())
        assert bus.audit.events() == ["denied"] * 6
        assert bus.stats().subscriptions == 1


async def test_nobody_subscribes_to_the_inboxes_of_others() -> None:
    """Whatever a role grants, `$INBOX.` stays the bus's."""
    async with new_bus() as bus:
        for pattern in ("$INBOX.>", "$INBOX.*", "$bus.x"):
            with pytest.raises((DeniedError, SubjectError)):
                bus.agent("worker").subscribe(pattern, Inbox())


async def test_a_refusal_before_the_start_is_recorded_at_the_start() -> None:
    """What happened first is recorded first."""
    bus = PartsBus()
    with pytest.raises(DeniedError):
        bus.agent("intern").subscribe(">", Inbox())
    assert bus.audit.records == []
    async with bus:
        assert [record[0] for record in bus.audit.records] == ["denied", "started"]


async def test_refusals_before_the_start_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Past the bound even the refusal is refused: nothing goes unrecorded."""
    lower_bound(monkeypatch, "EARLY_RECORDS_MAX", 2)
    bus = PartsBus()
    for expected in (DeniedError, DeniedError, BusError):
        with pytest.raises(expected):
            bus.agent("intern").subscribe(">", Inbox())


async def test_subscriptions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a subscription is refused."""
    lower_bound(monkeypatch, "SUBSCRIPTIONS_MAX", 1)
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox())
        with pytest.raises(LimitExceededError):
            bus.agent("worker").subscribe("b", Inbox())


BAD_OPTIONS: list[tuple[dict[str, Any], type[BusError]]] = [
    ({"queue": "a.b"}, MalformedMessageError),
    ({"queue": "*"}, MalformedMessageError),
    ({"overflow": "explode"}, MalformedMessageError),
    ({"overflow": ["wait"]}, MalformedMessageError),
    ({"capacity": 0}, MalformedMessageError),
    ({"capacity": BACKLOG_MESSAGES_MAX + 1}, LimitExceededError),
    ({"capacity": "10"}, MalformedMessageError),
    ({"max_in_flight": 0}, MalformedMessageError),
    ({"max_in_flight": IN_FLIGHT_MAX + 1}, LimitExceededError),
    ({"max_in_flight": None}, MalformedMessageError),
    ({"max_deliver": 0}, MalformedMessageError),
    ({"max_deliver": DELIVERIES_MAX_ALLOWED + 1}, LimitExceededError),
    ({"ack_wait": 0}, MalformedMessageError),
    ({"ack_wait": float("nan")}, MalformedMessageError),
    ({"ack_wait": ACK_WAIT_S_MAX * 2}, LimitExceededError),
    ({"backoff": []}, MalformedMessageError),
    ({"backoff": 3}, MalformedMessageError),
    ({"backoff": "12"}, MalformedMessageError),
    ({"backoff": [1, -1]}, MalformedMessageError),
    ({"backoff": [float("nan")]}, MalformedMessageError),
    ({"backoff": [True]}, MalformedMessageError),
    ({"backoff": [NAK_DELAY_S_MAX + 1]}, LimitExceededError),
    ({"backoff": [1] * (BACKOFF_STEPS_MAX + 1)}, LimitExceededError),
    ({"max_ack_pending": 0}, MalformedMessageError),
    ({"max_ack_pending": MAX_ACK_PENDING_ALLOWED + 1}, LimitExceededError),
    ({"capcity": 5}, MalformedMessageError),
]


@pytest.mark.parametrize(("options", "error"), BAD_OPTIONS)
async def test_wrong_options_are_refused_at_once(
    options: dict[str, Any], error: type[BusError]
) -> None:
    """Not at the first message."""
    async with new_bus() as bus:
        with pytest.raises((error, TypeError) if "capcity" in options else error):
            bus.agent("worker").subscribe("a", Inbox(), **options)
        assert bus.stats().subscriptions == 0


async def test_as_many_may_be_out_as_run_at_once_unless_said_otherwise() -> None:
    """The default bound on what is out never holds back a handler."""
    async with new_bus() as bus:
        worker = bus.agent("worker")
        usual = worker.subscribe("a", Inbox())
        wide = worker.subscribe("b", Inbox(), max_in_flight=IN_FLIGHT_MAX)
        told = worker.subscribe("c", Inbox(), max_in_flight=9, max_ack_pending=5)
        assert usual.spec.max_ack_pending == MAX_ACK_PENDING
        assert wide.spec.max_ack_pending == IN_FLIGHT_MAX > MAX_ACK_PENDING
        assert told.spec.max_ack_pending == 5


@pytest.mark.parametrize("pattern", ["", "a..b", "a.>.b", "a b", "é", ".a", None, 5])
async def test_wrong_patterns_are_refused_at_once(pattern: Any) -> None:
    """The grammar is checked before policy is asked."""
    async with new_bus() as bus:
        with pytest.raises(SubjectError):
            bus.agent("worker").subscribe(pattern, Inbox())


async def test_unsubscribing_drains_first() -> None:
    """What is queued is handled, and nothing new comes."""
    async with new_bus() as bus:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        await planner.publish_many([("a", n) for n in range(20)])
        assert await bus.agent("worker").unsubscribe(sub) == 0
        assert inbox.done == list(range(20))
        outcome = await planner.publish("a", 20)
        assert isinstance(outcome, Failed)
        assert outcome.code == "no_responders"
        assert bus.stats().subscriptions == 0
        assert await bus.agent("worker").unsubscribe(sub) == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_unsubscribing_from_a_handler_that_hangs_makes_dead_letters(
    workers: int,
) -> None:
    """The one in its hands and those behind it, each once."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox, max_in_flight=workers)
        for n in range(4):
            await bus.agent("planner").publish("a", n)
            await bus.settle()
        left = await bus.agent("worker").unsubscribe(sub, drain=0)
        await bus.settle()
        assert left == 4
        assert sorted(d.message.body[0] for d in bus.dead_letters) == [0, 1, 2, 3]
        assert totals(bus).dead == 4
        assert sub.load == 0


async def test_a_handler_may_end_its_own_subscription() -> None:
    """It does not wait for itself for ever."""
    async with asyncio.timeout(3), new_bus() as bus:
        ended = asyncio.Event()

        async def handler(_: int) -> None:
            try:
                await bus.agent("worker").unsubscribe(sub, drain=0.01)
            finally:
                ended.set()

        sub = bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await ended.wait()
        await bus.settle()
        counts = totals(bus)
        assert counts.delivered + counts.dead == 1
        assert bus.stats().subscriptions == 0


async def test_unsubscribing_under_a_publish_that_a_stage_holds_up() -> None:
    """The message is not accepted into the queue of a subscription that has ended."""
    gate = asyncio.Event()

    async def slow(message: Any) -> Any:
        await gate.wait()
        return message

    async with PartsBus(stages=[(">", Stage(slow))]) as bus, asyncio.TaskGroup() as tg:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("a", inbox)
        task = tg.create_task(bus.agent("planner").publish("a", 1))
        await bus.settle()
        await bus.agent("worker").unsubscribe(sub)
        gate.set()
        outcome = await task
        await bus.settle()
        assert not isinstance(outcome, Accepted)
        assert sub.load == 0


async def test_subscriptions_come_and_go_during_traffic() -> None:
    """Each publish sees exactly the subscriptions of its moment."""
    async with new_bus() as bus:
        planner, worker = bus.agent("planner"), bus.agent("worker")
        steady = Inbox()
        steady_sub = worker.subscribe("a.>", steady)
        expected = 0
        for n in range(30):
            brief = Inbox()
            sub = worker.subscribe("a.*", brief)
            await planner.publish("a.b", n)
            await worker.unsubscribe(sub)
            await planner.publish("a.b", n)
            expected += 2
            assert brief.done == [n]
        await bus.settle()
        assert len(steady.done) == expected
        assert at_rest(steady_sub)
