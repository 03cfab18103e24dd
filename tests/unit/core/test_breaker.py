"""The breaker: its table, everything outside it, and who is let through when."""

import itertools

import pytest
from hypothesis import given, strategies as st

from bus.core import breaker
from bus.core.breaker import TRANSITIONS, Breaker, Event, State
from bus.core.errors import IllegalTransitionError

RESET = 1_000
COMPLEMENT = sorted(set(itertools.product(State, Event)) - TRANSITIONS.keys(), key=str)


def opened(now: int = 0) -> Breaker:
    """Return a breaker that has just opened."""
    made = Breaker(2, RESET)
    for _ in range(2):
        fail(made, now)
    return made


def admitted(asked: Breaker, now: int) -> int:
    """Return the ticket of somebody who is let through."""
    ticket = asked.admit(now)
    assert ticket is not None
    return ticket


def state(asked: Breaker) -> State:
    """Return the state; a type checker believes that an attribute stays as it is."""
    return asked.state


def fail(asked: Breaker, now: int) -> None:
    """Let one through, and fail it."""
    asked.fail(admitted(asked, now), now)


@pytest.mark.parametrize(("pair", "expected"), TRANSITIONS.items())
def test_what_is_in_the_table_is_done(
    pair: tuple[State, Event], expected: State
) -> None:
    """The code asks the table and nothing else."""
    assert breaker.advance(*pair) is expected


@pytest.mark.parametrize("pair", COMPLEMENT)
def test_what_is_not_in_the_table_is_refused(pair: tuple[State, Event]) -> None:
    """Every other pair raises and names the state and the event."""
    state, event = pair
    with pytest.raises(
        IllegalTransitionError, match=rf"^{event.name} in {state.name}$"
    ):
        breaker.advance(state, event)


def test_the_table_is_the_one_that_was_agreed() -> None:
    """A change of the life cycle is a change of this test."""
    assert {
        (State.CLOSED, Event.TRIP): State.OPEN,
        (State.OPEN, Event.PROBE): State.HALF_OPEN,
        (State.HALF_OPEN, Event.SUCCEED): State.CLOSED,
        (State.HALF_OPEN, Event.FAIL): State.OPEN,
        (State.HALF_OPEN, Event.ABANDON): State.OPEN,
    } == TRANSITIONS


def test_failures_in_a_row_open_it() -> None:
    """As many as it bears, and none less."""
    asked = Breaker(3, RESET)
    for _ in range(2):
        fail(asked, 0)
        assert state(asked) is State.CLOSED
    fail(asked, 0)
    assert state(asked) is State.OPEN
    assert asked.admit(RESET - 1) is None
    assert asked.wait_ns(RESET - 1) == 1


def test_a_success_in_between_starts_the_count_anew() -> None:
    """Only failures in a row count."""
    asked = Breaker(2, RESET)
    for _ in range(5):
        fail(asked, 0)
        asked.succeed(admitted(asked, 0))
    assert state(asked) is State.CLOSED


def test_past_the_reset_time_one_is_let_through_and_no_other() -> None:
    """Half open means one probe."""
    asked = opened()
    assert asked.admit(RESET) is not None
    assert state(asked) is State.HALF_OPEN
    assert asked.admit(RESET) is None
    assert asked.admit(RESET * 9) is None
    assert asked.wait_ns(RESET) == 0


def test_a_probe_that_succeeds_closes_it() -> None:
    """And its failures are forgotten."""
    asked = opened()
    asked.succeed(admitted(asked, RESET))
    assert state(asked) is State.CLOSED
    fail(asked, RESET)
    assert state(asked) is State.CLOSED


def test_a_probe_that_fails_opens_it_for_another_reset_time() -> None:
    """The time counts from the probe's end."""
    asked = opened()
    asked.fail(admitted(asked, RESET), RESET + 5)
    assert asked.admit(2 * RESET + 4) is None
    assert asked.admit(2 * RESET + 5) is not None


def test_a_probe_that_was_abandoned_makes_room_for_the_next() -> None:
    """A caller who goes away may not leave it half open for ever."""
    asked = opened()
    asked.abandon(admitted(asked, RESET))
    assert state(asked) is State.OPEN
    assert asked.admit(RESET) is not None


def test_what_was_let_through_before_says_nothing_now() -> None:
    """An old answer that comes late neither closes nor opens it."""
    asked = Breaker(1, RESET)
    late = [admitted(asked, 0) for _ in range(4)]
    asked.fail(late[0], 0)
    asked.succeed(late[1])
    assert state(asked) is State.OPEN
    probe = admitted(asked, RESET)
    asked.succeed(late[2])
    asked.abandon(late[3])
    asked.fail(late[1], RESET)
    assert state(asked) is State.HALF_OPEN
    asked.succeed(probe)
    assert state(asked) is State.CLOSED


def test_abandoning_while_closed_changes_nothing() -> None:
    """A caller who went away is neither a success nor a failure."""
    asked = Breaker(2, RESET)
    fail(asked, 0)
    asked.abandon(admitted(asked, 0))
    assert state(asked) is State.CLOSED
    fail(asked, 0)
    assert state(asked) is State.OPEN


def test_a_clock_that_was_set_back_keeps_nobody_out() -> None:
    """Where the time left is more than there ever was, it is over."""
    asked = opened(now=10 * RESET)
    assert asked.admit(3) is not None


@pytest.mark.parametrize(("failures", "reset"), [(0, 1), (1, 0)])
def test_a_breaker_that_could_not_work_is_refused(failures: int, reset: int) -> None:
    """It would be open or closed for ever."""
    with pytest.raises(ValueError, match="at least one failure"):
        Breaker(failures, reset)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "succeed", "fail", "abandon"]), st.integers(0, 3)
        ),
        max_size=60,
    )
)
def test_half_open_never_lets_two_through(steps: list[tuple[str, int]]) -> None:
    """Whatever ends in whatever order, no transition is illegal and no two probe."""
    asked = Breaker(2, RESET)
    now = 0
    tickets: list[int] = []
    for what, number in steps:
        now += number * RESET // 2
        if what == "ask":
            before = asked.state
            ticket = asked.admit(now)
            assert (ticket is None) == (
                before is State.HALF_OPEN
                or (before is State.OPEN and state(asked) is State.OPEN)
            )
            if ticket is not None:
                tickets.append(ticket)
        elif tickets:
            ticket = tickets.pop(number % len(tickets))
            if what == "fail":
                asked.fail(ticket, now)
            else:
                getattr(asked, what)(ticket)
