"""Life cycle of a recovery: whether and when a part that failed is brought back.

Rule: every state, event and transition lives in TRANSITIONS, and every value that
depends on the kind of a part in DEFAULTS. Time and chance are given by the caller.

    IDLE --schedule--> SCHEDULED --begin--> IN_PROGRESS --succeed--> SUCCEEDED --settle--> IDLE
      |                   ^  ^                  | |  |
      |                   |  +--schedule--------+ |  +--exhaust--> FAILED --begin--> IN_PROGRESS
      +--hold--> AWAITING_MANUAL <--hold----------+          (one attempt each reset time)
                          |--approve--> SCHEDULED
    SUCCEEDED fails as IN_PROGRESS does. Where something is to come, an operator may cancel
    it; what is FAILED or CANCELLED an operator may approve.
"""

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, assert_never

import msgspec

from bus.core import breaker
from bus.core.errors import IllegalTransitionError
from bus.core.recoverylimits import (
    RECOVERY_ACT_S,
    RECOVERY_ATTEMPTS_DEFAULT,
    RECOVERY_ATTEMPTS_MAX,
    RECOVERY_CHECK_EACH_S,
    RECOVERY_CHECK_S,
    RECOVERY_DELAY_MS_DEFAULT,
    RECOVERY_DELAY_MS_MAX,
    RECOVERY_DELAY_MS_MAX_DEFAULT,
    RECOVERY_MULTIPLIER_MAX,
    RECOVERY_WAIT_S_MAX,
    RECOVERY_WAIT_S_MIN,
)


class State(enum.Enum):
    """Where a part stands with being brought back."""

    IDLE = "idle"
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"  # and watched: a failure now continues the round
    FAILED = "failed"  # as often as allowed; one more attempt each reset time
    CANCELLED = "cancelled"  # left alone, until it is well or an operator approves
    AWAITING_MANUAL = "awaiting_manual"


class Event(enum.Enum):
    """What can happen to a recovery."""

    SCHEDULE = "schedule"  # it failed, and an attempt is due later
    HOLD = "hold"  # it failed, and an operator has to approve
    BEGIN = "begin"
    SUCCEED = "succeed"  # the action was carried out, and the check after it passed
    EXHAUST = "exhaust"  # it failed, and no attempt is left
    SETTLE = "settle"  # it was found well for long enough
    APPROVE = "approve"
    CANCEL = "cancel"


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.IDLE, Event.SCHEDULE): State.SCHEDULED,
    (State.IDLE, Event.HOLD): State.AWAITING_MANUAL,
    (State.SCHEDULED, Event.BEGIN): State.IN_PROGRESS,
    (State.SCHEDULED, Event.CANCEL): State.CANCELLED,
    (State.IN_PROGRESS, Event.SUCCEED): State.SUCCEEDED,
    (State.IN_PROGRESS, Event.SCHEDULE): State.SCHEDULED,
    (State.IN_PROGRESS, Event.HOLD): State.AWAITING_MANUAL,
    (State.IN_PROGRESS, Event.EXHAUST): State.FAILED,
    (State.IN_PROGRESS, Event.CANCEL): State.CANCELLED,
    (State.SUCCEEDED, Event.SETTLE): State.IDLE,
    (State.SUCCEEDED, Event.SCHEDULE): State.SCHEDULED,
    (State.SUCCEEDED, Event.HOLD): State.AWAITING_MANUAL,
    (State.SUCCEEDED, Event.EXHAUST): State.FAILED,
    (State.FAILED, Event.BEGIN): State.IN_PROGRESS,
    (State.FAILED, Event.APPROVE): State.SCHEDULED,
    (State.FAILED, Event.CANCEL): State.CANCELLED,
    (State.CANCELLED, Event.SETTLE): State.IDLE,
    (State.CANCELLED, Event.APPROVE): State.SCHEDULED,
    (State.AWAITING_MANUAL, Event.APPROVE): State.SCHEDULED,
    (State.AWAITING_MANUAL, Event.CANCEL): State.CANCELLED,
}

Strategy = Literal["exponential", "linear", "immediate", "manual"]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a part is brought back, and how long before each attempt.

    Raises `ValueError` for what could not work.
    """

    strategy: Strategy = "exponential"
    attempts: int = RECOVERY_ATTEMPTS_DEFAULT
    multiplier: float = 2.0
    initial_ms: int = RECOVERY_DELAY_MS_DEFAULT
    max_ms: int = RECOVERY_DELAY_MS_MAX_DEFAULT
    jitter: bool = True
    """Whether the wait is drawn from all up to its value (full jitter)."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 1 <= self.attempts <= RECOVERY_ATTEMPTS_MAX:
            raise ValueError(f"attempts: 1 to {RECOVERY_ATTEMPTS_MAX}")
        if not 1.0 <= self.multiplier <= RECOVERY_MULTIPLIER_MAX:
            raise ValueError(f"multiplier: 1 to {RECOVERY_MULTIPLIER_MAX:g}")
        if not 1 <= self.initial_ms <= self.max_ms <= RECOVERY_DELAY_MS_MAX:
            raise ValueError(
                f"1 <= initial_ms <= max_ms <= {RECOVERY_DELAY_MS_MAX} does not hold"
            )


