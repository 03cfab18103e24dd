"""What is wrapped around a part keeps the part's promises, also while it is hit."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bus.chaos import ChaosAudit, ChaosAuthorizer, ChaosStore, Seam
from bus.core.breaker import Breaker, State
from bus.core.changes import Bounds, Change, DropLetter
from bus.core.chaosplan import Plan
from bus.core.errors import (
    AuditStalledError,
    PolicyUnavailableError,
    StoreUnavailableError,
)
from bus.core.faults import Kind
from bus.core.stats import StoreStats
from bus.ports import Access
from bus.storing import Done
from bus.testing import FakeClock
from tests.fakes.buses import Background
from tests.fakes.busparts import ListAudit
from tests.fakes.chaos import fault, full_plan
from tests.fakes.policies import message
from tests.fakes.ruling import Ruling

ACCESS = Access("connect", "planner", "acme")
DEADLINE_S = 2.0
CHANGES = (DropLetter(1),)


class Hit:
    """A plan with a clock, and the faults that a test begins."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.plan: Plan = full_plan()

    def seam(self, component: str) -> Seam:
        """Return a seam of it."""
        return Seam(self.plan, component, self.clock, DEADLINE_S)

    def begin(self, kind: Kind, component: str, name: str = "", **given: Any) -> None:
        """Let a fault begin that hits every question."""
        what, name = fault(kind, component, **given), name or kind.value
        now_ns = self.clock.now_ns()
        self.plan.admit(what, name=name, by="op", seed=1, now_ns=now_ns)

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        until_ns = self.clock.now_ns() + int(seconds * 1e9)
        await settle()
        while self.clock.step(until_ns):
            await settle()


async def settle() -> None:
    """Let what is under way come to rest."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_policy_without_a_fault_answers_as_ever() -> None:
    """At once where it can, and with the same objects."""
    hit, ruling = Hit(), Ruling()
    policy = ChaosAuthorizer(ruling, hit.seam("policy"))
    made = policy.decide_now("publish", message())
    assert made is not None
    assert made.allow
    assert (await policy.decide("publish", message())).allow
    assert policy.admit_now(ACCESS) is not None
    assert (await policy.admit(ACCESS)).allow
    assert policy.revision is ruling.revision
    assert policy.principal("planner") == ruling.principal("planner")
    assert policy.stats() == ruling.stats()


async def test_policy_that_cannot_be_reached_lets_nothing_in() -> None:
    """It neither answers now nor later; the reason names the fault."""
    hit = Hit()
    policy = ChaosAuthorizer(Ruling(), hit.seam("policy"))
    hit.begin(Kind.PARTITION, "policy")
    for _ in range(2):
        assert policy.decide_now("publish", message()) is None
        with pytest.raises(PolicyUnavailableError, match="injected partition"):
            await policy.decide("publish", message())
    assert policy.admit_now(ACCESS) is None
    with pytest.raises(PolicyUnavailableError):
        await policy.admit(ACCESS)
    hit.plan.end("partition", "stopped")
    assert (await policy.decide("publish", message())).allow


async def test_slow_policy_answers_late_and_a_question_is_drawn_once() -> None:
    """What could not be had now is awaited under the same draw."""
    hit = Hit()
    policy = ChaosAuthorizer(Ruling(), hit.seam("policy"))
    hit.begin(Kind.LATENCY, "policy")
    asked = message()
    async with Background() as background:
        assert policy.decide_now("publish", asked) is None
        made = background.run(policy.decide("publish", asked))
        await hit.advance(0.4)
        assert not made.done()
        await hit.advance(0.1)
        assert (await made).allow
    assert hit.plan.active["latency"].questions == 1


async def test_questions_that_nobody_awaits_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is remembered of draws is bounded."""
    monkeypatch.setattr("bus.chaos.authorizer.CHAOS_DRAWN_MAX", 2)
    hit = Hit()
    policy = ChaosAuthorizer(Ruling(), hit.seam("policy"))
    hit.begin(Kind.PARTITION, "policy")
    for number in range(5):
        assert policy.admit_now(Access("connect", str(number), "acme")) is None
    assert len(policy._drawn) <= 2  # noqa: SLF001 - the bound is what is tested


async def test_an_audit_record_without_a_fault_is_as_ever() -> None:
    """Full when it is, and written in order."""
    inner = ListAudit()
    audit = ChaosAudit(inner, Hit().seam("audit"))
    await audit.open()
    assert not audit.full
    record = ("started", 0, b"", "", "", "", "", "", b"")
    audit.append(record)
    assert inner.records == [record]
    inner.stall()
    assert _full(audit)
    async with Background() as background:
        room = background.run(audit.room())
        await settle()
        assert not room.done()
        inner.recover()
        await room
    assert audit.stats() == inner.stats()
    await audit.close()


