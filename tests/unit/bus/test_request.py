"""Requests: one reply, in time, or an error that says which of the parties failed."""

import asyncio
import gc
from typing import Any

import msgspec
import pytest

from bus.core.errors import (
    BodyTypeError,
    DeniedError,
    LimitExceededError,
    MalformedMessageError,
    NoRespondersError,
    OverloadedError,
    ProtocolError,
    RemoteFaultError,
    RequestTimeoutError,
    SubjectError,
)
from bus.core.limits import PAYLOAD_BYTES_MAX, REQUEST_TIMEOUT_S_MAX
from bus.subscription import Delivery
from tests.fakes.buses import (
    Background,
    Inbox,
    PartsBus,
    at_rest,
    lower_bound,
    new_bus,
    totals,
)


class Result(msgspec.Struct):
    """A reply with a type."""

    lines: int


async def test_the_return_value_is_the_reply_decoded_to_the_type_asked_for() -> None:
    """Or plain values where no type is given."""

    async def handler(body: str) -> Result:
        return Result(len(body))

    async with new_bus() as bus:
        bus.agent("worker").subscribe("count", handler)
        planner = bus.agent("planner")
        assert await planner.request("count", "abc", returns=Result) == Result(3)
        assert await planner.request("count", "abc") == {"lines": 3}
        with pytest.raises(BodyTypeError):
            await planner.request("count", "abc", returns=int)


async def test_requests_at_once_get_their_own_replies() -> None:
    """Also when they are answered in another order."""

    async def handler(body: int) -> int:
        for _ in range(20 - body):
            await asyncio.sleep(0)
        return body * 10

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler, max_in_flight=20)
        planner = bus.agent("planner")
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[int]] = [
                group.create_task(planner.request("a", n, returns=int))
                for n in range(20)
            ]
        assert [task.result() for task in tasks] == [n * 10 for n in range(20)]
        assert bus.stats().subscriptions == 2  # one inbox for all of them


async def test_no_reply_in_time_is_a_timeout() -> None:
    """At the stated time, by the clock of the bus."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        task = background.run(bus.agent("planner").request("a", 1, timeout=5))
        await bus.advance(4.999)
        assert not task.done()
        await bus.advance(0.001)
        assert isinstance(task.result(), RequestTimeoutError)
        inbox.gate.set()


async def test_nobody_there_is_an_error_at_once() -> None:
    """Not a timeout."""
    async with new_bus() as bus:
        with pytest.raises(NoRespondersError):
            await bus.agent("planner").request("nobody.home", 1)


async def test_a_request_is_authorised_as_a_request() -> None:
    """A grant to publish is none to request."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("notes.*", Inbox())
        with pytest.raises(DeniedError, match="request"):
            await bus.agent("intern").request("notes.a", 1)


@pytest.mark.parametrize("wait_s", [0, -1, float("nan"), REQUEST_TIMEOUT_S_MAX * 2])
async def test_a_wrong_timeout_is_refused(wait_s: float) -> None:
    """Before anything is sent."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox())
        with pytest.raises(ProtocolError):
            await bus.agent("planner").request("a", 1, timeout=wait_s)
        assert totals(bus).accepted == 0


BAD: list[tuple[Any, Any, dict[str, Any], type[ProtocolError]]] = [
    ("a b", 1, {}, SubjectError),
    ("$INBOX.x", 1, {}, SubjectError),
    (None, 1, {}, SubjectError),
    ("a", object(), {}, BodyTypeError),
    ("a", 1, {"headers": {"a b": ""}}, MalformedMessageError),
    ("a", 1, {"ttl": -1}, MalformedMessageError),
    ("a", bytes(PAYLOAD_BYTES_MAX + 1), {}, LimitExceededError),
]


@pytest.mark.parametrize(("subject", "body", "options", "error"), BAD)
async def test_a_request_that_breaks_the_contract_raises_and_is_recorded(
    subject: Any, body: Any, options: dict[str, Any], error: type[ProtocolError]
) -> None:
    """Counted and recorded like any rejected message."""
    async with PartsBus() as bus:
        bus.agent("worker").subscribe(">", Inbox())
        with pytest.raises(error):
            await bus.agent("planner").request(subject, body, **options)
        assert totals(bus).rejected == 1
        assert bus.audit.events() == ["rejected"]


async def test_a_full_queue_ends_a_request_within_its_timeout() -> None:
    """Overloaded or timeout, and no error is left for nobody to see."""
    unseen: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, told: unseen.append(told)
    )
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox, capacity=1)
        for n in range(2):
            await bus.agent("planner").publish("a", n)
            await bus.settle()
        task = background.run(bus.agent("planner").request("a", 2, timeout=3))
        await bus.advance(3)
        assert isinstance(task.result(), (OverloadedError, RequestTimeoutError))
        inbox.gate.set()
        await bus.settle()
        assert at_rest(sub)
        del task
        background.tasks.clear()
    gc.collect()
    assert unseen == []


async def test_requests_waiting_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a request is refused with a time to try again."""
    lower_bound(monkeypatch, "REQUESTS_WAITING_MAX", 1)
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        waiting = background.run(bus.agent("planner").request("a", 1))
        await bus.settle()
        assert not waiting.done()
        with pytest.raises(OverloadedError) as caught:
            await bus.agent("planner").request("a", 2)
        assert caught.value.retry_after_s > 0
        inbox.gate.set()


async def test_a_correlation_of_ones_own_is_carried() -> None:
    """The handler sees it."""
    seen: list[str | None] = []

    async def handler(body: int, delivery: Delivery) -> int:
        seen.append(delivery.message.correlation)
        return body

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        options: dict[str, Any] = {"correlation": "job-7"}
        assert await bus.agent("planner").request("a", 1, **options) == 1
    assert seen == ["job-7"]


async def test_two_requests_with_one_correlation_both_end() -> None:
    """Each in its reply or in an error of the bus, and never in a KeyError."""

    async def handler(body: int) -> int:
        return body

    async with new_bus() as bus, Background() as background:
        bus.agent("worker").subscribe("a", handler)
        options: dict[str, Any] = {"correlation": "job-7"}
        tasks = [
            background.run(bus.agent("planner").request("a", n, **options))
            for n in range(2)
        ]
        await bus.advance(5)
        for task in tasks:
            assert not isinstance(task.result(), (KeyError, RequestTimeoutError))


async def test_an_expired_request_is_not_handled_late() -> None:
    """Who asked hears that no answer comes."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 0)
        await bus.settle()
        options: dict[str, Any] = {"ttl": 1.0}
        task = background.run(
            bus.agent("planner").request("a", 1, timeout=5, **options)
        )
        await bus.advance(2)
        inbox.gate.set()
        await bus.advance(3)
        assert isinstance(task.result(), (RequestTimeoutError, RemoteFaultError))
        assert inbox.done == [0]
