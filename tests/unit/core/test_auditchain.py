"""The chain is what the documentation says, checked here without its code."""

import hashlib
import json

import pytest

from bus.core import auditchain
from bus.core.auditchain import Mark, Verifier
from bus.core.auditrecord import encode
from bus.core.errors import AuditBrokenError
from bus.core.limits import AUDIT_SEAL_RECORDS_MAX
from tests.fakes.recording import record

HEADER = auditchain.header_line(bytes(32))


def chain(*sizes: int) -> list[bytes]:
    """Return the lines of a record with blocks of the given sizes."""
    mark, lines, number = auditchain.start(HEADER), [HEADER], 0
    for size in sizes:
        block = encode([record(number + index) for index in range(size)])
        number += size
        seal, mark = auditchain.seal(mark, block, size)
        lines += [*block.splitlines(keepends=True), seal]
    return lines


def checked(lines: list[bytes], head: Mark | None = None) -> Mark:
    """Return where the lines end, all of them checked."""
    verifier = Verifier(head=head)
    for line in lines:
        verifier.feed(line)
    return verifier.end()


def test_the_hash_is_the_documented_one() -> None:
    """SHA-256 of the hash before, the block's bytes and three numbers."""
    lines = chain(2, 1)
    first, second = json.loads(lines[3]), json.loads(lines[5])
    assert list(first) == ["block", "records", "first", "prev", "hash"]
    assert first["prev"] == hashlib.sha256(HEADER).hexdigest()
    position = (1).to_bytes(8, "big") + (1).to_bytes(8, "big") + (2).to_bytes(8, "big")
    data = bytes.fromhex(first["prev"]) + lines[1] + lines[2] + position
    assert first["hash"] == hashlib.sha256(data).hexdigest()
    assert second["prev"] == first["hash"]
    assert (second["block"], second["first"], second["records"]) == (2, 3, 1)


def test_a_mark_counts_blocks_records_lines_and_bytes() -> None:
    """So a reader can begin in the middle."""
    lines = chain(2, 1)
    mark = checked(lines)
    assert (mark.block, mark.records, mark.line) == (2, 3, 6)
    assert mark.bytes == len(b"".join(lines))


def test_checking_can_begin_at_any_mark() -> None:
    """The rest of the record is checked as if all had been."""
    lines = chain(2, 3)
    middle = checked(lines[:4])
    verifier = Verifier(after=middle)
    for line in lines[4:]:
        verifier.feed(line)
    assert verifier.end() == checked(lines)
    assert verifier.before == middle


def test_a_head_in_the_middle_is_compared() -> None:
    """A record that went on after its head was kept still holds."""
    lines = chain(2, 3)
    assert checked(lines, head=checked(lines[:4])) == checked(lines)


@pytest.mark.parametrize("seal", [b"{\n", b'{"block":1}\n', b"{}\n", b'{"\xff":1}\n'])
def test_half_a_seal_is_named(seal: bytes) -> None:
    """It is the seal's own line that is wrong."""
    with pytest.raises(AuditBrokenError, match="not a seal") as caught:
        checked([*chain(2)[:3], seal])
    assert caught.value.line == 4


def test_a_seal_written_another_way_is_named() -> None:
    """The same values with a space between them are not what was written."""
    lines = chain(2)
    lines[3] = lines[3].replace(b",", b", ", 1)
    with pytest.raises(AuditBrokenError, match="not as it was written") as caught:
        checked(lines)
    assert caught.value.line == 4


def test_a_padded_record_is_named() -> None:
    """Space after a record is named to the line, not to the block."""
    lines = chain(2)
    lines[2] = lines[2].replace(b"\n", b" \n")
    with pytest.raises(AuditBrokenError, match="cut or padded") as caught:
        checked(lines)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\n", "not a header"),
        (b"[]\n", "not a header"),
        (HEADER.replace(b'"0', b'"g'), "not a header"),
        (HEADER.replace(b"audit", b"diary"), "is not known"),
        (HEADER.replace(b":1,", b":2,"), "is not known"),
        (HEADER.replace(b":1,", b": 1,"), "not as it was written"),
        (auditchain.header_line(bytes(8)), "not as it was written"),
    ],
)
def test_a_header_of_another_kind_is_refused(header: bytes, reason: str) -> None:
    """The first line is checked before anything is believed."""
    with pytest.raises(AuditBrokenError, match=reason) as caught:
        checked([header])
    assert caught.value.line == 1


def test_an_empty_block_is_never_written_and_never_taken() -> None:
    """A seal over nothing, put in with a right hash, breaks the next block."""
    lines = chain(1, 1)
    mark = checked(lines[:3])
    seal, _ = auditchain.seal(mark, b"", 0)
    with pytest.raises(AuditBrokenError):
        checked([*lines[:3], seal, *lines[3:]])


def test_a_block_without_end_is_refused() -> None:
    """A checker does not read on forever for a seal."""
    verifier = Verifier(after=auditchain.start(HEADER))
    line = encode([record(1)])
    for _ in range(AUDIT_SEAL_RECORDS_MAX):
        verifier.feed(line)
    with pytest.raises(AuditBrokenError, match="longer than any"):
        verifier.feed(line)


def test_a_record_of_nothing_ends_at_no_mark() -> None:
    """Not even a header is not a record."""
    with pytest.raises(AuditBrokenError, match="empty"):
        Verifier().end()
