"""The record in pages: together they are the record, whatever a page holds."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bus.core import auditrecord
from bus.edge.operator import leafing
from bus.edge.operator.careanswers import AuditAsked, AuditRow
from bus.edge.operator.leafing import Wanted
from bus.ports import AuditRecord

SEAL = b'{"seal":1}\n'


def record(number: int, tenant: str = "acme", size: int = 0) -> AuditRecord:
    """Return a record; `size` is of its detail."""
    return (
        "accepted",
        number,
        b"i",
        tenant,
        "planner",
        f"a.{number}",
        "r",
        "d" * size,
        b"",
    )


def written(path: Path, records: list[AuditRecord], rest: bytes = b"") -> None:
    """Write a file of records with seals in between."""
    lines = [SEAL]
    for one in records:
        lines += [auditrecord.encode([one]), SEAL]
    path.write_bytes(b"".join(lines) + rest)


def every(read: Any, **asked: Any) -> list[AuditRow]:
    """Read page after page."""
    rows: list[AuditRow] = []
    after = ""
    for _ in range(1_000):
        found, following = read(Wanted(AuditAsked(after=after, **asked), None))
        rows += found
        if following is None:
            return rows
        after = following
    raise AssertionError("it goes in a circle")


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 200_000), max_size=12),
    st.integers(1, 5),
    st.sampled_from([b"", b'["half', SEAL[:5]]),
)
def test_pages_of_a_file_are_the_file(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int, rest: bytes
) -> None:
    """From both ends; half a line at the end is no record."""
    path = tmp_path_factory.mktemp("audit") / "audit.log"
    records = [record(n, size=size // 50) for n, size in enumerate(sizes)]
    written(path, records, rest)

    def read(wanted: Wanted) -> leafing.Found:
        return leafing.of_file(path, wanted)

    subjects = [one[5] for one in records]
    assert [row.subject for row in every(read, limit=limit, oldest=True)] == subjects
    newest = every(read, limit=limit)
    assert [row.subject for row in newest] == subjects[::-1]
    assert [row.seq for row in newest] == sorted((r.seq for r in newest), reverse=True)


@given(st.integers(0, 20), st.integers(0, 50), st.integers(1, 7))
def test_pages_of_memory_are_the_memory(count: int, first: int, limit: int) -> None:
    """Numbered as they came."""
    records = [record(n) for n in range(count)]

    def read(wanted: Wanted) -> leafing.Found:
        return leafing.of_memory(records, first, wanted)

    numbers = list(range(first, first + count))
    assert [row.seq for row in every(read, limit=limit, oldest=True)] == numbers
    assert [row.seq for row in every(read, limit=limit)] == numbers[::-1]


def test_a_page_looks_through_so_much_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is empty, and tells where to go on."""
    monkeypatch.setattr(leafing, "AUDIT_PAGE_BYTES_MAX", 500)
    path = tmp_path / "audit.log"
    written(path, [record(n) for n in range(50)])
    wanted = Wanted(AuditAsked(agent="nobody"), None)
    rows, following = leafing.of_file(path, wanted)
    assert (rows, following is None) == ([], False)

    def read(wanted: Wanted) -> leafing.Found:
        return leafing.of_file(path, wanted)

    assert len(every(read, agent="planner")) == 50
    assert every(read, agent="nobody") == []


def test_a_line_longer_than_a_window_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backwards too."""
    monkeypatch.setattr(leafing, "AUDIT_WINDOW_BYTES", 64)
    path = tmp_path / "audit.log"
    written(path, [record(n, size=500) for n in range(3)])
    rows, _ = leafing.of_file(path, Wanted(AuditAsked(), None))
    assert [row.subject for row in rows] == ["a.2", "a.1", "a.0"]


def test_a_line_that_is_no_record_says_so(tmp_path: Path) -> None:
    """To an admin: it is of no tenant."""
    path = tmp_path / "audit.log"
    written(path, [record(1)], b"[1,2]\n")
    rows, _ = leafing.of_file(path, Wanted(AuditAsked(), None))
    assert [row.event for row in rows] == [leafing.UNREADABLE, "accepted"]
    rows, _ = leafing.of_file(path, Wanted(AuditAsked(), "acme"))
    assert [row.event for row in rows] == ["accepted"]
