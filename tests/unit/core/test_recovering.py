"""The recovery life cycle: its table, all outside it, the waits, and the defaults."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from bus.core import breaker, recovering
from bus.core.errors import IllegalTransitionError
from bus.core.recovering import (
    DEFAULTS,
    TRANSITIONS,
    Care,
    Event,
    Kind,
    Policy,
    Standing,
    State,
)

COMPLEMENT = sorted(set(itertools.product(State, Event)) - TRANSITIONS.keys(), key=str)
CLOSED, OPEN, HALF = breaker.State.CLOSED, breaker.State.OPEN, breaker.State.HALF_OPEN
TIMED = st.sampled_from(["exponential", "linear", "immediate"])
DRAWS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(("pair", "expected"), TRANSITIONS.items())
def test_what_is_in_the_table_is_done(
    pair: tuple[State, Event], expected: State
) -> None:
    """The code asks the table and nothing else."""
    assert recovering.advance(*pair) is expected


@pytest.mark.parametrize("pair", COMPLEMENT)
def test_what_is_not_in_the_table_is_refused(pair: tuple[State, Event]) -> None:
    """Every other pair raises and names the state and the event."""
    state, event = pair
    with pytest.raises(
        IllegalTransitionError, match=rf"^{event.name} in {state.name}$"
    ):
        recovering.advance(state, event)


def test_the_table_is_the_one_that_was_agreed() -> None:
    """A change of the life cycle is a change of this test."""
    active, awaited = State.IN_PROGRESS, State.AWAITING_MANUAL
    assert {
        (State.IDLE, Event.SCHEDULE): State.SCHEDULED,
        (State.IDLE, Event.HOLD): awaited,
        (State.SCHEDULED, Event.BEGIN): active,
        (State.SCHEDULED, Event.CANCEL): State.CANCELLED,
        (active, Event.SUCCEED): State.SUCCEEDED,
        (active, Event.SCHEDULE): State.SCHEDULED,
        (active, Event.HOLD): awaited,
        (active, Event.EXHAUST): State.FAILED,
        (active, Event.CANCEL): State.CANCELLED,
        (State.SUCCEEDED, Event.SETTLE): State.IDLE,
        (State.SUCCEEDED, Event.SCHEDULE): State.SCHEDULED,
        (State.SUCCEEDED, Event.HOLD): awaited,
        (State.SUCCEEDED, Event.EXHAUST): State.FAILED,
        (State.FAILED, Event.BEGIN): active,
        (State.FAILED, Event.APPROVE): State.SCHEDULED,
        (State.FAILED, Event.CANCEL): State.CANCELLED,
        (State.CANCELLED, Event.SETTLE): State.IDLE,
        (State.CANCELLED, Event.APPROVE): State.SCHEDULED,
        (awaited, Event.APPROVE): State.SCHEDULED,
        (awaited, Event.CANCEL): State.CANCELLED,
    } == TRANSITIONS


def test_no_state_is_a_dead_end_and_none_cannot_be_reached() -> None:
    """What failed or was cancelled can come back."""
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert set(TRANSITIONS.values()) == set(State)


def test_nothing_succeeds_that_was_not_in_progress() -> None:
    """There is one way to have succeeded: an attempt."""
    ways = [pair for pair, after in TRANSITIONS.items() if after is State.SUCCEEDED]
    assert ways == [(State.IN_PROGRESS, Event.SUCCEED)]


def test_what_awaits_an_operator_leaves_by_an_operators_word_only() -> None:
    """Neither time nor a check ends it."""
    events = {event for state, event in TRANSITIONS if state is State.AWAITING_MANUAL}
    assert events == {Event.APPROVE, Event.CANCEL}


def test_a_failure_is_followed_by_what_the_policy_says() -> None:
    """Another attempt while any is left; an operator where it is manual."""
    usual, manual = Policy(), Policy(strategy="manual")
    after = [recovering.after_failure(usual, attempt) for attempt in range(7)]
    assert after == [Event.SCHEDULE] * 5 + [Event.EXHAUST] * 2
    assert {recovering.after_failure(manual, n) for n in range(7)} == {Event.HOLD}


def test_exponential_waits_are_the_references() -> None:
    """1 s, doubling, up to 60 s."""
    policy = Policy(jitter=False)
    waits = [recovering.delay_ms(policy, n, 0.0) for n in range(1, 9)]
    assert waits == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]


def test_linear_waits_are_the_references() -> None:
    """1 s, 2 s, 3 s and so on, up to 60 s."""
    policy = Policy(strategy="linear", jitter=False)
    waits = [recovering.delay_ms(policy, n, 0.0) for n in (1, 2, 3, 59, 60, 61)]
    assert waits == [1000, 2000, 3000, 59000, 60000, 60000]


def test_immediate_does_not_wait() -> None:
    """Whatever is drawn."""
    policy = Policy(strategy="immediate")
    assert [recovering.delay_ms(policy, n, 0.999) for n in (1, 50)] == [0, 0]


def test_manual_has_no_wait() -> None:
    """It waits for a person."""
    with pytest.raises(ValueError, match="for an operator"):
        recovering.delay_ms(Policy(strategy="manual"), 1, 0.0)


@given(TIMED, st.integers(1, 1 << 70), DRAWS, st.floats(1, 10))
def test_full_jitter_stays_below_the_whole_wait(
    strategy: recovering.Strategy, attempt: int, draw: float, multiplier: float
) -> None:
    """From nothing up to the wait without jitter, and never past the maximum."""
    drawn = Policy(strategy=strategy, multiplier=multiplier)
    whole = Policy(strategy=strategy, multiplier=multiplier, jitter=False)
    most = recovering.delay_ms(whole, attempt, 0.0)
    assert 0 <= recovering.delay_ms(drawn, attempt, draw) <= most <= drawn.max_ms
    assert recovering.delay_ms(drawn, attempt, draw) < most or most == 0


def test_full_jitter_reaches_over_the_whole_wait() -> None:
    """It is spread from nothing to all, not around the middle."""
    policy = Policy()
    assert recovering.delay_ms(policy, 4, 0.0) == 0
    assert recovering.delay_ms(policy, 4, 0.5) == 4000
    assert recovering.delay_ms(policy, 4, 1 - 2**-53) == 7999


@pytest.mark.parametrize("attempt", [0, -1])
def test_there_is_no_attempt_before_the_first(attempt: int) -> None:
    """Attempts count from 1."""
    with pytest.raises(ValueError, match="is not 1 or more"):
        recovering.delay_ms(Policy(), attempt, 0.0)


@pytest.mark.parametrize("draw", [-0.1, 1.0, float("nan")])
def test_a_draw_is_from_nothing_up_to_one(draw: float) -> None:
    """Another number would break the bounds."""
    with pytest.raises(ValueError, match="is not from 0 up to 1"):
        recovering.delay_ms(Policy(), 1, draw)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"attempts": 0}, "attempts: 1 to 100"),
        ({"attempts": 101}, "attempts: 1 to 100"),
        ({"multiplier": 0.9}, "multiplier: 1 to 10"),
        ({"multiplier": 11}, "multiplier: 1 to 10"),
        ({"multiplier": float("nan")}, "multiplier: 1 to 10"),
        ({"initial_ms": 0}, "does not hold"),
        ({"initial_ms": 2000, "max_ms": 1000}, "does not hold"),
        ({"max_ms": 3_600_001}, "does not hold"),
    ],
)
def test_a_policy_that_could_not_work_is_refused(
    changes: dict[str, Any], said: str
) -> None:
    """Also where it is read from settings."""
    with pytest.raises(ValueError, match=said):
        Policy(**changes)
    with pytest.raises(msgspec.ValidationError, match=r"attempts|multiplier|hold|null"):
        msgspec.convert(msgspec.to_builtins(changes), Policy)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"failures_max": 0}, "failures_max: 1 or more"),
        ({"reset_s": 0}, "reset_s: 0.001 to 3600"),
        ({"check_s": 0}, "check_s: 0.001 to 3600"),
        ({"check_wait_s": 3601}, "check_wait_s: 0.001 to 3600"),
        ({"act_wait_s": float("nan")}, "act_wait_s: 0.001 to 3600"),
    ],
)
def test_a_care_that_could_not_work_is_refused(
    changes: dict[str, Any], said: str
) -> None:
    """Nothing waits for ever, and nothing spins."""
    with pytest.raises(ValueError, match=said):
        Care(**changes)


def test_the_policy_is_the_references() -> None:
    """Five attempts, doubling from 1 s to 60 s, drawn."""
    assert Policy() == Policy("exponential", 5, 2.0, 1_000, 60_000, jitter=True)
    assert {care.policy for care in DEFAULTS.values()} == {Policy()}


def test_breakers_open_as_the_reference_says() -> None:
    """Failures and reset seconds by kind; every kind has its own row."""
    assert set(DEFAULTS) == set(Kind)
    told = {kind: (care.failures_max, care.reset_s) for kind, care in DEFAULTS.items()}
    named = {
        Kind.POLICY: (3, 15),
        Kind.REGISTRY: (3, 15),
        Kind.AUDIT: (7, 60),
        Kind.DELIBERATION: (7, 45),
        Kind.API: (5, 60),
    }
    assert told == {kind: named.get(kind, (5, 30)) for kind in Kind}


def test_what_everything_rests_on_is_brought_back_first() -> None:
    """Stores, audit and policy before connections, those before processes."""
    first = {DEFAULTS[kind].priority for kind in (Kind.STORE, Kind.AUDIT, Kind.POLICY)}
    assert first == {3}
    assert 3 > DEFAULTS[Kind.CONNECTION].priority > DEFAULTS[Kind.PROCESS].priority


def test_the_score_is_the_references() -> None:
    """(closed + 0.5 x half open) / all."""
    assert recovering.score([CLOSED, CLOSED, HALF, OPEN]) == 2.5 / 4
    assert recovering.score([OPEN]) == 0.0
    assert recovering.score([]) == 1.0


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([CLOSED] * 7 + [OPEN] * 3, Standing.HEALTHY),
        ([CLOSED] * 3 + [HALF] + [OPEN], Standing.HEALTHY),
        ([CLOSED] * 69 + [OPEN] * 31, Standing.DEGRADED),
        ([HALF] * 3, Standing.DEGRADED),
        ([CLOSED] * 49 + [OPEN] * 51, Standing.CRITICAL),
        ([OPEN], Standing.CRITICAL),
    ],
)
def test_standings_begin_where_the_reference_says(
    states: list[breaker.State], expected: Standing
) -> None:
    """From .7 healthy, from .5 degraded, both included."""
    assert recovering.standing(recovering.score(states)) is expected
