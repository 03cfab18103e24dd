"""What a node's frames mean: outcomes, messages, errors, as the embedded bus has them."""

from typing import Any, Final

import msgspec

from bus.core import serverframes as told
from bus.core.decision import Decision
from bus.core.errors import BusError, MalformedMessageError
from bus.core.framebodies import is_json
from bus.core.message import MSGPACK, OCTETS, RESPONSE, Message
from bus.core.outcome import (
    Accepted,
    Denied,
    Dropped,
    Failed,
    Held,
    Outcome,
    Rejected,
)
from bus.remote.faults import Told, failed, fault, rejected

_bytes: Final = msgspec.msgpack.Decoder(bytes).decode
_any: Final = msgspec.msgpack.Decoder().decode


def ending(frame: told.Outcome) -> Outcome:
    """Return what became of a message; raises `MalformedMessageError` for no id."""
    message_id = identifier(frame.message_id)
    if frame.status != "accepted":
        return _otherwise(frame, message_id)
    decision = Decision(
        True,
        tuple(frame.reasons),
        frame.revision,
        frame.digest,
        cached=frame.cached,
        id=frame.decision_id,
    )
    return Accepted(message_id, decision, frame.deliveries or 0, frame.duplicate)


def _otherwise(frame: told.Outcome, message_id: bytes) -> Outcome:
    match frame.status:
        case "denied":
            reasons = tuple(frame.reasons) or ((frame.reason,) if frame.reason else ())
            return Denied(message_id, reasons, frame.revision, frame.decision_id)
        case "held":
            return Held(message_id, frame.reason, frame.revision, frame.until_ns or 0)
        case "dropped":
            return Dropped(message_id, frame.by, frame.reason)
        case "rejected":
            return Rejected(message_id, rejected(_why(frame, frame.reason)))
        case "failed":
            return Failed(message_id, failed(_why(frame, frame.reason)))
        case "accepted" | _:
            raise MalformedMessageError(f"an outcome that is {frame.status}")


def error_of(frame: told.Error) -> BusError:
    """Return what a node's error means here."""
    return fault(_why(frame, frame.detail))


def message_of(frame: told.Message, constitution: str) -> Message:
    """Return a delivered message. Its stamp is the node's, and stays there."""
    body, content_type = content(frame.body, frame.content_type, frame.encoding)
    return Message(
        identifier(frame.id),
        frame.subject,
        frame.type,
        frame.priority,
        frame.tenant,
        frame.sender,
        content_type,
        body,
        frame.created_ns,
        constitution,
        frame.revision,
        frame.headers or {},
        frame.reply_to,
        frame.correlation,
        frame.causation,
        None if frame.root is None else identifier(frame.root),
        None if frame.parent is None else identifier(frame.parent),
        frame.depth,
        frame.authors,
        frame.expires_ns,
    )


def answer_of(frame: told.Answer) -> Message:
    """Return a reply's body as a message, which is what decoders take."""
    body, content_type = content(frame.body, frame.content_type, frame.encoding)
    return Message(bytes(16), "", RESPONSE, 1, "", "", content_type, body, 0, "", "")


def content(
    raw: msgspec.Raw, content_type: str, encoding: str | None
) -> tuple[bytes, str]:
    """Return a body's bytes and what they are.

    JSON arrives as the same value in MessagePack, and is written as JSON again.

    Raises:
        MalformedMessageError: octets that are none.
    """
    data = bytes(raw)
    if encoding is not None:
        try:
            return _bytes(data), content_type
        except msgspec.MsgspecError as error:
            raise MalformedMessageError(f"octets: {error}") from error
    if content_type == MSGPACK:
        return data, content_type
    if is_json(content_type):
        return msgspec.json.encode(_any(data)), content_type
    raise MalformedMessageError(f"{content_type or OCTETS} without an encoding")


def identifier(text: str) -> bytes:
    """Return the id of a message; raises `MalformedMessageError`."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise MalformedMessageError(f"{text!r} is no id of a message") from None


def _why(frame: Any, text: str) -> Told:
    """Return what an outcome or an error says went wrong."""
    return Told(
        code=frame.code,
        text=text,
        reasons=tuple(frame.reasons),
        revision=frame.revision,
        decision_id=frame.decision_id,
        retry_after_s=frame.retry_after,
    )
