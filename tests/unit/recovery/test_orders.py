"""What an operator may order, and what a run does that does not end as it should."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from bus.core import breaker
from bus.core.recovering import Event, State
from bus.recovery import NotAwaitedError, UnknownComponentError
from tests.fakes.recoveries import Fragile, Rig, care, rest

MANUAL: dict[str, Any] = {"strategy": "manual"}
OPEN, CLOSED = breaker.State.OPEN, breaker.State.CLOSED


async def test_a_manual_attempt_that_fails_awaits_the_next_word() -> None:
    """Every attempt is approved; who did it is told."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(part, care(policy=MANUAL))
        rig.orchestrator.report("part", OSError("x"))
        for attempt in (1, 2, 3, 4, 5, 6):
            rig.orchestrator.approve("part", by="ada")
            await rest()
            assert rig.told[-3].by == "ada"
            assert rig.told[-1].event is Event.HOLD
            assert rig.told[-1].attempt == attempt
            assert part.count("recover") == attempt


async def test_an_approved_attempt_passes_an_open_breaker() -> None:
    """An operator knows that the cause is gone before any reset time says so."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(part, care(failures_max=1, reset_s=60.0, policy=MANUAL))
        rig.orchestrator.report("part", OSError("x"))
        assert rig.orchestrator.breakers() == (OPEN,)
        rig.orchestrator.approve("part")
        await rest()
        assert part.count("recover") == 1
        assert rig.orchestrator.breakers() == (OPEN,)
        part.stuck = None
        rig.orchestrator.approve("part")
        await rest()
        assert rig.state() is State.SUCCEEDED
        assert rig.orchestrator.breakers() == (CLOSED,)


async def test_what_failed_may_be_approved_and_begins_a_new_round() -> None:
    """All attempts are there again."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(part, care(failures_max=100, policy={"attempts": 2}))
        part.breaks()
        await rig.clock.pass_time(3)
        assert rig.state() is State.FAILED
        rig.orchestrator.approve("part")
        await rest()
        assert rig.told[-1].after is State.SCHEDULED
        assert rig.told[-1].attempt == 1
        await rig.clock.pass_time(2)
        assert rig.state() is State.FAILED
        assert part.count("recover") == 4


async def test_what_was_cancelled_is_left_alone_until_it_is_well() -> None:
    """It is looked at, its breaker opens, and nothing is done."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care(failures_max=3))
        part.breaks()
        await rig.clock.pass_time(0)
        rig.orchestrator.cancel("part", by="ada")
        assert rig.told[-1].by == "ada"
        rig.orchestrator.report("part", OSError("y"))
        await rig.clock.pass_time(300)
        assert rig.states() == [State.SCHEDULED, State.CANCELLED]
        assert part.count("recover") == 0
        assert rig.orchestrator.breakers() == (OPEN,)
        part.wrong = None
        await rig.clock.pass_time(60)
        assert rig.state() is State.IDLE
        assert rig.orchestrator.breakers() == (CLOSED,)


async def test_what_was_cancelled_may_be_approved() -> None:
    """Also while it is being looked at."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care())
        part.breaks()
        await rig.clock.pass_time(0)
        rig.orchestrator.cancel("part")
        part.check_gate.clear()
        await rig.clock.pass_time(5)
        rig.orchestrator.approve("part")
        part.check_gate.set()
        await rest()
        assert rig.state() is State.SUCCEEDED


async def test_what_awaits_or_failed_may_be_cancelled() -> None:
    """An operator may say that it is not to be brought back."""
    failing = Fragile("failing")
    failing.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(Fragile(), care(policy=MANUAL))
        rig.put(failing, care(policy={"attempts": 1}))
        for name in ("part", "failing"):
            rig.orchestrator.report(name, OSError("x"))
        await rig.clock.pass_time(1)
        for name in ("part", "failing"):
            rig.orchestrator.cancel(name)
            assert rig.state(name) is State.CANCELLED


