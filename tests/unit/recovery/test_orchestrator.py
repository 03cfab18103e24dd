"""The orchestrator finds what is unwell, brings it back, and says each step."""

import msgspec
import pytest

from bus.core import breaker
from bus.core.errors import LimitExceededError, UsageError
from bus.core.recovering import DEFAULTS, Event, Kind, State
from bus.core.recoverylimits import (
    RECOVERY_CHECKS_AT_ONCE,
    RECOVERY_COMPONENTS_MAX,
    RECOVERY_HISTORY_MAX,
)
from bus.recovery import Transition, UnknownComponentError
from tests.fakes.recoveries import START_NS, Fragile, Rig, care, rest

ROUND = [State.SCHEDULED, State.IN_PROGRESS]


async def test_a_check_that_raises_leads_to_a_recovery_that_is_checked() -> None:
    """Found by a check, acted on, checked again, and said step by step."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care())
        part.breaks()
        await rig.clock.pass_time(0)
        assert rig.states() == [State.SCHEDULED]
        await rig.clock.pass_time(1)
        assert rig.states() == [*ROUND, State.SUCCEEDED]
        assert part.calls == ["check", "recover", "check"]
        assert part.wrong is None


async def test_a_transition_says_what_why_when_and_how() -> None:
    """It is what operators read, and what is recorded."""
    part = Fragile("store", Kind.STORE)
    async with Rig() as rig:
        rig.put(part, care())
        await rig.clock.pass_time(2)
        rig.orchestrator.report("store", OSError("disk full"))
        await rig.clock.pass_time(1)
    first = Transition(
        at_ns=START_NS + 2 * 10**9,
        component="store",
        kind=Kind.STORE,
        before=State.IDLE,
        after=State.SCHEDULED,
        event=Event.SCHEDULE,
        attempt=0,
        attempts=5,
        breaker=breaker.State.CLOSED,
        delay_ms=1000,
        detail="OSError: disk full",
    )
    assert rig.told[0] == first
    _, begun, ended = rig.told
    assert (begun.event, begun.attempt, begun.detail) == (Event.BEGIN, 1, "mend")
    assert (ended.event, ended.attempt, ended.detail) == (Event.SUCCEED, 1, "mend")
    assert ended.at_ns == START_NS + 3 * 10**9


async def test_an_action_whose_check_fails_has_not_succeeded() -> None:
    """What the action says of itself counts for nothing."""
    part = Fragile()
    part.mends = False
    async with Rig() as rig:
        rig.put(part, care(failures_max=100))
        part.breaks()
        await rig.clock.pass_time(1)
        assert part.count("recover") == 1
        assert rig.states() == [*ROUND, State.SCHEDULED]


async def test_attempts_back_off_and_end() -> None:
    """1, 2, 4, 8, 16 s; then it has failed."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(part, care(failures_max=100))
        part.breaks()
        await rig.clock.pass_time(31)
        assert [t.delay_ms for t in rig.told if t.after is State.SCHEDULED] == [
            1000,
            2000,
            4000,
            8000,
            16000,
        ]
        assert part.count("recover") == 5
        assert rig.state() is State.FAILED
        assert rig.told[-1].event is Event.EXHAUST
        assert rig.told[-1].detail == "OSError: no"


async def test_full_jitter_is_drawn_for_every_wait() -> None:
    """Half of the wait where half is drawn."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig(draw=0.5) as rig:
        rig.put(part, care(failures_max=100, policy={"jitter": True}))
        part.breaks()
        await rig.clock.pass_time(20)
        waits = [t.delay_ms for t in rig.told if t.after is State.SCHEDULED]
        assert waits == [500, 1000, 2000, 4000, 8000]


async def test_what_failed_comes_back_when_its_cause_goes() -> None:
    """One attempt each reset time, without an operator."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(part, care(failures_max=100, policy={"attempts": 1}))
        part.breaks()
        await rig.clock.pass_time(1)
        assert rig.state() is State.FAILED
        await rig.clock.pass_time(29)
        assert part.count("recover") == 1
        await rig.clock.pass_time(1)
        assert part.count("recover") == 2
        assert rig.state() is State.FAILED
        part.stuck = None
        await rig.clock.pass_time(30)
        assert rig.state() is State.SUCCEEDED


