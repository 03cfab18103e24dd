"""What was seen to go wrong in the system this one replaces, each with its test."""

import asyncio
from collections.abc import Awaitable

import pytest

from bus.core import breaker
from bus.core.recovering import Event, Kind, State
from bus.recovery import HealthBoard, Part
from bus.recovery.adapters import telling
from tests.fakes.recoveries import Fragile, MovedClock, Rig, care, rest

OPEN, CLOSED = breaker.State.OPEN, breaker.State.CLOSED


async def test_seen_recovery_runs_no_action() -> None:
    """There it reported success and called nothing; here the part is mended."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care())
        part.breaks()
        await rig.clock.pass_time(1)
        assert part.count("recover") == 1
        assert part.wrong is None
        assert rig.state() is State.SUCCEEDED


async def test_seen_manual_recovery_succeeds_by_itself() -> None:
    """Here it waits for an operator, for hours, also where the part turns well."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care(policy={"strategy": "manual"}))
        part.breaks()
        await rig.clock.pass_time(6 * 3600)
        part.wrong = None
        await rig.clock.pass_time(3600)
        assert rig.states() == [State.AWAITING_MANUAL]
        assert part.count("recover") == 0
        rig.orchestrator.approve("part", by="ada")
        await rest()
        assert rig.state() is State.SUCCEEDED
        assert part.count("recover") == 1


async def test_seen_async_check_counts_as_success_because_a_coroutine_is_truthy() -> (
    None
):
    """Here it is awaited, and what it raises is what counts."""
    part = Fragile()
    part.breaks("a coroutine is no verdict")
    async with Rig() as rig:
        rig.put(part, care())
        await rig.clock.pass_time(0)
        assert rig.told[0].detail == "OSError: a coroutine is no verdict"


class _Careless(Fragile):
    """Returns the coroutine of the real check instead of awaiting it."""

    async def _real(self) -> None:
        raise OSError("never awaited")

    async def check(self) -> Awaitable[None]:  # type: ignore[override] # the mistake
        """Forget an await."""
        return self._real()


async def test_seen_a_check_that_forgets_an_await_is_no_health() -> None:
    """A returned coroutine is not awaited late and not taken for True: it has failed."""
    part = _Careless()
    async with Rig() as rig:
        rig.put(part, care())
        await rig.clock.pass_time(0)
        assert "check returned coroutine" in rig.told[0].detail


class _Verdict(Fragile):
    """Says by its return value what it should raise."""

    async def check(self) -> bool:  # type: ignore[override] # the mistake
        """Return a verdict."""
        return False


async def test_seen_a_verdict_that_is_returned_is_no_health() -> None:
    """Neither False nor True says anything."""
    async with Rig() as rig:
        rig.put(_Verdict(), care())
        await rig.clock.pass_time(0)
        assert "check returned bool; it says what is wrong by raising" in (
            rig.told[0].detail
        )


class _Plain(Fragile):
    """Is no coroutine at all."""

    def check(self) -> None:  # type: ignore[override] # the mistake
        """Return at once."""


async def test_seen_a_check_that_cannot_be_awaited_is_no_health() -> None:
    """A plain function in its place is a fault, not a pass."""
    async with Rig() as rig:
        rig.put(_Plain(), care())
        await rig.clock.pass_time(0)
        assert rig.state() is State.SCHEDULED


async def test_seen_an_awaitable_health_input_is_no_health() -> None:
    """The same mistake in an input of the health score."""

    async def check() -> tuple[bool, str]:
        return True, "fine"

    board = HealthBoard(
        MovedClock(),
        tuple,
        essential={"store": check},  # type: ignore[dict-item] # the mistake
        telling={},
    )
    ok, text = board.ready()
    assert not ok
    assert text.startswith("critical, score 1.00; store: TypeError")
    part = Part(
        "p",
        Kind.STORE,
        action="a",
        check=telling(lambda: (check(), "x")),  # type: ignore[arg-type,return-value] # the mistake
        act=rest,
    )
    async with Rig() as rig:
        rig.put(part, care())
        with pytest.warns(RuntimeWarning, match="never awaited"):
            await rig.clock.pass_time(0)
        assert rig.state("p") is State.SCHEDULED


