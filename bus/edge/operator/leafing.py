"""The audit record read in pages, forwards or backwards, from its file or from memory.

Rule: a page looks through so many bytes at most, whatever it finds there. All of it
blocks: call it from a thread.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from bus.core import auditrecord
from bus.core.edgelimits import AUDIT_PAGE_BYTES_MAX, AUDIT_WINDOW_BYTES
from bus.core.limits import AUDIT_LINE_BYTES_MAX
from bus.edge.operator.careanswers import AuditAsked, AuditRow
from bus.edge.operator.told import number_after, rfc3339
from bus.ports import AuditRecord

UNREADABLE: Final = "unreadable"
"""The event of a row whose line is no record."""

Found = tuple[list[AuditRow], str | None]
"""Rows, and the cursor to go on from."""


class Wanted(msgspec.Struct, frozen=True):
    """Which records: what is asked for, in that tenant; None is all of them."""

    asked: AuditAsked
    tenant: str | None

    def __call__(self, row: AuditRow) -> bool:
        """Tell whether a record is asked for."""
        asked = self.asked
        return (
            (self.tenant is None or row.tenant == self.tenant)
            and asked.event in {"", row.event}
            and asked.agent in {"", row.agent}
            and asked.subject in {"", row.subject}
            and asked.id in {"", row.id}
        )


def of_file(path: Path, wanted: Wanted) -> Found:
    """Return a page of the record in a file; `seq` is where the line begins.

    Raises:
        OSError: the file cannot be read.
    """
    asked = wanted.asked
    after = number_after(asked.after)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if asked.oldest:
            looked = _forwards(file, min(after, size), size)
            end = size
        else:
            looked = _backwards(file, min(after, size) if asked.after else size)
            end = 0
        return _page(looked, wanted, end)


def of_memory(records: Sequence[AuditRecord], first: int, wanted: Wanted) -> Found:
    """Return a page of records; `seq` counts them from `first`."""
    asked = wanted.asked
    after = number_after(asked.after)
    last = first + len(records)
    if asked.oldest:
        start = max(after, first)
        numbers = range(start, last)
        looked = ((at, at + 1, _row(at, records[at - first])) for at in numbers)
        return _page(looked, wanted, last)
    start = min(after, last) if asked.after else last
    numbers = range(start - 1, first - 1, -1)
    looked = ((at, at, _row(at, records[at - first])) for at in numbers)
    return _page(looked, wanted, first)


_Looked = Iterator[tuple[int, int, AuditRow | None]]
"""Place, the cursor to go on from after it, and the row; None for a line between."""


def _page(looked: _Looked, wanted: Wanted, end: int) -> Found:
    """Return the rows asked for, until there are enough or enough was looked through."""
    found: list[AuditRow] = []
    begun: int | None = None
    for at, on, row in looked:
        begun = at if begun is None else begun
        if row is not None and wanted(row):
            found.append(row)
        far = abs(at - begun) >= AUDIT_PAGE_BYTES_MAX
        if far or len(found) == wanted.asked.limit:
            return found, None if on == end else str(on)
    return found, None


def _forwards(file: BinaryIO, at: int, end: int) -> _Looked:
    file.seek(at)
    while at < end:
        line = file.readline(min(AUDIT_LINE_BYTES_MAX, end - at))
        if line[-1:] != b"\n":
            return  # half written
        yield at, at + len(line), _decoded(at, line)
        at += len(line)


def _backwards(file: BinaryIO, end: int) -> _Looked:
    """Yield the lines before `end`, which is where a line begins, the last one first."""
    step = AUDIT_WINDOW_BYTES
    while end > 0:
        start = max(0, end - step)
        file.seek(start)
        window = file.read(end - start)
        whole = 0 if start == 0 else window.find(b"\n") + 1
        if start and not 0 < whole < len(window):
            step *= 2  # one line is longer than that
            continue
        places = []
        at = start + whole
        for line in window[whole:].splitlines(keepends=True):
            places.append((at, line))
            at += len(line)
        for place, line in reversed(places):
            yield place, place, _decoded(place, line)
        end, step = start + whole, AUDIT_WINDOW_BYTES


def _decoded(at: int, line: bytes) -> AuditRow | None:
    if line[:1] == b"{" or line[-1:] != b"\n":
        return None  # a seal, or what is half written
    try:
        entry = auditrecord.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return AuditRow(
            seq=at,
            event=UNREADABLE,
            time="",
            id="",
            tenant="",
            agent="",
            subject="",
            revision="",
            detail=f"not a record: {error}",
        )
    return AuditRow(
        seq=at,
        event=entry.event,
        time=rfc3339(entry.time_ns),
        id=entry.id,
        tenant=entry.tenant,
        agent=entry.agent,
        subject=entry.subject,
        revision=entry.revision,
        detail=entry.detail,
    )


def _row(seq: int, record: AuditRecord) -> AuditRow:
    event, time_ns, message_id, tenant, agent, subject, revision, detail, _ = record
    return AuditRow(
        seq=seq,
        event=event,
        time=rfc3339(time_ns),
        id=message_id.hex(),
        tenant=tenant,
        agent=agent,
        subject=subject,
        revision=revision,
        detail=detail,
    )
