"""Invariants 1 and 2: no delivery without an allow receipt, and every fault fails closed.

The numbers are those of the architecture; 4 and 5 are in `test_identity_and_lineage.py`,
6 and 7 in `test_bounds.py`, 8 in `test_immutable.py`, 9 and 10 in `test_walls.py`.
"""

from typing import Any

import msgspec
import pytest

from bus import Accepted, Denied, Failed, Message, Outcome
from bus.core.decision import Decision
from bus.core.errors import AuditStalledError, PolicyUnavailableError
from bus.ports import AuditRecord
from bus.subscription import Delivery
from policy.compliance import ComplianceValidator
from tests.fakes.buses import Inbox, PartsBus, totals, validator
from tests.fakes.busparts import ListAudit, Policy, Stage, tapped


async def failing(delivery: Delivery) -> None:
    """Fail, so that there are retries and dead letters."""
    raise RuntimeError(f"attempt {delivery.attempt}")


async def test_1_no_delivery_without_an_allow_receipt() -> None:
    """Offline, from the record alone: every delivery has an accepted record before it."""

    async def answer(body: int) -> int:
        return body

    async with PartsBus() as bus:
        worker, planner = bus.agent("worker"), bus.agent("planner")
        worker.subscribe("a.*", Inbox())
        worker.subscribe("ask", answer)
        worker.subscribe("fails", failing, max_deliver=2)
        bus.agent("critic").subscribe("$DEAD.>", Inbox())
        for n in range(5):
            await planner.publish("a.b", n)
            await planner.request("ask", n)
            await planner.publish("fails", n)
            await planner.publish("nobody", n)
            await bus.agent("intern").publish("payments", n)
        await planner.broadcast("a.c", 1)
        await bus.advance(5)
    accepted: dict[bytes, AuditRecord] = {}
    delivered = 0
    for record in bus.audit.records:
        event, _, message_id, *_ = record
        if event == "accepted":
            accepted[message_id] = record
        elif event in {"delivered", "dead"}:
            assert message_id in accepted, f"{event} before it was accepted"
            delivered += event == "delivered"
    assert delivered == 5 + 2 * 5 + 5 + 1
    for record in accepted.values():
        revision, digest, stamp = record[6], record[7], record[8]
        assert len(revision) == 16
        assert len(digest) == 32
        assert len(stamp) == 20


async def test_1_a_queued_message_whose_decision_is_no_allow_is_not_delivered() -> None:
    """Delivery looks at the receipt once more."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 0)
        await bus.settle()
        outcome = await bus.agent("planner").publish("a", 1)
        assert isinstance(outcome, Accepted)
        denial = msgspec.structs.replace(outcome.decision, allow=False)
        (queued,) = sub.clear()
        sub.put(queued.message, denial)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0]
        assert totals(bus).refused == 1
        assert "refused" in bus.audit.events()


NO_DECISION: dict[str, Any] = {
    "unavailable": PolicyUnavailableError("no answer"),
    "broken": RuntimeError("bug in the authorizer"),
    "deny": Decision(allow=False, reasons=("no",), revision="r1", digest=""),
    "deny of another revision": Decision(
        allow=False, reasons=(), revision="r0", digest=""
    ),
    "no decision": "allow",
    "true": True,
}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("name", NO_DECISION)
async def test_2_no_decision_means_not_accepted(name: str, *, later: bool) -> None:
    """Whatever the authorizer does but allow, nothing is delivered, and it is recorded."""
    async with PartsBus(authorizer=Policy(NO_DECISION[name], later=later)) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcome = await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert isinstance(outcome, (Denied, Failed)), outcome
        assert inbox.got == []
        assert bus.audit.events() in (["denied"], ["failed"])


async def test_2_an_authorizer_that_never_answers_none_twice_is_not_an_allow() -> None:
    """`None` from both is a fault."""
    async with PartsBus(authorizer=Policy(None, later=True)) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcome = await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert isinstance(outcome, Failed)
        assert inbox.got == []


class Seals:
    """A validator that breaks where the test wants it to."""

    def __init__(self, *, seal: bool = False, check: bool = False) -> None:
        self._real: ComplianceValidator = validator()
        self.constitution = self._real.constitution
        self.break_seal, self.break_check = seal, check

    def seal(self, message: Message) -> None:
        """Stamp, or break."""
        if self.break_seal:
            raise RuntimeError("no key")
        self._real.seal(message)

    def check(self, message: Message, now_ns: int) -> None:
        """Check, or break."""
        if self.break_check:
            raise RuntimeError("bug in the validator")
        self._real.check(message, now_ns)


async def test_2_no_stamp_means_not_accepted() -> None:
    """A message that cannot be stamped is not kept."""
    async with PartsBus(validator=Seals(seal=True)) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcome = await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert isinstance(outcome, Failed)
        assert inbox.got == []
        assert bus.audit.events() == ["failed"]


async def test_2_a_check_that_breaks_means_not_delivered_and_accounted_for() -> None:
    """The message does not vanish: it ends, counted and recorded."""
    async with PartsBus(validator=Seals(check=True)) as bus:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(10)
        assert inbox.got == []
        assert sub.load == 0
        counts = totals(bus)
        assert counts.refused + counts.dead == 1
        assert bus.audit.events()[-1] in {"refused", "dead"}


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("bug")])
async def test_2_no_store_means_not_accepted(error: Exception) -> None:
    """Failed, recorded, and the room of the queue is as before."""

    def broken(message: Message, decision: Decision) -> None:
        del message, decision
        raise error

    async with PartsBus(hand=tapped(broken)) as bus:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("a", inbox, capacity=1)
        for _ in range(3):
            outcome = await bus.agent("planner").publish("a", 1)
            assert isinstance(outcome, Failed)
        await bus.settle()
        assert inbox.got == []
        assert sub.limit == sub.capacity
        assert bus.audit.events() == ["failed"] * 3


@pytest.mark.parametrize("error", [AuditStalledError("full"), RuntimeError("bug")])
async def test_2_no_record_means_not_accepted(error: Exception) -> None:
    """If `accepted` cannot be recorded, the publisher hears no Accepted."""
    audit = ListAudit()
    async with PartsBus(audit=audit) as bus:
        bus.agent("worker").subscribe("a", Inbox())
        audit.refuse = lambda record: error if record[0] == "accepted" else None
        outcome: Outcome | None = None
        try:
            outcome = await bus.agent("planner").publish("a", 1)
        except type(error):
            outcome = None
        audit.refuse = lambda _: None
        assert not isinstance(outcome, Accepted)


async def test_2_a_failing_stage_means_not_accepted() -> None:
    """No stage's trouble lets a message through."""

    def breaking(_: Message) -> Message:
        raise RuntimeError("bug in a stage")

    async with PartsBus(stages=[(">", Stage(breaking))]) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        assert isinstance(await bus.agent("planner").publish("a", 1), Failed)
        assert inbox.got == []
