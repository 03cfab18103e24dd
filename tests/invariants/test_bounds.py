"""Invariants 6 and 7: nothing is unbounded, and the audit loses nothing silently."""

from typing import Any

import pytest

from bus import Accepted, Denied, Failed
from bus.config.governing import PolicySettings
from bus.core import limits
from bus.core.errors import LimitExceededError
from bus.subscription import Delivery
from tests.fakes.buses import (
    Background,
    Inbox,
    PartsBus,
    lower_bound,
    new_bus,
    totals,
)
from tests.fakes.busparts import Choosing


async def test_6_a_queue_never_holds_more_than_its_capacity() -> None:
    """However many publishers push, and whatever they do when it is full."""
    async with new_bus() as bus, Background() as background:
        worker, held = bus.agent("worker"), Inbox(held=True)
        subs = [
            worker.subscribe("wait", held, capacity=4, overflow="wait"),
            worker.subscribe("refuse", held, capacity=4, overflow="refuse"),
            worker.subscribe("drop_oldest", held, capacity=4, overflow="drop_oldest"),
        ]
        tasks = [
            background.run(bus.agent("planner").publish(overflow, n, wait=5))
            for n in range(40)
            for overflow in ("wait", "refuse", "drop_oldest")
        ]
        for _ in range(5):
            await bus.advance(1)
            for sub in subs:
                assert sub.size <= sub.capacity
                assert sub.load <= sub.capacity + 1
        outcomes = [task.result() for task in tasks]
        accepted = sum(isinstance(outcome, Accepted) for outcome in outcomes)
        refused = sum(getattr(o, "code", "") == "overloaded" for o in outcomes)
        assert accepted + refused == 120
        assert accepted == totals(bus).accepted
        assert accepted == sum(sub.load for sub in subs) + totals(bus).evicted
        assert subs[0].load == subs[0].capacity + 1


async def test_6_a_plan_that_names_one_taker_twice_cannot_overfill_it() -> None:
    """Capacity 1 means one message, whatever a strategy says."""
    strategy = Choosing(lambda _, candidates: [candidates[0], candidates[0]])
    async with PartsBus(strategy=strategy) as bus:
        sub = bus.agent("worker").subscribe("a", Inbox(held=True), capacity=1)
        for n in range(3):
            await bus.agent("planner").publish("a", n, wait=0)
            assert sub.size <= 1


async def test_6_the_memo_of_routes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new subject each time does not grow it past its bound."""
    lower_bound(monkeypatch, "ROUTES_MEMO_MAX", 8)
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe(">", inbox)
        for n in range(50):
            outcome = await bus.agent("planner").publish(f"subject.number.{n}", n)
            assert isinstance(outcome, Accepted)
            assert len(bus._host.roster.table("acme").memo) <= 8  # noqa: SLF001 - the memo is inside
        await bus.settle()
        assert inbox.done == list(range(50))


async def test_6_templates_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound subjects are counted as `other`: labels stay few, sums stay right."""
    lower_bound(monkeypatch, "TEMPLATES_MAX", 4)
    async with new_bus() as bus:
        bus.agent("worker").subscribe(">", Inbox())
        for n in range(30):
            await bus.agent("planner").publish(f"s{n}", n)
        await bus.settle()
        stats = bus.stats().subjects
        assert len(stats) <= 4 + 2  # and `other`, and the bus's own
        assert totals(bus).accepted == totals(bus).delivered == 30
        assert "other" in {s.template for s in stats}


async def test_6_the_decision_cache_is_bounded() -> None:
    """Its size never passes the setting, and evictions are counted."""
    async with new_bus(policy=PolicySettings(cache_entries=8)) as bus:
        bus.agent("worker").subscribe(">", Inbox())
        for n in range(40):
            await bus.agent("planner").publish(f"s{n}", n)
            assert bus.stats().decisions.size <= 8
        assert bus.stats().decisions.evictions > 0
        await bus.settle()


async def test_6_dead_letters_publishers_and_requests_have_bounds_of_their_own() -> (
    None
):
    """The tests are beside the parts; here: the bounds exist and are finite."""
    for name in (
        "DEAD_LETTERS_KEPT_MAX",
        "PUBLISHERS_WAITING_MAX",
        "REQUESTS_WAITING_MAX",
        "SUBSCRIPTIONS_MAX",
        "AGENTS_MAX",
        "EARLY_RECORDS_MAX",
        "PAYLOAD_BYTES_MAX",
        "HEADERS_MAX",
        "LINEAGE_DEPTH_MAX",
        "TTL_S_MAX",
        "ACK_WAIT_S_MAX",
        "NAK_DELAY_S_MAX",
    ):
        assert 0 < getattr(limits, name) < float("inf")


