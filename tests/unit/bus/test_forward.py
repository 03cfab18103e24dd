"""Forwarding: a message that comes with its stamp is checked before anything else."""

import asyncio
from typing import Any

import msgspec
import pytest

from bus import Accepted, Denied, Message, Rejected
from bus.core.errors import BusNotStartedError
from policy.keeping import Keeping
from tests.fakes.buses import Inbox, PartsBus, data, tamper, totals, validator
from tests.fakes.busparts import Stage, tapped

replace = msgspec.structs.replace


class Kept:
    """A bus that keeps what is stored, with a subscriber to `a`."""

    def __init__(self, policy: Any = None, **parts: Any) -> None:
        self.messages: list[Message] = []
        hand = tapped(lambda message, _: self.messages.append(message))
        self.bus = PartsBus(policy, hand=hand, **parts)
        self.inbox = Inbox()

    async def stamped(self, **options: Any) -> Message:
        """Return a message of the planner's as it was stored."""
        if not self.bus.stats().subscriptions:
            self.bus.agent("worker").subscribe("a", self.inbox)
        (await self.bus.agent("planner").publish("a", 1, **options)).unwrap()
        await self.bus.settle()
        return self.messages[-1]


async def test_a_message_of_ones_own_is_accepted_under_its_own_id() -> None:
    """Decided, stamped and delivered again, as any message."""
    kept = Kept()
    async with kept.bus as bus:
        message = await kept.stamped()
        outcome = await bus.agent("planner").forward(message)
        await bus.settle()
        assert isinstance(outcome, Accepted)
        assert outcome.id == message.id
        assert kept.inbox.done == [1, 1]


@pytest.mark.parametrize("field", ["body", "subject", "sender", "depth", "stamp"])
async def test_a_changed_message_is_rejected_counted_and_recorded(field: str) -> None:
    """Whatever was changed on its way."""
    changes: dict[str, Any] = {
        "body": b"\x02",
        "subject": "b",
        "sender": "critic",
        "depth": 3,
        "stamp": bytes(20),
    }
    kept = Kept()
    async with kept.bus as bus:
        message = replace(await kept.stamped(), **{field: changes[field]})
        outcome = await bus.agent("planner").forward(message)
        await bus.settle()
        assert isinstance(outcome, Rejected)
        assert outcome.code in {"stamp_mismatch", "unknown_key"}
        assert kept.inbox.done == [1]
        assert totals(bus).rejected == 1
        assert bus.audit.events()[-1] == "rejected"


async def test_a_message_of_somebody_else_is_rejected() -> None:
    """Neither another agent's nor another tenant's, however well stamped."""
    kept = Kept()
    async with kept.bus as bus:
        message = await kept.stamped()
        for thief in ("critic", "spy"):
            outcome = await bus.agent(thief).forward(message)
            assert isinstance(outcome, Rejected)
            assert "planner" in outcome.reason
        await bus.settle()
        assert kept.inbox.done == [1]
        recorded = [r[4] for r in bus.audit.records if r[0] == "rejected"]
        assert recorded == ["critic", "spy"]


async def test_a_message_past_its_time_is_rejected() -> None:
    """Expired on its way."""
    kept = Kept()
    async with kept.bus as bus:
        message = await kept.stamped(ttl=5.0)
        await bus.advance(5.0)
        outcome = await bus.agent("planner").forward(message)
        assert isinstance(outcome, Rejected)
        assert outcome.code == "expired"


async def test_a_stamp_of_another_bus_is_rejected() -> None:
    """Under the same constitution, with another key."""
    kept = Kept()
    async with kept.bus as bus:
        message = replace(await kept.stamped())
        validator().seal(message)
        outcome = await bus.agent("planner").forward(message)
        assert isinstance(outcome, Rejected)


async def test_policy_is_asked_again() -> None:
    """A stamp is no permission."""
    role = {"publish": [{"subject": "a"}], "subscribe": [">"]}
    policy = data(narrow=role)
    kept = Kept(policy)
    async with kept.bus as bus:
        bus.agent("worker").subscribe("a", kept.inbox)
        (await bus.agent("intern").publish("a", 1)).unwrap()
        message = kept.messages[0]
        policy["roles"]["narrow"]["publish"] = []
        authorizer: Any = bus._host.parts.authorizer  # noqa: SLF001 - PartsBus has no reload
        authorizer.reload(await asyncio.to_thread(authorizer.read))
        outcome = await bus.agent("intern").forward(message)
        assert isinstance(outcome, Denied)


async def test_a_message_that_is_forwarded_is_not_changed_by_it() -> None:
    """The caller's message stays as it was."""
    kept = Kept()
    async with kept.bus as bus:
        message = await kept.stamped()
        before = msgspec.msgpack.encode(message)
        await bus.agent("planner").forward(message)
        assert msgspec.msgpack.encode(message) == before
        stored = kept.messages[-1]
        tamper(message, body=b"\x09")
        assert stored.body != message.body


async def test_a_forwarded_message_is_processed_at_the_time_it_comes() -> None:
    """Its own time is when it was made; a stage is told the time that is."""
    times: list[int] = []

    class Timed(Stage):
        def process(self, message: Message, now_ns: int) -> Message:
            times.append(now_ns)
            return message

    kept = Kept(stages=[(">", Timed(lambda m: m))])
    async with kept.bus as bus:
        message = await kept.stamped()
        await bus.advance(3)
        assert isinstance(await bus.agent("planner").forward(message), Accepted)
    assert times[1] - times[0] == 3_000_000_000


async def test_a_forwarded_message_does_not_revive_an_expired_decision() -> None:
    """A decision is kept for its time, and not as long as old messages come."""
    kept = Kept(keeping=Keeping(allow_ttl_s=2.0))
    async with kept.bus as bus:
        message = await kept.stamped()
        await bus.advance(3)  # longer than an allow is kept
        outcome = await bus.agent("planner").forward(message)
        assert isinstance(outcome, Accepted)
        assert not outcome.receipt.cached


async def test_nothing_is_forwarded_by_a_closed_bus() -> None:
    """As with every call."""
    kept = Kept()
    async with kept.bus as bus:
        message = await kept.stamped()
    with pytest.raises(BusNotStartedError):
        await bus.agent("planner").forward(message)