async def test_what_failed_and_is_well_by_itself_is_not_acted_on() -> None:
    """A process that came back is not restarted for it."""
    part = Fragile()
    part.stuck = OSError("no")
    async with Rig() as rig:
        rig.put(part, care(failures_max=100, policy={"attempts": 1}))
        part.breaks()
        await rig.clock.pass_time(1)
        part.wrong = None
        await rig.clock.pass_time(30)
        assert part.count("recover") == 1
        assert rig.state() is State.SUCCEEDED
        assert rig.told[-1].detail == "well by itself"


async def test_what_recovered_is_watched_and_then_idle() -> None:
    """It settles once it was well for the reset time of its breaker."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care())
        part.breaks()
        await rig.clock.pass_time(1 + 29)
        assert rig.state() is State.SUCCEEDED
        await rig.clock.pass_time(5)
        assert rig.state() is State.IDLE
        (status,) = rig.orchestrator.status()
        assert (status.attempt, status.error) == (0, "")


async def test_what_fails_while_it_is_watched_continues_its_round() -> None:
    """A process that crashes after each restart is not restarted for ever."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care())
        for attempt in range(5):
            rig.orchestrator.report("part", OSError("crashed"))
            await rig.clock.pass_time(2**attempt)
            assert rig.state() is State.SUCCEEDED
        rig.orchestrator.report("part", OSError("crashed"))
        assert rig.state() is State.FAILED
        assert part.count("recover") == 5


async def test_a_report_is_acted_on_without_a_check() -> None:
    """The component knows better than a check that passes."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care(check_s=60.0))
        rig.orchestrator.report("part", OSError("fsync failed"))
        await rig.clock.pass_time(1)
        assert part.calls[-2:] == ["recover", "check"]


async def test_a_report_while_a_check_is_under_way_ends_the_check() -> None:
    """What that check would have said is of before."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care())
        part.check_gate.clear()
        await rig.clock.pass_time(0)
        rig.orchestrator.report("part", OSError("crashed"))
        await rest()
        assert part.ended == ["check"]
        part.check_gate.set()
        await rig.clock.pass_time(1)
        assert rig.states() == [*ROUND, State.SUCCEEDED]


