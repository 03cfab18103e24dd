"""The record is compared with the counters, and every disagreement is a failed check."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from bus.adapters.audit import FileAudit
from bus.adapters.clock import SystemClock
from bus.cli import ledger
from bus.cli.checks import Check
from bus.core.errors import AuditBrokenError
from bus.core.stats import (
    AuditStats,
    DecisionStats,
    MeterStats,
    Snapshot,
    SubjectStats,
)

Events = list[tuple[str, int]]
WHOLE: Events = [
    ("started", 0),
    ("accepted", 1),
    ("delivered", 1),
    ("delivered", 2),  # a reply is delivered before it is recorded as accepted
    ("accepted", 2),
    ("accepted", 3),
    ("dead", 3),
    ("denied", 4),
    ("stopped", 0),
]


def written(path: Path, events: Events) -> Path:
    """Write a record with these events of these messages."""

    async def write() -> None:
        log = FileAudit(path, SystemClock())
        await log.open()
        for event, number in events:
            message_id = bytes([number]) * 16
            log.append((event, 1, message_id, "acme", "a", "t.x", "r", "", b""))
        await log.close()

    asyncio.run(write())
    return path


def counted(events: Events) -> Snapshot:
    """Return the counters of a bus that has written these events."""
    names = [name for name, _ in events]
    stats = SubjectStats(template="t.>")
    for name in SubjectStats.__slots__:
        if name != "template":
            setattr(stats, name, names.count(name))
    return Snapshot(
        subjects=[stats],
        decisions=DecisionStats(),
        meter=MeterStats(sent=stats.accepted, metered=stats.accepted),
        audit=AuditStats(appended=len(names), written=len(names)),
        revision="r",
        constitution="c",
    )


def failed(checks: list[Check]) -> set[str]:
    """Return the names of the checks that failed."""
    return {check.name for check in checks if check.state != "ok"}


def test_a_record_that_agrees_passes_every_check(tmp_path: Path) -> None:
    """Each accepted message ended once, and all counts are the same."""
    found = ledger.read(written(tmp_path / "a.log", WHOLE), before=0)
    checks = ledger.reconcile(found, counted(WHOLE))
    assert (failed(checks), len(checks)) == (set(), 5)
    assert found.owed == {}


@pytest.mark.parametrize(
    "wrong",
    [
        [event for event in WHOLE if event != ("dead", 3)],
        [*WHOLE, ("delivered", 1)],
        [*WHOLE, ("refused", 9)],
        [*WHOLE, ("accepted", 9)],
    ],
)
def test_a_message_that_does_not_add_up_fails(tmp_path: Path, wrong: Events) -> None:
    """Even where the counters tell the same: lost, delivered twice, or never let in."""
    found = ledger.read(written(tmp_path / "a.log", wrong), before=0)
    checks = ledger.reconcile(found, counted(wrong))
    assert failed(checks) == {"every message ended once"}


def test_two_faults_that_cancel_out_in_sum_are_still_seen(tmp_path: Path) -> None:
    """One message lost and another delivered twice: the sums agree, the ids do not."""
    wrong = [("accepted", 1), ("accepted", 2), ("delivered", 1), ("delivered", 1)]
    found = ledger.read(written(tmp_path / "a.log", wrong), before=0)
    checks = ledger.reconcile(found, counted(wrong))
    assert failed(checks) == {"every message ended once"}
    assert len(found.owed) == 2


def test_counters_that_tell_otherwise_fail(tmp_path: Path) -> None:
    """One denial more in the counters than in the record."""
    found = ledger.read(written(tmp_path / "a.log", WHOLE), before=0)
    snapshot = counted(WHOLE)
    snapshot.subjects[0].denied += 1
    assert failed(ledger.reconcile(found, snapshot)) == {"record and counters agree"}


def test_refusals_to_subscribe_are_in_the_record_only(tmp_path: Path) -> None:
    """They are expected as often as the caller has seen them, and no oftener."""
    events = [*WHOLE, ("denied", 5)]
    found = ledger.read(written(tmp_path / "a.log", events), before=0)
    snapshot = counted(events)
    snapshot.subjects[0].denied -= 1
    assert failed(ledger.reconcile(found, snapshot, access_denied=1)) == set()
    assert failed(ledger.reconcile(found, snapshot, access_denied=2)) != set()


def test_a_planted_message_is_expected_to_be_refused(tmp_path: Path) -> None:
    """It ends without having been accepted; had it been delivered, that would show."""
    planted = [(bytes([9]) * 16).hex()]
    refused: Events = [*WHOLE, ("refused", 9)]
    found = ledger.read(written(tmp_path / "a.log", refused), before=0)
    checks = ledger.reconcile(found, counted(refused), planted=planted)
    assert failed(checks) == set()
    let_in: Events = [*WHOLE, ("delivered", 9)]
    found = ledger.read(written(tmp_path / "b.log", let_in), before=0)
    checks = ledger.reconcile(found, counted(let_in), planted=planted)
    assert "every message ended once" in failed(checks)


def test_usage_that_does_not_reconcile_fails(tmp_path: Path) -> None:
    """Sent is metered and dropped, and as much as was accepted."""
    found = ledger.read(written(tmp_path / "a.log", WHOLE), before=0)
    for meter in (
        MeterStats(sent=3, metered=2),
        MeterStats(sent=3, metered=3, pending=1),
        MeterStats(sent=4, metered=4),
    ):
        snapshot = msgspec.structs.replace(counted(WHOLE), meter=meter)
        assert failed(ledger.reconcile(found, snapshot)) == {"metering"}


def test_records_that_are_not_in_the_file_fail(tmp_path: Path) -> None:
    """What the bus says it wrote has to be there."""
    found = ledger.read(written(tmp_path / "a.log", WHOLE), before=0)
    for stats in (
        AuditStats(appended=10, written=10),
        AuditStats(written=9, pending=1),
    ):
        snapshot = msgspec.structs.replace(counted(WHOLE), audit=stats)
        assert failed(ledger.reconcile(found, snapshot)) == {"nothing left unrecorded"}


def test_a_record_without_its_head_fails(tmp_path: Path) -> None:
    """A cut at the end could not be seen."""
    path = written(tmp_path / "a.log", WHOLE)
    (tmp_path / "a.log.head").unlink()
    checks = ledger.reconcile(ledger.read(path, before=0), counted(WHOLE))
    assert failed(checks) == {"audit record"}


def test_only_what_comes_after_an_earlier_run_counts(tmp_path: Path) -> None:
    """An earlier run's records are verified, and not added up."""
    path = tmp_path / "a.log"
    assert ledger.records_in(path) == 0
    path.touch()
    assert ledger.records_in(path) == 0
    before = ledger.records_in(written(path, WHOLE))
    found = ledger.read(written(path, WHOLE), before=before)
    assert before == found.records == len(WHOLE)
    assert failed(ledger.reconcile(found, counted(WHOLE))) == set()


def test_a_broken_record_is_a_failed_check_or_an_error(tmp_path: Path) -> None:
    """Named with its file and line, whoever asks."""
    path = written(tmp_path / "a.log", WHOLE)
    path.write_bytes(path.read_bytes().replace(b"acme", b"acne", 1))
    check = ledger.verified(path, before=0)
    assert isinstance(check, Check)
    assert check.state == "failed"
    assert "a.log" in check.text
    with pytest.raises(AuditBrokenError, match=r"a\.log"):
        ledger.records_in(path)
