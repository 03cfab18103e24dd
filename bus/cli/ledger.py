"""Does the audit record agree with what the bus counted, message by message?

Rule: every accepted message has exactly as many endings as takers (here always one),
and nothing ends that was not accepted. What does not agree is a failed check.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bus.adapters import audit
from bus.cli.checks import Check
from bus.cli.figures import Totals, totals
from bus.core import auditrecord
from bus.core.errors import AuditBrokenError
from bus.core.limits import AUDIT_LINE_BYTES_MAX
from bus.core.stats import AuditStats, MeterStats, Snapshot

ENDINGS: Final = ("delivered", "dead", "expired", "evicted", "refused", "recalled")
_COUNTED: Final = (
    "accepted",
    "denied",
    "held",
    "dropped",
    "rejected",
    "failed",
    *ENDINGS,
)


class Ledger(msgspec.Struct, frozen=True):
    """What one run wrote: its events by name, and the ids that do not add up.

    `owed[id]` is 1 for a message that was accepted and never ended, and -1 for one
    that ended and was never accepted; `last[id]` is how such a one ended.
    """

    events: dict[str, int]
    owed: dict[str, int]
    last: dict[str, str]
    summary: audit.Summary

    @property
    def records(self) -> int:
        """All records of the run."""
        return sum(self.events.values())


def records_in(path: Path) -> int:
    """Return how many records the file at `path` holds already; 0 if there is none.

    Raises:
        AuditBrokenError: it was changed.
        OSError: it cannot be read.
    """
    try:
        if path.stat().st_size == 0:
            return 0
    except FileNotFoundError:
        return 0
    try:
        return audit.verify(path).records
    except AuditBrokenError as error:
        raise AuditBrokenError(f"{path}: {error.reason}", line=error.line) from error


def read(path: Path, *, before: int) -> Ledger:
    """Verify the record at `path`, and add up what comes after its first `before` records.

    Memory grows with the messages under way at one time only.

    Raises:
        AuditBrokenError: names the first broken line.
        OSError: it cannot be read.
    """
    summary = audit.verify(path)
    events: Counter[str] = Counter()
    owed: dict[str, int] = {}
    last: dict[str, str] = {}
    number = 0
    with path.open("rb") as file:
        while line := file.readline(AUDIT_LINE_BYTES_MAX):
            if line[:1] == b"{":
                continue
            number += 1
            if number <= before:
                continue
            entry = auditrecord.decode(line)
            events[entry.event] += 1
            _settle(owed, last, entry)
    return Ledger(dict(events), owed, last, summary)


def reconcile(
    found: Ledger,
    snapshot: Snapshot,
    *,
    access_denied: int = 0,
    planted: Collection[str] = (),
) -> list[Check]:
    """Return the checks of a closed bus against its record.

    `access_denied` counts refusals to connect or subscribe: the record has them among
    the denied, the counters, which are of messages, do not. `planted` are the ids of
    messages that were put into a queue without having been accepted, to be refused.
    """
    counted = totals(snapshot)
    summary = found.summary
    return [
        Check(
            "audit record",
            "ok" if summary.head_checked and not summary.unsealed else "failed",
            f"whole: {summary.records} records under {summary.blocks} seals, "
            f"{'head checked' if summary.head_checked else 'its head is missing'}",
        ),
        _endings(found, counted, planted),
        _agreement(found, counted, access_denied),
        _written(found, snapshot.audit),
        _metering(snapshot.meter, counted),
    ]


def verified(path: Path, *, before: int) -> Ledger | Check:
    """Return the ledger, or the failed check that says where the record is broken."""
    try:
        return read(path, before=before)
    except AuditBrokenError as error:
        return Check("audit record", "failed", f"{path}: {error}")


def _settle(
    owed: dict[str, int], last: dict[str, str], entry: auditrecord.Entry
) -> None:
    step = 1 if entry.event == "accepted" else -1 if entry.event in ENDINGS else 0
    if step == 0:
        return
    left = owed.get(entry.id, 0) + step
    if step < 0:
        last[entry.id] = entry.event
    if left:
        owed[entry.id] = left
    else:
        del owed[entry.id], last[entry.id]


def _endings(found: Ledger, counted: Totals, planted: Collection[str]) -> Check:
    expected = dict.fromkeys(planted, -1)
    ended = {name: getattr(counted, name) for name in ENDINGS}
    ended["refused"] -= len(planted)
    shown = " + ".join(f"{n} {name}" for name, n in ended.items() if n) or "0"
    good = (
        found.owed == expected
        and all(found.last[message_id] == "refused" for message_id in planted)
        and counted.accepted == sum(ended.values())
    )
    text = f"{counted.accepted} accepted = {shown}"
    if planted:
        text += f"; {len(planted)} planted, never delivered"
    if not good:
        wrong = {
            i: n
            for i, n in found.owed.items()
            if expected.get(i) != n or found.last.get(i) != "refused"
        }
        text += f"; {len(wrong)} messages do not add up: {_some(sorted(wrong))}"
    return Check("every message ended once", "ok" if good else "failed", text)


def _agreement(found: Ledger, counted: Totals, access_denied: int) -> Check:
    wrong = []
    for name in _COUNTED:
        expected = getattr(counted, name) + (access_denied if name == "denied" else 0)
        written = found.events.get(name, 0)
        if written != expected:
            wrong.append(f"{name}: {written} recorded, {expected} counted")
    if wrong:
        return Check("record and counters agree", "failed", "; ".join(wrong))
    text = f"{found.records} records, as many of each kind as counted"
    return Check("record and counters agree", "ok", text)


def _written(found: Ledger, stats: AuditStats) -> Check:
    good = stats.pending == 0 and stats.written == found.records
    text = (
        f"{stats.appended} appended = {stats.written} written + {stats.pending} pending"
    )
    if stats.written != found.records:
        text += f", but {found.records} are in the file"
    return Check("nothing left unrecorded", "ok" if good else "failed", text)


def _metering(meter: MeterStats, counted: Totals) -> Check:
    good = (
        meter.sent == meter.metered + meter.dropped
        and meter.pending == 0
        and meter.sent == counted.accepted
    )
    text = f"{meter.sent} sent = {meter.metered} metered + {meter.dropped} dropped"
    if meter.sent != counted.accepted:
        text += f", but {counted.accepted} were accepted"
    return Check("metering", "ok" if good else "failed", text)


def _some(names: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
