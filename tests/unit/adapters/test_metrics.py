"""Every count has its metric, and labels stay few."""

import dataclasses

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from bus.adapters.metrics import OUTCOMES, RESULTS, Metrics
from bus.core.limits import METRIC_SUBJECTS_MAX
from bus.core.stats import ComponentStats, Snapshot, StoreStats, SubjectStats
from tests.fakes.snapshots import snapshot

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def rendered(of: Snapshot, accept: str = "") -> tuple[str, str]:
    """Return text and content type."""
    text, content_type = Metrics(lambda: of, "1.2.3").render(accept)
    return text.decode(), content_type


def samples(of: Snapshot) -> dict[str, float]:
    """Return every sample by its name and labels."""
    text, _ = rendered(of)
    return {
        sample.name
        + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_store_and_the_health_are_shown_where_they_are_there() -> None:
    """Each number of theirs has a metric too; without a store there is none of it."""
    plain = snapshot()
    assert not [name for name in samples(plain) if name.startswith("assent_store")]
    plain.store = StoreStats(
        commits=1,
        changes=2,
        appended=3,
        failed=4,
        pending=5,
        reopened=6,
        bytes=7,
        letters=8,
        letters_evicted=9,
    )
    plain.consumers, plain.lag, plain.health_score = 10, 11, 0.5
    plain.events_dropped = 12
    plain.components = [ComponentStats(name="store", state="idle", breaker="closed")]
    expected = {
        "assent_store_commits_total": 1,
        "assent_store_changes_total": 2,
        "assent_store_messages_total": 3,
        "assent_store_failures_total": 4,
        "assent_store_pending_changes": 5,
        "assent_store_reopened_total": 6,
        "assent_store_bytes": 7,
        "assent_store_letters": 8,
        "assent_store_letters_evicted_total": 9,
        "assent_consumers": 10,
        "assent_consumer_lag_messages": 11,
        "assent_health_score": 0.5,
        "assent_system_events_dropped_total": 12,
        "assent_component_state breaker=closed component=store state=idle": 1,
    }
    found = samples(plain)
    assert {name: found[name] for name in expected} == expected


def test_every_count_is_shown() -> None:
    """Each number of the snapshot has a metric of its own."""
    found = samples(snapshot())
    expected = {
        "assent_messages_total outcome=accepted subject=orders.*": 7,
        "assent_decision_cache_hits_total": 11,
        "assent_decision_cache_misses_total": 12,
        "assent_decision_cache_evictions_total": 13,
        "assent_decision_cache_entries": 14,
        "assent_meter_sent_events_total": 24,
        "assent_meter_metered_events_total": 21,
        "assent_meter_dropped_events_total": 2,
        "assent_meter_pending_events": 1,
        "assent_audit_appended_records_total": 36,
        "assent_audit_written_records_total": 31,
        "assent_audit_pending_records": 5,
        "assent_subscriptions": 41,
        "assent_queue_messages": 42,
        "assent_in_flight_messages": 43,
        "assent_dead_letters": 44,
        "assent_dead_letters_evicted_total": 45,
        "assent_dead_letters_unpublished_total": 46,
        "assent_info constitution=cdd01ef066bc6cf2 revision=r1 version=1.2.3": 1,
    }
    assert {name: found[name] for name in expected} == expected


def test_every_ending_of_a_subject_is_shown() -> None:
    """A field added to the counts and forgotten here would fail this."""
    names = [field.name for field in dataclasses.fields(SubjectStats)][1:]
    assert sorted(names) == sorted((*OUTCOMES, *RESULTS))
    numbers = {name: index for index, name in enumerate(names, 1)}
    found = samples(snapshot(SubjectStats(template="a.*", **numbers)))
    for name in OUTCOMES:
        key = f"assent_messages_total outcome={name} subject=a.*"
        assert found[key] == numbers[name]
    for name in RESULTS:
        key = f"assent_deliveries_total result={name} subject=a.*"
        assert found[key] == numbers[name]


def test_the_histogram_counts_each_delivery_once() -> None:
    """Buckets are cumulative, +Inf holds all, and the sum is in seconds."""
    found = samples(snapshot())
    name = "assent_delivery_duration_seconds"
    buckets = [value for key, value in found.items() if key.startswith(f"{name}_buck")]
    assert buckets == sorted(buckets)
    assert found[f"{name}_bucket le=4.096e-06"] == 0
    assert found[f"{name}_bucket le=1.6384e-05"] == 3
    assert found[f"{name}_bucket le=6.5536e-05"] == 8
    assert found[f"{name}_bucket le=+Inf"] == 9
    assert found[f"{name}_count"] == 9
    assert found[f"{name}_sum"] == 2.5


def test_a_bus_that_has_delivered_nothing_has_an_empty_histogram() -> None:
    """No count is not an error."""
    found = samples(snapshot(latency_log2_ns=[], latency_sum_ns=0))
    assert found["assent_delivery_duration_seconds_count"] == 0


def test_too_many_templates_are_summed() -> None:
    """The number of series is bounded, and no count is lost."""
    many = [
        SubjectStats(template=f"t{number}.*", accepted=1)
        for number in range(METRIC_SUBJECTS_MAX + 5)
    ]
    found = samples(snapshot(*many))
    accepted = {key: value for key, value in found.items() if "outcome=accepted" in key}
    assert len(accepted) == METRIC_SUBJECTS_MAX + 1
    assert found["assent_messages_total outcome=accepted subject=other"] == 5
    assert sum(accepted.values()) == METRIC_SUBJECTS_MAX + 5


def test_a_template_that_comes_twice_is_one_series() -> None:
    """Prometheus refuses a scrape with a series in it twice."""
    twice = [SubjectStats(template="a.*", accepted=n) for n in (2, 3)]
    found = samples(snapshot(*twice))
    assert found["assent_messages_total outcome=accepted subject=a.*"] == 5


def test_a_template_cannot_forge_a_line() -> None:
    """Quotes and line ends in a label stay in the label."""
    template = 'x"} 1\nassent_forged 1\n#'
    found = samples(snapshot(SubjectStats(template=template, denied=4)))
    assert found[f"assent_messages_total outcome=denied subject={template}"] == 4
    assert "assent_forged" not in found


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    """The format follows the Accept header, and each parses by its own rules."""
    text, content_type = rendered(snapshot(), OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert list(openmetrics_parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # the library has no types
    _, content_type = rendered(snapshot())
    assert content_type.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "garbage;;;=,", "\xff"])
def test_any_accept_header_gets_an_answer(accept: str) -> None:
    """What is not understood gets the plain text."""
    assert rendered(snapshot(), accept)[1].startswith("text/plain")


def test_two_buses_share_no_registry() -> None:
    """Metrics of one process do not collide."""
    first = rendered(snapshot(queued=1))[0]
    second = rendered(snapshot(queued=2))[0]
    assert "assent_queue_messages 1.0" in first
    assert "assent_queue_messages 2.0" in second
    assert "python_info" not in first
