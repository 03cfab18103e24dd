"""A message's body as rules see it: exactly as a handler would, or not at all.

Rule: what is neither JSON nor MessagePack is unreadable, and rules can tell that. What
can be decoded but not be shown as it is denies: no rule is asked about another body
than the one that is delivered.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from bus.core.limits import POLICY_INPUT_BYTES_MAX
from bus.core.message import JSON, MSGPACK, Message

_encode_json: Final = msgspec.json.Encoder().encode
_decode_json: Final = msgspec.json.Decoder().decode
_encode_msgpack: Final = msgspec.msgpack.Encoder().encode

_DECODERS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    JSON: _decode_json,
    MSGPACK: msgspec.msgpack.Decoder().decode,
}
_CHARSETS: Final = frozenset({"utf-8", "utf8"})
_NOT_AS_IT_IS: Final = (
    "the body holds what rules cannot be shown as it is: a number that is not finite or "
    "past 64 bits, bytes, a time, an extension, or a key that is no text"
)
_TWICE: Final = "the body has a key twice"

# MessagePack: by the first byte of a value, (bytes of its length, bytes that follow
# beside what the length counts). Bytes that are not here stand for themselves.
_SKIPS: Final[Mapping[int, tuple[int, int]]] = {
    0xCA: (0, 4),  # float
    0xCB: (0, 8),
    **{0xA0 + n: (0, n) for n in range(32)},  # short text
    **{0xD9 + n: (1 << n, 0) for n in range(3)},  # text
    **{0xC4 + n: (1 << n, 0) for n in range(3)},  # binary
    **{0xC7 + n: (1 << n, 1) for n in range(3)},  # extension
    **{0xD4 + n: (0, 1 + (1 << n)) for n in range(5)},  # extension of fixed length
    **{0xCC + n: (0, 1 << n) for n in range(4)},  # unsigned
    **{0xD0 + n: (0, 1 << n) for n in range(4)},  # signed
}
_NOTHING: Final = (0, 0)
# Containers, whose length counts no bytes. Short arrays need no entry.
_SHORT_MAPS: Final[Mapping[int, int]] = {0x80 + n: n for n in range(16)}
_ARRAYS: Final[Mapping[int, int]] = {0xDC: 2, 0xDD: 4}
_MAPS: Final[Mapping[int, int]] = {0xDE: 2, 0xDF: 4}


class UnaskableError(ValueError):
    """A message that rules cannot be asked about. Its text holds none of its values."""


def shown(message: Message) -> msgspec.Raw | None:
    """Return the body as JSON, or None for one that is neither JSON nor MessagePack.

    Raises:
        UnaskableError: rules would see something else than a handler, or too much.
        RecursionError: nested deeper than can be decoded.
    """
    media = media_type(message.content_type)
    decode = _DECODERS.get(media)
    if decode is None:
        return None
    body = message.body
    if len(body) > POLICY_INPUT_BYTES_MAX:
        raise UnaskableError(
            f"a body of {len(body)} bytes; {POLICY_INPUT_BYTES_MAX} can be shown"
        )
    try:
        value = decode(body)
    except msgspec.ValidationError:  # untyped: a number that no float holds
        raise UnaskableError(_NOT_AS_IT_IS) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    text = _exactly(value)
    if _has_a_key_twice(media, body, value, text):
        raise UnaskableError(_TWICE)
    return msgspec.Raw(text)


def media_type(content_type: str) -> str:
    """Return the type without its parameters, in small letters.

    It is empty where the parameters name characters other than UTF-8.
    """
    if content_type in _DECODERS:  # almost always: nothing is taken apart
        return content_type
    media, _, parameters = content_type.partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        told = value.strip().strip('"').lower()
        if name.strip().lower() == "charset" and told not in _CHARSETS:
            return ""
    return media.strip().lower()


def _exactly(value: Any) -> bytes:
    """Return the JSON that decodes to a value and to nothing else, if there is any."""
    try:
        _encode_msgpack(value)  # which has no numbers past 64 bits, as JSON has
        text = _encode_json(value)
    except (OverflowError, TypeError):
        raise UnaskableError(_NOT_AS_IT_IS) from None
    if _decode_json(text) != value:
        raise UnaskableError(_NOT_AS_IT_IS)
    return text


def _has_a_key_twice(media: str, body: bytes, value: Any, text: bytes) -> bool:
    """Tell whether an object in a body has a key twice: readers differ in which counts."""
    if media == JSON:
        return body != text and not _told_once(body)
    plain = _encode_msgpack(value)
    return body != plain and _entries(body) != _entries(plain)


def _told_once(body: bytes) -> bool:
    """Tell whether every key of every object in valid JSON is there once."""
    once = True

    def note(pairs: list[tuple[str, Any]]) -> None:
        nonlocal once
        once = once and len(dict(pairs)) == len(pairs)

    json.loads(body.decode(), object_pairs_hook=note, parse_int=str, parse_float=str)
    return once


def _entries(body: bytes) -> int:
    """Return how many entries all maps of valid MessagePack have together."""
    at = total = 0
    while at < len(body):
        first = body[at]
        at += 1
        if first in _MAPS:
            width = _MAPS[first]
            total += int.from_bytes(body[at : at + width], "big")
            at += width
            continue
        total += _SHORT_MAPS.get(first, 0)
        at += _ARRAYS.get(first, 0)
        width, more = _SKIPS.get(first, _NOTHING)
        if width:
            more += width + int.from_bytes(body[at : at + width], "big")
        at += more
    return total
