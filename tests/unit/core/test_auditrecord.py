"""Every record can be written, whatever is in it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from bus.core import auditrecord
from bus.core.limits import AUDIT_FIELD_CHARS_MAX, AUDIT_LINE_BYTES_MAX
from tests.fakes.recording import record

ODD_TEXT = st.text(st.characters(), max_size=40)  # surrogates too
RECORDS = st.tuples(
    ODD_TEXT,
    st.integers(0, (1 << 63) - 1),
    st.binary(max_size=20),
    *[ODD_TEXT] * 5,
    st.binary(max_size=20),
)


@given(records=st.lists(RECORDS, min_size=1, max_size=5))
def test_any_record_is_one_line_that_reads_back(
    records: list[auditrecord.Record],
) -> None:
    """A line end or a broken character inside a text changes neither."""
    lines = auditrecord.encode(records).splitlines(keepends=True)
    assert len(lines) == len(records)
    for line, written in zip(lines, records, strict=True):
        entry = auditrecord.decode(line)
        assert entry.time_ns == written[1]
        assert entry.id == written[2].hex()
        assert entry.stamp == written[8].hex()
        assert entry.detail == written[7].encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [(1, -5, "time -5; "), (1, 1 << 70, f"time {1 << 70}; "), (1, None, "time None; ")],
)
def test_a_time_that_is_none_is_told(field: int, value: object, shown: str) -> None:
    """It is written as 0, and the detail keeps what was given."""
    fields: list[Any] = list(record(1))
    fields[field] = value
    fields[0] = "odd \udfff"
    entry = auditrecord.decode(auditrecord.encode([tuple(fields)]))
    assert entry.time_ns == 0
    assert entry.detail == shown + "number 1"


def test_a_field_of_a_wrong_type_is_written_as_its_repr() -> None:
    """A fault in a caller loses no record."""
    fields: list[Any] = list(record(1))
    fields[2], fields[4], fields[5] = "no bytes", 7, object
    entry = auditrecord.decode(auditrecord.encode([tuple(fields)]))
    assert bytes.fromhex(entry.id) == b"no bytes"
    assert entry.agent == "7"
    assert entry.subject == "<class 'object'>"


def test_the_longest_record_is_within_what_a_reader_takes() -> None:
    """Even one whose every character takes six bytes."""
    text = "\x00" * (AUDIT_FIELD_CHARS_MAX * 4)
    octets = b"x" * 99_999
    line = auditrecord.encode([(text, 1, octets, text, text, text, text, text, octets)])
    assert len(line) <= AUDIT_LINE_BYTES_MAX
    assert auditrecord.decode(line).subject.endswith("characters)")


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"[1,2]", b"\xff", b"null"])
def test_what_is_no_record_is_not_read_as_one(line: bytes) -> None:
    """A wrong shape is an error, not a guess."""
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        auditrecord.decode(line)
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        auditrecord.check(line)


def test_a_wrong_type_that_json_has_breaks_no_chain() -> None:
    """The check is for what was changed, not for what a caller got wrong."""
    fields: list[Any] = list(record(1))
    fields[6] = None
    line = auditrecord.encode([tuple(fields)])
    auditrecord.check(line)
    with pytest.raises(msgspec.ValidationError):
        auditrecord.decode(line)


def test_a_record_is_plain_json() -> None:
    """Any JSON reader can follow it."""
    fields = json.loads(auditrecord.encode([record(3)]))
    assert fields[0] == "accepted"
    assert fields[7] == "number 3"
