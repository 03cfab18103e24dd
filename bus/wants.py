"""What a subscription is made from: plain values, checked by `bus.spec`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, get_args

import msgspec

from bus.core.delivery import backoff_ms
from bus.core.limits import (
    ACK_WAIT_S,
    BACKLOG_MESSAGES_DEFAULT,
    DELIVERIES_MAX,
    MAX_ACK_PENDING,
)
from bus.core.message import Message

Start = Literal["new", "all"] | int | datetime
"""Where a durable consumer begins when it is made: a sequence, a time, or one of these."""

Overflow = Literal["wait", "refuse", "drop_oldest"]
OVERFLOWS: Final = get_args(Overflow)


class Handler(msgspec.Struct, frozen=True):
    """A handler as the worker calls it: with the body, the delivery, or both.

    `shareable` tells that its body type cannot be changed, so that several takers of
    one message may have the same object.
    """

    call: Callable[..., Any]
    decode: Callable[[Message], Any] | None
    wants_delivery: bool
    shareable: bool = False


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber asked for. Times are in seconds."""

    pattern: str
    tokens: tuple[str, ...]
    agent: str
    tenant: str
    handler: Handler
    queue: str = ""
    max_in_flight: int = 1
    overflow: Overflow = "wait"
    capacity: int = BACKLOG_MESSAGES_DEFAULT
    max_deliver: int = DELIVERIES_MAX
    ack_wait_s: float = ACK_WAIT_S
    backoff: tuple[float, ...] = ()
    max_ack_pending: int = MAX_ACK_PENDING
    durable: bool | str = True
    once: bool = False
    start: Start = "new"

    def wait_s(self, attempt: int) -> float:
        """Return the seconds between `attempt` (1-based) and the next.

        The last of `backoff` stands for all after it; without a list they double.
        """
        if self.backoff:
            return self.backoff[min(attempt, len(self.backoff)) - 1]
        return backoff_ms(attempt) / 1000
