"""Stages at work: a deny is final, and what fails is never delivered."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bus import Accepted, Denied, Dropped, Failed, Message, Rejected
from bus.config.settings import ChoiceSettings
from bus.core.errors import (
    ConfigurationError,
    DroppedError,
    MalformedMessageError,
    OverloadedError,
)
from bus.core.limits import PAYLOAD_BYTES_MAX
from tests.fakes.buses import (
    Inbox,
    PartsBus,
    data,
    new_bus,
    publish_one,
    totals,
)
from tests.fakes.busparts import Stage

replace = msgspec.structs.replace


async def test_a_stage_may_change_what_it_may() -> None:
    """Body, headers, expiry and content type; the result is stamped and delivered."""

    def change(message: Message) -> Message:
        return replace(
            message,
            body=b'{"n":2}',
            content_type="application/json",
            headers={"seen": "yes"},
            expires_ns=message.created_ns + 5,
        )

    async with PartsBus(stages=[("a", Stage(change))]) as bus:
        outcome, inbox = await publish_one(bus, {"n": 1})
        assert isinstance(outcome, Accepted)
        assert inbox.done == [{"n": 2}]


async def test_stages_run_in_the_order_of_the_configuration_where_they_match() -> None:
    """First to last; those for other subjects do not run."""
    ran: list[str] = []

    def noting(name: str) -> Stage:
        def note(message: Message) -> Message:
            ran.append(name)
            return message

        return Stage(note, name)

    stages = [(">", noting("1")), ("b", noting("2")), ("*", noting("3"))]
    async with PartsBus(stages=stages) as bus:
        await publish_one(bus)
    assert ran == ["1", "3"]


async def test_a_stage_may_answer_later() -> None:
    """An awaitable of a message is as good as one."""

    async def later(message: Message) -> Message:
        await asyncio.sleep(0)
        return replace(message, body=msgspec.msgpack.encode("later"))

    async with PartsBus(stages=[("a", Stage(later))]) as bus:
        outcome, inbox = await publish_one(bus)
        assert isinstance(outcome, Accepted)
        assert inbox.done == ["later"]


@pytest.mark.parametrize("late", [False, True])
async def test_a_stage_that_drops_ends_the_message_as_dropped(*, late: bool) -> None:
    """With its name and reason; recorded, never delivered, no later stage runs."""
    after: list[Message] = []

    def drop(message: Message) -> Any:
        dropped = Dropped(message.id, "told", "not today")

        async def wait() -> Dropped:
            return dropped

        return wait() if late else dropped

    async with PartsBus(stages=[("a", Stage(drop)), ("a", Stage(after.append))]) as bus:
        outcome, inbox = await publish_one(bus)
        assert isinstance(outcome, Dropped)
        with pytest.raises(DroppedError, match="not today"):
            outcome.unwrap()
        assert inbox.got == after == []
        assert bus.audit.events() == ["dropped"]
        assert totals(bus).dropped == 1


def _raise(error: BaseException) -> Callable[[Message], Any]:
    def raising(_: Message) -> Any:
        raise error

    return raising


BREAKING: dict[str, Callable[[Message], Any]] = {
    "raises": _raise(RuntimeError("broken")),
    "returns nothing": lambda _: None,
    "returns a stranger": lambda _: "message",
    "returns a number as body": lambda m: replace(m, body=5),
    "changes the id": lambda m: replace(m, id=bytes(16)),
    "changes the sender": lambda m: replace(m, sender="critic"),
    "changes the tenant": lambda m: replace(m, tenant="globex"),
    "changes the subject": lambda m: replace(m, subject="b"),
    "changes the type": lambda m: replace(m, type="command"),
    "changes the priority": lambda m: replace(m, priority=3),
    "changes the time": lambda m: replace(m, created_ns=1),
    "changes the constitution": lambda m: replace(m, constitution="0" * 16),
    "changes the revision": lambda m: replace(m, revision="r0"),
    "changes reply_to": lambda m: replace(m, reply_to="b"),
    "changes correlation": lambda m: replace(m, correlation="b"),
    "changes causation": lambda m: replace(m, causation="b"),
    "changes the root": lambda m: replace(m, root=bytes(16)),
    "changes the parent": lambda m: replace(m, parent=bytes(16)),
    "changes the depth": lambda m: replace(m, depth=5),
    "brings a stamp": lambda m: replace(m, stamp=bytes(20)),
}


@pytest.mark.parametrize("name", BREAKING)
async def test_a_stage_that_fails_ends_the_message_as_failed(name: str) -> None:
    """Whatever it raises, returns, or changes that it may not: nothing is delivered."""
    async with PartsBus(stages=[("a", Stage(BREAKING[name]))]) as bus:
        outcome, inbox = await publish_one(bus)
        assert isinstance(outcome, Failed), outcome
        assert outcome.code == "processing_failed"
        assert inbox.got == []
        assert bus.audit.events() == ["failed"]
        assert totals(bus).failed == 1


async def test_a_stage_that_fails_later_ends_the_message_as_failed() -> None:
    """An awaitable that raises is a stage that raises."""

    async def later(_: Message) -> Message:
        raise RuntimeError("broken")

    async with PartsBus(stages=[("a", Stage(later))]) as bus:
        outcome, inbox = await publish_one(bus)
        assert isinstance(outcome, Failed)
        assert inbox.got == []


async def test_a_stage_says_when_to_try_again() -> None:
    """OverloadedError keeps its time."""
    error = OverloadedError("planner's bucket", retry_after_s=2.5)
    async with PartsBus(stages=[("a", Stage(_raise(error)))]) as bus:
        outcome, _ = await publish_one(bus)
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retry_after_s) == ("overloaded", 2.5)


async def test_a_protocol_error_of_a_stage_is_the_stages_failure() -> None:
    """The sender broke no rule of the bus; trying again may help."""

    async def later(_: Message) -> Message:
        raise MalformedMessageError("no such field")

    for stage in (_raise(MalformedMessageError("no such field")), later):
        async with PartsBus(stages=[("a", Stage(stage))]) as bus:
            outcome, _ = await publish_one(bus)
            assert isinstance(outcome, Failed)
            assert "no such field" in outcome.reason


async def test_a_stage_cannot_make_a_message_larger_than_allowed() -> None:
    """What it returns is held to the same bounds."""
    for change in (
        lambda m: replace(m, body=bytes(PAYLOAD_BYTES_MAX + 1)),
        lambda m: replace(m, headers={"a": "b" * 5_000}),
        lambda m: replace(m, headers={"a": "b\nc"}),
        lambda m: replace(m, headers=None),
    ):
        async with PartsBus(stages=[("a", Stage(change))]) as bus:
            outcome, inbox = await publish_one(bus)
            assert isinstance(outcome, (Rejected, Failed))
            assert inbox.got == []


async def test_a_denied_message_meets_no_stage() -> None:
    """A deny is final: nothing after it can turn it."""
    met: list[Message] = []
    async with PartsBus(stages=[(">", Stage(met.append))]) as bus:
        outcome = await bus.agent("intern").publish("payments.out", 1)
        assert isinstance(outcome, Denied)
        assert met == []


async def test_obligations_are_carried_out_before_the_stages() -> None:
    """Headers policy wants gone are gone, the life it allows is the longest."""
    role = {
        "publish": [{"subject": ">"}],
        "redact_headers": ["secret"],
        "ttl_seconds": 2,
        "limits": {"body_bytes": 10},
    }
    seen: list[Message] = []

    def look(message: Message) -> Message:
        seen.append(message)
        return message

    async with PartsBus(data(narrow=role), stages=[(">", Stage(look))]) as bus:
        bus.agent("worker").subscribe("a", Inbox())
        intern = bus.agent("intern")
        headers = {"Secret": "x", "open": "y"}
        assert isinstance(await intern.publish("a", 1, headers=headers), Accepted)
        assert isinstance(await intern.publish("a", 1, ttl=1.0), Accepted)
        assert isinstance(await intern.publish("a", bytes(11)), Rejected)
        await bus.settle()
    assert seen[0].headers == {"open": "y"}
    lives = [(m.expires_ns or 0) - m.created_ns for m in seen]
    assert lives == [2_000_000_000, 1_000_000_000]


async def test_depth_is_bounded_by_the_decision() -> None:
    """A chain of messages ends where policy says, and at the bus's bound at the latest."""
    depths: list[int] = []
    ends: list[Any] = []

    async with PartsBus(data(narrow={"publish": [{"subject": ">"}]})) as bus:

        async def handler(body: int) -> None:
            depths.append(body)
            outcome = await bus.agent("worker").publish("a", body + 1)
            if not isinstance(outcome, Accepted):
                ends.append(outcome)

        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 0)
        for _ in range(10):
            await bus.settle()
    assert depths == list(range(65))
    assert [end.code for end in ends] == ["limit_exceeded"]


async def test_stages_of_the_configuration_run() -> None:
    """`rate_limit` refuses past its rate, and says when to try again."""
    choice = ChoiceSettings(
        name="rate_limit", options={"per": "agent", "rate_per_s": 1.0, "burst": 2}
    )
    async with new_bus(stages=(choice,)) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcomes = [await bus.agent("planner").publish("a", n) for n in range(3)]
        assert isinstance(outcomes[2], Failed)
        assert outcomes[2].retry_after_s == pytest.approx(1.0)
        await bus.advance(1.0)
        assert isinstance(await bus.agent("planner").publish("a", 3), Accepted)
        await bus.settle()
    assert inbox.done == [0, 1, 3]


def test_a_stage_or_strategy_nobody_knows_stops_the_start() -> None:
    """With the name that was probably meant."""
    with pytest.raises(ConfigurationError, match="redact"):
        new_bus(stages=(ChoiceSettings(name="redakt"),))
    with pytest.raises(ConfigurationError, match="broadcast"):
        new_bus(strategies=(ChoiceSettings(name="brodcast"),))
