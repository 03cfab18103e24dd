"""Records counted by agent and tenant, and shown to whoever looks."""

from typing import Any

import pytest

from bus.core import edgelimits
from bus.edge.operator import tap as tapping
from bus.edge.operator.tap import Tap
from bus.ports import AuditRecord


def record(event: str, tenant: str = "acme", agent: str = "planner") -> AuditRecord:
    """Return a record of an event."""
    return (event, 1, b"id", tenant, agent, "a.b", "r", "", b"")


def test_endings_are_counted_by_agent_tenant_and_in_all() -> None:
    """And what is no ending is not."""
    tap = Tap()
    tap([record("accepted")] * 3 + [record("denied"), record("started", "", "$bus")])
    tap([record("accepted", "globex", "spy"), record("dead")])
    assert (tap.counts(None).accepted, tap.counts("acme").accepted) == (4, 3)
    assert tap.counts("acme").dead == 1
    assert tap.counts("nobody").accepted == 0
    tally = tap.tally("acme", "planner")
    assert (tally.accepted, tally.denied, tally.delivered) == (3, 1, 0)
    assert tap.tally("globex", "planner").accepted == 0
    assert tap.total == len(tap.late) == 7


def test_a_field_that_is_no_text_does_not_stop_the_record() -> None:
    """It is counted by how it prints."""
    tap = Tap()
    odd: Any = ("accepted", 1, b"", ["list"], "planner", "", "", "", b"")
    tap([odd, record("accepted")])
    assert tap.total == 2


def test_names_past_the_bound_are_counted_in_all_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a million names take no more room."""
    monkeypatch.setattr(tapping, "TAP_AGENTS_MAX", 1)
    monkeypatch.setattr(tapping, "TAP_TENANTS_MAX", 2)
    tap = Tap()
    for n in range(5):
        tap([record("accepted", agent=f"a{n}"), record("accepted", agent="a0")])
        tap([record("accepted", tenant=f"t{n}")])
    assert len(tap.of_agent) == 1
    assert len(tap.of_tenant) == 2
    assert tap.counts(None).accepted == 15
    assert tap.counts("acme").accepted == 10
    assert tap.tally("acme", "a0").accepted == 6


def test_records_of_late_are_bounded() -> None:
    """The oldest go."""
    tap = Tap()
    for _ in range(edgelimits.TAP_RECORDS_MAX // 100 + 2):
        tap([record("accepted")] * 100)
    assert len(tap.late) == edgelimits.TAP_RECORDS_MAX
    assert tap.total == edgelimits.TAP_RECORDS_MAX + 200


def test_blocks_are_shown_to_whoever_looks() -> None:
    """Until it looks away."""
    tap, shown = Tap(), list[tuple[AuditRecord, ...]]()
    tap.look(shown.append)
    tap([record("accepted")])
    tap.look_away(shown.append)
    tap.look_away(shown.append)
    tap([record("denied")])
    assert shown == [(record("accepted"),)]
