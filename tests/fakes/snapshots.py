"""Snapshots as a running bus would give them."""

from bus.core.stats import (
    AuditStats,
    DecisionStats,
    MeterStats,
    Snapshot,
    SubjectStats,
)


def snapshot(*subjects: SubjectStats, **fields: object) -> Snapshot:
    """Return a snapshot with a number of its own in every place."""
    made = Snapshot(
        subjects=list(subjects) or [SubjectStats(template="orders.*", accepted=7)],
        decisions=DecisionStats(hits=11, misses=12, evictions=13, size=14),
        meter=MeterStats(sent=24, metered=21, dropped=2, pending=1),
        audit=AuditStats(appended=36, written=31, pending=5),
        revision="r1",
        constitution="cdd01ef066bc6cf2",
        subscriptions=41,
        queued=42,
        in_flight=43,
        dead_letters=44,
        dead_letters_evicted=45,
        dead_letters_unpublished=46,
        latency_log2_ns=[0] * 14 + [3, 0, 5] + [0] * 40 + [1],
        latency_sum_ns=2_500_000_000,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made