async def test_an_order_that_nothing_waits_for_is_refused() -> None:
    """With what it is, so that the operator knows."""
    rig = Rig()
    async with rig:
        rig.put(Fragile(), care())
        with pytest.raises(NotAwaitedError, match=r"part is idle: .* to approve"):
            rig.orchestrator.approve("part")
        with pytest.raises(NotAwaitedError, match=r"part is idle: .* to cancel"):
            rig.orchestrator.cancel("part")
        with pytest.raises(UnknownComponentError):
            rig.orchestrator.approve("other")
        rig.orchestrator.report("part", OSError())
        with pytest.raises(NotAwaitedError, match="is scheduled"):
            rig.orchestrator.approve("part")
    with pytest.raises(NotAwaitedError, match="recovery is stopped"):
        rig.orchestrator.approve("part")


async def test_a_breaker_may_be_tripped() -> None:
    """Then it is as if the part had failed as often as that takes."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care(reset_s=30.0))
        part.check_gate.clear()
        await rig.clock.pass_time(0)
        rig.orchestrator.trip("part", OSError("injected"))
        part.check_gate.set()
        assert rig.orchestrator.breakers() == (OPEN,)
        assert rig.told[0].detail == "OSError: injected"
        assert rig.told[0].delay_ms == 30_000
        await rig.clock.pass_time(30)
        assert rig.state() is State.SUCCEEDED
        assert rig.orchestrator.breakers() == (CLOSED,)
        assert part.ended == ["check"]


async def test_a_breaker_may_be_tripped_in_any_state() -> None:
    """What is left alone stays so, what waits waits longer, what acts goes on."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care(reset_s=30.0))
        rig.orchestrator.report("part", OSError())
        rig.orchestrator.trip("part", OSError())
        await rig.clock.pass_time(29)
        assert rig.state() is State.SCHEDULED
        rig.orchestrator.cancel("part")
        rig.orchestrator.trip("part", OSError())
        await rig.clock.pass_time(60)
        assert rig.state() is State.IDLE
        rig.orchestrator.report("part", OSError())
        part.recover_gate.clear()
        await rig.clock.pass_time(1)
        rig.orchestrator.trip("part", OSError())
        part.recover_gate.set()
        await rest()
        assert rig.state() is State.SUCCEEDED
        assert rig.orchestrator.breakers() == (OPEN,)  # the attempt is of before


async def test_an_action_that_hangs_has_failed_and_is_tried_again() -> None:
    """Its time limit is its own, longer than a check's."""
    part = Fragile()
    part.recover_gate.clear()
    async with Rig() as rig:
        rig.put(part, care(act_wait_s=60.0))
        part.breaks()
        await rig.clock.pass_time(1 + 60)
        assert rig.told[-1].event is Event.SCHEDULE
        assert rig.told[-1].detail == "recover: not ended in 60 s"
        assert part.ended == ["recover"]
        part.recover_gate.set()
        await rig.clock.pass_time(2)
        assert rig.state() is State.SUCCEEDED


async def test_an_action_that_swallows_its_cancellation_is_not_run_twice_at_once() -> (
    None
):
    """The next attempt waits for it, within its own time limit, and says so."""
    part = Fragile()
    part.swallows = True
    part.recover_gate.clear()
    async with Rig() as rig:
        rig.put(part, care(failures_max=100, act_wait_s=10.0))
        part.breaks()
        await rig.clock.pass_time(1 + 10 + 2 + 10)
        assert part.count("recover") == 1
        assert "recover: not begun: the one before goes on in 10 s" in (
            rig.told[-1].detail
        )
        await rig.clock.pass_time(4)
        assert rig.state() is State.IN_PROGRESS
        part.recover_gate.set()
        await rest()
        assert part.count("recover") == 2
        assert rig.state() is State.SUCCEEDED
        assert rig.tasks == set()


