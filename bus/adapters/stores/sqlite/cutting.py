"""Cuts a stream to its bounds: the oldest go first, with what was still to be delivered.

Runs in the writer's thread, or inline, within a transaction; may block.
"""

from collections import Counter
from typing import Any, Final

from bus.adapters.stores.sqlite.checksums import MESSAGE, checksum
from bus.adapters.stores.sqlite.layout import Connection
from bus.adapters.stores.sqlite.state import Draft, Stream
from bus.adapters.stores.sqlite.statements import listed
from bus.core.changes import Bounds, Trimmed
from bus.core.entries import SEQUENCE_MAX, key_of
from bus.core.errors import StoreBrokenError
from bus.core.storelimits import STORE_TRIM_ROWS_MAX

_FIRST_ROWS: Final = 64
_OLDEST: Final = """SELECT json_group_array(json_array(key,time_ns,gap,sum,size,held))
 FROM (SELECT key,time_ns,gap,sum,length(entry) AS size,
 {held} AS held FROM messages WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?)"""
_HELD: Final = """(EXISTS(SELECT 1 FROM deliveries d WHERE d.key=messages.key)
 OR EXISTS(SELECT 1 FROM later l WHERE l.key=messages.key))"""
_TAKERS: Final = """SELECT json_group_array(json_array(consumer,number))
 FROM {table} WHERE key BETWEEN ? AND ?"""
_PENDING: Final = _TAKERS.replace("{table}", "deliveries")
_WAITING: Final = _TAKERS.replace("{table}", "later")
_FREE_OR_HELD: Final = _OLDEST.replace("{held}", _HELD)
_ANY: Final = _OLDEST.replace("{held}", "0")


def cut(connection: Connection, draft: Draft, stream: int, bounds: Bounds) -> Trimmed:
    """Cut a stream, as `MessageStore.trim` says. The figures are the caller's to write.

    Raises:
        Refused: there is no such stream.
        StoreBrokenError: what is read is not what was written.
    """
    found = draft.stream(stream)
    rows, after = _going(connection, found, bounds)
    if not rows:
        return Trimmed(found.row(), 0, 0)
    first, last = rows[0][0], rows[-1][0]
    pending = listed(connection, _PENDING, (first, last))
    waiting = listed(connection, _WAITING, (first, last))
    for consumer, gone in Counter(consumer for consumer, _ in pending).items():
        known = draft.known(consumer)
        if known is not None:
            known.pending -= gone
    draft.meta.later -= len(waiting)
    _delete(connection, "deliveries", (first, last), len(pending))
    _delete(connection, "later", (first, last), len(waiting))
    _delete(connection, "messages", (first, last), len(rows))
    size = sum(row[4] for row in rows)
    found.messages -= len(rows)
    found.bytes -= size
    found.first = after
    evicted = tuple((consumer, number) for consumer, number in [*pending, *waiting])
    return Trimmed(found.row(), len(rows), size, evicted)


def _going(
    connection: Connection, stream: Stream, bounds: Bounds
) -> tuple[list[list[int]], int]:
    """Return the rows that go, and the sequence of the one after them."""
    going: list[list[int]] = []
    messages, size = stream.messages, stream.bytes
    first, limit = key_of(stream.id, stream.first), _FIRST_ROWS
    sql = _FREE_OR_HELD if bounds.settled_only else _ANY
    while messages:
        limit = min(limit * 4, STORE_TRIM_ROWS_MAX - len(going) + 1)
        rows = listed(connection, sql, (first, key_of(stream.id, SEQUENCE_MAX), limit))
        _check(stream, rows, going)
        for row in rows:
            over = messages > bounds.messages or size > bounds.bytes
            stays = not over and row[1] >= bounds.before_ns
            if stays or row[5] or len(going) == STORE_TRIM_ROWS_MAX:
                return going, row[0] & SEQUENCE_MAX
            going.append(row)
            messages, size = messages - 1, size - row[4]
            first = row[0] + 1
    return going, stream.last + 1


def _check(stream: Stream, rows: list[Any], before: list[Any]) -> None:
    """Raise `StoreBrokenError` unless the rows are whole and follow those before."""
    last = before[-1][0] if before else None
    if not rows:
        raise StoreBrokenError(
            f"table messages: stream {stream.id} ends after {len(before)} messages, "
            f"{stream.messages} were kept"
        )
    for key, time_ns, gap, total, _, _ in rows:
        if checksum(MESSAGE, key, time_ns, gap) != total:
            raise StoreBrokenError(f"table messages, row {key}: wrong checksum")
        expected = key_of(stream.id, stream.first) if last is None else last + gap
        if key != expected:
            raise StoreBrokenError(f"table messages: a row is missing before {key}")
        last = key


def _delete(
    connection: Connection, table: str, keys: tuple[int, int], rows: int
) -> None:
    sql = f"DELETE FROM {table} WHERE key BETWEEN ? AND ?"  # noqa: S608 - a name of ours
    gone = connection.execute(sql, keys).rowcount
    if gone != rows:
        raise StoreBrokenError(f"table {table}: {rows} rows were found, {gone} went")
