"""What is supervised, and what is told of it: the words of `bus.recovery`.

Rule: a component says that it is unwell by raising. What it returns is never a verdict,
so neither a coroutine that nobody awaited nor a forgotten `return` counts as health.
"""

from typing import Protocol

import msgspec

from bus.core import breaker
from bus.core.errors import UnavailableError, UsageError
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.recovering import Event, Kind, State


class UnwellError(UnavailableError):
    """A component is not well; the text says what is wrong with it."""

    code = "unwell"


class UnknownComponentError(UsageError):
    """No component is supervised under that name."""

    code = "unknown_component"


class NotAwaitedError(UsageError):
    """A component does not wait for what was ordered; the text says where it stands."""

    code = "not_awaited"


class Component(Protocol):
    """A part that can fail and be brought back.

    Both methods are called on the loop, never two of the same at once, and may be
    cancelled at any await, after which they are called again later. They have a time
    limit (`Care`); what goes on past it, or swallows its cancellation, has failed.
    """

    @property
    def name(self) -> str:
        """Its name: one token of a subject, as agents have."""

    @property
    def kind(self) -> Kind:
        """What it is: this chooses its care unless another one is given."""

    @property
    def action(self) -> str:
        """What `recover` does, in a word or two, for the history."""

    async def check(self) -> None:
        """Return if it is well; raise what is wrong. Changes nothing."""

    async def recover(self) -> None:
        """Bring it back; raise if that failed. `check` is asked afterwards."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one component's recovery, as it is told, recorded and published.

    `at_ns` is wall-clock time. `attempt` counts those begun in this round, of `attempts`
    allowed. `delay_ms` is the wait until the next attempt where one is scheduled. `by`
    is the operator who ordered the step, or empty. `detail` says why, or how.
    """

    at_ns: int
    component: str
    kind: Kind
    before: State
    after: State
    event: Event
    attempt: int
    attempts: int
    breaker: breaker.State
    delay_ms: int = 0
    detail: str = ""
    by: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Where one component stands. `wait_ms` is until the next check or attempt, or -1."""

    component: str
    kind: Kind
    priority: int
    state: State
    breaker: breaker.State
    attempt: int
    attempts: int
    wait_ms: int
    error: str


def said(error: BaseException) -> str:
    """Return an error as one line; where it cannot even say, its type."""
    kind = type(error).__name__
    try:
        words = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an error may raise anything when asked
        return kind
    if isinstance(error, UnwellError) and words:
        return words[:ERROR_CHARS_MAX]
    return (f"{kind}: {words}" if words else kind)[:ERROR_CHARS_MAX]
