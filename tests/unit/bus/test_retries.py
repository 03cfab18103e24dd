"""Faults, naks and attempts: a message comes back as documented, and ends."""

import asyncio
import itertools

import pytest

from bus.core.delivery import backoff_ms
from bus.core.errors import (
    AlreadySettledError,
    BodyTypeError,
    MessageExpiredError,
)
from bus.subscription import Delivery
from tests.fakes.buses import Inbox, PartsBus, at_rest, new_bus, totals


async def test_faults_are_retried_with_a_doubling_wait_up_to_max_deliver() -> None:
    """Backoff 0.2, 0.4, 0.8, 1.6 s, then a dead letter with the last line."""
    times: list[int] = []

    async def handler(body: int) -> None:
        times.append(bus.clock.now_ns())
        raise ValueError(f"no {body}")

    async with PartsBus() as bus:
        sub = bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(5)
        waits = [(b - a) // 1_000_000 for a, b in itertools.pairwise(times)]
        assert waits == [backoff_ms(n) for n in (1, 2, 3, 4)] == [200, 400, 800, 1600]
        (letter,) = bus.dead_letters
        assert letter.attempts == 5
        assert letter.subscription == "worker/a"
        assert "ValueError: no 1" in letter.reason
        assert bus.audit.events() == ["accepted", "dead"]
        assert "ValueError: no 1" in bus.audit.records[-1][7]
        assert totals(bus).dead == 1
        assert at_rest(sub)


async def test_a_backoff_list_says_each_wait_and_its_last_stands_for_the_rest() -> None:
    """The wait before attempt n + 1 is the n-th of the list."""
    times: list[int] = []

    async def handler(body: int) -> None:
        times.append(bus.clock.now_ns())
        raise ValueError(f"no {body}")

    async with PartsBus() as bus:
        bus.agent("worker").subscribe("a", handler, backoff=[0, 3, 0.5])
        await bus.agent("planner").publish("a", 1)
        await bus.advance(10)
        waits = [(b - a) / 1e9 for a, b in itertools.pairwise(times)]
        assert waits == [0, 3, 0.5, 0.5]


async def test_a_nak_with_a_delay_goes_before_the_backoff_list() -> None:
    """The handler knows better."""
    times: list[int] = []

    async def handler(delivery: Delivery) -> None:
        times.append(bus.clock.now_ns())
        delivery.nak(2.0 if delivery.attempt == 1 else None)

    async with PartsBus() as bus:
        bus.agent("worker").subscribe("a", handler, backoff=(7.0,), max_deliver=3)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(20)
        waits = [(b - a) / 1e9 for a, b in itertools.pairwise(times)]
        assert waits == [2.0, 7.0]


async def test_max_deliver_one_means_one_attempt() -> None:
    """No second try where none was asked for."""
    attempts: list[int] = []

    async def handler(body: int) -> None:
        attempts.append(body)
        raise RuntimeError

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, max_deliver=1)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(5)
        assert attempts == [1]
        assert bus.dead_letters[0].attempts == 1


async def test_naks_count_as_attempts() -> None:
    """A handler that naks for ever does not loop for ever."""
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        delivery.nak(0)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, max_deliver=3)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(1)
        assert attempts == [1, 2, 3]
        assert "not acknowledged" in bus.dead_letters[0].reason


async def test_a_handlers_own_decoding_trouble_is_retried_like_any_fault() -> None:
    """Only the message's own body is hopeless; what the handler reads elsewhere is not."""
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise BodyTypeError("a reply from elsewhere")

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(1)
        assert attempts == [1, 2]
        assert bus.dead_letters == ()


async def test_a_cancelled_error_of_the_handlers_own_is_a_fault_like_any() -> None:
    """It does not end the worker."""
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise asyncio.CancelledError

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(1)
        assert attempts == [1, 2]


async def test_a_nak_then_a_return_leaves_the_next_attempt_to_itself() -> None:
    """What the first attempt does after its nak says nothing of the second."""
    gate = asyncio.Event()
    second_failed: list[int] = []

    async def handler(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            delivery.nak(0)
            await gate.wait()
        elif delivery.attempt == 2:
            gate.set()
            await bus.settle()  # the first attempt returns meanwhile
            second_failed.append(delivery.attempt)
            raise RuntimeError("the second attempt failed")

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, max_in_flight=2, max_deliver=2)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(1)
        assert second_failed == [2]
        assert totals(bus).delivered == 0
        assert len(bus.dead_letters) == 1


async def test_a_settled_handler_that_goes_on_cannot_settle_the_next_attempt() -> None:
    """A late ack from the first attempt is refused while the second runs."""
    gate, refused = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def handler(delivery: Delivery) -> None:
        if delivery.attempt == 1:
            delivery.nak(0)
            await gate.wait()
            with pytest.raises(AlreadySettledError):
                delivery.ack()
            refused.set()
        else:
            gate.set()
            await refused.wait()
            done.append(delivery.attempt)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, max_in_flight=2)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(0.5)
        assert refused.is_set()
        assert done == [2]
        assert totals(bus).delivered == 1


async def test_a_nak_and_then_a_constitutional_error_is_still_one_redelivery() -> None:
    """A handler's error is the handler's, whatever its class."""
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            delivery.nak(1.0)
            raise MessageExpiredError("of something else")

    async with new_bus() as bus:
        sub = bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(2)
        assert attempts == [1, 2]
        assert totals(bus).expired == 0
        assert totals(bus).delivered == 1
        assert at_rest(sub)


async def test_a_fault_of_one_subscription_is_not_the_others() -> None:
    """Each subscription settles its own copy."""
    attempts: list[int] = []

    async def failing(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        raise RuntimeError

    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", failing, max_deliver=2)
        bus.agent("critic").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(5)
        assert attempts == [1, 2]
        assert inbox.done == [1]


async def test_a_redelivery_after_the_expiry_is_not_handed_over() -> None:
    """A retry does not outlive the message."""
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        delivery.nak(10.0)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 1, ttl=5.0)
        await bus.advance(20)
        assert attempts == [1]
        assert totals(bus).expired == 1
