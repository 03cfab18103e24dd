"""Life cycle of a connection, and of a subscription on it.

Rule: every state, event and transition lives in these tables, and so does which frames
a client may send in which state. Code outside this file may ask; it may not decide.

    AWAITED --connect--> OPEN --drain--> DRAINING
       |                  |                 |
       +------------------+--- end / lose --+--> CLOSING --gone--> CLOSED

    JOINING --join--> ACTIVE --leave--> LEAVING --over--> OVER
       +--- over ------->+------- over ------------------->
"""

import enum
from typing import Final

from bus.core import clientframes as client
from bus.core.errors import IllegalTransitionError
from bus.core.frame import Frame


class State(enum.Enum):
    """Where a connection stands."""

    __hash__ = object.__hash__  # members are single; Enum's own is a call of Python
    AWAITED = "awaited"  # its first frame is
    OPEN = "open"
    DRAINING = "draining"
    CLOSING = "closing"
    CLOSED = "closed"


class Event(enum.Enum):
    """What can happen to a connection."""

    __hash__ = object.__hash__  # as above
    CONNECT = "connect"  # the client is let in
    DRAIN = "drain"  # the node stops soon
    END = "end"  # the node ends it
    LOSE = "lose"  # the client closed it, or the line broke
    GONE = "gone"  # all that it had is given back


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.AWAITED, Event.CONNECT): State.OPEN,
    (State.AWAITED, Event.DRAIN): State.AWAITED,
    (State.AWAITED, Event.END): State.CLOSING,
    (State.AWAITED, Event.LOSE): State.CLOSING,
    (State.OPEN, Event.DRAIN): State.DRAINING,
    (State.OPEN, Event.END): State.CLOSING,
    (State.OPEN, Event.LOSE): State.CLOSING,
    (State.DRAINING, Event.DRAIN): State.DRAINING,
    (State.DRAINING, Event.END): State.CLOSING,
    (State.DRAINING, Event.LOSE): State.CLOSING,
    (State.CLOSING, Event.DRAIN): State.CLOSING,
    (State.CLOSING, Event.END): State.CLOSING,
    (State.CLOSING, Event.LOSE): State.CLOSING,
    (State.CLOSING, Event.GONE): State.CLOSED,
    (State.CLOSED, Event.DRAIN): State.CLOSED,
    (State.CLOSED, Event.END): State.CLOSED,
    (State.CLOSED, Event.LOSE): State.CLOSED,
}

_FREE: Final[frozenset[type[Frame]]] = frozenset(
    {
        client.Publish,
        client.Request,
        client.Reply,
        client.Ack,
        client.Nak,
        client.Term,
        client.InProgress,
        client.Credits,
        client.Unsubscribe,
        client.Ping,
    }
)
TAKEN: Final[dict[State, frozenset[type[Frame]]]] = {
    State.AWAITED: frozenset({client.Connect}),
    State.OPEN: _FREE | {client.Subscribe},
    State.DRAINING: _FREE | {client.Subscribe},
    State.CLOSING: frozenset(),
    State.CLOSED: frozenset(),
}
"""Which frames a client may send; any other ends the connection with 4400."""


class Stage(enum.Enum):
    """Where a subscription of a connection stands."""

    __hash__ = object.__hash__  # as above
    JOINING = "joining"  # policy is asked
    ACTIVE = "active"
    LEAVING = "leaving"  # what is queued is still delivered
    OVER = "over"


class Move(enum.Enum):
    """What can happen to a subscription of a connection."""

    __hash__ = object.__hash__  # as above
    JOIN = "join"
    LEAVE = "leave"
    STAY = "stay"  # it could not be left
    OVER = "over"


MOVES: Final[dict[tuple[Stage, Move], Stage]] = {
    (Stage.JOINING, Move.JOIN): Stage.ACTIVE,
    (Stage.JOINING, Move.OVER): Stage.OVER,
    (Stage.ACTIVE, Move.LEAVE): Stage.LEAVING,
    (Stage.ACTIVE, Move.OVER): Stage.OVER,
    (Stage.LEAVING, Move.STAY): Stage.ACTIVE,
    (Stage.LEAVING, Move.OVER): Stage.OVER,
}


def advance(state: State, event: Event) -> State:
    """Return the next state, or raise if the table has no such transition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"{event.name} in {state.name}") from None


def move(stage: Stage, event: Move) -> Stage:
    """Return a subscription's next stage, or raise as `advance`."""
    try:
        return MOVES[stage, event]
    except KeyError:
        raise IllegalTransitionError(f"{event.name} in {stage.name}") from None
