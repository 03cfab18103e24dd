"""Decodes JSON that a peer sent, of any size and shape.

Rule: how deep it is and how many parts it has is known before anything is built of it.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bus.core.edgelimits import (
    JSON_CONTAINERS_MAX,
    JSON_DEPTH_MAX,
    WHOLE_NUMBERS_BYTES_MAX,
)
from bus.core.errors import LimitExceededError, MalformedMessageError

_UNREADABLE: Final = (
    msgspec.MsgspecError,
    UnicodeError,
    RecursionError,
    OverflowError,
    ValueError,
)
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode
_OPENING: Final = (b"[", b"{")
# A string, or one that does not end: then the rest, so that the time stays linear.
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    """Return what JSON says, or raise `MalformedMessageError` with the place."""
    if sum(map(body.count, _OPENING)) > JSON_DEPTH_MAX:
        check_shape(body)
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        if len(body) > WHOLE_NUMBERS_BYTES_MAX:  # the second look is a slow one
            raise _unreadable(error) from error
        return _with_whole_numbers(decode, body, error)
    except _UNREADABLE as error:
        raise _unreadable(error) from error


def _with_whole_numbers(
    decode: Callable[[bytes], Any], body: bytes, error: msgspec.ValidationError
) -> Any:
    """Decode once more, with 2.0 as the whole number that it is to JSON.

    Raises:
        MalformedMessageError: it is wrong all the same.
    """
    try:
        return decode(_encode(_whole(_decode(body))))
    except _UNREADABLE:
        raise _unreadable(error) from error


def _whole(value: Any) -> Any:
    """Return a value with its numbers that have no fraction as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return value


def _unreadable(error: Exception) -> MalformedMessageError:
    return MalformedMessageError(f"the body: {error}")


def check_shape(body: bytes) -> None:
    """Raise `LimitExceededError` if JSON is nested too deep, or made of too many parts.

    Told by its brackets outside strings, before anything is built, and by calls that do
    not loop in Python: what is balanced shrinks by one level a round.
    """
    marks = _STRINGS.sub(b"", body).translate(_ONE_KIND, _NO_BRACKETS)
    opened = marks.count(b"[")
    if opened > JSON_CONTAINERS_MAX:
        raise LimitExceededError(
            "arrays and objects of the body", actual=opened, allowed=JSON_CONTAINERS_MAX
        )
    for _ in range(JSON_DEPTH_MAX):
        marks = marks.replace(b"[]", b"")
    if b"[" in marks:
        raise LimitExceededError(
            "levels of the body", actual=JSON_DEPTH_MAX + 1, allowed=JSON_DEPTH_MAX
        )
