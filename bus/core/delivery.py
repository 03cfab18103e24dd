"""Life cycle of a delivery: one attempt to bring one message to one subscription.

Rule: every state, event and transition lives in TRANSITIONS. Code outside this
file may ask for a transition; it may not decide one.

    READY --deliver--> IN_FLIGHT --ack--> ACKED
      |                  |    |
      |                  |    +--nak / expire--> RETURNED   (the next attempt is READY)
      |                  +--term--> DEAD            +--exhaust--> DEAD
      +--lapse--> EXPIRED                                (the message's own time is over)
      +--recall--> RECALLED                              (policy no longer allows it)
      +--refuse / evict / exhaust--> DEAD
"""

import enum
from typing import Final

from bus.core.errors import IllegalTransitionError
from bus.core.limits import BACKOFF_MS_BASE, BACKOFF_MS_MAX


class State(enum.Enum):
    """Where one message stands for one subscription."""

    __hash__ = object.__hash__  # members are single; Enum's own is a call of Python
    READY = "ready"
    IN_FLIGHT = "in_flight"
    RETURNED = "returned"
    ACKED = "acked"
    DEAD = "dead"
    RECALLED = "recalled"
    EXPIRED = "expired"


class Event(enum.Enum):
    """What can happen to a delivery."""

    __hash__ = object.__hash__  # as above
    DELIVER = "deliver"
    ACK = "ack"
    NAK = "nak"
    EXPIRE = "expire"  # the lease: no answer within ack_wait
    TERM = "term"
    EXHAUST = "exhaust"  # max_deliver reached
    REFUSE = "refuse"  # the stamp does not hold
    EVICT = "evict"  # a subscription that asked for drop_oldest
    LAPSE = "lapse"  # the message's own expiry
    RECALL = "recall"  # policy has changed, and no longer allows it


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.READY, Event.DELIVER): State.IN_FLIGHT,
    (State.READY, Event.EXHAUST): State.DEAD,
    (State.READY, Event.REFUSE): State.DEAD,
    (State.READY, Event.EVICT): State.DEAD,
    (State.READY, Event.LAPSE): State.EXPIRED,
    (State.READY, Event.RECALL): State.RECALLED,
    (State.IN_FLIGHT, Event.ACK): State.ACKED,
    (State.IN_FLIGHT, Event.NAK): State.RETURNED,
    (State.IN_FLIGHT, Event.EXPIRE): State.RETURNED,
    (State.IN_FLIGHT, Event.TERM): State.DEAD,
    (State.RETURNED, Event.EXHAUST): State.DEAD,
}
SETTLED: Final = frozenset({State.ACKED, State.DEAD, State.EXPIRED, State.RECALLED})


def advance(state: State, event: Event) -> State:
    """Return the next state, or raise if the table has no such transition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"{event.name} in {state.name}") from None


def backoff_ms(attempt: int) -> int:
    """Return the wait before the delivery after `attempt` (1-based): doubling, capped."""
    if attempt < 1:
        raise ValueError(f"attempt {attempt} is not 1 or more")
    return min(BACKOFF_MS_BASE << min(attempt - 1, 32), BACKOFF_MS_MAX)