async def test_a_check_that_swallows_its_cancellation_leaves_room_for_the_action() -> (
    None
):
    """The action may be what frees it; it is not acted on after it was given up."""
    part = Fragile()
    part.swallows = True
    part.check_gate.clear()
    async with Rig() as rig:
        rig.put(part, care(failures_max=100))
        await rig.clock.pass_time(5 + 1)
        assert part.calls == ["check", "recover"]
        part.check_gate.set()
        await rest()
        assert part.calls == ["check", "recover", "check"]
        assert rig.state() is State.SUCCEEDED


class _Stubborn(Fragile):
    """Its action takes a cancellation for an answer."""

    async def recover(self) -> None:
        """Return although it was cancelled."""
        try:
            await super().recover()
        except asyncio.CancelledError:
            self.calls.append("cancelled")


async def test_what_was_given_up_goes_no_further() -> None:
    """No check follows an action that was cancelled and returned all the same."""
    part = _Stubborn()
    part.recover_gate.clear()
    async with Rig() as rig:
        rig.put(part, care(check_s=600.0))
        rig.orchestrator.report("part", OSError())
        await rig.clock.pass_time(1)
        rig.orchestrator.cancel("part")
        await rest()
        assert part.calls[-2:] == ["recover", "cancelled"]
        assert rig.tasks == set()


class _Cancelling(Fragile):
    """Its check awaits something that somebody else cancelled."""

    async def check(self) -> None:
        """Raise a cancellation that is not its own."""
        raise asyncio.CancelledError


async def test_a_check_that_raises_a_cancellation_has_failed() -> None:
    """It does not end the supervision of the part."""
    async with Rig() as rig:
        rig.put(_Cancelling(), care())
        await rig.clock.pass_time(0)
        assert "check ended as cancelled, by nobody" in rig.told[0].detail


async def test_a_task_that_is_cancelled_from_outside_is_no_failure() -> None:
    """A check is made again later; an action is left, and looked at later."""
    part = Fragile()
    part.check_gate.clear()
    async with Rig() as rig:
        rig.put(part, care())
        await rig.clock.pass_time(0)
        await rig.end()
        assert rig.told == []
        await rig.clock.pass_time(5)
        assert part.calls == ["check", "check"]
        part.check_gate.set()
        part.recover_gate.clear()
        rig.orchestrator.report("part", OSError())
        await rig.clock.pass_time(1)
        await rig.end()
        assert rig.told[-1].after is State.CANCELLED
        assert rig.told[-1].detail == "its task was cancelled"
        await rig.clock.pass_time(5)
        assert rig.state() is State.IDLE


async def test_an_approved_task_that_is_cancelled_from_outside_teaches_nothing() -> (
    None
):
    """It had no ticket of the breaker to give back."""
    part = Fragile()
    part.recover_gate.clear()
    async with Rig() as rig:
        rig.put(part, care(failures_max=1, policy=MANUAL))
        rig.orchestrator.report("part", OSError())
        rig.orchestrator.approve("part")
        await rest()
        await rig.end()
        assert rig.state() is State.CANCELLED
        assert rig.orchestrator.breakers() == (OPEN,)


async def test_a_task_that_never_began_still_has_its_time_limit() -> None:
    """A task that is started too late finds that its run is over."""
    part, rig = Fragile(), Rig()
    kept: list[Coroutine[Any, Any, None]] = []
    rig.start_work = lambda work, _: kept.append(work)
    async with rig:
        rig.put(part, care())
        await rig.clock.pass_time(5)
        assert "check: not begun" in rig.told[0].detail
        await kept[0]
        assert part.calls == []
        rig.orchestrator.unregister("part")
        for work in kept[1:]:
            work.close()


class _UnprintableError(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise ValueError


async def test_an_error_that_cannot_be_printed_is_named() -> None:
    """What is wrong with a part may not harm who supervises it."""
    async with Rig() as rig:
        rig.put(Fragile(), care())
        rig.orchestrator.report("part", _UnprintableError())
        rig.put(Fragile("other"), care())
        rig.orchestrator.report("other", OSError())
        assert [t.detail for t in rig.told] == ["_UnprintableError", "OSError"]
