"""A fault begins only when it may, is told, and always ends."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bus.core.decision import Decision
from bus.core.errors import DeniedError, LimitExceededError
from bus.core.faults import Asked, ChaosRefusedError, Kind
from bus.ports import Access
from tests.fakes.buses import Background
from tests.fakes.chaos import Broken, Weights, fault

PARTITION = fault(Kind.PARTITION)


@pytest.fixture
def broken() -> Broken:
    """An injector that may do anything."""
    return Broken().attach()


async def test_a_fault_is_allowed_told_and_ended(broken: Broken) -> None:
    """Policy is asked about component and kind; the record has both ends and the hits."""
    injector = broken.injector
    begun = await injector.start(PARTITION)
    assert broken.asked == [Access("chaos", "op", "acme", "policy.partition")]
    assert injector.plan.strike("policy", broken.true.now_ns()) is not None
    await broken.advance(9.9)
    assert begun.ended == ""
    await broken.advance(0.1)
    assert begun.ended == "its time is over"
    assert injector.plan.strike("policy", broken.true.now_ns()) is None
    assert broken.notes == [
        "chaos: begins f1 policy.partition: all of it, for 10 s, by op: drill",
        "chaos: ends f1 policy.partition: its time is over; hit 1 of 1, took 0",
    ]
    assert broken.true.next_due_ns() is None  # nothing goes on


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (fault(Kind.ERROR, share=0.5), "0.5 of questions, seed 138519019680"),
        (fault(Kind.LATENCY, share=0.5, seed=9), "0.5 s for 0.5 of questions, seed 9"),
        (fault(Kind.CLOCK, "clock", jump_s=-60), "-60 s, for 10 s"),
        (fault(Kind.MEMORY, "memory"), "10, for 10 s"),
    ],
)
async def test_the_record_says_how_much(broken: Broken, what: Asked, told: str) -> None:
    """Enough to do the same again: the seed, too."""
    begun = await broken.injector.start(what)
    assert told in broken.notes[0]
    assert str(begun.seed) in broken.notes[0] or "seed" not in broken.notes[0]
    broken.injector.stop_all()


async def test_what_policy_denies_does_not_begin(broken: Broken) -> None:
    """Nothing is recorded here: who denies has recorded it."""

    def no(_: Access) -> Decision:
        raise DeniedError(("not you",), decision_id="d", revision="r1")

    broken.admit = no
    with pytest.raises(DeniedError, match="not you"):
        await broken.injector.start(PARTITION)
    assert (broken.notes, broken.injector.plan.active) == ([], {})
    assert broken.true.next_due_ns() is None


async def test_what_may_not_be_is_refused_before_policy_is_asked(
    broken: Broken,
) -> None:
    """And again after, for what others have begun meanwhile."""
    with pytest.raises(LimitExceededError):
        await broken.injector.start(fault(Kind.PARTITION, seconds=61))
    assert broken.asked == []

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(broken.injector.start(PARTITION))

    with pytest.raises(ExceptionGroup) as told:
        await both()
    assert isinstance(told.value.exceptions[0], ChaosRefusedError)
    assert len(broken.asked) == 2
    assert [note[:11] for note in broken.notes] == ["chaos: begi"]
    broken.injector.stop_all()


async def test_nothing_begins_before_it_is_attached() -> None:
    """A bus that is not there cannot be broken."""
    with pytest.raises(ChaosRefusedError, match="not ready"):
        await Broken().injector.start(PARTITION)


async def test_a_stop_ends_one_and_asks_nobody(broken: Broken) -> None:
    """The others go on; what is not on is refused by name."""
    injector = broken.injector
    await injector.start(PARTITION)
    await injector.start(fault(Kind.PARTITION, "store"))
    asked = len(broken.asked)
    (ended,) = injector.stop("f1")
    assert (ended.id, ended.ended) == ("f1", "stopped")
    assert list(injector.plan.active) == ["f2"]
    with pytest.raises(ChaosRefusedError, match="no fault 'f1' is on; there are: f2"):
        injector.stop("f1")
    assert len(broken.asked) == asked
    injector.stop_all()
    with pytest.raises(ChaosRefusedError, match="there are: none"):
        injector.stop("f2")


async def test_a_stop_of_everything_leaves_nothing(broken: Broken) -> None:
    """No fault, no timer, nothing taken; and it may be said again."""
    injector = broken.injector
    for what in (PARTITION, fault(Kind.CLOCK, "clock"), fault(Kind.MEMORY, "memory")):
        await injector.start(what)
    assert {one.id for one in injector.stop_all("enough")} == {"f1", "f2", "f3"}
    assert injector.plan.active == {}
    assert injector.clock.now_ns() == broken.true.now_ns()
    assert (broken.weights.held, broken.weights.given_back) == (0, 10)
    assert broken.true.next_due_ns() is None
    assert injector.stop_all() == []
    assert sum("enough" in note for note in broken.notes) == 3


def _fails() -> str:
    raise RuntimeError("who knows")


@pytest.mark.parametrize(
    ("critical", "told"),
    [
        (lambda: "health is critical: audit", "stopped because health is critical"),
        (_fails, "stopped because health cannot be told"),
    ],
)
async def test_critical_health_ends_everything(
    broken: Broken, critical: Callable[[], str], told: str
) -> None:
    """By itself, and nothing begins while it lasts."""
    injector = broken.injector
    begun = [await injector.start(PARTITION), await injector.start(fault(Kind.LATENCY))]
    await broken.advance(1)
    assert len(injector.plan.active) == 2
    broken.critical = critical
    await broken.advance(0.25)
    assert injector.plan.active == {}
    assert all(told in one.ended for one in begun)
    with pytest.raises(ChaosRefusedError, match="nothing is injected while health"):
        await injector.start(PARTITION)
    assert broken.true.next_due_ns() is None


async def test_a_fault_whose_timer_is_late_is_ended_all_the_same(
    broken: Broken,
) -> None:
    """Each look at health looks at the time as well."""
    begun = await broken.injector.start(PARTITION)
    broken.injector._timers["f1"].cancel()  # noqa: SLF001 - a timer that never comes
    await broken.advance(10.3)
    assert begun.ended == "its time is over"


async def test_the_clock_jumps_and_jumps_back(broken: Broken) -> None:
    """The time of day only; what waits waits as long as ever."""
    clock, true = broken.injector.clock, broken.true
    assert clock.now_ns() == true.now_ns()
    await broken.injector.start(fault(Kind.CLOCK, "clock", jump_s=-3600))
    assert clock.now_ns() == true.now_ns() - 3600 * 10**9
    called: list[bool] = []
    clock.call_after(1, lambda: called.append(True))
    await broken.advance(1)
    assert called == [True]
    await broken.advance(9)
    assert clock.now_ns() == true.now_ns()


async def test_a_breaker_is_held_open(broken: Broken) -> None:
    """It is tripped at once, and again whenever it is looked at, until it is over."""
    begun = await broken.injector.start(fault(Kind.BREAKER, seconds=1))
    assert len(broken.trips) == 1
    await broken.advance(5)
    assert begun.hits == len(broken.trips) == 4  # at 0, 0.25, 0.5 and 0.75 s
    assert begun.ended


async def test_a_breaker_that_is_gone_ends_its_fault_only(broken: Broken) -> None:
    """Its component may be supervised no longer; the other faults go on."""
    begun = await broken.injector.start(fault(Kind.BREAKER))
    other = await broken.injector.start(fault(Kind.PARTITION, "store"))
    broken.fault = KeyError("policy")
    await broken.advance(1)
    assert "cannot be held open: KeyError('policy')" in begun.ended
    assert other.ended == ""
    await broken.advance(9)
    assert other.ended == "its time is over"


async def test_a_resource_is_taken_and_given_back(broken: Broken) -> None:
    """As much as was got is told."""
    begun = await broken.injector.start(fault(Kind.MEMORY, "memory"))
    assert begun.amount == broken.weights.held == 10
    await broken.advance(10)
    assert (broken.weights.held, broken.weights.given_back) == (0, 10)
    assert "took 10" in broken.notes[-1]


async def test_no_more_of_a_resource_than_the_blast_radius_is_taken() -> None:
    """Of what is free."""
    broken = Broken(radius=0.5).attach()
    with pytest.raises(LimitExceededError, match=r"memory .* 51 > 50"):
        await broken.injector.start(fault(Kind.MEMORY, "memory", amount=51))
    await broken.injector.start(fault(Kind.MEMORY, "memory", amount=50))
    broken.injector.stop_all()


async def test_what_cannot_begin_has_ended(broken: Broken) -> None:
    """The record says so, and nothing is left on."""
    broken.weights.fault = RuntimeError("can't start new thread")
    with pytest.raises(RuntimeError):
        await broken.injector.start(fault(Kind.MEMORY, "memory"))
    assert broken.injector.plan.active == {}
    assert "it could not begin" in broken.notes[-1]


class Slow(Weights):
    """Ballast that is being taken until the test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.gate = threading.Event(), threading.Event()

    def take(self, amount: int) -> int:
        """Take it once the gate is open."""
        self.begun.set()
        assert self.gate.wait(10)
        return super().take(amount)


@pytest.mark.parametrize("gone", [True, False])
async def test_it_ends_while_it_begins(broken: Broken, gone: bool) -> None:  # noqa: FBT001 - a case
    """Whether somebody stops it, or who ordered it goes away."""
    slow = Slow()
    broken.weights = slow
    async with Background() as background:
        work: Any = broken.injector.start(fault(Kind.MEMORY, "memory"))
        ordered = background.run(work)
        await asyncio.to_thread(slow.begun.wait, 10)
        if gone:
            ordered.cancel()
            await asyncio.wait([ordered])
        else:
            broken.injector.stop_all()
        slow.gate.set()
        await asyncio.wait([ordered])
    assert broken.injector.plan.active == {}
    assert "ends f1 memory.memory" in broken.notes[-1]


async def test_the_record_of_a_fault_is_bounded(broken: Broken) -> None:
    """However long its reason is."""
    await broken.injector.start(fault(Kind.PARTITION, reason="x" * 500))
    assert len(broken.notes[0]) == len("chaos: ") + 500
    broken.injector.stop_all()
