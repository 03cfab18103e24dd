"""Reads streams: each message tells how far the one before it is, so none can vanish.

Runs in the reader's thread, or inline; every function may block. Raises
`StoreBrokenError` where a row is changed or missing.
"""

from itertools import groupby
from typing import Any, Final

import msgspec

from bus.adapters.stores.sqlite.checksums import MESSAGE, checksum, crc, encode
from bus.adapters.stores.sqlite.layout import Connection, single
from bus.adapters.stores.sqlite.reading import figures, page, query, same, snapshot
from bus.adapters.stores.sqlite.state import KIND_STREAM
from bus.core.entries import SEQUENCE_BITS, SEQUENCE_MAX, key_of
from bus.core.errors import StoreBrokenError

_MESSAGES: Final = query(
    "key,time_ns,gap,sum",
    "entry",
    "FROM messages WHERE key BETWEEN ? AND ? ORDER BY key",
)
_BEFORE: Final = "SELECT max(key) FROM messages WHERE key>=? AND key<?"
_NEXT: Final = """SELECT json_array(key,time_ns,gap,sum) FROM messages
 WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1"""

Row = tuple[int, int, int, bytes]
"""(key, time_ns, gap, entry)."""


def entries(
    connection: Connection, first: int, last: int, limit: int
) -> list[tuple[int, bytes]]:
    """Return the entries from one key to another, both included."""
    return [(row[0], row[3]) for row in rows(connection, first, last, limit)]


def rows(connection: Connection, first: int, last: int, limit: int) -> list[Row]:
    """Return whole rows from one key to another, checked for what is missing."""
    found: list[Row] = []
    with snapshot(connection):
        kept, entries, ended = page(connection, _MESSAGES, (first, last), limit)
        for (key, time_ns, gap, total), entry in zip(kept, entries, strict=True):
            if crc(encode((MESSAGE, key, time_ns, gap))) != total:
                raise StoreBrokenError(f"table messages, row {key}: wrong checksum")
            found.append((key, time_ns, gap, entry or b""))
        end = last if ended else found[-1][0] if found else first - 1
        _check_chains(connection, found, first, end)
    return found


def at(connection: Connection, stream: int, time_ns: int) -> int:
    """Return the sequence of the first message kept at or after a time."""
    with snapshot(connection):
        kept = figures(connection, KIND_STREAM, stream, stream).get(stream)
        if kept is None:
            return 1
        low, last = kept[2], kept[3]
        high = last + 1
        while low < high:
            middle = (low + high) // 2
            sequence, kept_ns = _from(connection, stream, middle, last)
            if kept_ns < time_ns:
                low = sequence + 1
            else:
                high = middle
        return low if low > last else _from(connection, stream, low, last)[0]


def _from(
    connection: Connection, stream: int, sequence: int, last: int
) -> tuple[int, int]:
    """Return sequence and time of the first message at or after a sequence."""
    keys = (key_of(stream, sequence), key_of(stream, last))
    text = single(connection, _NEXT, keys)
    if text is None:
        raise StoreBrokenError(
            f"table messages: stream {stream} has none from {sequence} on, "
            f"{last} was kept"
        )
    key, time_ns, gap, total = msgspec.json.decode(text)
    same(checksum(MESSAGE, key, time_ns, gap), total, f"table messages, row {key}")
    return key & SEQUENCE_MAX, time_ns


def _check_chains(
    connection: Connection, found: list[Row], first: int, end: int
) -> None:
    """Raise `StoreBrokenError` if a row between two keys was not found."""
    streams = (first >> SEQUENCE_BITS, end >> SEQUENCE_BITS)
    kept = figures(connection, KIND_STREAM, *streams)
    groups = _by_stream(found)
    for stream in groups.keys() - kept.keys():
        raise StoreBrokenError(f"table streams: {stream} is missing, it has messages")
    for stream, values in kept.items():
        own = groups.get(stream, [])
        _check_chain(connection, stream, values, own, (first, end))


def _by_stream(found: list[Row]) -> dict[int, list[Row]]:
    """Return rows by their stream; those of one are by far the most usual."""
    if not found:
        return {}
    stream = found[0][0] >> SEQUENCE_BITS
    if found[-1][0] >> SEQUENCE_BITS == stream:
        return {stream: found}
    return {
        stream: list(group)
        for stream, group in groupby(found, lambda row: row[0] >> SEQUENCE_BITS)
    }


def _check_chain(
    connection: Connection,
    stream: int,
    kept: list[Any],
    own: list[Row],
    between: tuple[int, int],
) -> None:
    messages, _, oldest, latest = kept[:4]
    oldest, latest = key_of(stream, oldest), key_of(stream, latest)
    if not messages or oldest > between[1] or latest < between[0]:
        if own:
            raise StoreBrokenError(f"table messages: {own[0][0]} is of no known range")
        return
    before = None
    if oldest < between[0]:
        before = single(connection, _BEFORE, (oldest, between[0]))
    for key, _, gap, _ in own:
        expected = oldest if before is None else before + gap
        if key != expected:
            raise StoreBrokenError(f"table messages: a row is missing before {key}")
        before = key
    if before is None:
        raise StoreBrokenError(f"table messages: {oldest} is missing")
    if latest <= between[1] and before != latest:
        raise StoreBrokenError(f"table messages: a row is missing after {before}")
