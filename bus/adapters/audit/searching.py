"""Finds the records of one message in an audit record.

Rule: a file is searched from the time of the message on, found by halving, since records
are appended in the order of time; bytes read are bounded, and a line that is no record
of it is not decoded. Nothing is written, and nothing is checked: `reading.verify` does.
"""

import base64
import os
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from bus.core import auditrecord
from bus.core.limits import AUDIT_LINE_BYTES_MAX

_PROBE_BYTES: Final = 64 << 10
_STEP_BYTES: Final = 1 << 20
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)


class Found(msgspec.Struct, frozen=True):
    """The records of a message in the order they were written; and if that may lack some."""

    entries: list[auditrecord.Entry]
    truncated: bool


def search(
    path: Path, message_id: bytes, since_ns: int, *, count: int, bytes_max: int
) -> Found:
    """Return at most `count` records of a message, from `since_ns` on. Blocks.

    Raises:
        OSError: the file cannot be read.
    """
    needle = b'"' + base64.b64encode(message_id) + b'"'
    found: list[auditrecord.Entry] = []
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = place(file, since_ns, size)
        end = min(size, start + bytes_max)
        rest = b""
        file.seek(start)
        while file.tell() < end and len(found) < count:
            chunk = rest + file.read(min(_STEP_BYTES, end - file.tell()))
            cut = chunk.rfind(b"\n") + 1
            _collect(chunk[:cut], needle, found)
            rest = chunk[cut:] if len(chunk) - cut <= AUDIT_LINE_BYTES_MAX else b""
    return Found(found[:count], end < size or len(found) > count)


def place(file: BinaryIO, time_ns: int, size: int) -> int:
    """Return a place in a file before every record of `time_ns` and later.

    A record of a message that waited has an older time than those around it, so a piece
    of the file is as late as its latest record.
    """
    low, high = 0, size
    while high - low > _PROBE_BYTES:
        middle = (low + high) // 2
        file.seek(middle)
        latest = _latest(file.read(_PROBE_BYTES), whole=middle == 0)
        if latest is not None and latest < time_ns:
            low = middle
        else:
            high = middle
    return _line_start(file, low)


def _latest(piece: bytes, *, whole: bool) -> int | None:
    """Return the latest time in a piece, from its first whole line on; None without one."""
    lines = piece.split(b"\n")
    times = []
    for line in lines[0 if whole else 1 : -1]:
        if line[:1] != b"[":
            continue
        try:
            times.append(auditrecord.decode(line).time_ns)
        except _UNREADABLE:
            continue  # a search does not judge: verify names what is broken
    return max(times, default=None)


def _line_start(file: BinaryIO, at: int) -> int:
    """Return where the line begins in which a place is."""
    while at > 0:
        begin = max(0, at - _PROBE_BYTES)
        file.seek(begin)
        newline = file.read(at - begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        at = begin
    return 0


def _collect(lines: bytes, needle: bytes, found: list[auditrecord.Entry]) -> None:
    at = lines.find(needle)
    while at >= 0:
        begin = lines.rfind(b"\n", 0, at) + 1
        end = lines.find(b"\n", at)
        try:
            entry = auditrecord.decode(lines[begin:end])
        except _UNREADABLE:
            entry = None  # as above
        if entry is not None and needle[1:-1] == base64.b64encode(
            bytes.fromhex(entry.id)
        ):
            found.append(entry)
        at = lines.find(needle, end)
