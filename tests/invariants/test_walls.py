"""Invariants 9 and 10: tenants are walls, and one behaviour has one suite for all."""

from pathlib import Path

import pytest

from bus import Failed, Rejected
from bus.core.errors import NoRespondersError
from tests.fakes.buses import Inbox, PartsBus, new_bus


async def test_9_a_message_stays_in_its_tenant() -> None:
    """The widest subscription of another tenant hears nothing, nor counts as a taker."""
    async with new_bus() as bus:
        theirs, ours = Inbox(), Inbox()
        bus.agent("spy").subscribe(">", theirs)
        outcome = await bus.agent("planner").publish("a", 1)
        assert isinstance(outcome, Failed)
        assert outcome.code == "no_responders"
        bus.agent("worker").subscribe(">", ours)
        accepted = await bus.agent("planner").publish("a", 2)
        assert accepted.unwrap().deliveries == 1
        await bus.agent("planner").broadcast("a", 3)
        await bus.settle()
    assert theirs.got == []
    assert ours.done == [2, 3]


async def test_9_a_queue_group_is_one_tenants() -> None:
    """A member of the same name elsewhere takes no messages away."""
    async with new_bus() as bus:
        theirs, ours = Inbox(), Inbox()
        bus.agent("spy").subscribe("a", theirs, queue="workers")
        bus.agent("worker").subscribe("a", ours, queue="workers")
        await bus.agent("planner").publish_many([("a", n) for n in range(10)])
        await bus.settle()
    assert theirs.got == []
    assert ours.done == list(range(10))


async def test_9_a_request_is_not_answered_by_another_tenant() -> None:
    """It has no responders there."""

    async def answer(body: int) -> int:
        return body

    async with new_bus() as bus:
        bus.agent("spy").subscribe("ask", answer)
        with pytest.raises(NoRespondersError):
            await bus.agent("planner").request("ask", 1)


async def test_9_another_tenants_inbox_cannot_be_answered_to() -> None:
    """Whoever learns an inbox's subject cannot reach it from another tenant."""
    inboxes: list[str] = []

    async def peek(body: int) -> int:
        return body

    async with PartsBus() as bus:
        bus.agent("worker").subscribe("ask", peek)
        assert await bus.agent("planner").request("ask", 1) == 1
        inboxes = [
            record[5] for record in bus.audit.records if record[5].startswith("$INBOX.")
        ]
        for agent in ("spy", "critic"):  # nor from within, for that matter
            bus.agent("spy").subscribe("ask", peek)
            outcome = await bus.agent(agent).publish("ask", 2, reply_to=inboxes[0])
            assert isinstance(outcome, Rejected)
            assert outcome.code == "bad_subject"


async def test_9_a_full_queue_of_one_tenant_does_not_hold_up_another() -> None:
    """Waits are the waits of one subscription."""
    async with new_bus() as bus:
        ours = Inbox()
        bus.agent("spy").subscribe("a", Inbox(held=True), capacity=1)
        bus.agent("worker").subscribe("a", ours)
        for n in range(2):
            await bus.agent("spy").publish("a", n)
            await bus.settle()
        await bus.agent("planner").publish("a", 5, wait=0)
        await bus.settle()
        assert ours.done == [5]


def test_10_each_port_with_more_than_one_adapter_has_a_contract_suite() -> None:
    """One suite per port, run over every adapter there is."""
    suites = {path.name for path in Path("tests/contract").glob("test_*.py")}
    assert {
        "test_audit_log.py",
        "test_message_store.py",
        "test_processor.py",
        "test_strategy.py",
    } <= suites