async def test_a_stalled_audit_record_has_no_room_and_loses_nothing() -> None:
    """Who waits is told; what is appended all the same is kept."""
    hit, inner = Hit(), ListAudit()
    audit = ChaosAudit(inner, hit.seam("audit"))
    hit.begin(Kind.PARTITION, "audit")
    assert audit.full
    assert audit.full  # looking twice is one question
    async with Background() as background:
        room = background.run(audit.room())
        await settle()
        assert not room.done()  # who asks again at once must not stop the loop
        await hit.advance(0.25)
        error = await room
    assert isinstance(error, AuditStalledError)
    assert "injected partition" in str(error)
    assert hit.plan.active["partition"].questions == 1
    audit.append(("dead", 0, b"", "", "", "", "", "", b""))
    assert inner.events() == ["dead"]


async def test_nothing_that_was_drawn_hits_after_the_fault() -> None:
    """Though it was drawn while it was on, and nobody has asked since."""
    hit = Hit()
    audit = ChaosAudit(ListAudit(), hit.seam("audit"))
    policy = ChaosAuthorizer(Ruling(), hit.seam("policy"))
    hit.begin(Kind.PARTITION, "audit")
    hit.begin(Kind.ERROR, "policy")
    assert _full(audit)
    assert policy.admit_now(ACCESS) is None
    for name in list(hit.plan.active):
        hit.plan.end(name, "stopped")
    assert not _full(audit)
    await audit.room()
    assert (await policy.admit(ACCESS)).allow


async def test_a_slow_audit_record_is_waited_for_once() -> None:
    """Who has waited goes on, though the fault hits everything."""
    hit = Hit()
    audit = ChaosAudit(ListAudit(), hit.seam("audit"))
    hit.begin(Kind.LATENCY, "audit")

    async def wait() -> str:
        while audit.full:
            await audit.room()
        return "written"

    async with Background() as background:
        waiting = background.run(wait())
        await hit.advance(0.4)
        assert not waiting.done()
        await hit.advance(0.1)
        assert await waiting == "written"
        assert audit.full  # the next one waits as well


def _full(audit: ChaosAudit) -> bool:
    return audit.full


class Kept:
    """A store that ends what is submitted when it is told to."""

    def __init__(self) -> None:
        self.full = False
        self.submitted: list[tuple[Change, ...]] = []
        self.waiting: list[Done] = []
        self.calls: list[str] = []

    def submit(self, changes: Sequence[Change], done: Done) -> None:
        """Take it."""
        self.submitted.append(tuple(changes))
        self.waiting.append(done)

    def commit(self, error: Exception | None = None) -> None:
        """End everything, in order."""
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(error)

    def __getattr__(self, name: str) -> Any:
        async def called(*arguments: object) -> tuple[object, ...]:
            self.calls.append(name)
            return arguments

        return called

    def health(self) -> tuple[bool, str]:
        """Be well."""
        return True, "well"

    def stats(self) -> StoreStats:
        """Count nothing."""
        return StoreStats()


def chaos_store(hit: Hit) -> tuple[ChaosStore, Kept]:
    """Return a store with a seam, and the one inside."""
    inner = Kept()
    store: Any = inner
    return ChaosStore(store, hit.seam("store"), hit.clock), inner


def submit(store: ChaosStore, told: list[Any], *names: str) -> None:
    """Submit something for each name; how it ended is added to `told`."""
    for name in names:

        def done(error: Exception | None, name: str = name) -> None:
            told.append(name if error is None else f"{name}: {error}")

        store.submit(CHANGES, done)


async def test_a_store_without_a_fault_is_as_ever() -> None:
    """What is asked is handed on, and what is answered comes back."""
    store, inner = chaos_store(Hit())
    told: list[Any] = []
    submit(store, told, "a", "b")
    inner.commit()
    assert (told, inner.submitted) == (["a", "b"], [CHANGES, CHANGES])
    bounds = Bounds(1, 1, 0, settled_only=True)
    read: list[object] = [
        await store.deliveries(1, 2, 3),
        await store.entries(4, 5, 6),
    ]
    assert read == [(1, 2, 3), (4, 5, 6)]
    for ended in (
        store.trim(1, bounds),
        store.due(1, 2),
        store.next_due_ns(),
        store.at(1, 2),
        store.letters(1, 2),
        store.open(),
        store.reopen(),
        store.close(),
    ):
        await ended
    assert {*inner.calls} >= {"trim", "due", "next_due_ns", "at", "letters", "open"}
    assert store.health() == (True, "well")
    assert store.stats() == StoreStats()
    inner.full = True
    assert store.full
    await store.room()
    assert inner.calls[-1] == "room"


async def test_a_store_that_fails_keeps_nothing_and_says_so_in_order() -> None:
    """A refused submission takes its place among the others, empty."""
    hit = Hit()
    store, inner = chaos_store(hit)
    told: list[Any] = []
    submit(store, told, "a")
    hit.begin(Kind.PARTITION, "store")
    submit(store, told, "b")
    hit.plan.end("partition", "stopped")
    submit(store, told, "c")
    inner.commit()
    assert told == ["a", "b: injected partition partition: drill", "c"]
    assert inner.submitted == [CHANGES, (), CHANGES]


async def test_what_fails_by_itself_fails_as_it_does() -> None:
    """A fault does not hide another one."""
    hit = Hit()
    store, inner = chaos_store(hit)
    hit.begin(Kind.PARTITION, "store")
    told: list[Any] = []
    submit(store, told, "a")
    inner.commit(StoreUnavailableError("disk full"))
    assert told == ["a: disk full"]