async def test_a_report_of_what_is_known_is_no_news() -> None:
    """A thousand publishers who see the same fault do not open the breaker."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care())
        for _ in range(1000):
            rig.orchestrator.report("part", OSError("disk full"))
        assert rig.states() == [State.SCHEDULED]
        assert rig.orchestrator.breakers() == (breaker.State.CLOSED,)


async def test_checks_are_spread_and_then_periodic() -> None:
    """The first one is drawn, so that not all come at once."""
    part = Fragile()
    async with Rig(draw=0.5) as rig:
        rig.put(part, care(check_s=10.0))
        await rig.clock.pass_time(4.9)
        assert part.calls == []
        await rig.clock.pass_time(0.1)
        assert part.calls == ["check"]
        await rig.clock.pass_time(20)
        assert part.calls == ["check"] * 3


async def test_nothing_is_done_before_the_start_and_all_after_it() -> None:
    """What was reported before is brought back then."""
    part, rig = Fragile(), Rig()
    rig.put(part, care())
    rig.orchestrator.report("part", OSError("early"))
    await rig.clock.pass_time(10)
    assert part.calls == []
    async with rig:
        await rig.clock.pass_time(0)
        assert rig.states() == [*ROUND, State.SUCCEEDED]


async def test_the_same_draws_make_the_same_history() -> None:
    """Nothing depends on anything but time, draws and what components do."""
    histories = []
    for _ in range(2):
        async with Rig(draw=0.25) as rig:
            parts = [Fragile(f"part{n}") for n in range(40)]
            for number, part in enumerate(parts):
                rig.put(part, care(priority=number % 4, policy={"jitter": True}))
                part.breaks()
                part.mends = number % 3 != 0
            await rig.clock.pass_time(120)
        histories.append([msgspec.json.encode(step) for step in rig.told])
    assert histories[0] == histories[1]
    assert len(histories[0]) > 200


async def test_the_history_is_bounded_and_in_order() -> None:
    """The oldest is forgotten; all were told."""
    part = Fragile()
    async with Rig() as rig:
        quick = care(check_s=1.0, reset_s=1.0, policy={"strategy": "immediate"})
        rig.put(part, quick)
        rig.put(Fragile("other"), care(check_s=600.0))
        for _ in range(RECOVERY_HISTORY_MAX // 3):
            rig.orchestrator.report("part", OSError("again"))
            await rig.clock.pass_time(1.1)
        assert len(rig.told) > RECOVERY_HISTORY_MAX
        kept = rig.orchestrator.history()
        assert kept == tuple(rig.told[-RECOVERY_HISTORY_MAX:])
        assert rig.orchestrator.history("part") == kept
        assert rig.orchestrator.history("other") == ()


async def test_the_care_is_that_of_the_kind() -> None:
    """Unless another one is given."""
    async with Rig() as rig:
        rig.put(Fragile("a", Kind.AUDIT))
        rig.put(Fragile("b"), care(priority=9))
        found = {s.component: s.priority for s in rig.orchestrator.status()}
        assert found == {"a": DEFAULTS[Kind.AUDIT].priority, "b": 9}


async def test_status_says_where_everything_stands() -> None:
    """By name, with what it waits for."""
    async with Rig(draw=0.5) as rig:
        rig.put(Fragile("b"), care())
        rig.put(Fragile("a"), care(policy={"strategy": "manual"}))
        rig.orchestrator.report("b", OSError("x"))
        rig.orchestrator.report("a", OSError("y"))
        first, second = rig.orchestrator.status()
        assert (first.component, first.state, first.wait_ms, first.error) == (
            "a",
            State.AWAITING_MANUAL,
            -1,
            "OSError: y",
        )
        assert (second.component, second.wait_ms, second.attempts) == ("b", 1000, 5)
        ok, text = rig.orchestrator.health()
        assert not ok
        assert text == "a awaiting_manual: OSError: y; b scheduled: OSError: x"


async def test_health_says_that_nothing_waits() -> None:
    """Where all is well."""
    async with Rig() as rig:
        rig.put(Fragile(), care())
        assert rig.orchestrator.health() == (True, "1 components")


async def test_a_name_is_checked_and_taken_once() -> None:
    """It becomes part of a subject."""
    async with Rig() as rig:
        rig.put(Fragile())
        with pytest.raises(UsageError, match="supervised already"):
            rig.put(Fragile())
        with pytest.raises(UsageError, match=r"component 'a\.b'"):
            rig.put(Fragile("a.b"))
        with pytest.raises(UnknownComponentError, match="no component 'other'"):
            rig.orchestrator.report("other", OSError())
        with pytest.raises(UnknownComponentError):
            rig.orchestrator.unregister("other")


async def test_components_are_bounded() -> None:
    """One more is refused."""
    rig = Rig()
    for number in range(RECOVERY_COMPONENTS_MAX):
        rig.put(Fragile(f"c{number}"))
    with pytest.raises(LimitExceededError, match="supervised components"):
        rig.put(Fragile())


async def test_checks_at_once_are_bounded_and_go_by_priority() -> None:
    """The rest waits its turn."""
    log: list[str] = []
    count = RECOVERY_CHECKS_AT_ONCE
    async with Rig() as rig:
        parts = [Fragile(f"c{number}") for number in range(count)]
        for part in parts:
            part.check_gate.clear()
            rig.put(part, care())
        await rig.clock.pass_time(0)
        for name, priority in (("low", 0), ("high", 3)):
            part = Fragile(name)
            part.log = log
            rig.put(part, care(priority=priority))
        await rest()
        assert [part.calls for part in parts] == [["check"]] * count
        assert log == []
        parts[0].check_gate.set()
        await rest()
        assert log == ["check high", "check low"]


async def test_unregistering_ends_what_is_under_way() -> None:
    """And nothing is heard of it afterwards."""
    part, idle = Fragile(), Fragile("idle")
    part.recover_gate.clear()
    async with Rig() as rig:
        rig.put(part, care())
        rig.put(idle, care())
        part.breaks()
        await rig.clock.pass_time(1)
        assert rig.state() is State.IN_PROGRESS
        rig.orchestrator.unregister("part")
        rig.orchestrator.unregister("idle")
        assert rig.told[-1].after is State.CANCELLED
        assert rig.told[-1].detail == "unregistered"
        told, calls = len(rig.told), len(idle.calls)
        await rig.clock.pass_time(100)
        assert part.ended == ["recover"]
        assert (len(rig.told), len(idle.calls)) == (told, calls)
        assert rig.orchestrator.status() == ()


async def test_after_the_stop_nothing_happens() -> None:
    """What is planned or under way is cancelled, and nothing is taken up."""
    acting, waiting, idle = Fragile("acting"), Fragile("waiting"), Fragile("idle")
    acting.recover_gate.clear()
    async with Rig() as rig:
        for part in (acting, waiting, idle):
            rig.put(part, care())
        rig.orchestrator.report("acting", OSError())
        await rig.clock.pass_time(1)
        rig.orchestrator.report("waiting", OSError())
        rig.orchestrator.stop()
        rig.orchestrator.stop()
        assert [t.detail for t in rig.told[-2:]] == ["stopped"] * 2
        rig.orchestrator.report("idle", OSError())
        rig.orchestrator.trip("idle", OSError())
        with pytest.raises(UsageError, match="make another one"):
            rig.orchestrator.start()
        with pytest.raises(UsageError, match="make another one"):
            rig.put(Fragile("late"))
        told = len(rig.told)
        await rig.clock.pass_time(100)
        assert len(rig.told) == told
        assert acting.ended == ["recover"]


async def test_who_is_told_may_call_back() -> None:
    """Each step is told once, in order, also what the telling led to."""
    rig = Rig()

    def tell(step: Transition) -> None:
        rig.told.append(step)
        if step.component == "first" and step.after is State.SCHEDULED:
            rig.orchestrator.report("second", OSError("after the first"))

    rig.tell = tell
    async with rig:
        rig.put(Fragile("first"), care())
        rig.put(Fragile("second"), care())
        rig.orchestrator.report("first", OSError("x"))
        assert [t.component for t in rig.told] == ["first", "second"]
        await rig.clock.pass_time(1)
        assert rig.states("first") == rig.states("second") == [*ROUND, State.SUCCEEDED]


async def test_a_telling_that_fails_is_loud_and_loses_nothing_else() -> None:
    """What it was told of was done all the same."""
    rig = Rig()
    async with rig:
        rig.put(Fragile(), care())

        def tell(step: Transition) -> None:
            rig.told.append(step)
            raise ValueError(step.after.value)

        rig.tell = tell
        with pytest.raises(ExceptionGroup, match="could not be told") as caught:
            rig.orchestrator.report("part", OSError("x"))
        assert caught.group_contains(ValueError, match="scheduled")
        assert rig.states() == [State.SCHEDULED]
        rig.tell = rig.told.append
        await rig.clock.pass_time(1)
        assert rig.states() == [*ROUND, State.SUCCEEDED]


async def test_a_clock_that_is_set_back_delays_nothing() -> None:
    """An hour back is not an hour's wait."""
    part = Fragile()
    async with Rig() as rig:
        rig.put(part, care())
        await rig.clock.pass_time(1)
        rig.clock.jump_ns = -3_600 * 10**9
        part.breaks()
        await rig.clock.pass_time(6)
        assert rig.states() == [*ROUND, State.SUCCEEDED]
        rig.clock.jump_ns = -7_200 * 10**9
        rig.orchestrator.report("part", OSError("again"))
        await rig.clock.pass_time(2)
        assert rig.state() is State.SUCCEEDED
