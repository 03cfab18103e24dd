"""What the bus says, as frames: outcomes, deliveries, faults."""

from typing import Any, assert_never

from bus.core import serverframes as server
from bus.core.errors import BusError, DeniedError, OverloadedError
from bus.core.framebodies import shown
from bus.core.frames import Kind
from bus.core.message import Message
from bus.core.outcome import (
    Accepted,
    Denied,
    Dropped,
    Failed,
    Held,
    Outcome,
    Rejected,
)
from bus.subscription import Delivery


def outcome_frame(call: int, outcome: Outcome) -> server.Outcome:
    """Return what became of the message that call `call` published."""
    told = outcome.id.hex()
    if isinstance(outcome, Accepted):
        decision = outcome.decision
        # Positions: keywords cost as much again, and this is made for each message.
        return server.Outcome(
            call,
            "accepted",
            told,
            outcome.deliveries,
            outcome.duplicate,
            "",
            "",
            (),
            "",
            decision.revision,
            decision.id,
            decision.digest,
            decision.cached,
        )
    return _refused(call, told, outcome)


def _refused(
    call: int, told: str, outcome: Denied | Held | Dropped | Rejected | Failed
) -> server.Outcome:
    more: dict[str, Any]
    match outcome:
        case Denied():
            more = {
                "status": "denied",
                "reasons": outcome.reasons,
                "revision": outcome.revision,
                "decision_id": outcome.decision_id,
            }
        case Held():
            more = {
                "status": "held",
                "revision": outcome.revision,
                "until_ns": outcome.until_ns,
            }
        case Dropped():
            more = {"status": "dropped", "by": outcome.by}
        case Rejected():
            more = {"status": "rejected"}
        case Failed():
            more = {"status": "failed", "retry_after": outcome.retry_after_s}
        case _:
            assert_never(outcome)
    return server.Outcome(
        id=call, message_id=told, code=outcome.code, reason=outcome.reason, **more
    )


def message_frame(kind: Kind, sid: int, did: int, delivery: Delivery) -> server.Message:
    """Return a delivery as the client is sent it."""
    message = delivery.message
    body, encoding = shown(kind, message.body, message.content_type)
    root, parent = message.root, message.parent
    # Positions, as above.
    return server.Message(
        sid,
        did,
        message.id.hex(),
        message.subject,
        body,
        message.content_type,
        message.type,
        message.priority,
        message.sender,
        message.tenant,
        message.created_ns,
        delivery.attempt,
        message.depth,
        message.revision,
        encoding,
        message.headers or None,
        message.reply_to,
        message.correlation,
        message.causation,
        None if root is None else root.hex(),
        None if parent is None else parent.hex(),
        message.authors,
        message.expires_ns,
        delivery.number,
        delivery.token,
    )


def answer_frame(kind: Kind, call: int, reply: Message) -> server.Answer:
    """Return the reply to a request."""
    body, encoding = shown(kind, reply.body, reply.content_type)
    return server.Answer(call, body, reply.content_type, encoding)


def error_frame(
    error: BusError,
    call: int | None = None,
    sid: int | None = None,
    did: int | None = None,
) -> server.Error:
    """Return what kept a call or a settling from being done."""
    told = server.Error(error.code, str(error), call, sid, did)
    if isinstance(error, DeniedError):
        return server.Error(
            told.code,
            told.detail,
            call,
            sid,
            did,
            error.reasons,
            error.revision,
            error.decision_id,
        )
    if isinstance(error, OverloadedError):
        return server.Error(
            told.code, told.detail, call, sid, did, retry_after=error.retry_after_s
        )
    return told
