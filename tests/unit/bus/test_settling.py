"""What a handler says of a delivery, and what comes of it: each delivery ends once."""

from typing import Any

import msgspec
import pytest

from bus.core.errors import (
    AlreadySettledError,
    ProtocolError,
    RemoteFaultError,
    UsageError,
)
from bus.core.limits import NAK_DELAY_S_MAX
from bus.subscription import Delivery
from tests.fakes.buses import Background, Inbox, PartsBus, at_rest, new_bus, totals


class Task(msgspec.Struct):
    """A body with a type."""

    file: str


async def test_returning_acks() -> None:
    """A handler that returns without a word has done its work."""
    async with PartsBus() as bus:
        sub = bus.agent("worker").subscribe("a", Inbox())
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert at_rest(sub)
        assert bus.audit.events() == ["accepted", "delivered"]
        assert totals(bus).delivered == 1


async def test_an_ack_counts_once_and_settles() -> None:
    """After an ack everything else the handler says is refused."""
    refused: list[str] = []

    async def handler(delivery: Delivery) -> None:
        delivery.ack()
        for again in (delivery.ack, delivery.nak, delivery.term, delivery.in_progress):
            with pytest.raises(AlreadySettledError):
                again()
            refused.append(again.__name__)
        with pytest.raises(AlreadySettledError):
            await delivery.reply(1)
        raise RuntimeError("too late to matter")

    async with PartsBus() as bus:
        sub = bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert refused == ["ack", "nak", "term", "in_progress"]
        assert bus.audit.events() == ["accepted", "delivered"]
        assert totals(bus).delivered == 1
        assert at_rest(sub)


async def test_a_nak_brings_the_message_back_after_its_delay() -> None:
    """Not before, not after, and with the attempt counted."""
    attempts: list[tuple[int, int]] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append((delivery.attempt, bus.clock.now_ns()))
        if delivery.attempt == 1:
            delivery.nak(7.0)

    async with new_bus() as bus:
        start = bus.clock.now_ns()
        sub = bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(6.999)
        assert attempts == [(1, start)]
        assert sub.load == 1
        assert bus.stats().queued == 1
        await bus.advance(0.001)
        assert attempts == [(1, start), (2, start + 7_000_000_000)]
        assert at_rest(sub)
        assert totals(bus).redelivered == 1
        assert totals(bus).delivered == 1


@pytest.mark.parametrize("delay", [-1.0, NAK_DELAY_S_MAX * 2, float("nan")])
async def test_a_nak_with_a_wrong_delay_is_refused_and_the_delivery_stays(
    delay: float,
) -> None:
    """The handler hears of it and may still settle."""
    async with new_bus() as bus:

        async def handler(delivery: Delivery) -> None:
            with pytest.raises(ProtocolError):
                delivery.nak(delay)
            delivery.ack()

        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert totals(bus).delivered == 1


async def test_term_gives_the_message_up_with_its_reason() -> None:
    """No retry, and the reason is kept."""

    async def handler(delivery: Delivery) -> None:
        delivery.term("cannot be parsed")

    async with PartsBus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(5)
        assert [letter.reason for letter in bus.dead_letters] == ["cannot be parsed"]
        assert bus.audit.events() == ["accepted", "dead"]


async def test_a_body_of_the_wrong_type_is_a_dead_letter_at_once() -> None:
    """It will never decode, so it is not tried again."""
    calls: list[Task] = []

    async def handler(task: Task) -> None:
        calls.append(task)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        for body in ({"file": 7}, {}, b"octets", "text", None):
            await bus.agent("planner").publish("a", body)
        await bus.settle()
        assert calls == []
        assert len(bus.dead_letters) == 5
        assert all(letter.attempts == 1 for letter in bus.dead_letters)
        assert all(letter.reason.startswith("bad_body") for letter in bus.dead_letters)
        assert totals(bus).redelivered == 0


async def test_a_reply_needs_somebody_who_asks() -> None:
    """Replying to an event is an error in the handler."""

    async def handler(delivery: Delivery) -> None:
        with pytest.raises(UsageError, match="asks for no reply"):
            await delivery.reply(1)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert totals(bus).delivered == 1


async def test_a_return_value_nobody_asked_for_is_no_fault() -> None:
    """A handler may serve requests and events alike."""

    async def handler(body: int) -> int:
        return body + 1

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert totals(bus).delivered == 1


async def test_a_handler_that_acks_before_it_returns_still_answers() -> None:
    """The return value is the reply, settled or not."""

    async def handler(body: int, delivery: Delivery) -> int:
        delivery.ack()
        return body + 1

    async with new_bus() as bus, Background() as background:
        bus.agent("worker").subscribe("a", handler)
        asked = background.run(bus.agent("planner").request("a", 1, timeout=5))
        await bus.advance(6)
        assert asked.result() == 2


async def test_a_terminated_request_is_a_remote_fault_without_inner_words() -> None:
    """Who asked hears that it was given up, not the secrets of the handler."""

    async def handler(delivery: Delivery) -> None:
        delivery.term("password hunter2 was wrong")

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        with pytest.raises(RemoteFaultError, match="gave up") as caught:
            await bus.agent("planner").request("a", 1)
        assert "hunter2" not in str(caught.value)


async def test_a_delivery_that_expires_while_it_waits_is_not_handed_over() -> None:
    """Expired is counted and recorded, and is no dead letter."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        await planner.publish("a", "first")
        await bus.settle()
        await planner.publish("a", "second", ttl=2.0)
        await planner.publish("a", "third", ttl=4.0)
        await bus.advance(2.0)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == ["first", "third"]
        assert totals(bus).expired == 1
        assert "expired" in bus.audit.events()
        assert bus.dead_letters == ()
        assert at_rest(sub)


async def test_latency_is_counted_per_delivery() -> None:
    """Every acknowledged delivery is in one bucket."""
    async with new_bus() as bus:
        inbox: Any = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(2.0)
        inbox.gate.set()
        await bus.settle()
        stats = bus.stats()
        assert sum(stats.latency_log2_ns) == 1
        assert stats.latency_sum_ns == 2_000_000_000
        assert stats.latency_log2_ns[(2_000_000_000).bit_length()] == 1
