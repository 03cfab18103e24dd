"""The delivery life cycle: its table and everything outside it."""

import itertools

import pytest
from hypothesis import given, strategies as st

from bus.core import delivery
from bus.core.delivery import SETTLED, TRANSITIONS, Event, State
from bus.core.errors import IllegalTransitionError
from bus.core.limits import BACKOFF_MS_BASE, BACKOFF_MS_MAX

EVERY_PAIR = set(itertools.product(State, Event))
COMPLEMENT = sorted(EVERY_PAIR - TRANSITIONS.keys(), key=str)


@pytest.mark.parametrize(("pair", "expected"), TRANSITIONS.items())
def test_what_is_in_the_table_is_done(
    pair: tuple[State, Event], expected: State
) -> None:
    """The code asks the table and nothing else."""
    assert delivery.advance(*pair) is expected


@pytest.mark.parametrize("pair", COMPLEMENT)
def test_what_is_not_in_the_table_is_refused(pair: tuple[State, Event]) -> None:
    """Every other pair raises and names the state and the event."""
    state, event = pair
    with pytest.raises(
        IllegalTransitionError, match=rf"^{event.name} in {state.name}$"
    ):
        delivery.advance(state, event)


def test_the_table_is_the_one_that_was_agreed() -> None:
    """A change of the life cycle is a change of this test."""
    ready, flying = State.READY, State.IN_FLIGHT
    assert {
        (ready, Event.DELIVER): flying,
        (ready, Event.EXHAUST): State.DEAD,
        (ready, Event.REFUSE): State.DEAD,
        (ready, Event.EVICT): State.DEAD,
        (ready, Event.LAPSE): State.EXPIRED,
        (ready, Event.RECALL): State.RECALLED,
        (flying, Event.ACK): State.ACKED,
        (flying, Event.NAK): State.RETURNED,
        (flying, Event.EXPIRE): State.RETURNED,
        (flying, Event.TERM): State.DEAD,
        (State.RETURNED, Event.EXHAUST): State.DEAD,
    } == TRANSITIONS


def test_nothing_happens_after_the_end() -> None:
    """A settled delivery has no way on; every other state has, and every end a way in."""
    assert {state for state, _ in TRANSITIONS} == set(State) - SETTLED
    assert set(TRANSITIONS.values()) == set(State) - {State.READY}


@given(st.lists(st.sampled_from(Event), max_size=40))
def test_a_delivery_settles_at_most_once(events: list[Event]) -> None:
    """Whatever happens in whatever order, there is one ending."""
    state, endings = State.READY, 0
    for event in events:
        try:
            state = delivery.advance(state, event)
        except IllegalTransitionError:
            continue
        endings += state in SETTLED
    assert endings == (state in SETTLED)


def test_the_wait_doubles_up_to_its_cap() -> None:
    """200 ms, 400 ms and so on, and never above 30 s."""
    waits = [delivery.backoff_ms(attempt) for attempt in range(1, 10)]
    doubled = [BACKOFF_MS_BASE * 2**n for n in range(9)]
    assert waits == [min(wait, BACKOFF_MS_MAX) for wait in doubled]
    assert waits[-1] == BACKOFF_MS_MAX


@given(st.integers(1, 1 << 70))
def test_the_wait_is_bounded_for_any_attempt(attempt: int) -> None:
    """A huge attempt costs no huge number."""
    assert BACKOFF_MS_BASE <= delivery.backoff_ms(attempt) <= BACKOFF_MS_MAX


@pytest.mark.parametrize("attempt", [0, -1])
def test_there_is_no_attempt_before_the_first(attempt: int) -> None:
    """Attempts count from 1."""
    with pytest.raises(ValueError, match="is not 1 or more"):
        delivery.backoff_ms(attempt)
