"""The parts a bus is made of, and what is counted while it runs."""

import dataclasses
from collections.abc import Callable

import msgspec

from bus.core.decision import Rate
from bus.core.ids import IdSource
from bus.core.limits import ACK_WAIT_S, DELIVERIES_MAX, PUBLISH_WAIT_S
from bus.ports import (
    AuditLog,
    Authorizer,
    Clock,
    MessageStore,
    Meter,
    Processor,
    Validator,
)
from bus.routes import Counters, Plan

LATENCY_BUCKETS = 65  # one per bit of a 64-bit number of nanoseconds


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """One of each port, chosen by the composition root (`bus.app`).

    `limiter` makes what carries out a rate that policy obliges.
    """

    authorizer: Authorizer
    validator: Validator
    store: MessageStore
    meter: Meter
    audit: AuditLog
    clock: Clock
    ids: IdSource
    plan: Plan
    counters: Counters
    limiter: Callable[[Rate], Processor]
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
