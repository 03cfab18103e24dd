"""What operators ask and are answered: what waits for them, and what is kept.

Rule: as in `bus.edge.operator.answers`. A body past the bound of a list is left out and
says so; it is there whole where one row is asked for.
"""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from bus.edge.operations import Asks, Page
from bus.edge.operator.answers import Filter, Paged, Row


class Body(Row, frozen=True, kw_only=True):
    """A message's body: `body` where it is JSON or MessagePack, else `body_base64`.

    Neither is there where `left_out` says why: it is too large for a list, or policy does
    not let it be seen any more.
    """

    content_type: str = ""
    size: int = 0
    body: Any | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET
    left_out: Literal["", "large", "hidden"] = ""


class ApprovalRow(Row, frozen=True, kw_only=True):
    """A message that policy holds until somebody who may releases it."""

    id: str
    subject: str
    type: str
    priority: int
    sender: str
    tenant: str
    authors: tuple[str, ...]
    reason: str
    since: str
    until: str
    revision: str
    headers: dict[str, str]
    content: Body


class Approvals(Page, frozen=True, kw_only=True):
    """What is held, oldest first."""

    items: tuple[ApprovalRow, ...]
    total: int


class ApprovalAsked(Asks, frozen=True, kw_only=True):
    """The held message of that id."""

    id: str


class Settle(Asks, frozen=True, kw_only=True):
    """What is said of a held message, and why."""

    id: str
    reason: str


class Settled(Row, frozen=True, kw_only=True):
    """What became of a message that was released, refused or sent once more."""

    status: Literal["accepted", "denied", "held"]
    message_id: str
    revision: str = ""
    deliveries: int | None = None
    duplicate: bool = False
    decision_id: str = ""
    reasons: tuple[str, ...] = ()
    until: str | None = None


class LettersAsked(Paged, frozen=True, kw_only=True):
    """Which dead letters: of that consumer, in that tenant."""

    consumer: Filter = ""
    tenant: Filter = ""


class LetterRow(Row, frozen=True, kw_only=True):
    """A message that was given up. `resendable` is False where none is kept in a store.

    `subject` and what follows it are None where the message is not what was kept, or may
    not be seen any more.
    """

    id: str
    time: str
    tenant: str
    consumer: str
    attempts: int
    reason: str
    resendable: bool
    message_id: str | None = None
    subject: str | None = None
    type: str | None = None
    sender: str | None = None
    priority: int | None = None
    headers: dict[str, str] | None = None
    content: Body | None = None


class Letters(Page, frozen=True, kw_only=True):
    """Dead letters, oldest first. `total` is what the node keeps; None for an operator."""

    items: tuple[LetterRow, ...]
    total: int | None = None


class LetterAsked(Asks, frozen=True, kw_only=True):
    """The dead letter of that id."""

    id: str


class Resend(Asks, frozen=True, kw_only=True):
    """Send a dead letter once more, with another body if one is given.

    `body` is any JSON value; octets are `body_base64`.
    """

    id: str
    body: Any | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET


class StreamLimits(Row, frozen=True, kw_only=True):
    """What a tenant's stream is cut to, and how."""

    max_messages: int
    max_bytes: int
    max_age_seconds: float | None
    discard: Literal["settled", "old", "refuse"]


class StreamLine(Row, frozen=True, kw_only=True):
    """A tenant's stream; sequences count from 1, `last` is the latest given."""

    name: str
    tenant: str
    subjects: tuple[str, ...]
    messages: int
    bytes: int
    first: int
    last: int
    limits: StreamLimits


class StreamsAsked(Paged, frozen=True, kw_only=True):
    """Which streams, or consumers: of that tenant."""

    tenant: Filter = ""


class Streams(Page, frozen=True, kw_only=True):
    """Streams by tenant and name; none where the node keeps nothing (`durable`)."""

    items: tuple[StreamLine, ...]
    durable: bool


class ConsumerRow(Row, frozen=True, kw_only=True):
    """A durable consumer, or a subscription where the node keeps nothing.

    `pending` are accepted and not settled, those in flight and delayed included.
    `members` take from it now. What is not counted or not known is None.
    """

    tenant: str
    name: str
    agent: str
    pattern: str
    queue: str
    durable: bool
    members: int
    pending: int
    in_flight: int
    delayed: int
    redelivered: int | None = None
    dead: int | None = None
    oldest_seconds: float | None = None


class Consumers(Page, frozen=True, kw_only=True):
    """Consumers by tenant and name."""

    items: tuple[ConsumerRow, ...]


class Rewind(Asks, frozen=True, kw_only=True):
    """Take a consumer back to its last ack; `tenant` where an admin means another one."""

    name: str
    tenant: str = ""


class RewoundRow(Row, frozen=True, kw_only=True):
    """How many deliveries come again, and how many of them a handler had in hand."""

    tenant: str
    consumer: str
    deliveries: int
    in_hand: int
