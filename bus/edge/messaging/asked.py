"""What clients ask about messages and are answered.

Rule: plain values, and the bounds of the bus in their types, so that what the OpenAPI
document promises is what is taken. Times are RFC 3339 in UTC with nanoseconds; ids are
32 hex digits.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bus.core.edgelimits import BATCH_ITEMS_MAX, HTTP_REQUEST_S_MAX
from bus.core.limits import TTL_S_MAX
from bus.core.storelimits import DELAY_S_MAX
from bus.edge.messaging.words import (
    Claim,
    Headers,
    Key,
    MediaType,
    MessageId,
    Octets,
    OrderingKey,
    Priority,
    Subject,
    Type,
    WaitS,
)
from bus.edge.operations import Asks


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is answered; what is not there is left out."""


class Item(Asks, frozen=True, kw_only=True):
    """One message of a batch; what is wrong with one is its own outcome.

    As for a message that is published alone.
    """

    subject: str
    body: Any | UnsetType = UNSET
    body_base64: Octets | UnsetType = UNSET
    content_type: str | None = None
    type: str = "event"
    priority: int = 1
    headers: dict[str, str] | None = None
    ttl: float | None = None
    reply_to: str | None = None
    correlation: str | None = None
    causation: str | None = None
    ordering_key: str | None = None
    dedup: str | None = None
    delay: float | None = None


class Publish(Asks, frozen=True, kw_only=True):
    """A message to publish; it waits for room for at most `wait` seconds.

    `body` is any JSON value: its bytes are MessagePack where `content_type` is
    `application/msgpack`, else its JSON text. Bytes are given as `body_base64` instead.
    On a bus with a store the idempotency key is its dedup name as well, if it has none.
    """

    subject: Subject
    body: Any | UnsetType = UNSET
    body_base64: Octets | UnsetType = UNSET
    content_type: MediaType | None = None
    type: Type = "event"
    priority: Priority = 1
    headers: Headers | None = None
    ttl: Annotated[float, Meta(gt=0, le=TTL_S_MAX)] | None = None
    reply_to: Subject | None = None
    correlation: Claim | None = None
    causation: Claim | None = None
    ordering_key: OrderingKey | None = None
    dedup: Claim | None = None
    delay: Annotated[float, Meta(ge=0, le=DELAY_S_MAX)] | None = None
    wait: WaitS | None = None
    idempotency_key: Key | None = None


class Batch(Asks, frozen=True, kw_only=True):
    """Messages to publish, in this order; each has an outcome of its own."""

    items: Annotated[list[Item], Meta(min_length=1, max_length=BATCH_ITEMS_MAX)]
    wait: WaitS | None = None


class Request(Asks, frozen=True, kw_only=True):
    """A query to publish; the first reply within `timeout` seconds is the answer."""

    subject: Subject
    body: Any | UnsetType = UNSET
    body_base64: Octets | UnsetType = UNSET
    content_type: MediaType | None = None
    timeout: Annotated[float, Meta(ge=0.001, le=HTTP_REQUEST_S_MAX)] = 30.0
    headers: Headers | None = None
    ttl: Annotated[float, Meta(gt=0, le=TTL_S_MAX)] | None = None
    causation: Claim | None = None
    ordering_key: OrderingKey | None = None


class OfMessage(Asks, frozen=True, kw_only=True):
    """The message of that id."""

    id: MessageId


class Outcome(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a message that was published.

    `deliveries` counts who it was handed to, `duplicate` says that one of its name was
    kept before. Of a held one `until` is when it is denied. `code`, `detail` and
    `retry_after` say what was wrong with one of a batch.
    """

    status: Literal["accepted", "held", "denied", "dropped", "rejected", "failed"]
    message_id: str
    revision: str | UnsetType = UNSET
    decision_id: str | UnsetType = UNSET
    digest: str | UnsetType = UNSET
    cached: bool | UnsetType = UNSET
    deliveries: int | UnsetType = UNSET
    duplicate: bool = False
    reasons: tuple[str, ...] = ()
    until: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    retry_after: float | UnsetType = UNSET


class Outcomes(Answer, frozen=True, kw_only=True):
    """The outcomes of a batch, in its order; `accepted` counts those let in."""

    items: tuple[Outcome, ...]
    accepted: int


class Content(Answer, frozen=True, kw_only=True):
    """A body: `body` where it is JSON or MessagePack, else `body_base64`."""

    content_type: str
    body: Any | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET


class Message(Content, frozen=True, kw_only=True):
    """A message as its reader may see it."""

    id: str
    subject: str
    type: str
    priority: int
    sender: str
    tenant: str
    created: str
    size: int
    headers: dict[str, str]
    depth: int
    authors: tuple[str, ...]
    revision: str
    expires: str | UnsetType = UNSET
    reply_to: str | UnsetType = UNSET
    correlation: str | UnsetType = UNSET
    causation: str | UnsetType = UNSET
    root: str | UnsetType = UNSET
    parent: str | UnsetType = UNSET


class Decided(Answer, frozen=True, kw_only=True):
    """The decision that let a message in, or holds it."""

    action: str
    allow: bool
    revision: str
    digest: str
    cached: bool
    reasons: tuple[str, ...]
    decision_id: str


class Detail(Message, frozen=True, kw_only=True):
    """A message with its decision, and where it is kept; a held one is kept nowhere."""

    decision: Decided
    status: Literal["kept", "held"]
    stream: str | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    consumers: tuple[str, ...] = ()


class Event(Answer, frozen=True, kw_only=True):
    """Something that happened to a message; `agent` is who did it, or whom it befell."""

    event: str
    time: str
    agent: str
    detail: str
    revision: str


class Pending(Answer, frozen=True, kw_only=True):
    """A delivery that is in a handler's hands, or waits to be tried again."""

    consumer: str
    agent: str
    state: Literal["in_flight", "waiting"]
    attempt: int


class Timeline(Answer, frozen=True, kw_only=True):
    """What happened to a message, in order, and what goes on with it now.

    `truncated` says that more may have happened than could be looked through.
    """

    id: str
    status: str
    items: tuple[Event, ...]
    pending: tuple[Pending, ...]
    truncated: bool


class Node(Answer, frozen=True, kw_only=True):
    """A message of a tree, and what its handlers published because of it."""

    id: str
    subject: str
    type: str
    sender: str
    time: str
    outcome: str
    children: "tuple[Node, ...]" = ()


class Tree(Answer, frozen=True, kw_only=True):
    """All that came of one message; `truncated` says that there may be more."""

    root: Node
    messages: int
    truncated: bool
