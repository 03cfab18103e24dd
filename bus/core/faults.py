"""Faults that are injected on purpose: the kinds, what is said of each, its bounds.

Rule: what has to be said of a kind stands in one table, and nothing else may be said.
"""

import enum
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from bus.core import subject as grammar
from bus.core.errors import LimitExceededError, UsageError
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.operatinglimits import (
    CHAOS_DISK_BYTES_MAX,
    CHAOS_HANDLES_MAX,
    CHAOS_JUMP_S_MAX,
    CHAOS_LATENCY_S_MAX,
    CHAOS_MEMORY_BYTES_MAX,
)

_SEED_MAX: Final = (1 << 53) - 1  # what every reader of JSON keeps exactly


class ChaosRefusedError(UsageError):
    """A fault that may not be injected; the text says what may."""

    code = "chaos_refused"


class Kind(enum.Enum):
    """What a fault does to a component."""

    LATENCY = "latency"  # some questions are answered later
    ERROR = "error"  # some questions fail
    TIMEOUT = "time-out"  # some hang until the deadline of whoever asks, then fail
    PARTITION = "partition"  # all of them do
    BREAKER = "breaker"  # its circuit breaker is held open
    CLOCK = "clock"  # the bus's clock jumps, and jumps back at the end
    MEMORY = "memory"  # bytes are taken, and given back at the end
    HANDLES = "handles"  # file handles, likewise
    DISK = "disk"  # bytes where the store is, likewise


_SETS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.LATENCY: frozenset({"share", "latency_s"}),
    Kind.ERROR: frozenset({"share"}),
    Kind.TIMEOUT: frozenset({"share"}),
    Kind.PARTITION: frozenset(),
    Kind.BREAKER: frozenset(),
    Kind.CLOCK: frozenset({"jump_s"}),
    Kind.MEMORY: frozenset({"amount"}),
    Kind.HANDLES: frozenset({"amount"}),
    Kind.DISK: frozenset({"amount"}),
}
"""What has to be said of each kind; nothing else may be."""

RESOURCES: Final[Mapping[Kind, int]] = {
    Kind.MEMORY: CHAOS_MEMORY_BYTES_MAX,
    Kind.HANDLES: CHAOS_HANDLES_MAX,
    Kind.DISK: CHAOS_DISK_BYTES_MAX,
}
"""What is taken and given back, and how much at most."""

DRAWN: Final = frozenset({Kind.LATENCY, Kind.ERROR, Kind.TIMEOUT})
"""What hits a share of the questions, by chance."""


HANDLERS: Final = "handlers"
"""The component of which it is said by a subject pattern what of it is hit."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault as it is asked for. `share` is of a component's questions, 0 to 1.

    `amount` is bytes, or handles; `subject` is a pattern, for handlers. Without a `seed` who admits it chooses one.
    """

    kind: Kind
    component: str
    seconds: float
    reason: Annotated[str, msgspec.Meta(max_length=ERROR_CHARS_MAX)]
    share: float = 0.0
    latency_s: float = 0.0
    jump_s: float = 0.0
    amount: int = 0
    subject: str = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=_SEED_MAX)] | None = None


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How far chaos may go, as the settings say."""

    max_seconds: float
    blast_radius: float
    components: frozenset[str]


class Injection(msgspec.Struct, kw_only=True):
    """A fault that is on, or was: `ended` says why it is over, and is empty before.

    `questions` were put while it was on and `hits` of them were hit; `amount` is what
    was really taken.
    """

    id: str
    by: str
    asked: Asked
    seed: int
    started_ns: int
    until_ns: int
    questions: int = 0
    hits: int = 0
    amount: int = 0
    ended: str = ""


class Strike(msgspec.Struct, frozen=True):
    """What hits one question: a wait, then perhaps a failure with its reason.

    With `hangs` the wait is as long as whoever asks waits.
    """

    delay_s: float
    refused: str
    hangs: bool = False


def check_fields(asked: Asked) -> None:
    """Raise unless what is said of a fault is what its kind needs, within bounds.

    Raises:
        ChaosRefusedError, LimitExceededError, SubjectError: it is not.
    """
    wanted = _SETS[asked.kind]
    for name in ("share", "latency_s", "jump_s", "amount"):
        given = getattr(asked, name)
        if name in wanted and not given:
            raise ChaosRefusedError(f"{asked.kind.value} needs {name}")
        if name not in wanted and given:
            raise ChaosRefusedError(f"{asked.kind.value} has no use for {name}")
    if asked.seed is not None and asked.kind not in DRAWN:
        raise ChaosRefusedError(f"{asked.kind.value} has no use for seed")
    if bool(asked.subject) is not (asked.component == HANDLERS):
        told = "needs a" if asked.component == HANDLERS else "has no use for a"
        raise ChaosRefusedError(f"{asked.component} {told} subject")
    if asked.subject:
        grammar.parse_pattern(asked.subject)
    if not asked.reason.strip():
        raise ChaosRefusedError("a reason is a text that says something")
    _check_amounts(asked)


def _check_amounts(asked: Asked) -> None:
    if asked.kind in DRAWN:
        bounded("share", asked.share, 1.0)
    if asked.kind is Kind.LATENCY:
        bounded("latency_s", asked.latency_s, CHAOS_LATENCY_S_MAX)
    elif asked.kind is Kind.CLOCK:
        bounded("jump_s", abs(asked.jump_s), CHAOS_JUMP_S_MAX)
    elif asked.kind in RESOURCES:
        bounded("amount", asked.amount, RESOURCES[asked.kind])


def bounded(name: str, given: float, allowed: float) -> None:
    """Raise `LimitExceededError` unless 0 < given <= allowed."""
    if not 0 < given <= allowed:  # not a number is not either
        raise LimitExceededError(name, actual=given, allowed=allowed)
