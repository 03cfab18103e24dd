"""The message: what its users know of it, and that it cannot be changed."""

import re

import pytest

from bus.core.message import MESSAGE_TYPES, Message, Priority
from bus.core.stats import AuditStats, DecisionStats, MeterStats, Snapshot, SubjectStats
from tests.fakes.messages import COVERED, FIELDS, FULL


def test_the_message_types_are_those_of_the_vocabulary() -> None:
    """Twelve types, by the names their users know."""
    assert sorted(MESSAGE_TYPES) == [
        "audit_log",
        "command",
        "constitutional_validation",
        "event",
        "governance_request",
        "governance_response",
        "heartbeat",
        "notification",
        "query",
        "response",
        "task_request",
        "task_response",
    ]


def test_the_priorities_are_those_of_the_vocabulary() -> None:
    """Low 0 to critical 3; higher goes first."""
    assert {p.name: p.value for p in Priority} == {
        "LOW": 0,
        "NORMAL": 1,
        "HIGH": 2,
        "CRITICAL": 3,
    }


def test_the_stamp_is_the_last_field() -> None:
    """A stamp covers what is encoded before it, so nothing may come after."""
    assert FIELDS[-1] == "stamp"
    assert len(COVERED) == len(FIELDS) - 1


@pytest.mark.parametrize("field", FIELDS)
def test_a_message_cannot_be_changed(field: str) -> None:
    """Messages are immutable."""
    with pytest.raises(AttributeError):
        setattr(FULL, field, None)


def test_two_messages_share_no_headers() -> None:
    """The default of a field is made anew for each message."""
    one, two = (
        Message(bytes(16), "a", "event", 1, "t", "s", "c", b"", 1, "h", "r")
        for _ in range(2)
    )
    assert one.headers == {}
    assert one.headers is not two.headers


def test_counts_start_at_nothing() -> None:
    """Before the first message everything counted is zero."""
    snapshot = Snapshot(
        subjects=[SubjectStats(template="orders.*")],
        decisions=DecisionStats(),
        meter=MeterStats(),
        audit=AuditStats(),
        revision="r1",
        constitution="h",
    )
    for counts in (*snapshot.subjects, snapshot.decisions, snapshot.meter):
        values = re.findall(r"=(\d+)", repr(counts))
        assert len(values) > 1
        assert set(values) == {"0"}
    assert (snapshot.queued, snapshot.in_flight, snapshot.latency_sum_ns) == (0, 0, 0)
    assert snapshot.latency_log2_ns == []
