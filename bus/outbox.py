"""What a handler publishes that must take effect once: held back until it is done.

Rule: an open box takes messages that policy has let in. It is committed with the ack in
one transaction, or dropped: then none of it ever happened.
"""

from contextvars import ContextVar
from typing import Final, Protocol

from bus.core.changes import Change
from bus.core.decision import Decision
from bus.core.errors import (
    LimitExceededError,
    MalformedMessageError,
    ProtocolError,
    UnavailableError,
    UsageError,
)
from bus.core.outcome import Accepted
from bus.core.storelimits import OUTBOX_MESSAGES_MAX


class Boxed(Protocol):
    """A message that policy has let in, and that is ready to be kept."""

    @property
    def scope(self) -> str:
        """What its publisher calls it, within its scope; empty if nothing."""

    @property
    def decision(self) -> Decision:
        """What let it in."""

    def accepted(self) -> Accepted:
        """Return the outcome it has once it is kept."""

    def changes(self) -> list[Change]:
        """Return what keeps it."""

    def drop(self) -> None:
        """Take it back."""

    def __call__(self, error: Exception | None) -> None:
        """Be told how keeping it ended."""


class Outbox:
    """The messages of one handler's run, in the order they were published in.

    `undone` is why nothing of it may be kept, whatever the handler makes of that.
    """

    __slots__ = ("closed", "kept", "undone")

    def __init__(self) -> None:
        self.kept: list[Boxed] = []
        self.closed = False
        self.undone: UnavailableError | None = None

    def put(self, kept: Boxed) -> Accepted:
        """Take a message; it is accepted if its handler's transaction is kept.

        Raises:
            MalformedMessageError: the handler is over, or waits for a reply to it.
            LimitExceededError: too many for one transaction.
        """
        error = self._refusal(kept)
        if error is not None:
            kept.drop()
            raise error
        self.kept.append(kept)
        return kept.accepted()

    def named(self, scope: str) -> Boxed | None:
        """Return the message that has a name in here, if one has."""
        return next((kept for kept in self.kept if kept.scope == scope), None)

    def drop(self) -> None:
        """Take back everything: none of it was kept."""
        self.closed = True
        while self.kept:
            self.kept.pop().drop()

    def _refusal(self, kept: Boxed) -> ProtocolError | None:
        if self.closed:
            return MalformedMessageError(
                "the handler that publishes this is over, and its transaction with it"
            )
        if kept.decision.action == "request":
            return MalformedMessageError(
                "a handler with once=True cannot wait for a reply: what it sends goes "
                "out when it is done"
            )
        if len(self.kept) >= OUTBOX_MESSAGES_MAX:
            return LimitExceededError(
                "messages of one transaction",
                actual=len(self.kept) + 1,
                allowed=OUTBOX_MESSAGES_MAX,
            )
        return None


def require_none(what: str) -> None:
    """Raise `UsageError` inside a handler whose effects happen once.

    What is done there could not be taken back with the rest.
    """
    if outbox.get() is not None:
        raise UsageError(f"a handler with once=True cannot {what}")


outbox: Final[ContextVar[Outbox | None]] = ContextVar("outbox", default=None)
"""The box of the handler that runs, if its effects happen once."""
