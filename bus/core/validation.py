"""Checks of what a publisher may set; identity, lineage and time it may not."""

from typing import Final

from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.limits import (
    CLAIM_BYTES_MAX,
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    ORDERING_KEY_BYTES_MAX,
    TTL_S_MAX,
)
from bus.core.message import ASKED_HEADERS, MESSAGE_TYPES, ORDERING_KEY, Priority

_NS: Final = 1_000_000_000
_BAD: Final = frozenset(" :")


def check_type(type_: object) -> None:
    """Raise `MalformedMessageError` for a type that is not in the vocabulary."""
    if not isinstance(type_, str) or type_ not in MESSAGE_TYPES:
        known = ", ".join(sorted(MESSAGE_TYPES))
        raise MalformedMessageError(f"type {type_!r} is none of {known}")


def check_priority(priority: object) -> int:
    """Return the priority as a plain 0 to 3, or raise `MalformedMessageError`."""
    try:
        return int(Priority(priority))  # type: ignore[arg-type]  # checked by the call
    except ValueError:
        raise MalformedMessageError(
            f"priority {priority!r} is none of 0 (low) to 3 (critical)"
        ) from None


def check_headers(headers: object) -> None:
    """Raise unless headers are few, small, and printable text by lower-risk names.

    What the bus sets for a dedup name or a delay takes none of their room.

    Raises:
        MalformedMessageError: a name or value that is not text, or has control
            characters, or a name with a colon or space.
        LimitExceededError: too many or too large.
    """
    if type(headers) is not dict:
        raise MalformedMessageError("headers are a dict of text to text")
    own = len(headers) - len(ASKED_HEADERS & headers.keys())
    if own > HEADERS_MAX:
        raise LimitExceededError("headers", actual=own, allowed=HEADERS_MAX)
    size = 0
    for name, value in headers.items():
        if type(name) is not str or type(value) is not str:
            raise MalformedMessageError(f"header {name!r}: name and value are text")
        if not name or not name.isascii() or not name.isprintable() or set(name) & _BAD:
            raise MalformedMessageError(f"header name {name!r}: printable ASCII token")
        if not value.isprintable():
            raise MalformedMessageError(f"header {name!r}: control characters")
        size += _own_bytes(name, value)
    _check_together(headers, size)


def _own_bytes(name: str, value: str) -> int:
    """Return how much of the publisher's room a header takes."""
    if name not in ASKED_HEADERS:
        return len(name) + len(value.encode("utf-8", "surrogatepass"))
    if len(value) > CLAIM_BYTES_MAX:
        raise LimitExceededError(
            f"{name} bytes", actual=len(value), allowed=CLAIM_BYTES_MAX
        )
    return 0


def _check_together(headers: dict[str, str], size: int) -> None:
    if size > HEADER_BYTES_MAX:
        raise LimitExceededError("header bytes", actual=size, allowed=HEADER_BYTES_MAX)
    if ORDERING_KEY in headers:
        check_ordering_key(headers[ORDERING_KEY])


def check_ordering_key(key: object) -> None:
    """Raise unless an ordering key is short printable text.

    Raises:
        MalformedMessageError: not text, empty, or with control characters.
        LimitExceededError: longer than any key may be.
    """
    if type(key) is not str or not key or not key.isprintable():
        raise MalformedMessageError(f"ordering key {key!r}: printable text")
    size = len(key.encode())
    if size > ORDERING_KEY_BYTES_MAX:
        raise LimitExceededError(
            "ordering key bytes", actual=size, allowed=ORDERING_KEY_BYTES_MAX
        )


def check_claim(kind: str, claim: object) -> None:
    """Raise unless a correlation or causation id is short printable ASCII."""
    if not isinstance(claim, str) or not claim.isascii() or not claim.isprintable():
        raise MalformedMessageError(f"{kind} {claim!r}: printable ASCII text")
    if len(claim) > CLAIM_BYTES_MAX:
        raise LimitExceededError(
            f"{kind} bytes", actual=len(claim), allowed=CLAIM_BYTES_MAX
        )


def check_seconds(kind: str, value: object, allowed: float) -> float:
    """Return a number of seconds from 0 to `allowed`, or raise.

    Raises:
        MalformedMessageError: not a number, or below 0.
        LimitExceededError: above `allowed`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise MalformedMessageError(f"{kind} {value!r}: seconds from 0")
    if value > allowed:
        raise LimitExceededError(f"{kind} seconds", actual=value, allowed=allowed)
    return value


def expiry_ns(now_ns: int, ttl_s: object) -> int:
    """Return when a message made now expires.

    Raises:
        MalformedMessageError: not a number, or not above 0.
        LimitExceededError: longer than any message may live.
    """
    if not isinstance(ttl_s, (int, float)) or not ttl_s > 0:
        raise MalformedMessageError(f"ttl {ttl_s!r}: seconds above 0")
    if ttl_s > TTL_S_MAX:
        raise LimitExceededError("ttl seconds", actual=ttl_s, allowed=TTL_S_MAX)
    return now_ns + int(ttl_s * _NS)