async def test_seen_a_task_that_is_not_due_blocks_those_that_are() -> None:
    """There the head of one queue; here a heap by time."""
    late, soon = Fragile("late"), Fragile("soon")
    async with Rig() as rig:
        slow = {"initial_ms": 60_000}
        rig.put(late, care(priority=3, policy=slow))
        rig.put(soon, care(priority=0))
        rig.orchestrator.report("late", OSError())
        rig.orchestrator.report("soon", OSError())
        await rig.clock.pass_time(1)
        assert rig.state("late") is State.SCHEDULED
        assert rig.state("soon") is State.SUCCEEDED
        await rig.clock.pass_time(59)
        assert rig.state("late") is State.SUCCEEDED


async def test_seen_what_is_due_at_once_goes_by_priority() -> None:
    """Priorities were kept there and never looked at."""
    log: list[str] = []
    async with Rig() as rig:
        for name, priority in (("low", 0), ("high", 3), ("normal", 1)):
            part = Fragile(name)
            part.log = log
            rig.put(part, care(priority=priority, check_s=600.0))
            rig.orchestrator.report(name, OSError())
        log.clear()
        await rig.clock.pass_time(1)
    acted = [call for call in log if call.startswith("recover")]
    assert acted == ["recover high", "recover normal", "recover low"]


async def test_seen_breakers_never_open_on_async_failures() -> None:
    """Here every awaited check and action that raises counts."""
    part = Fragile(kind=Kind.POLICY)
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(part, care(failures_max=3, reset_s=15.0))
        part.breaks()
        await rig.clock.pass_time(1)
        assert rig.orchestrator.breakers() == (CLOSED,)  # the check, one attempt
        await rig.clock.pass_time(2)
        assert rig.orchestrator.breakers() == (OPEN,)
        assert rig.told[-1].delay_ms == 15_000
        assert rig.told[-1].breaker is OPEN


async def test_seen_half_open_lets_everything_through() -> None:
    """Here one probe, then nothing for another reset time."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(
            part,
            care(failures_max=2, reset_s=15.0, policy={"strategy": "immediate"}),
        )
        part.breaks()
        await rig.clock.pass_time(0)
        assert rig.orchestrator.breakers() == (OPEN,)
        assert part.calls == ["check", "recover"]
        await rig.clock.pass_time(14.9)
        assert part.calls == ["check", "recover"]
        part.recover_gate.clear()
        await rig.clock.pass_time(0.1)
        assert rig.orchestrator.breakers() == (breaker.State.HALF_OPEN,)
        await rig.clock.pass_time(30)
        assert part.count("recover") == 2
        part.recover_gate.set()
        await rest()
        assert rig.orchestrator.breakers() == (OPEN,)
        await rig.clock.pass_time(14.9)
        assert part.count("recover") == 2


async def test_seen_a_probe_that_succeeds_closes_the_breaker() -> None:
    """The other end of half open."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(part, care(failures_max=2, reset_s=15.0))
        part.breaks()
        await rig.clock.pass_time(1)
        assert rig.orchestrator.breakers() == (OPEN,)
        part.stuck = None
        await rig.clock.pass_time(15)
        assert rig.orchestrator.breakers() == (CLOSED,)
        assert rig.state() is State.SUCCEEDED


async def test_seen_one_slow_check_holds_up_all_the_others() -> None:
    """There checks ran one after the other; here each is on its own."""
    slow, quick = Fragile("slow"), Fragile("quick")
    slow.check_gate.clear()
    async with Rig() as rig:
        rig.put(slow, care(priority=3))
        rig.put(quick, care())
        quick.breaks()
        await rig.clock.pass_time(1)
        assert slow.calls == ["check"]
        assert rig.state("quick") is State.SUCCEEDED


async def test_seen_a_hanging_check_is_waited_for_for_ever() -> None:
    """Here it has a time limit, and passing it is a failure."""
    part = Fragile()
    part.check_gate.clear()
    async with Rig() as rig:
        rig.put(part, care(check_wait_s=5.0))
        await rig.clock.pass_time(4.9)
        assert rig.told == []
        await rig.clock.pass_time(0.1)
        assert rig.told[0].event is Event.SCHEDULE
        assert rig.told[0].detail == "check: not ended in 5 s"
        assert part.ended == ["check"]


async def test_seen_a_recovery_that_was_cancelled_goes_on() -> None:
    """Here its task is cancelled with it."""
    part = Fragile()
    part.recover_gate.clear()
    async with Rig() as rig:
        rig.put(part, care())
        part.breaks()
        await rig.clock.pass_time(1)
        assert rig.state() is State.IN_PROGRESS
        rig.orchestrator.cancel("part", by="ada")
        assert rig.state() is State.CANCELLED
        await asyncio.sleep(0)
        await rest()
        assert part.ended == ["recover"]
        assert rig.tasks == set()
