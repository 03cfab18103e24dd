"""What became of a message: one value per ending, nothing raised."""

from typing import NoReturn

import msgspec

from bus.core import errors
from bus.core.decision import Decision


class Receipt(msgspec.Struct, frozen=True):
    """Proof that policy let a message in.

    Its decision id is that of the decision log, or the message's own where none is kept.
    `deliveries` counts the subscriptions it was handed to.
    """

    message_id: str
    decision_id: str
    revision: str
    input_digest: str
    cached: bool
    deliveries: int


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """Kept, and will be delivered at least once to each of `deliveries` takers.

    `duplicate` tells that a message of this name was kept before, and is the one named.
    """

    id: bytes
    decision: Decision
    deliveries: int
    duplicate: bool = False

    @property
    def receipt(self) -> Receipt:
        """The receipt, made when asked for: most publishers never look."""
        made = self.decision
        return Receipt(
            message_id=self.id.hex(),
            decision_id=made.id or self.id.hex(),
            revision=made.revision,
            input_digest=made.digest,
            cached=made.cached,
            deliveries=self.deliveries,
        )

    def unwrap(self) -> Receipt:
        """Return the receipt."""
        return self.receipt


class Denied(msgspec.Struct, frozen=True):
    """Policy said no; a deny is final.

    `decision_id` is that of the decision log, empty where none is kept.
    """

    id: bytes
    reasons: tuple[str, ...]
    revision: str
    decision_id: str = ""

    @property
    def code(self) -> str:
        """The stable code of the ending."""
        return errors.DeniedError.code

    @property
    def reason(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)

    def unwrap(self) -> NoReturn:
        """Raise `DeniedError`."""
        raise errors.DeniedError(
            self.reasons,
            decision_id=self.decision_id or self.id.hex(),
            revision=self.revision,
        )


class Held(msgspec.Struct, frozen=True):
    """Policy lets it in once somebody who may release it does, until `until_ns`.

    It is kept meanwhile; nobody has received it. Not released in time, it is denied.
    """

    id: bytes
    reason: str
    revision: str
    until_ns: int

    @property
    def code(self) -> str:
        """The stable code of the ending."""
        return errors.HeldError.code

    def unwrap(self) -> NoReturn:
        """Raise `HeldError`."""
        raise errors.HeldError(f"{self.id.hex()} is held: {self.reason}")


class Dropped(msgspec.Struct, frozen=True):
    """The stage named `by` ended the message on purpose."""

    id: bytes
    by: str
    reason: str

    @property
    def code(self) -> str:
        """The stable code of the ending."""
        return errors.DroppedError.code

    def unwrap(self) -> NoReturn:
        """Raise `DroppedError`."""
        raise errors.DroppedError(f"{self.by}: {self.reason}")


class Rejected(msgspec.Struct, frozen=True):
    """It broke the contract; sending it again will not help."""

    id: bytes
    error: errors.ProtocolError

    @property
    def code(self) -> str:
        """The stable code of the fault."""
        return self.error.code

    @property
    def reason(self) -> str:
        """The fault in words."""
        return str(self.error)

    def unwrap(self) -> NoReturn:
        """Raise the fault."""
        raise self.error


class Failed(msgspec.Struct, frozen=True):
    """Something did not answer; nothing was let through and the sender may try again.

    `retry_after_s` is given where the bus can say when.
    """

    id: bytes
    error: errors.UnavailableError

    @property
    def code(self) -> str:
        """The stable code of the fault."""
        return self.error.code

    @property
    def reason(self) -> str:
        """The fault in words."""
        return str(self.error)

    @property
    def retry_after_s(self) -> float | None:
        """When to try again, in seconds, if known."""
        if isinstance(self.error, errors.OverloadedError):
            return self.error.retry_after_s
        return None

    def unwrap(self) -> NoReturn:
        """Raise the fault."""
        raise self.error


Outcome = Accepted | Denied | Held | Dropped | Rejected | Failed
