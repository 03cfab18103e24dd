"""Whatever happens in whatever order, the orchestrator keeps to its table."""

import asyncio
import contextlib
import random
from itertools import pairwise

import pytest

from bus.core.recovering import TRANSITIONS, State
from bus.recovery import NotAwaitedError, Transition
from tests.fakes.recoveries import Fragile, Rig, care

SEEDS = 60
STEPS = 120
STRATEGIES = ("exponential", "linear", "immediate", "manual")


class _Watched(Fragile):
    """Sees whether a method of it is called while it is under way."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.active: set[str] = set()
        self.overlaps: list[str] = []

    async def _call(self, what: str, gate: asyncio.Event) -> None:
        if what in self.active:
            self.overlaps.append(what)
        self.active.add(what)
        try:
            await super()._call(what, gate)
        finally:
            self.active.discard(what)


async def _scenario(seed: int) -> list[Transition]:
    """Do whatever `seed` says, then let every cause go, and wait."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    parts = [_Watched(f"p{number}") for number in range(4)]
    async with Rig() as rig:
        rig.orchestrator._course._draw = chance.random  # noqa: SLF001 - the same seed
        for part in parts:
            policy = {"strategy": chance.choice(STRATEGIES), "jitter": True}
            policy["attempts"] = chance.randint(1, 5)
            rig.put(part, care(failures_max=chance.randint(1, 5), policy=policy))
        try:
            for _ in range(STEPS):
                await _step(rig, chance.choice(parts), chance)
        finally:  # also where that failed: nothing may hold up the end of the loop
            for part in parts:
                _mend(part)
        await _end_well(rig, parts)
    return rig.told


async def _end_well(rig: Rig, parts: list[_Watched]) -> None:
    for part in parts:
        rig.orchestrator.report(part.name, OSError("the last one"))
    await rig.clock.pass_time(70)
    for part in parts:
        if rig.state(part.name) in (State.AWAITING_MANUAL, State.CANCELLED):
            rig.orchestrator.approve(part.name)
    await rig.clock.pass_time(300)
    assert [s.state for s in rig.orchestrator.status()] == [State.IDLE] * 4
    assert rig.orchestrator.health()[0]
    assert [part.overlaps for part in parts] == [[]] * 4


async def _step(rig: Rig, part: _Watched, chance: random.Random) -> None:
    match chance.randint(0, 3):
        case 0:
            _spoil(part, chance)
        case 1:
            _say(rig, part.name, chance)
        case 2:
            rig.clock.jump_ns = chance.randint(-(10**12), 10**12)
        case _:
            await rig.clock.pass_time(chance.random() * 40)


def _spoil(part: _Watched, chance: random.Random) -> None:
    match chance.randint(0, 5):
        case 0:
            part.breaks()
        case 1:
            part.stuck = OSError("stuck")
        case 2:
            part.mends = False
        case 3:
            chance.choice((part.check_gate, part.recover_gate)).clear()
        case 4:
            part.swallows = True
        case _:
            _mend(part)


def _say(rig: Rig, name: str, chance: random.Random) -> None:
    match chance.randint(0, 3):
        case 0:
            rig.orchestrator.report(name, OSError("reported"))
        case 1:
            rig.orchestrator.trip(name, OSError("tripped"))
        case order:
            give = rig.orchestrator.approve if order == 2 else rig.orchestrator.cancel
            with contextlib.suppress(NotAwaitedError):
                give(name)


def _mend(part: _Watched) -> None:
    part.wrong = part.stuck = None
    part.mends = True
    part.swallows = False
    part.check_gate.set()
    part.recover_gate.set()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_history_is_a_path_of_the_table_and_ends_well(seed: int) -> None:
    """No call overlaps another of its kind, and what can come back does."""
    told = asyncio.run(_scenario(seed))
    for step in told:
        assert TRANSITIONS[step.before, step.event] is step.after
    for name in {step.component for step in told}:
        steps = [step for step in told if step.component == name]
        assert steps[0].before is State.IDLE
        assert all(one.after is two.before for one, two in pairwise(steps))


def test_a_seed_tells_the_whole_history() -> None:
    """The same seed, the same steps at the same times."""
    assert asyncio.run(_scenario(7)) == asyncio.run(_scenario(7))
