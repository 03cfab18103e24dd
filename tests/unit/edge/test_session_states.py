"""The tables of a connection's life: what they allow, and that they allow no more."""

import itertools

import pytest

from bus.core import clientframes as client
from bus.core.errors import IllegalTransitionError
from bus.core.frame import Frame
from bus.edge.session.states import (
    MOVES,
    TAKEN,
    TRANSITIONS,
    Event,
    Move,
    Stage,
    State,
    advance,
    move,
)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_a_connection_goes_where_the_table_says_and_nowhere_else(
    state: State, event: Event
) -> None:
    """Every pair, those that are not in the table too."""
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransitionError):
            advance(state, event)


@pytest.mark.parametrize(("stage", "event"), list(itertools.product(Stage, Move)))
def test_a_subscription_goes_where_the_table_says_and_nowhere_else(
    stage: Stage, event: Move
) -> None:
    """Likewise."""
    if (stage, event) in MOVES:
        assert move(stage, event) is MOVES[stage, event]
    else:
        with pytest.raises(IllegalTransitionError):
            move(stage, event)


def test_a_connection_that_has_ended_takes_nothing() -> None:
    """And one that has not begun takes one frame only."""
    assert TAKEN[State.AWAITED] == {client.Connect}
    assert not TAKEN[State.CLOSING]
    assert not TAKEN[State.CLOSED]


def test_every_frame_of_a_client_has_a_state_that_takes_it() -> None:
    """A frame that could never be sent would be a lie of the protocol."""
    taken = frozenset[type[Frame]]().union(*TAKEN.values())
    assert taken == set(client.FromClient.__args__)
