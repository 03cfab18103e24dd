"""What a publisher asks of a store, as headers: so it is stamped, and policy sees it."""

from datetime import datetime
from typing import Final

from bus.core import message as fields
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.message import Message
from bus.core.storelimits import DELAY_S_MAX
from bus.core.validation import check_seconds

DEDUP_HEADER: Final = fields.DEDUP_HEADER
DUE_HEADER: Final = fields.DUE_HEADER
_NS_PER_S: Final = 1_000_000_000
_DIGITS_MAX: Final = 19  # of nanoseconds since the epoch, until the year 2262


def asks_of_store(headers: dict[str, str]) -> bool:
    """Tell whether headers ask for what only a store can do."""
    return DEDUP_HEADER in headers or DUE_HEADER in headers


def due_at(delay: object, now_ns: int) -> int:
    """Return the time that a delay means: seconds from now, or a time with its zone.

    Raises:
        MalformedMessageError: neither, or below 0.
    """
    if isinstance(delay, datetime):
        if delay.tzinfo is None:
            raise MalformedMessageError(f"delay until {delay}: a time with its zone")
        return max(int(delay.timestamp() * _NS_PER_S), 0)
    seconds = check_seconds("delay", delay, DELAY_S_MAX)
    return now_ns + int(seconds * _NS_PER_S)


def due_ns_of(message: Message) -> int:
    """Return when a message may be delivered first, in nanoseconds; 0 for at once.

    Raises:
        MalformedMessageError: the header is no time.
        LimitExceededError: further off than any message may be.
    """
    text = message.headers.get(DUE_HEADER)
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise MalformedMessageError(
            f"{DUE_HEADER} {text!r}: nanoseconds since the epoch are needed"
        )
    due_ns = int(text)
    ahead_s = (due_ns - message.created_ns) / _NS_PER_S
    if ahead_s > DELAY_S_MAX:
        raise LimitExceededError("delay seconds", actual=ahead_s, allowed=DELAY_S_MAX)
    return due_ns if ahead_s > 0 else 0
