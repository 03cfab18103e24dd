"""Life cycle of a circuit breaker: whether something that fails is asked at all.

Rule: every state, event and transition lives in TRANSITIONS. What was let through
under one state says nothing about another: its ticket is then out of date.

    CLOSED --trip--> OPEN --probe--> HALF_OPEN --succeed--> CLOSED
                      ^                  |
                      +--fail / abandon--+
"""

import enum
from typing import Final

from bus.core.errors import IllegalTransitionError


class State(enum.Enum):
    """What a breaker does with a question."""

    CLOSED = "closed"  # lets all through
    OPEN = "open"  # lets none through
    HALF_OPEN = "half_open"  # let one through and waits for how it ends


class Event(enum.Enum):
    """What can happen to a breaker."""

    TRIP = "trip"  # as many failures in a row as it bears
    PROBE = "probe"  # the reset time is over, and somebody asks
    SUCCEED = "succeed"
    FAIL = "fail"
    ABANDON = "abandon"  # whoever asked went away: nothing was learnt


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.CLOSED, Event.TRIP): State.OPEN,
    (State.OPEN, Event.PROBE): State.HALF_OPEN,
    (State.HALF_OPEN, Event.SUCCEED): State.CLOSED,
    (State.HALF_OPEN, Event.FAIL): State.OPEN,
    (State.HALF_OPEN, Event.ABANDON): State.OPEN,
}


def advance(state: State, event: Event) -> State:
    """Return the next state, or raise if the table has no such transition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"{event.name} in {state.name}") from None


class Breaker:
    """One breaker. Times are nanoseconds of whatever clock its owner keeps to.

    Who is given a ticket by `admit` hands it to `succeed`, `fail` or `abandon` once.
    """

    __slots__ = ("_due_ns", "_failures", "_failures_max", "_reset_ns", "_term", "state")

    def __init__(self, failures_max: int, reset_ns: int) -> None:
        if failures_max < 1 or reset_ns < 1:
            raise ValueError("a breaker bears at least one failure, and resets later")
        self._failures_max = failures_max
        self._reset_ns = reset_ns
        self._failures = 0
        self._due_ns = 0
        self._term = 0
        self.state = State.CLOSED

    def admit(self, now_ns: int) -> int | None:
        """Return a ticket, or None: then the question may not be put.

        Past the reset time the first to ask is let through, and nobody else until
        it is known how that ended.
        """
        if self.state is State.CLOSED:
            return self._term
        if self.state is State.OPEN and self.wait_ns(now_ns) == 0:
            self._move(Event.PROBE)
            return self._term
        return None

    def succeed(self, ticket: int) -> None:
        """Take note that what was let through was answered."""
        if ticket != self._term:
            return
        self._failures = 0
        if self.state is State.HALF_OPEN:
            self._move(Event.SUCCEED)

    def fail(self, ticket: int, now_ns: int) -> None:
        """Take note that what was let through was not answered."""
        if ticket != self._term:
            return
        if self.state is State.HALF_OPEN:
            self._open(Event.FAIL, now_ns)
            return
        self._failures += 1
        if self._failures >= self._failures_max:
            self._open(Event.TRIP, now_ns)

    def abandon(self, ticket: int) -> None:
        """Take note that it will not be known; the next to ask may try."""
        if ticket == self._term and self.state is State.HALF_OPEN:
            self._move(Event.ABANDON)

    def wait_ns(self, now_ns: int) -> int:
        """Return how long nobody is let through; 0 where somebody may be.

        A clock that was set back makes no wait longer than the reset time.
        """
        if self.state is not State.OPEN:
            return 0
        left_ns = self._due_ns - now_ns
        return left_ns if 0 < left_ns <= self._reset_ns else 0

    def _open(self, event: Event, now_ns: int) -> None:
        self._due_ns = now_ns + self._reset_ns
        self._failures = 0
        self._move(event)

    def _move(self, event: Event) -> None:
        self.state = advance(self.state, event)
        self._term += 1
