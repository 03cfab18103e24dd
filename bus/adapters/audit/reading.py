"""Reads an audit file: checks the whole, or shows the last records.

Rule: bounded memory however long the file, and nothing is written.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from bus.adapters.audit import heads
from bus.core import auditrecord
from bus.core.auditchain import Verifier
from bus.core.errors import AuditBrokenError, LimitExceededError
from bus.core.limits import AUDIT_LINE_BYTES_MAX, AUDIT_TAIL_MAX

_STEP_BYTES: Final = 64 << 10
_TAIL_BYTES_MAX: Final = 64 << 20
_TOLD_BYTES: Final = 256 << 10

Told = Callable[[int, int], None]
"""Is told how many bytes were checked, and of how many."""


class Summary(msgspec.Struct, frozen=True):
    """What a whole record holds. `head` is the hash of its last seal.

    `head_checked` is False where no head was kept: then a cut at the end, made just
    after a seal, cannot be seen. `unsealed` is what a running writer had not sealed.
    """

    records: int
    blocks: int
    head: str
    head_checked: bool
    unsealed: int = 0


def lines(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Yield the lines of a file between two places, none longer than any written."""
    file.seek(start)
    while line := file.readline(min(AUDIT_LINE_BYTES_MAX, end - start)):
        yield line
        start += len(line)


def has_seal(file: BinaryIO, start: int, end: int) -> bool:
    """Tell whether a whole seal stands between two places, be it right or wrong."""
    return any(
        line[:1] == b"{" and line[-1:] == b"\n" for line in lines(file, start, end)
    )


def verify(
    path: Path, head: Path | None = None, *, told: Told | None = None
) -> Summary:
    """Check every line of the record at `path` against its seals and its head.

    `head` is the file the head is kept in; by default the one beside the record. `told`
    gets how far it is, and may end it by raising.

    Raises:
        AuditBrokenError: names the first broken line.
        ConfigurationError: the head cannot be read.
        OSError: the record cannot be read.
    """
    # First the head: whatever is written meanwhile only adds to what it names.
    kept = heads.read(head or heads.beside(path))
    if head is not None and kept is None:
        raise FileNotFoundError(f"no audit head at {head}")
    verifier = Verifier(head=None if kept is None else kept.at)
    unsealed = 0
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        try:
            for line in _telling(lines(file, 0, end), end, told):
                verifier.feed(line)
            mark = verifier.end()
        except AuditBrokenError:
            if verifier.mark is None or verifier.head_checked != (kept is not None):
                raise
            mark, unsealed = verifier.mark, verifier.unsealed
            # A running writer may be in the middle of a block, and only of one.
            if has_seal(file, mark.bytes, end) or not _has_writer(file):
                raise
    return Summary(mark.records, mark.block, mark.hash, verifier.head_checked, unsealed)


def tail(path: Path, count: int) -> list[auditrecord.Entry]:
    """Return the last `count` whole records of the file, oldest first, unchecked.

    Raises:
        LimitExceededError: more than AUDIT_TAIL_MAX asked for.
        AuditBrokenError: a line there is not a record.
        OSError: the file cannot be read.
    """
    if not 0 < count <= AUDIT_TAIL_MAX:
        raise LimitExceededError("audit records", actual=count, allowed=AUDIT_TAIL_MAX)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        step = _STEP_BYTES
        while True:
            start = max(0, size - step)
            found = _records(file, start, size)
            if len(found) >= count or start == 0 or step >= _TAIL_BYTES_MAX:
                return [_entry(file, at, line) for at, line in found[-count:]]
            step *= 2


def _telling(given: Iterator[bytes], end: int, told: Told | None) -> Iterator[bytes]:
    """Yield lines, and tell how far that is every so often."""
    if told is None:
        yield from given
        return
    done, due = 0, 0
    for line in given:
        yield line
        done += len(line)
        if done >= due:
            told(done, end)
            due = done + _TOLD_BYTES


def _has_writer(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _records(file: BinaryIO, start: int, end: int) -> list[tuple[int, bytes]]:
    """Return place and line of each whole record between two places."""
    found = []
    whole = start == 0
    for line in lines(file, start, end):
        # The first line may be half a line, the last one half written.
        if whole and line[:1] != b"{" and line[-1:] == b"\n":
            found.append((start, line))
        start += len(line)
        whole = True
    return found


def _entry(file: BinaryIO, at: int, line: bytes) -> auditrecord.Entry:
    try:
        return auditrecord.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        number = 1 + sum(1 for _ in lines(file, 0, at))
        raise AuditBrokenError(f"not a record: {error}", line=number) from error
