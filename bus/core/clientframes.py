"""What a client of `assent.v1` sends."""

from typing import Annotated, Literal

import msgspec

from bus.core.edgelimits import (
    FRAME_ACKS_MAX,
    FRAME_BACKOFF_STEPS_MAX,
    FRAME_TOKEN_CHARS_MAX,
)
from bus.core.frame import Encoding, Frame, Number, Word
from bus.core.message import EVENT

Credit = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Token = Annotated[str, msgspec.Meta(max_length=FRAME_TOKEN_CHARS_MAX)]


class Connect(Frame, frozen=True, tag="connect"):
    """First, and once. Without a token: what the upgrade request carried.

    `resume` is the session of a connection that was lost: where the node still has it
    open for the same agent, it ends first, and what it held is free again at once.
    """

    token: Token | None = None
    client: Word = ""
    resume: Word | None = None


class Publish(Frame, frozen=True, tag="publish"):
    """Answered by `outcome`. `delay` is seconds, or the RFC 3339 time until when it waits.

    Without `encoding` the body is a value of the connection's kind. `did` is the delivery
    being handled, where the message comes of one: its lineage descends from it.
    """

    id: Number
    subject: str
    body: msgspec.Raw
    type: str = EVENT
    priority: int = 1
    headers: dict[str, str] | None = None
    ttl: float | None = None
    reply_to: str | None = None
    correlation: str | None = None
    causation: str | None = None
    content_type: str | None = None
    encoding: Encoding | None = None
    ordering_key: str | None = None
    dedup: str | None = None
    delay: float | str | None = None
    wait: float | None = None
    did: Number | None = None


class Request(Frame, frozen=True, tag="request"):
    """Answered by `answer`, or `error`. Not in order with publishes."""

    id: Number
    subject: str
    body: msgspec.Raw
    timeout: float | None = None
    headers: dict[str, str] | None = None
    ttl: float | None = None
    correlation: str | None = None
    causation: str | None = None
    content_type: str | None = None
    encoding: Encoding | None = None
    ordering_key: str | None = None
    did: Number | None = None


class Subscribe(Frame, frozen=True, tag="subscribe"):
    """Answered by `subscribed`, or `error`. `credit` deliveries may be sent at once.

    `start` is "new", "all", a sequence of the stream, or an RFC 3339 time.
    """

    id: Number
    sid: Number
    pattern: str
    credit: Credit
    ack: Literal["auto", "explicit"] = "auto"
    queue: str | None = None
    durable: bool | str | None = None
    start: int | str | None = None
    max_deliver: int | None = None
    ack_wait: float | None = None
    backoff: (
        Annotated[list[float], msgspec.Meta(max_length=FRAME_BACKOFF_STEPS_MAX)] | None
    ) = None
    max_ack_pending: int | None = None
    overflow: Literal["wait", "refuse", "drop_oldest"] | None = None
    capacity: int | None = None


class Credits(Frame, frozen=True, tag="credit"):
    """So many more deliveries may be sent."""

    sid: Number
    n: Count


class Unsubscribe(Frame, frozen=True, tag="unsubscribe"):
    """Answered by `unsubscribed`, or `error`.

    `drain` is how long what is queued may still be delivered, `forget` takes away what a
    store keeps for the subscription.
    """

    id: Number
    sid: Number
    drain: float | None = None
    forget: bool = False


class Ack(Frame, frozen=True, tag="ack"):
    """Settles deliveries as done."""

    sid: Number
    dids: Annotated[list[Number], msgspec.Meta(min_length=1, max_length=FRAME_ACKS_MAX)]


class Nak(Frame, frozen=True, tag="nak"):
    """Asks for redelivery, after the usual backoff if no `delay` is given."""

    sid: Number
    did: Number
    delay: float | None = None


class Term(Frame, frozen=True, tag="term"):
    """Gives a delivery up: it goes to the dead letters."""

    sid: Number
    did: Number
    reason: str | None = None


class InProgress(Frame, frozen=True, tag="in_progress"):
    """Starts the delivery's lease anew."""

    sid: Number
    did: Number


class Reply(Frame, frozen=True, tag="reply"):
    """Answers the request that a delivery is; answered by `outcome`, or `error`."""

    id: Number
    sid: Number
    did: Number
    body: msgspec.Raw
    content_type: str | None = None
    encoding: Encoding | None = None


class Ping(Frame, frozen=True, tag="ping"):
    """Answered by `pong`."""

    id: Number


Settles = Ack | Nak | Term | InProgress
Calls = Publish | Request | Subscribe | Unsubscribe | Reply | Ping
FromClient = Connect | Calls | Credits | Settles
