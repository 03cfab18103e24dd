"""Frames of what an agent asks for, encoded; and what is not fit for one, refused here.

Rule: a frame that the node would not read is never sent: it would cost the connection,
and everybody's calls on it. What only the node can judge, the node judges.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from bus.core import clientframes as out
from bus.core.codec import encode_any, encode_body
from bus.core.edgelimits import FRAME_BYTES_MAX, FRAME_ITEMS_MAX
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.frame import Encoding
from bus.core.frames import BINARY
from bus.core.limits import SUBJECT_BYTES_MAX
from bus.core.message import OCTETS
from bus.wants import Spec

ITEM_BYTES_MAX: Final = FRAME_BYTES_MAX - 64  # with the head of an array around it
_SHORT: Final = 16
_Asked = tuple[msgspec.Raw, str | None, Encoding | None]

encode: Final = BINARY.encode


def frame_of(items: Sequence[bytes]) -> bytes:
    """Return one WebSocket frame of encoded objects: itself, or an array of several."""
    if len(items) == 1:
        return items[0]
    if len(items) < _SHORT:
        return bytes((0x90 | len(items),)) + b"".join(items)
    return b"\xdc" + len(items).to_bytes(2, "big") + b"".join(items)


assert FRAME_ITEMS_MAX < 1 << 16  # noqa: S101 - what two bytes count


def body_of(body: object, content_type: str | None = None) -> _Asked:
    """Return a body as a frame has it: the value, what it is, and whether it is octets.

    Raises:
        BodyTypeError: a type that MessagePack cannot carry.
        MalformedMessageError: a content type for what is no bytes.
    """
    data, kind = encode_any(body)
    if kind == OCTETS:
        return msgspec.Raw(encode_body(data)), content_type, "bin"
    if content_type is not None:
        raise MalformedMessageError("content_type is for a body of bytes")
    return msgspec.Raw(data), None, None


def checked(frame: Any, *, plain: bool) -> bytes:
    """Encode a frame; one that is not `plain` is read back, as the node would read it.

    Raises:
        MalformedMessageError: the node would not read it.
        LimitExceededError: longer than a frame may be.
    """
    try:
        item = encode(frame)
        if not plain:
            BINARY.client(item)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MalformedMessageError(str(error)) from None  # msgspec's are ValueErrors
    if len(item) > ITEM_BYTES_MAX:
        raise LimitExceededError(
            "frame bytes", actual=len(item), allowed=ITEM_BYTES_MAX
        )
    return item


def checked_subject(subject: object) -> str:
    """Return a subject that a frame can carry; the node checks its grammar."""
    if type(subject) is not str:
        raise MalformedMessageError(
            f"a subject is a string, not {type(subject).__name__}"
        )
    if len(subject) > SUBJECT_BYTES_MAX:
        raise LimitExceededError(
            "subject bytes", actual=len(subject), allowed=SUBJECT_BYTES_MAX
        )
    return subject


def due(delay: float | datetime | None) -> float | str | None:
    """Return a delay as a frame has it.

    Raises:
        MalformedMessageError: a time without its zone.
    """
    if not isinstance(delay, datetime):
        return delay
    return _instant("delay until", delay)


def subscribe(number: int, sid: int, spec: Spec, options: Any, credit: int) -> bytes:
    """Return the frame that subscribes: what the caller chose, and no default of ours."""
    start = spec.start
    backoff = options.get("backoff")
    chosen = out.Subscribe(
        id=number,
        sid=sid,
        pattern=spec.pattern,
        credit=credit,
        ack="explicit",
        queue=spec.queue or None,
        durable=options.get("durable"),
        start=_instant("start", start) if isinstance(start, datetime) else start,
        max_deliver=options.get("max_deliver"),
        ack_wait=options.get("ack_wait"),
        backoff=None if backoff is None else list(backoff),
        max_ack_pending=options.get("max_ack_pending"),
        overflow=options.get("overflow"),
        capacity=options.get("capacity"),
    )
    return checked(chosen, plain=False)


def _instant(what: str, time: datetime) -> str:
    if time.tzinfo is None:
        raise MalformedMessageError(f"{what} {time}: a time with its zone")
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
