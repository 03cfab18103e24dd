"""Health: the reference's formula, real inputs, a sample each second."""

import pytest

from bus.core import breaker
from bus.core.errors import LimitExceededError, UsageError
from bus.core.recovering import Standing
from bus.core.recoverylimits import HEALTH_INPUTS_MAX, HEALTH_SAMPLES_KEPT
from bus.recovery import HealthBoard, Input, Weight
from bus.recovery.health import Check
from tests.fakes.recoveries import START_NS, Fragile, MovedClock, Rig, care

CLOSED, OPEN = breaker.State.CLOSED, breaker.State.OPEN


def well() -> tuple[bool, str]:
    """Be well."""
    return True, "fine"


def unwell() -> tuple[bool, str]:
    """Be unwell."""
    return False, "disk full"


def broken() -> tuple[bool, str]:
    """Break."""
    raise OSError("no answer")


def board(
    *states: breaker.State,
    essential: dict[str, Check] | None = None,
    telling: dict[str, Check] | None = None,
) -> HealthBoard:
    """Return a board over these breakers."""
    return HealthBoard(
        MovedClock(),
        lambda: states,
        essential=essential or {},
        telling=telling or {},
    )


@pytest.mark.parametrize(
    ("states", "essential", "telling", "expected"),
    [
        ((CLOSED,), well, well, Standing.HEALTHY),
        ((), well, well, Standing.HEALTHY),
        ((CLOSED, OPEN), well, well, Standing.DEGRADED),
        ((CLOSED,), well, unwell, Standing.DEGRADED),
        ((CLOSED,), well, broken, Standing.DEGRADED),
        ((OPEN,), well, unwell, Standing.CRITICAL),
        ((CLOSED,), unwell, well, Standing.CRITICAL),
        ((CLOSED,), broken, unwell, Standing.CRITICAL),
    ],
)
def test_the_standing_is_the_scores_or_worse(
    states: tuple[breaker.State, ...],
    essential: Check,
    telling: Check,
    expected: Standing,
) -> None:
    """Inputs never make it better than the breakers say."""
    found = board(*states, essential={"store": essential}, telling={"lag": telling})
    assert found.now().standing is expected
    assert found.ready()[0] is (expected is not Standing.CRITICAL)


def test_a_health_says_which_inputs_are_not_well_and_why() -> None:
    """A check that breaks says what broke it."""
    found = board(
        CLOSED,
        OPEN,
        essential={"store": unwell, "audit": well},
        telling={"lag": broken},
    )
    health = found.now()
    assert (health.at_ns, health.score) == (START_NS, 0.5)
    assert health.unwell == (
        Input("store", ok=False, text="disk full", weight=Weight.ESSENTIAL),
        Input("lag", ok=False, text="OSError: no answer", weight=Weight.TELLING),
    )
    assert found.ready() == (
        False,
        "critical, score 0.50; store: disk full; lag: OSError: no answer",
    )


def test_truth_is_not_enough() -> None:
    """Only True is well: a count, a text or a mistake is not."""

    def truthy() -> tuple[bool, str]:
        return 1, "one"  # type: ignore[return-value] # the mistake

    assert board(essential={"store": truthy}).now().standing is Standing.CRITICAL


async def test_a_sample_is_taken_each_second_and_300_are_kept() -> None:
    """The oldest is forgotten; after the stop none is taken."""
    clock = MovedClock()
    found = HealthBoard(clock, tuple, essential={}, telling={})
    found.start()
    found.start()
    await clock.pass_time(2)
    times = [sample.at_ns for sample in found.samples()]
    assert times == [START_NS + n * 10**9 for n in range(3)]
    await clock.pass_time(400)
    assert len(found.samples()) == HEALTH_SAMPLES_KEPT == 300
    assert found.samples()[-1].at_ns == START_NS + 402 * 10**9
    found.stop()
    found.stop()
    await clock.pass_time(5)
    assert clock.waiting == 0
    assert found.samples()[-1].at_ns == START_NS + 402 * 10**9


async def test_the_score_is_that_of_the_orchestrators_breakers() -> None:
    """One of two open: half the whole works."""
    async with Rig() as rig:
        for name in ("a", "b"):
            rig.put(Fragile(name), care(failures_max=1))
        found = HealthBoard(
            rig.clock,
            rig.orchestrator.breakers,
            essential={},
            telling={"recovery": rig.orchestrator.health},
        )
        assert found.now().standing is Standing.HEALTHY
        rig.orchestrator.report("a", OSError("x"))
        assert found.ready() == (
            True,
            "degraded, score 0.50; recovery: a scheduled: OSError: x",
        )


def test_inputs_are_bounded_and_named_once() -> None:
    """What could not be told apart is refused."""
    with pytest.raises(UsageError, match="lag, store: essential, or telling"):
        board(
            essential={"store": well, "lag": well}, telling={"store": well, "lag": well}
        )
    many: dict[str, Check] = {str(n): well for n in range(HEALTH_INPUTS_MAX + 1)}
    with pytest.raises(LimitExceededError, match="health inputs"):
        board(telling=many)
