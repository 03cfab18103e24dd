"""Invariants 4 and 5: identity comes from the handle, lineage from the bus."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bus import Accepted, Failed, Message, Outcome
from bus.core.outcome import Rejected
from bus.subscription import Delivery
from tests.fakes.buses import Inbox, PartsBus, data, tamper, totals
from tests.fakes.busparts import Stage, tapped


async def kept_messages(
    drive: Callable[[PartsBus, list[Message]], Any], **parts: Any
) -> list[Message]:
    """Return the messages a store was given while `drive` ran."""
    kept: list[Message] = []
    hand = tapped(lambda message, _: kept.append(message))
    async with PartsBus(hand=hand, **parts) as bus:
        await drive(bus, kept)
        await bus.settle()
    return kept


async def test_4_identity_comes_from_the_handle() -> None:
    """Sender and tenant are the agent's, whatever the body, headers or claims say."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        bus.agent("critic").subscribe("a", Inbox())
        await bus.agent("planner").publish(
            "a",
            {"sender": "critic", "tenant": "globex", "id": "0" * 32},
            headers={"sender": "critic", "tenant": "globex", "roles": "admin"},
            correlation="critic",
            causation="critic",
        )

    (message,) = await kept_messages(drive)
    assert (message.sender, message.tenant) == ("planner", "acme")


async def test_4_an_identity_cannot_be_passed_to_publish() -> None:
    """There is no argument for it."""
    async with PartsBus() as bus:
        for forged in ("sender", "tenant", "root", "parent", "depth", "id", "stamp"):
            options: dict[str, Any] = {forged: "critic"}
            with pytest.raises(TypeError):
                await bus.agent("planner").publish("a", 1, **options)


async def test_4_a_handler_replies_as_itself() -> None:
    """Not as the one who asked, nor as the bus."""

    async def answer(body: int) -> int:
        return body

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        bus.agent("worker").subscribe("ask", answer)
        assert await bus.agent("planner").request("ask", 1) == 1

    _request, reply = await kept_messages(drive)
    assert (reply.sender, reply.tenant, reply.type) == ("worker", "acme", "response")


async def test_4_a_stage_cannot_change_who_sent_it() -> None:
    """Identity is set before the stages and kept after them."""

    def forge(message: Message) -> Message:
        return msgspec.structs.replace(message, sender="critic")

    async with PartsBus(stages=[("a", Stage(forge))]) as bus:
        bus.agent("worker").subscribe("a", Inbox())
        assert isinstance(await bus.agent("planner").publish("a", 1), Failed)


async def test_5_lineage_is_that_of_the_message_being_handled() -> None:
    """Root, parent and depth through three handlers; siblings share a parent."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        async def first(_: int) -> None:
            for _n in range(2):
                await bus.agent("worker").publish("b", 1)

        async def second(_: int) -> None:
            await bus.agent("critic").publish("c", 1)

        bus.agent("worker").subscribe("a", first)
        bus.agent("critic").subscribe("b", second)
        bus.agent("planner").subscribe("c", Inbox())
        await bus.agent("planner").publish("a", 1)

    kept = await kept_messages(drive)
    (a,) = (m for m in kept if m.subject == "a")
    b = [m for m in kept if m.subject == "b"]
    c = [m for m in kept if m.subject == "c"]
    assert (a.root, a.parent, a.depth) == (None, None, 0)
    assert [(m.root, m.parent, m.depth) for m in b] == [(a.id, a.id, 1)] * 2
    assert [(m.root, m.depth) for m in c] == [(a.id, 2)] * 2
    assert [m.parent for m in c] == [m.id for m in b]


async def test_5_lineage_cannot_be_forged_by_claims() -> None:
    """A handler that claims another cause has the true one beside the claim."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        async def handler(_: int) -> None:
            await bus.agent("worker").publish(
                "b", 1, causation="0" * 32, headers={"parent": "0", "depth": "0"}
            )

        bus.agent("worker").subscribe("a", handler)
        bus.agent("critic").subscribe("b", Inbox())
        await bus.agent("planner").publish("a", 1)

    a, b = await kept_messages(drive)
    assert (b.parent, b.root, b.depth, b.causation) == (a.id, a.id, 1, "0" * 32)


async def test_5_tasks_that_a_handler_starts_descend_from_its_message() -> None:
    """A handler does not shed its lineage by publishing from a task of its own."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        async def handler(_: int) -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(bus.agent("worker").publish("b", 1))

        bus.agent("worker").subscribe("a", handler)
        bus.agent("critic").subscribe("b", Inbox())
        await bus.agent("planner").publish("a", 1)

    a, b = await kept_messages(drive)
    assert (b.parent, b.depth) == (a.id, 1)


async def test_5_a_message_from_outside_has_no_parent_after_handlers_ran() -> None:
    """What one handler did does not leak into the host program's messages."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        bus.agent("worker").subscribe("a", Inbox())
        for n in range(3):
            await bus.agent("planner").publish("a", n)
            await bus.settle()

    kept = await kept_messages(drive)
    assert [(m.parent, m.depth) for m in kept] == [(None, 0)] * 3


async def test_5_a_redelivery_is_the_same_message() -> None:
    """Same id, same lineage; what its second attempt publishes has the same parent."""

    async def drive(bus: PartsBus, _: list[Message]) -> None:
        async def handler(delivery: Delivery) -> None:
            await bus.agent("worker").publish("b", delivery.attempt)
            if delivery.attempt == 1:
                raise RuntimeError

        bus.agent("worker").subscribe("a", handler)
        bus.agent("critic").subscribe("b", Inbox())
        await bus.agent("planner").publish("a", 1)
        await bus.advance(1)

    a, first, second = await kept_messages(drive)
    assert first.parent == second.parent == a.id


async def test_5_a_changed_lineage_is_not_delivered() -> None:
    """A queued message whose depth was lowered is refused: the stamp covers it."""
    async with PartsBus(data()) as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 0)
        await bus.settle()
        await bus.agent("planner").publish("a", 1)
        (queued,) = sub.clear()
        tamper(queued.message, depth=7, parent=bytes(16), root=bytes(16))
        sub.put(queued.message, queued.decision)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0]
        assert totals(bus).refused == 1


async def test_5_depth_is_bounded() -> None:
    """A loop of handlers ends."""
    ends: list[Outcome] = []

    async with PartsBus() as bus:

        async def handler(body: int) -> None:
            outcome = await bus.agent("worker").publish("a", body + 1)
            if not isinstance(outcome, Accepted):
                ends.append(outcome)

        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", 0)
        for _ in range(5):
            await bus.settle()
    assert len(ends) == 1
    assert isinstance(ends[0], Rejected)
