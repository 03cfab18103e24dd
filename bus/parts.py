"""The parts a bus is made of, and what is counted while it runs."""

import dataclasses
from collections.abc import Callable

import msgspec

from bus.core.decision import Rate
from bus.core.entries import Sealer
from bus.core.ids import IdSource
from bus.core.limits import ACK_WAIT_S, DELIVERIES_MAX, PUBLISH_WAIT_S
from bus.handing import Hand, hand_over
from bus.ports import AuditLog, Authorizer, Clock, Meter, Processor, Validator
from bus.routes import Counters, Plan
from bus.storing import Store
from bus.streams import StreamSpec
from bus.wants import Spec

LATENCY_BUCKETS = 65  # one per bit of a 64-bit number of nanoseconds


def as_asked(spec: Spec) -> Spec:
    """Return what a subscriber asked for as it is."""
    return spec


class Storage(msgspec.Struct, frozen=True):
    """What a bus that keeps its messages has beside the other parts."""

    store: Store
    sealer: Sealer
    streams: tuple[StreamSpec, ...] = ()


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """One of each port, chosen by the composition root (`bus.app`).

    `limiter` makes what carries out a rate that policy obliges. Without `kept` messages
    are handed straight to the queues of their takers. `around` may put something around
    a subscriber's handler.
    """

    authorizer: Authorizer
    validator: Validator
    meter: Meter
    audit: AuditLog
    clock: Clock
    ids: IdSource
    plan: Plan
    counters: Counters
    limiter: Callable[[Rate], Processor]
    kept: Storage | None = None
    hand: Hand = hand_over
    around: Callable[[Spec], Spec] = as_asked
    publish_wait_s: float = PUBLISH_WAIT_S
    ack_wait_s: float = ACK_WAIT_S
    max_deliver: int = DELIVERIES_MAX


@dataclasses.dataclass(slots=True)
class Latency:
    """Publish to end of handler: `log2_ns[k]` counts durations of k bits."""

    log2_ns: list[int] = dataclasses.field(
        default_factory=lambda: [0] * LATENCY_BUCKETS
    )
    sum_ns: int = 0
