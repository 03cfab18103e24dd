"""What a node sends to a client of `assent.v1`."""

from typing import Literal

import msgspec

from bus.core.frame import Encoding, Frame

Status = Literal["accepted", "denied", "held", "dropped", "rejected", "failed"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may do; past it see docs/reference/websocket.md."""

    frame_bytes: int
    frame_items: int
    in_flight: int
    subscriptions: int
    publishes_in_flight: int
    messages_per_second: int


class Connected(Frame, frozen=True, tag="connected"):
    """The connection is the agent's. `durable` tells that the node has a store."""

    session: str
    agent: str
    tenant: str
    roles: tuple[str, ...]
    server: str
    revision: str
    constitution: str
    durable: bool
    limits: Limits


class Outcome(Frame, frozen=True, tag="outcome"):
    """What became of a message. No `decision_id`: it is the message's own id."""

    id: int
    status: Status
    message_id: str
    deliveries: int | None = None
    duplicate: bool = False
    code: str = ""
    reason: str = ""
    reasons: tuple[str, ...] = ()
    by: str = ""
    revision: str = ""
    decision_id: str = ""
    digest: str = ""
    cached: bool = False
    retry_after: float | None = None
    until_ns: int | None = None


class Answer(Frame, frozen=True, tag="answer"):
    """The reply to a request."""

    id: int
    body: msgspec.Raw
    content_type: str
    encoding: Encoding | None = None


class Subscribed(Frame, frozen=True, tag="subscribed"):
    """In force. `kept` tells that what comes while nobody is connected is kept for it.

    `consumer` is the durable name it is kept under.
    """

    id: int
    sid: int
    kept: bool
    consumer: str = ""


class Unsubscribed(Frame, frozen=True, tag="unsubscribed"):
    """Ended. `left` counts what became dead letters of what waited."""

    id: int
    sid: int
    left: int


class Message(Frame, frozen=True, tag="message"):
    """A delivery. `content_type` is the one it was published with.

    Without `encoding` the body is a value of the connection's kind, converted if it was
    published as the other. `number` and `token` are there where a store keeps it.
    """

    sid: int
    did: int
    id: str
    subject: str
    body: msgspec.Raw
    content_type: str
    type: str
    priority: int
    sender: str
    tenant: str
    created_ns: int
    attempt: int
    depth: int
    revision: str
    encoding: Encoding | None = None
    headers: dict[str, str] | None = None
    reply_to: str | None = None
    correlation: str | None = None
    causation: str | None = None
    root: str | None = None
    parent: str | None = None
    authors: tuple[str, ...] = ()
    expires_ns: int | None = None
    number: int = 0
    token: int = 0


class Ended(Frame, frozen=True, tag="ended"):
    """The node ended a subscription; the client did not ask for it."""

    sid: int
    code: str
    reason: str


class Missed(Frame, frozen=True, tag="missed"):
    """So many deliveries gave way to newer ones since it was last told: the client is slow."""

    sid: int
    count: int


class Error(Frame, frozen=True, tag="error"):
    """A call or a settling that failed, or why the connection closes now."""

    code: str
    detail: str
    id: int | None = None
    sid: int | None = None
    did: int | None = None
    reasons: tuple[str, ...] = ()
    revision: str = ""
    decision_id: str = ""
    retry_after: float | None = None


class Draining(Frame, frozen=True, tag="draining"):
    """The node stops in so many seconds: finish, and come back later or elsewhere."""

    seconds: float


class Pong(Frame, frozen=True, tag="pong"):
    """The answer to `ping`."""

    id: int


FromServer = (
    Connected
    | Outcome
    | Answer
    | Subscribed
    | Unsubscribed
    | Message
    | Ended
    | Missed
    | Error
    | Draining
    | Pong
)
