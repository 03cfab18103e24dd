"""The audit record's format: what is written, how it is sealed, how it is checked.

Rule: a line is the header (the first), a record (a JSON array) or a seal (a JSON
object) that closes the block of records before it. A seal's hash is SHA-256 of
the hash before it, the block's bytes and its position, so no line can be changed,
moved, taken out or put in without breaking a hash. The header's hash starts the chain.
"""

import hashlib
import struct
from typing import Final

import msgspec

from bus.core.auditrecord import check
from bus.core.errors import AuditBrokenError
from bus.core.limits import AUDIT_SEAL_RECORDS_MAX

FORMAT: Final = "assent-audit"
VERSION: Final = 1
GENESIS_BYTES: Final = 32
_position: Final = struct.Struct(">QQQ").pack
_encoder: Final = msgspec.json.Encoder()


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line. `genesis` is random hex: no two files share a chain."""

    format: str
    version: int
    genesis: str


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Closes block number `block`, whose first record is number `first`, 1-based."""

    block: int
    records: int
    first: int
    prev: str
    hash: str


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place just after a seal: blocks, records and bytes so far, and the hash."""

    block: int
    records: int
    bytes: int
    hash: str

    @property
    def line(self) -> int:
        """The number of the line that ends here."""
        return 1 + self.block + self.records


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of the record, to be kept elsewhere, and the place one block before it."""

    at: Mark
    before: Mark


def header_line(genesis: bytes) -> bytes:
    """Return the first line of a new file."""
    return _encoder.encode(Header(FORMAT, VERSION, genesis.hex())) + b"\n"


def start(line: bytes) -> Mark:
    """Return the mark after the header.

    Raises:
        AuditBrokenError: not a header of this format and version.
    """
    try:
        header = msgspec.json.decode(line, type=Header)
        genesis = bytes.fromhex(header.genesis)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise AuditBrokenError(f"not a header: {error}", line=1) from error
    if (header.format, header.version) != (FORMAT, VERSION):
        found = f"{header.format!r} version {header.version}"
        raise AuditBrokenError(f"format {found} is not known", line=1)
    if line != header_line(genesis) or len(genesis) != GENESIS_BYTES:
        raise AuditBrokenError("the header is not as it was written", line=1)
    return Mark(0, 0, len(line), hashlib.sha256(line).hexdigest())


def seal(after: Mark, block: bytes | memoryview, records: int) -> tuple[bytes, Mark]:
    """Return the seal line of a block that follows `after`, and the mark after it."""
    digest = hashlib.sha256(bytes.fromhex(after.hash))
    digest.update(block)  # releases the GIL: it may run beside the loop
    return _close(after, digest, len(block), records)


class Verifier:
    """Checks line after line in bounded memory, from `after` on or from the header.

    `head` is a mark that the record is known to have reached.
    """

    __slots__ = (
        "_bytes",
        "_digest",
        "_head",
        "_records",
        "before",
        "head_checked",
        "mark",
    )

    def __init__(self, head: Mark | None = None, after: Mark | None = None) -> None:
        self.mark = after
        self.before = after
        self.head_checked = False
        self._head = head
        self._begin()

    @property
    def unsealed(self) -> int:
        """Records read since the last seal."""
        return self._records

    def feed(self, line: bytes) -> None:
        """Take the next line, its newline included.

        Raises:
            AuditBrokenError: names the first line that is not as it was written, or
                the first of the block's where only the block can be told.
        """
        if self.mark is None:
            self.before = self.mark = start(line)
            self._begin()
        elif line[:1] == b"{":
            self._seal(self.mark, line)
        else:
            self._record(self.mark, line)

    def end(self) -> Mark:
        """Return the last mark; raise `AuditBrokenError` if lines or blocks are missing."""
        mark, head = self.reached().at, self._head
        if head is not None and head.block > mark.block:
            raise AuditBrokenError(
                f"the record ends after block {mark.block}, "
                f"its head names block {head.block}",
                line=mark.line + 1,
            )
        if self._records:
            raise AuditBrokenError(
                f"{self._records} records are not sealed", line=mark.line + 1
            )
        return mark

    def reached(self) -> Head:
        """Return the last right seal's mark; raise if there is not even a header."""
        if self.mark is None or self.before is None:
            raise AuditBrokenError("the file is empty", line=1)
        return Head(at=self.mark, before=self.before)

    def _begin(self) -> None:
        self._records = 0
        self._bytes = 0
        if self.mark is not None:
            self._digest = hashlib.sha256(bytes.fromhex(self.mark.hash))
            self._compare_with_head(self.mark)

    def _record(self, mark: Mark, line: bytes) -> None:
        self._records += 1
        number = mark.line + self._records
        try:
            check(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AuditBrokenError(f"not a record: {error}", line=number) from error
        if line[-2:] != b"]\n":
            raise AuditBrokenError("the line is cut or padded", line=number)
        if self._records > AUDIT_SEAL_RECORDS_MAX:
            raise AuditBrokenError("a block longer than any is written", line=number)
        self._digest.update(line)
        self._bytes += len(line)

    def _seal(self, mark: Mark, line: bytes) -> None:
        expected, after = _close(mark, self._digest, self._bytes, self._records)
        if line != expected:
            raise self._why(mark, line, expected)
        self.before, self.mark = mark, after
        self._begin()

    def _why(self, mark: Mark, line: bytes, expected: bytes) -> AuditBrokenError:
        first, last = mark.line + 1, mark.line + 1 + self._records
        try:
            found = msgspec.json.decode(line, type=Seal)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return AuditBrokenError(f"not a seal: {error}", line=last)
        made = msgspec.json.decode(expected, type=Seal)
        if (found.block, found.prev) != (made.block, made.prev):
            return AuditBrokenError(
                f"block {found.block} does not follow block {mark.block}", line=first
            )
        if found.records != made.records:
            return AuditBrokenError(
                f"block {found.block} was sealed with {found.records} records, "
                f"{made.records} are there: lines {first} to {last}",
                line=first,
            )
        if found.hash != made.hash:
            return AuditBrokenError(
                f"lines {first} to {last} are not what block {found.block} sealed",
                line=first,
            )
        return AuditBrokenError("the seal is not as it was written", line=last)

    def _compare_with_head(self, mark: Mark) -> None:
        if self._head is None or self._head.block != mark.block:
            return
        if self._head != mark:
            raise AuditBrokenError(
                f"block {mark.block} is not the one its head names", line=mark.line
            )
        self.head_checked = True


def _close(
    after: Mark, digest: "hashlib._Hash", size: int, records: int
) -> tuple[bytes, Mark]:
    block, first = after.block + 1, after.records + 1
    # Fixed length before and after the block's bytes: nothing can be read two ways.
    digest.update(_position(block, first, records))
    sealed = Seal(block, records, first, after.hash, digest.hexdigest())
    line = _encoder.encode(sealed) + b"\n"
    mark = Mark(
        block, after.records + records, after.bytes + size + len(line), sealed.hash
    )
    return line, mark