async def test_6_waits_are_bounded() -> None:
    """No wait without an end can be asked for."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        for wait in (float("inf"), limits.PUBLISH_WAIT_S_MAX + 1):
            outcome = await planner.publish("a", 1, wait=wait)
            assert not isinstance(outcome, Accepted)
        with pytest.raises(LimitExceededError):
            await planner.request("a", 1, timeout=limits.REQUEST_TIMEOUT_S_MAX + 1)
        with pytest.raises(LimitExceededError):
            bus.agent("worker").subscribe("a", inbox, ack_wait=float("inf"))


async def test_7_a_stalled_audit_makes_publishing_wait_and_then_fail() -> None:
    """Nothing is delivered unrecorded: first a wait, then Failed(audit_stalled)."""
    async with PartsBus() as bus, Background() as background:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        bus.audit.stall()
        waiting = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        assert not waiting.done()
        assert bus.audit.waits >= 1
        bus.audit.give_up()
        await bus.settle()
        outcome = waiting.result()
        assert isinstance(outcome, Failed)
        assert outcome.code == "audit_stalled"
        assert inbox.got == []
        assert totals(bus).failed == 1
        bus.audit.recover()


async def test_7_a_wait_for_the_audit_that_ends_well_lets_the_message_in() -> None:
    """Pushed back, not refused."""
    async with PartsBus() as bus, Background() as background:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        bus.audit.stall()
        waiting = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        bus.audit.recover()
        await bus.settle()
        assert isinstance(waiting.result(), Accepted)
        assert inbox.done == [1]


async def test_7_nothing_is_delivered_while_the_audit_is_full() -> None:
    """Not even what was accepted before: delivery waits, and goes on afterwards."""
    async with PartsBus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 1)
        bus.audit.stall()
        await bus.settle()
        assert inbox.got == []
        bus.audit.give_up()
        await bus.settle()
        assert inbox.got == []
        bus.audit.recover()
        await bus.settle()
        assert inbox.done == [1]


async def test_7_denials_and_rejections_wait_for_the_audit_too() -> None:
    """Every ending is recorded or becomes audit_stalled."""
    async with PartsBus() as bus, Background() as background:
        bus.audit.stall()
        tasks = [
            background.run(bus.agent("intern").publish("payments", 1)),
            background.run(bus.agent("planner").publish("a b", 1)),
            background.run(bus.agent("planner").publish("a", object())),
            background.run(bus.agent("planner").broadcast("a", object())),
        ]
        await bus.settle()
        assert not any(task.done() for task in tasks)
        bus.audit.give_up()
        await bus.settle()
        assert [task.result().code for task in tasks] == ["audit_stalled"] * 4
        bus.audit.recover()
        assert isinstance(await bus.agent("intern").publish("payments", 1), Denied)
        assert bus.audit.events() == ["denied"]


async def test_7_every_ending_has_exactly_one_record() -> None:
    """Counts and records agree, kind by kind."""

    async def handler(body: Any, delivery: Delivery) -> None:
        if body == "term":
            delivery.term("no")
        if body == "fail":
            raise RuntimeError

    async with PartsBus() as bus:
        held = Inbox(held=True)
        worker, planner = bus.agent("worker"), bus.agent("planner")
        worker.subscribe("a", handler, max_deliver=2)
        worker.subscribe("b", held, capacity=1, overflow="drop_oldest")
        for body in ("fine", "term", "fail", "fine"):
            await planner.publish("a", body)
        for n in range(4):
            await planner.publish("b", n, ttl=2.0)
            await bus.settle()
        await planner.publish("nobody", 1)
        await planner.publish("a b", 1)
        await bus.agent("intern").publish("payments", 1)
        await bus.advance(5)
        held.gate.set()
        await bus.settle()
    counts, events = totals(bus), bus.audit.events()
    for kind in ("accepted", "denied", "rejected", "failed", "delivered", "dead"):
        assert events.count(kind) == getattr(counts, kind) > 0, kind
    for kind in ("expired", "evicted"):
        assert events.count(kind) == getattr(counts, kind) > 0, kind
