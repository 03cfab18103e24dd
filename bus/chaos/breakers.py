"""Opening a circuit breaker from outside, by what opens it at any time: failures."""

from bus.core.breaker import Breaker, State
from bus.core.operatinglimits import CHAOS_TRIP_FAILURES_MAX


def trip(breaker: Breaker, now_ns: int) -> bool:
    """Open a breaker that is closed; tell whether this has opened it.

    It closes as always: at its reset time it lets one question through to see.
    """
    if breaker.state is not State.CLOSED:
        return False
    for _ in range(CHAOS_TRIP_FAILURES_MAX):
        ticket = breaker.admit(now_ns)
        if ticket is None:
            return True
        breaker.fail(ticket, now_ns)
    return False