class Kind(enum.Enum):
    """What a part is, as far as bringing it back goes."""

    DEFAULT = "default"
    STORE = "store"
    AUDIT = "audit"
    POLICY = "policy"
    REGISTRY = "registry"
    DELIBERATION = "deliberation"
    API = "api"
    SINK = "sink"  # of the decision log, of metering
    CONNECTION = "connection"
    SUBSCRIPTION = "subscription"
    WORKER = "worker"
    PROCESS = "process"


class Care(msgspec.Struct, frozen=True, kw_only=True):
    """How a part is looked after. Of what is due at once the higher priority goes first.

    `failures_max` in a row open its breaker for `reset_s`. It is checked each `check_s`;
    a check takes `check_wait_s` at most and an action `act_wait_s`, else they failed.
    """

    priority: int = 1
    policy: Policy = Policy()
    failures_max: int = 5
    reset_s: float = 30.0
    check_s: float = RECOVERY_CHECK_EACH_S
    check_wait_s: float = RECOVERY_CHECK_S
    act_wait_s: float = RECOVERY_ACT_S

    def __post_init__(self) -> None:
        """Check the bounds; raise `ValueError` for what could not work."""
        if self.failures_max < 1:
            raise ValueError("failures_max: 1 or more")
        for name in ("reset_s", "check_s", "check_wait_s", "act_wait_s"):
            if not RECOVERY_WAIT_S_MIN <= getattr(self, name) <= RECOVERY_WAIT_S_MAX:
                raise ValueError(
                    f"{name}: {RECOVERY_WAIT_S_MIN:g} to {RECOVERY_WAIT_S_MAX:g}"
                )


DEFAULTS: Final[Mapping[Kind, Care]] = MappingProxyType(
    {
        Kind.DEFAULT: Care(),
        Kind.STORE: Care(priority=3),
        Kind.AUDIT: Care(priority=3, failures_max=7, reset_s=60.0),
        Kind.POLICY: Care(priority=3, failures_max=3, reset_s=15.0),
        Kind.REGISTRY: Care(priority=2, failures_max=3, reset_s=15.0),
        Kind.DELIBERATION: Care(priority=2, failures_max=7, reset_s=45.0),
        Kind.API: Care(priority=1, failures_max=5, reset_s=60.0),
        Kind.SINK: Care(priority=1),
        Kind.CONNECTION: Care(priority=2),
        Kind.SUBSCRIPTION: Care(priority=1),
        Kind.WORKER: Care(priority=1),
        Kind.PROCESS: Care(priority=0),
    }
)
"""Every kind's care. Priorities are those of messages: 3 critical to 0 low."""


class Standing(enum.Enum):
    """What a health score means."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"


HEALTHY_MIN: Final = 0.7
DEGRADED_MIN: Final = 0.5
_WORTH: Final = {
    breaker.State.CLOSED: 1.0,
    breaker.State.HALF_OPEN: 0.5,
    breaker.State.OPEN: 0.0,
}


def advance(state: State, event: Event) -> State:
    """Return the next state, or raise if the table has no such transition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"{event.name} in {state.name}") from None


def after_failure(policy: Policy, attempt: int) -> Event:
    """Return what a failure after `attempt` attempts of this round leads to."""
    if policy.strategy == "manual":
        return Event.HOLD
    return Event.EXHAUST if attempt >= policy.attempts else Event.SCHEDULE


def delay_ms(policy: Policy, attempt: int, draw: float) -> int:
    """Return the wait before `attempt` (1-based); `draw` is from 0 up to, not with, 1.

    Exponential waits `initial * multiplier ** (attempt - 1)`, linear `initial * attempt`,
    both up to `max`; with full jitter that times `draw`. Raises `ValueError` for the manual one,
    which waits for a person.
    """
    if attempt < 1:
        raise ValueError(f"attempt {attempt} is not 1 or more")
    if not 0.0 <= draw < 1.0:
        raise ValueError(f"a draw of {draw} is not from 0 up to 1")
    wait = _whole_ms(policy, attempt)
    return int(wait * draw) if policy.jitter else wait


def score(states: Iterable[breaker.State]) -> float:
    """Return (closed + 0.5 x half open) / all, or 1.0 where there is no breaker."""
    worth = [_WORTH[state] for state in states]
    return sum(worth) / len(worth) if worth else 1.0


def standing(health: float) -> Standing:
    """Return what a score means: from .7 healthy, from .5 degraded, else critical."""
    if health >= HEALTHY_MIN:
        return Standing.HEALTHY
    return Standing.DEGRADED if health >= DEGRADED_MIN else Standing.CRITICAL


def _whole_ms(policy: Policy, attempt: int) -> int:
    match policy.strategy:
        case "manual":
            raise ValueError("a manual recovery waits for an operator, not for a time")
        case "immediate":
            return 0
        case "linear":
            return min(policy.initial_ms * attempt, policy.max_ms)
        case "exponential":
            # Past that many the wait is what it was: no number outgrows a float.
            growth = policy.multiplier ** min(attempt - 1, RECOVERY_ATTEMPTS_MAX)
            return int(min(policy.initial_ms * growth, policy.max_ms))
        case never:
            assert_never(never)
