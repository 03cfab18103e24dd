"""How values of the bus are told on the wire: times, ids, bodies, outcomes.

Rule: leaves only. What cannot be told as JSON without a change is told as base64.
"""

import base64
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bus.core.edgeerrors import NotFoundError
from bus.core.edgelimits import BODY_SHOWN_BYTES_MAX
from bus.core.errors import MalformedMessageError
from bus.core.framebodies import require_shallow
from bus.core.message import JSON, MSGPACK, Message
from bus.core.outcome import Accepted, Denied, Held, Outcome
from bus.edge.operator.keptanswers import Body, Settled

_NS_PER_S: Final = 1_000_000_000
_NS_DIGITS: Final = 9
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError)
_JSON_ENDINGS: Final = ("+json",)


def rfc3339(time_ns: int) -> str:
    """Return nanoseconds since the epoch as RFC 3339 in UTC, with nanoseconds."""
    seconds, rest = divmod(time_ns, _NS_PER_S)
    try:
        told = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return ""  # a record may hold any number
    return f"{told:%Y-%m-%dT%H:%M:%S}.{rest:0{_NS_DIGITS}d}Z"


def content(message: Message, bytes_max: int = BODY_SHOWN_BYTES_MAX) -> Body:
    """Return a message's body as it is told; one past `bytes_max` is left out."""
    size, content_type = len(message.body), message.content_type
    if size > bytes_max:
        return Body(content_type=content_type, size=size, left_out="large")
    try:
        shown = _as_json(content_type, message.body)
    except _UNREADABLE:
        shown = None
    if shown is None:
        octets = base64.b64encode(message.body).decode()
        return Body(content_type=content_type, size=size, body_base64=octets)
    return Body(content_type=content_type, size=size, body=msgspec.Raw(shown))


def _as_json(content_type: str, body: bytes) -> bytes | None:
    """Return a body as JSON that says the same, or None if there is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON or kind.endswith(_JSON_ENDINGS):
        require_shallow(body, binary=False)
        msgspec.json.decode(body)
        return body
    if kind != MSGPACK:
        return None
    require_shallow(body, binary=True)
    value = msgspec.msgpack.decode(body)
    made = msgspec.json.encode(value)
    return made if msgspec.json.decode(made) == value else None


def body_given(body: Any, body_base64: Any) -> Any:
    """Return the body that a caller gives, as `Agent.resend` takes it; `...` is none.

    Raises:
        MalformedMessageError: both are given, or what is given is no base64.
    """
    if body is not UNSET and body_base64 is not UNSET:
        raise MalformedMessageError("give body or body_base64, not both")
    if body is not UNSET:
        return body
    if body_base64 is UNSET:
        return ...
    try:
        return base64.b64decode(body_base64, validate=True)
    except ValueError as error:
        raise MalformedMessageError(f"body_base64: {error}") from error


def settled(outcome: Outcome) -> Settled:
    """Return an outcome that is told; raise as `unwrap` for one that is a fault."""
    if isinstance(outcome, Accepted):
        receipt = outcome.receipt
        return Settled(
            status="accepted",
            message_id=receipt.message_id,
            revision=receipt.revision,
            deliveries=receipt.deliveries,
            duplicate=outcome.duplicate,
            decision_id=receipt.decision_id,
        )
    if not isinstance(outcome, Held):
        outcome.unwrap()
    return Settled(
        status="held",
        message_id=outcome.id.hex(),
        revision=outcome.revision,
        reasons=(outcome.reason,),
        until=rfc3339(outcome.until_ns),
    )


def refused(outcome: Outcome) -> Settled:
    """Return the outcome of a refusal, which is meant to be a denial."""
    if not isinstance(outcome, Denied):
        return settled(outcome)
    return Settled(
        status="denied",
        message_id=outcome.id.hex(),
        revision=outcome.revision,
        decision_id=outcome.decision_id,
        reasons=outcome.reasons,
    )


def number_after(cursor: str) -> int:
    """Return the number that a cursor is; 0 for none.

    Raises:
        MalformedMessageError: it is none of ours.
    """
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > _CURSOR_DIGITS_MAX:
        raise MalformedMessageError("after: not a cursor of this list")
    return int(cursor)


_CURSOR_DIGITS_MAX: Final = 18


def id_of(told: str) -> bytes:
    """Return the id that 32 hex digits are.

    Raises:
        NotFoundError: they are none, so that nothing has that id.
    """
    try:
        return bytes.fromhex(told)
    except ValueError:
        raise NotFoundError(f"{told[:_ID_DIGITS]!r} is not a message's id") from None


_ID_DIGITS: Final = 32
