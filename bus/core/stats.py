"""What the bus counts, as plain values; adapters turn them into metrics."""

import dataclasses

import msgspec


@dataclasses.dataclass(slots=True, kw_only=True)
class SubjectStats:
    """Counts for the subjects under one template, since the start.

    The first six are endings of a publish, the rest of deliveries; `refused` are those
    whose stamp did not hold, `recalled` those that a later revision no longer allows.
    A held message that is released ends a second time, as what it then becomes.
    """

    template: str
    accepted: int = 0
    denied: int = 0
    held: int = 0
    dropped: int = 0
    rejected: int = 0
    failed: int = 0
    delivered: int = 0
    redelivered: int = 0
    dead: int = 0
    expired: int = 0
    evicted: int = 0
    refused: int = 0
    recalled: int = 0


class DecisionStats(msgspec.Struct, kw_only=True):
    """The decision cache since the start; `size` is entries now.

    `faults` counts what the engine could not decide, by kind.
    """

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    size: int = 0
    faults: dict[str, int] = {}


class MeterStats(msgspec.Struct, kw_only=True):
    """Metering since the start: sent = metered + dropped + pending, always."""

    sent: int = 0
    metered: int = 0
    dropped: int = 0
    pending: int = 0


class AuditStats(msgspec.Struct, kw_only=True):
    """The audit record since the start."""

    appended: int = 0
    written: int = 0
    pending: int = 0


class StoreStats(msgspec.Struct, kw_only=True):
    """The message store since its opening; `pending` are changes not yet committed."""

    commits: int = 0
    changes: int = 0
    appended: int = 0
    failed: int = 0
    pending: int = 0
    reopened: int = 0
    bytes: int = 0
    letters: int = 0
    letters_evicted: int = 0


class ComponentStats(msgspec.Struct, kw_only=True):
    """A supervised component: the states of its recovery and of its breaker."""

    name: str
    state: str
    breaker: str


class Snapshot(msgspec.Struct, kw_only=True):
    """Everything counted, at one moment.

    `latency_log2_ns[k]` counts deliveries that took from 2^(k-1) up to 2^k ns from
    publish to the end of the handler; `latency_sum_ns` is their sum. `store` is None
    where messages are handed straight to queues; `lag` is what all durable consumers have
    not settled.
    """

    subjects: list[SubjectStats]
    decisions: DecisionStats
    meter: MeterStats
    audit: AuditStats
    revision: str
    constitution: str
    subscriptions: int = 0
    queued: int = 0
    in_flight: int = 0
    held: int = 0
    dead_letters: int = 0
    dead_letters_evicted: int = 0
    dead_letters_unpublished: int = 0
    events_dropped: int = 0
    latency_log2_ns: list[int] = []
    latency_sum_ns: int = 0
    store: StoreStats | None = None
    consumers: int = 0
    lag: int = 0
    health_score: float = 1.0
    components: list[ComponentStats] = []
