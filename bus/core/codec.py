"""Bytes to message and bodies to bytes and back; the only place that decodes."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from bus.core import bodies
from bus.core.errors import (
    BodyTypeError,
    HandlerError,
    LimitExceededError,
    MalformedMessageError,
)
from bus.core.limits import DECODERS_MEMO_MAX, HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX
from bus.core.message import JSON, MSGPACK, OCTETS, Message

FRAME_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + HEADER_BYTES_MAX + 4096

_RAW: Final = (bytes, bytearray, memoryview)

_encode_frame: Final = msgspec.msgpack.Encoder().encode
_decode_frame: Final = msgspec.msgpack.Decoder(Message).decode
encode_body: Final = msgspec.msgpack.Encoder().encode

# Nesting deeper than the interpreter goes is a fault of the bytes, like any other.
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# What a type that is none, or names what is not there, makes the library raise.
_NO_TYPE: Final = (TypeError, ValueError, RecursionError, NameError, AttributeError)

Decode = Callable[[Message], Any]


def encode(message: Message) -> bytes:
    """Encode a message as one frame."""
    return _encode_frame(message)


def decode(frame: bytes) -> Message:
    """Decode one frame. Its stamp is not checked here.

    Raises:
        LimitExceededError: longer than any message can be.
        MalformedMessageError: not a message.
    """
    if len(frame) > FRAME_BYTES_MAX:
        raise LimitExceededError(
            "frame bytes", actual=len(frame), allowed=FRAME_BYTES_MAX
        )
    try:
        return _decode_frame(frame)
    except _UNDECODABLE as error:
        raise MalformedMessageError(f"not a message: {error}") from error


def encode_any(body: object) -> tuple[bytes, str]:
    """Encode a body to (bytes, content type): bytes stay as they are, the rest MessagePack.

    Raises:
        BodyTypeError: a type that MessagePack cannot carry.
    """
    if isinstance(body, _RAW):
        return bytes(body), OCTETS
    try:
        return encode_body(body), MSGPACK
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BodyTypeError(f"body of type {type(body).__name__}: {error}") from error


@lru_cache(maxsize=DECODERS_MEMO_MAX)
def decoder(body_type: Any) -> Decode:
    """Return a function that decodes and validates a message's body to `body_type`.

    `bytes` hands the body over as it is. It raises `BodyTypeError`.

    Raises:
        HandlerError: nothing decodes to `body_type`, or to a type in it.
    """
    if body_type is bytes:
        return lambda message: message.body
    try:
        decode_msgpack = msgspec.msgpack.Decoder(body_type).decode
        decode_json = msgspec.json.Decoder(body_type).decode
        wrong = bodies.undecodable(body_type)
    except _NO_TYPE as error:
        raise HandlerError(f"body type {body_type!r}: {error}") from error
    if wrong is not None:
        raise HandlerError(
            f"body type {body_type!r}: nothing decodes to {wrong.__qualname__}; "
            "name a built-in type, a dataclass or a msgspec.Struct"
        )

    def decode_message(message: Message) -> Any:
        try:
            if message.content_type == MSGPACK:
                return decode_msgpack(message.body)
            if message.content_type == JSON:
                return decode_json(message.body)
        except Exception as error:
            raise BodyTypeError(f"body of {message.id.hex()}: {error!r}") from error
        raise BodyTypeError(
            f"body of {message.id.hex()} is {message.content_type}; "
            f"only {MSGPACK} and {JSON} decode to a type"
        )

    return decode_message
