"""Bodies as frames carry them: a value of the connection's kind, or octets.

Rule: what is put into a frame as a value is one whole value of that kind, checked here,
so that no body can end a frame, begin another, or spoil what is sent beside it.
"""

import base64
import binascii
from typing import Any, Final

import msgspec

from bus.core.edgelimits import BODY_LEVELS_SPARE, FRAME_BODY_BYTES_MAX
from bus.core.errors import BodyTypeError
from bus.core.frame import Encoding
from bus.core.frames import TEXT, Kind
from bus.core.message import JSON, MSGPACK, OCTETS

_RAW_JSON: Final = msgspec.json.Decoder(msgspec.Raw).decode
_RAW_MSGPACK: Final = msgspec.msgpack.Decoder(msgspec.Raw).decode
_FROM_JSON: Final = msgspec.json.Decoder().decode
_FROM_MSGPACK: Final = msgspec.msgpack.Decoder().decode
_TO_JSON: Final = msgspec.json.Encoder().encode
_TO_MSGPACK: Final = msgspec.msgpack.Encoder().encode
_BIN: Final = msgspec.msgpack.Decoder(bytes).decode
_TEXT: Final = msgspec.json.Decoder(str).decode

_DEEPER_MSGPACK: Final = b"\x91" * BODY_LEVELS_SPARE  # arrays of one
_DEEPER_JSON: Final = b"[" * BODY_LEVELS_SPARE
_END_JSON: Final = b"]" * BODY_LEVELS_SPARE

# What bytes that are no value, and values of one kind that the other has not, raise.
_UNFIT: Final = (
    msgspec.MsgspecError,
    UnicodeError,
    RecursionError,
    OverflowError,
    TypeError,
    ValueError,
)


def shown(
    kind: Kind, body: bytes, content_type: str
) -> tuple[msgspec.Raw, Encoding | None]:
    """Return a message's body as a frame of `kind` carries it, and its encoding.

    JSON and MessagePack become a value, converted where the kind is the other one; what
    cannot be a value there, or not one that fits into a frame, and everything else, are
    octets.
    """
    if content_type == MSGPACK or is_json(content_type):
        try:
            require_shallow(body, binary=content_type == MSGPACK)
            return _value(kind, body, binary=content_type == MSGPACK), None
        except _UNFIT:
            pass  # bytes that are not what their content type says, or do not convert
    if kind.binary:
        return msgspec.Raw(_TO_MSGPACK(body)), "bin"
    return msgspec.Raw(b'"' + base64.b64encode(body) + b'"'), "base64"


def told(
    kind: Kind, body: msgspec.Raw, content_type: str | None, encoding: Encoding | None
) -> tuple[bytes, str]:
    """Return the octets of a body in a frame of `kind`, and their content type.

    Without an encoding it is a value: kept as it is written, or converted where the
    content type is the other kind's. In MessagePack a bin with any other content type is
    octets, also without an encoding.

    Raises:
        BodyTypeError: it is not what encoding and content type say.
    """
    data = bytes(body)
    if encoding is not None:
        return _octets(kind, data, encoding), content_type or OCTETS
    if content_type is None or content_type == kind.content_type:
        if kind.binary:
            _require_value(data)
        return data, kind.content_type
    if content_type != MSGPACK and not is_json(content_type):
        if kind.binary:
            return _octets(kind, data, "bin"), content_type
        raise BodyTypeError(
            f"a JSON value is not {content_type}: send base64 text with encoding base64"
        )
    try:
        if is_json(content_type):
            return _TO_JSON(_FROM_MSGPACK(data)) if kind.binary else data, content_type
        return _TO_MSGPACK(_FROM_JSON(data)), content_type
    except _UNFIT as error:
        raise BodyTypeError(f"body cannot be {content_type}: {error}") from error


def require_shallow(body: bytes, *, binary: bool) -> None:
    """Return unless a value is nested so deep that it leaves its reader little room.

    Whoever decodes it further down its own stack could not, and would lose all that it
    came with. Raises `RecursionError`, or what bytes that are no value raise.
    """
    if len(body) < BODY_LEVELS_SPARE:
        return
    if binary:
        _RAW_MSGPACK(_DEEPER_MSGPACK + body)
    elif body.count(b"[") + body.count(b"{") > BODY_LEVELS_SPARE:
        _RAW_JSON(_DEEPER_JSON + body + _END_JSON)


def is_json(content_type: str) -> bool:
    """Tell whether a content type says that bytes are JSON."""
    if content_type == JSON:
        return True
    if content_type in {MSGPACK, OCTETS}:
        return False
    plain = content_type.partition(";")[0].strip().lower()
    return plain == JSON or plain.endswith("+json")


def _value(kind: Kind, body: bytes, *, binary: bool) -> msgspec.Raw:
    """Return bytes of a kind as a value of the connection's; raises what is `_UNFIT`."""
    if kind.binary:
        value: Any = _FROM_MSGPACK(body) if binary else _FROM_JSON(body)
        return msgspec.Raw(body if binary else _fit(_TO_MSGPACK(value)))
    if binary:
        return msgspec.Raw(_fit(_TO_JSON(_FROM_MSGPACK(body))))
    if not body.isascii():
        body.decode()  # what is inside strings is not looked at otherwise
    _RAW_JSON(body)
    return msgspec.Raw(body)


def _fit(converted: bytes) -> bytes:
    """Return a converted body, or raise `ValueError` where no frame could carry it."""
    if len(converted) > FRAME_BODY_BYTES_MAX:
        raise ValueError(f"{len(converted)} bytes once converted")
    return converted


def _require_value(data: bytes) -> None:
    try:
        _FROM_MSGPACK(data)
    except _UNFIT as error:
        raise BodyTypeError(f"body is no MessagePack value: {error}") from error


def _octets(kind: Kind, data: bytes, encoding: Encoding) -> bytes:
    try:
        if kind is TEXT and encoding == "base64":
            return base64.b64decode(_TEXT(data), validate=True)
        if kind is not TEXT and encoding == "bin":
            return _BIN(data)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise BodyTypeError(f"body is not {encoding}: {error}") from error
    other = "base64" if kind is TEXT else "bin"
    raise BodyTypeError(f"encoding {encoding}: here octets are {other}")