async def test_a_slow_store_tells_late_and_in_order() -> None:
    """What comes after a late ending waits for it."""
    hit = Hit()
    store, inner = chaos_store(hit)
    told: list[Any] = []
    hit.begin(Kind.LATENCY, "store")
    submit(store, told, "a", "b")
    hit.plan.end("latency", "stopped")
    submit(store, told, "c")
    inner.commit()
    submit(store, told, "d")
    inner.commit()
    await hit.advance(0.4)
    assert told == []
    await hit.advance(0.1)
    assert told == ["a", "b", "c", "d"]
    submit(store, told, "e")
    inner.commit()
    assert told[-1] == "e"


async def test_a_store_that_closes_tells_everybody() -> None:
    """Nobody is left waiting for a late ending."""
    hit = Hit()
    store, inner = chaos_store(hit)
    told: list[Any] = []
    hit.begin(Kind.LATENCY, "store")
    submit(store, told, "a")
    inner.commit()
    await store.close()
    assert told == ["a"]
    await hit.advance(1)
    assert told == ["a"]


async def test_late_endings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound publishers wait."""
    monkeypatch.setattr("bus.chaos.keeper.CHAOS_DRAWN_MAX", 1)
    hit = Hit()
    store, inner = chaos_store(hit)
    hit.begin(Kind.LATENCY, "store")
    submit(store, [], "a")
    inner.commit()
    assert store.full
    async with Background() as background:
        room = background.run(store.room())
        await hit.advance(0.3)
        assert not room.done()
        await hit.advance(0.5)
        await room
    assert not store.full


async def test_reading_a_store_is_hit_too() -> None:
    """Every way of reading, and cutting."""
    hit = Hit()
    store, inner = chaos_store(hit)
    hit.begin(Kind.ERROR, "store")
    bounds = Bounds(1, 1, 0, settled_only=False)
    for asked in (
        store.trim(1, bounds),
        store.deliveries(1, 2, 3),
        store.due(1, 2),
        store.next_due_ns(),
        store.entries(1, 2, 3),
        store.at(1, 2),
        store.letters(1, 2),
    ):
        with pytest.raises(StoreUnavailableError, match="injected error"):
            await asked
    assert inner.calls == []


async def test_what_hangs_fails_at_the_deadline_of_who_asks() -> None:
    """Each component as it fails when it is too late; nothing is refused before."""
    hit = Hit()
    policy = ChaosAuthorizer(Ruling(), hit.seam("policy"))
    audit = ChaosAudit(ListAudit(), hit.seam("audit"))
    store, inner = chaos_store(hit)
    for component in ("policy", "audit", "store"):
        hit.begin(Kind.TIMEOUT, component, name=component)
    told: list[Any] = []
    assert policy.decide_now("publish", message()) is None
    assert audit.full
    submit(store, told, "a")
    inner.commit()
    async with Background() as background:
        calls = [
            background.run(policy.decide("publish", message())),
            background.run(audit.room()),
            background.run(store.deliveries(1, 2, 3)),
        ]
        await hit.advance(DEADLINE_S - 0.1)
        assert not any(call.done() for call in calls)
        assert told == []
        await hit.advance(0.6)
        kinds = [type(await call) for call in calls]
    assert kinds == [PolicyUnavailableError, AuditStalledError, StoreUnavailableError]
    assert told == ["a: injected time-out store: drill"]
    assert (inner.submitted, inner.calls) == ([()], [])


async def test_what_hangs_is_lost_when_the_fault_ends() -> None:
    """Soon after it does; what came later, and was not hit, had to wait for it."""
    hit = Hit()
    policy = ChaosAuthorizer(Ruling(), hit.seam("policy"))
    store, inner = chaos_store(hit)
    hit.begin(Kind.TIMEOUT, "policy", name="p")
    hit.begin(Kind.TIMEOUT, "store", name="s")
    told: list[Any] = []
    submit(store, told, "a")
    inner.commit()
    async with Background() as background:
        waits = background.run(policy.decide("publish", message()))
        await hit.advance(0.1)
        for name in ("p", "s"):
            hit.plan.end(name, "stopped")
        store_again = ("b", "c")
        submit(store, told, *store_again)
        await hit.advance(0.2)
        assert isinstance(await waits, PolicyUnavailableError)
    inner.commit()
    assert told == ["a: injected time-out s: drill", "b", "c"]


async def test_who_is_cancelled_while_it_hangs_leaves_no_timer() -> None:
    """Its own deadline may be shorter."""
    hit = Hit()
    policy = ChaosAuthorizer(Ruling(), hit.seam("policy"))
    hit.begin(Kind.TIMEOUT, "policy")
    async with Background() as background:
        waits = background.run(policy.decide("publish", message()))
        await settle()
        waits.cancel()
    assert waits.cancelled()
    assert not hit.clock.step(hit.clock.now_ns() + 10**12)


def _state(breaker: Breaker) -> State:
    return breaker.state
