"""What the bus counts, as Prometheus metrics.

Rule: everything is read from one snapshot at the time of the scrape, nothing is
counted twice. Labels are templates and fixed words: never an agent, a tenant or a
subject as it was sent, so the number of series is bounded.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bus.core.limits import METRIC_SUBJECTS_MAX
from bus.core.stats import DecisionStats, Snapshot, SubjectStats

OTHER: Final = "other"
OUTCOMES: Final = ("accepted", "denied", "held", "dropped", "rejected", "failed")
RESULTS: Final = (
    "delivered",
    "redelivered",
    "dead",
    "expired",
    "evicted",
    "refused",
    "recalled",
)
BUCKETS_LOG2_NS: Final = range(10, 37, 2)
"""Bounds of the histogram: 1 microsecond to 69 seconds, each four times the last."""

_NS_PER_S: Final = 1e9


class Metrics:
    """Renders the snapshots that `snapshot` returns."""

    def __init__(self, snapshot: Callable[[], Snapshot], version: str) -> None:
        self._registry: Final = CollectorRegistry(auto_describe=False)
        self._registry.register(_SnapshotCollector(snapshot, version))

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type, as an Accept header asks for it."""
        encode, content_type = exposition.choose_encoder(accept)
        return encode(self._registry), content_type


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: Callable[[], Snapshot], version: str) -> None:
        self._snapshot = snapshot
        self._version = version

    def collect(self) -> Iterable[Metric]:
        snapshot = self._snapshot()
        yield InfoMetricFamily(
            "assent",
            "The version that runs, and the policy and constitution in force.",
            {
                "version": self._version,
                "revision": snapshot.revision,
                "constitution": snapshot.constitution,
            },
        )
        yield from _flow(snapshot)
        yield from _decisions(snapshot)
        yield from _recording(snapshot)
        yield from _keeping(snapshot)
        yield from _health(snapshot)
        yield _latency(snapshot)


def _flow(snapshot: Snapshot) -> Iterator[Metric]:
    subjects = _bounded(snapshot.subjects)
    yield _by_subject(
        "assent_messages",
        "Messages published, by how the publish ended.",
        ("outcome", OUTCOMES),
        subjects,
    )
    yield _by_subject(
        "assent_deliveries",
        "Deliveries to subscriptions, by how they ended; redelivered counts retries.",
        ("result", RESULTS),
        subjects,
    )
    yield _gauge(
        "assent_queue_messages",
        "Messages that wait in the queues of subscriptions.",
        snapshot.queued,
    )
    yield _gauge(
        "assent_in_flight_messages",
        "Messages that a handler has and has not settled.",
        snapshot.in_flight,
    )
    yield _gauge(
        "assent_held_messages", "Messages that wait to be released.", snapshot.held
    )
    yield _gauge(
        "assent_subscriptions", "Subscriptions in force.", snapshot.subscriptions
    )
    yield _gauge(
        "assent_dead_letters", "Dead letters kept in memory.", snapshot.dead_letters
    )
    yield _counter(
        "assent_dead_letters_evicted",
        "Dead letters that gave way to newer ones.",
        snapshot.dead_letters_evicted,
    )
    yield _counter(
        "assent_dead_letters_unpublished",
        "Dead letters kept but not published: too many waited, or the bus closed.",
        snapshot.dead_letters_unpublished,
    )


def _decisions(snapshot: Snapshot) -> Iterator[Metric]:
    decisions = snapshot.decisions
    yield _counter(
        "assent_decision_cache_hits",
        "Decisions answered from the cache.",
        decisions.hits,
    )
    yield _counter(
        "assent_decision_cache_misses",
        "Decisions that were not in the cache; several may wait for one evaluation.",
        decisions.misses,
    )
    yield _counter(
        "assent_decision_cache_evictions",
        "Decisions put out of the cache for room.",
        decisions.evictions,
    )
    yield _gauge(
        "assent_decision_cache_entries", "Decisions in the cache.", decisions.size
    )
    yield _faults(decisions)


def _faults(decisions: DecisionStats) -> Metric:
    family = CounterMetricFamily(
        "assent_policy_faults",
        "Questions that the policy engine could not decide; each was denied.",
        labels=["kind"],
    )
    for kind, count in decisions.faults.items():
        family.add_metric([kind], count)
    return family


