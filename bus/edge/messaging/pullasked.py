"""What clients ask of the consumers that a node holds for them, and are answered."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from bus.core.edgelimits import (
    PULL_IN_FLIGHT,
    PULL_ITEMS,
    PULL_ITEMS_MAX,
    RECEIPT_CHARS_MAX,
    SETTLE_ITEMS_MAX,
)
from bus.core.limits import (
    ACK_WAIT_S_MAX,
    DELIVERIES_MAX_ALLOWED,
    ERROR_CHARS_MAX,
    IN_FLIGHT_MAX,
    NAK_DELAY_S_MAX,
    NAME_BYTES_MAX,
)
from bus.edge.messaging import asked
from bus.edge.messaging.words import Pattern, WaitS
from bus.edge.operations import Asks

Name = Annotated[
    str,
    Meta(
        max_length=NAME_BYTES_MAX,
        pattern="^[A-Za-z0-9_][A-Za-z0-9_:@-]*$",
    ),
]


class Pull(Asks, frozen=True, kw_only=True):
    """At most `limit` messages for a consumer, waited for up to `wait` seconds.

    The first pull makes the consumer, from `start` on; how many may be out at once, and
    for how long, is what the pull says that found it gone. A message that is not settled
    within `ack_wait` seconds is tried again, `max_deliver` times.
    """

    name: Name
    pattern: Pattern
    limit: Annotated[int, Meta(ge=1, le=PULL_ITEMS_MAX)] = PULL_ITEMS
    wait: WaitS = 0.0
    start: Literal["new", "all"] = "new"
    max_in_flight: Annotated[int, Meta(ge=1, le=IN_FLIGHT_MAX)] = PULL_IN_FLIGHT
    ack_wait: Annotated[float, Meta(ge=1.0, le=ACK_WAIT_S_MAX)] | None = None
    max_deliver: Annotated[int, Meta(ge=1, le=DELIVERIES_MAX_ALLOWED)] | None = None


class Pulled(asked.Message, frozen=True, kw_only=True):
    """A message that was handed out; `receipt` is what it is settled by."""

    receipt: str
    attempt: int


class Deliveries(asked.Answer, frozen=True, kw_only=True):
    """What was pulled. `waiting` counts what is here and was not handed out yet."""

    items: tuple[Pulled, ...]
    waiting: int


class Verdict(Asks, frozen=True, kw_only=True):
    """What to do with a delivery: `delay` seconds go with a nak, a `reason` with a term."""

    receipt: Annotated[str, Meta(max_length=RECEIPT_CHARS_MAX)]
    verdict: Literal["ack", "nak", "term", "in_progress"] = "ack"
    delay: Annotated[float, Meta(ge=0, le=NAK_DELAY_S_MAX)] | None = None
    reason: Annotated[str, Meta(max_length=ERROR_CHARS_MAX)] | None = None


class Settle(Asks, frozen=True, kw_only=True):
    """Verdicts on deliveries of a consumer."""

    name: Name
    items: Annotated[list[Verdict], Meta(min_length=1, max_length=SETTLE_ITEMS_MAX)]


class SettledItem(asked.Answer, frozen=True, kw_only=True):
    """How a verdict was carried out; `code` and `detail` say why one was not."""

    receipt: str
    ok: bool
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class SettledItems(asked.Answer, frozen=True, kw_only=True):
    """How each verdict was carried out, in the order they came in."""

    items: tuple[SettledItem, ...]
