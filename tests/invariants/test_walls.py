"""Invariants 9 and 10: tenants are walls, and one behaviour has one suite for all."""

from pathlib import Path

import pytest

from bus import Failed, Rejected
from bus.core.errors import NoRespondersError
from bus.subscription import Delivery
from tests.fakes.buses import Inbox, PartsBus, lower_bound, new_bus
from tests.fakes.durable import KINDS, Place


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


async def test_9_a_tenant_that_fills_the_dead_letters_pushes_out_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By number and by bytes: the tenant that has most gives way, and that is counted."""

    async def failing(delivery: Delivery) -> None:
        delivery.term("no")

    for name, value in (("DEAD_LETTERS_KEPT_MAX", 5), ("DEAD_LETTER_BYTES_MAX", 4_000)):
        with monkeypatch.context() as patch:
            lower_bound(patch, name, value)
            async with new_bus() as bus:
                for agent in ("worker", "spy"):
                    bus.agent(agent).subscribe("a", failing)
                for number in range(2):
                    await bus.agent("spy").publish("a", bytes([number]))
                await bus.settle()
                for number in range(20):
                    await bus.agent("planner").publish("a", bytes([number]) * 1_000)
                await bus.settle()
                kept = [(x.message.tenant, x.message.body[0]) for x in bus.dead_letters]
                assert kept == [
                    *(("globex", number) for number in range(2)),
                    *(("acme", number) for number in range(17, 20)),
                ]
                assert bus.stats().dead_letters_evicted == 17


async def test_9_a_tenant_that_fills_the_queue_of_dead_letters_pushes_out_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits to be published under `$DEAD.` is shared in the same way."""
    got: list[str] = []

    async def failing(delivery: Delivery) -> None:
        delivery.term("no")

    async def collect(delivery: Delivery) -> None:
        got.append(delivery.message.tenant)

    lower_bound(monkeypatch, "DEAD_LETTERS_KEPT_MAX", 5)
    async with new_bus() as bus:
        for agent in ("worker", "spy"):
            bus.agent(agent).subscribe("a", failing, max_in_flight=1)
            bus.agent(agent).subscribe("$DEAD.a", collect)
        await bus.agent("spy").publish_many([("a", n) for n in range(2)])
        await bus.agent("planner").publish_many([("a", n) for n in range(50)])
        await bus.settle()
        unpublished = bus.stats().dead_letters_unpublished
    assert got.count("globex") == 2
    assert unpublished > 0
    assert got.count("acme") + unpublished == 50


@pytest.mark.parametrize("kind", KINDS)
async def test_9_a_tenant_that_fills_the_stored_letters_pushes_out_its_own(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the store is full of them; those of others stay, however old they are."""
    for name, value in (("LETTERS_KEPT_MAX", 20), ("LETTERS_READ_MAX", 3)):
        lower_bound(monkeypatch, name, value)
    place = Place(kind, tmp_path)

    async def failing(delivery: Delivery) -> None:
        delivery.term("no")

    async with place.bus() as bus:
        for agent in ("worker", "spy"):
            bus.agent(agent).subscribe("a", failing)
        await bus.keep("a", 100, 101, by="spy")
        await bus.settle()
        for number in range(45):
            await bus.keep("a", number)
            await bus.settle()
        rows = await bus.ledger.store.letters(0, 100)
        theirs = [row.tenant for row in rows]
        assert theirs[:2] == ["globex", "globex"]
        assert set(theirs[2:]) == {"acme"}
        assert 16 <= len(rows) < 18
        assert rows[-1].id == 47  # the newest of its own
        assert [row.id for row in rows[2:]] == list(range(50 - len(rows), 48))
        gone = [record for record in bus.audit.records if record[0] == "evicted"]
        assert {record[3] for record in gone} == {"acme"}
        told = [int(record[7].partition(" ")[0]) for record in gone]
        assert sum(told) == 47 - len(rows)