def _recording(snapshot: Snapshot) -> Iterator[Metric]:
    meter, audit = snapshot.meter, snapshot.audit
    yield _counter(
        "assent_meter_sent_events", "Usage events counted by publishers.", meter.sent
    )
    yield _counter(
        "assent_meter_metered_events", "Usage events that sinks took.", meter.metered
    )
    yield _counter(
        "assent_meter_dropped_events", "Usage events given up.", meter.dropped
    )
    yield _gauge(
        "assent_meter_pending_events", "Usage events on their way.", meter.pending
    )
    yield _counter(
        "assent_audit_appended_records", "Audit records taken.", audit.appended
    )
    yield _counter(
        "assent_audit_written_records",
        "Audit records sealed and written.",
        audit.written,
    )
    yield _gauge(
        "assent_audit_pending_records",
        "Audit records taken and not yet written.",
        audit.pending,
    )


def _keeping(snapshot: Snapshot) -> Iterator[Metric]:
    store = snapshot.store
    if store is None:
        return
    yield _counter("assent_store_commits", "Transactions committed.", store.commits)
    yield _counter("assent_store_changes", "Changes committed.", store.changes)
    yield _counter("assent_store_messages", "Messages kept.", store.appended)
    yield _counter("assent_store_failures", "Submissions not kept.", store.failed)
    yield _counter(
        "assent_store_reopened", "Times the store was opened anew.", store.reopened
    )
    yield _gauge(
        "assent_store_pending_changes", "Changes not committed yet.", store.pending
    )
    yield _gauge("assent_store_bytes", "Bytes of the messages kept.", store.bytes)
    yield _gauge("assent_store_letters", "Dead letters in the store.", store.letters)
    yield _counter(
        "assent_store_letters_evicted",
        "Dead letters of the store that gave way to newer ones.",
        store.letters_evicted,
    )
    yield _gauge("assent_consumers", "Durable consumers.", snapshot.consumers)
    yield _gauge(
        "assent_consumer_lag_messages",
        "Deliveries that durable consumers have not settled.",
        snapshot.lag,
    )


def _health(snapshot: Snapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "assent_health_score",
        "Closed breakers and half of the half-open ones, as a share of all.",
        value=snapshot.health_score,
    )
    yield _counter(
        "assent_system_events_dropped",
        "Events of the bus's own that were not published: too many waited.",
        snapshot.events_dropped,
    )
    family = GaugeMetricFamily(
        "assent_component_state",
        "Supervised components: 1 for the state of recovery and breaker each is in.",
        labels=["component", "state", "breaker"],
    )
    for component in snapshot.components:
        family.add_metric([component.name, component.state, component.breaker], 1)
    yield family


def _latency(snapshot: Snapshot) -> Metric:
    """Sum the powers of two up to each bound; all of them are in +Inf."""
    counts = snapshot.latency_log2_ns
    buckets = [
        (repr(2**power / _NS_PER_S), float(sum(counts[: power + 1])))
        for power in BUCKETS_LOG2_NS
    ]
    buckets.append(("+Inf", float(sum(counts))))
    return HistogramMetricFamily(
        "assent_delivery_duration_seconds",
        "Time from publish to the end of the handler.",
        buckets=buckets,
        sum_value=snapshot.latency_sum_ns / _NS_PER_S,
    )


def _bounded(subjects: Iterable[SubjectStats]) -> list[SubjectStats]:
    """Return one row a template, the rest past the bound summed as `other`."""
    rows: dict[str, SubjectStats] = {}
    for subject in subjects:
        known = subject.template in rows or len(rows) < METRIC_SUBJECTS_MAX
        template = subject.template if known else OTHER
        row = rows.setdefault(template, SubjectStats(template=template))
        for name in (*OUTCOMES, *RESULTS):
            setattr(row, name, getattr(row, name) + getattr(subject, name))
    return list(rows.values())


def _by_subject(
    name: str,
    text: str,
    label: tuple[str, tuple[str, ...]],
    subjects: list[SubjectStats],
) -> Metric:
    label_name, values = label
    family = CounterMetricFamily(name, text, labels=[label_name, "subject"])
    for subject in subjects:
        for value in values:
            family.add_metric([value, subject.template], getattr(subject, value))
    return family


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: int) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
