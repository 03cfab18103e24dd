"""Reads a store: every row is checked, and a range that was read to its end is counted.

Runs in the reader's thread, or inline; every function may block. Each answer comes
from one transaction. Raises `StoreBrokenError` where a row is changed or missing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from bus.adapters.stores.sqlite.checksums import (
    AGAIN,
    DELIVERY,
    LATER,
    LETTER,
    checksum,
)
from bus.adapters.stores.sqlite.layout import Connection, single
from bus.adapters.stores.sqlite.state import (
    KIND_CONSUMER,
    KIND_META,
    Meta,
    read_figures,
)
from bus.adapters.stores.sqlite.statements import listed
from bus.core.changes import DeliveryRow, DueRow, Letter
from bus.core.errors import StoreBrokenError
from bus.core.storelimits import STORE_PAGE_ROWS_MAX, STORE_READ_BYTES

_ROWS_FIRST: Final = 64
_FIGURES: Final = """SELECT json_group_array(json_array(kind,id,a,b,c,d,e,f,g,h,i,j,sum))
 FROM (SELECT * FROM figures WHERE kind=? AND id BETWEEN ? AND ? ORDER BY id)"""
_DELIVERIES: Final = """SELECT
 json_group_array(json_array(length(entry),number,key,sum,attempt,due_ns,again)),
 CAST(group_concat(entry,'') AS BLOB) FROM
 (SELECT d.*,entry FROM deliveries d LEFT JOIN messages m ON m.key=d.key
  WHERE consumer=? AND number>? ORDER BY number LIMIT ?)"""
_DUE: Final = """SELECT
 json_group_array(json_array(length(entry),due_ns,consumer,number,key,sum)),
 CAST(group_concat(entry,'') AS BLOB) FROM
 (SELECT l.*,entry FROM later l LEFT JOIN messages m ON m.key=l.key
  WHERE (due_ns,consumer,number)>(?,?,?) AND due_ns<=?
  ORDER BY due_ns,consumer,number LIMIT ?)"""
_LETTERS: Final = """SELECT json_group_array(json_array(length(letter),id,sum)),
 CAST(group_concat(letter,'') AS BLOB) FROM
 (SELECT * FROM letters WHERE id>? ORDER BY id LIMIT ?)"""
_PENDING_UP_TO: Final = "SELECT count(*) FROM deliveries WHERE consumer=? AND number<=?"
_LETTERS_UP_TO: Final = "SELECT count(*) FROM letters WHERE id<=?"
_SOONEST: Final = """SELECT json_group_array(json_array(due_ns,consumer,number,key,sum))
 FROM (SELECT * FROM later ORDER BY due_ns,consumer,number LIMIT 1)"""
_ALWAYS: Final = (1 << 63) - 1
_LEAST: Final = -(1 << 63)
_EVERYTHING: Final = 1 << 62
_decode: Final = msgspec.json.Decoder(list[list[Any]]).decode
_letter: Final = msgspec.msgpack.Decoder(Letter).decode


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Read everything within as of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def figures(
    connection: Connection, kind: int, first: int, last: int
) -> dict[int, list[int]]:
    """Return figures of one kind by id."""
    rows = listed(connection, _FIGURES, (kind, first, last))
    return {row[1]: read_figures(row) for row in rows}


def meta(connection: Connection) -> Meta:
    """Return what there is one of."""
    found = figures(connection, KIND_META, 0, 0)
    if not found:
        raise StoreBrokenError("table figures: the row of the store itself is missing")
    return Meta(*found[0])


def deliveries(
    connection: Connection, consumer: int, after: int, limit: int
) -> list[DeliveryRow]:
    """Return a consumer's pending deliveries whose number is above `after`."""
    found: list[DeliveryRow] = []
    limit = min(limit, STORE_PAGE_ROWS_MAX)
    with snapshot(connection):
        begin = (consumer, after)
        pages = paged(connection, _DELIVERIES, begin, limit, lambda r: (consumer, r[0]))
        for (number, key, total, attempt, due_ns, again), entry in pages:
            place = f"table deliveries, row {consumer}/{number}"
            same(checksum(DELIVERY, consumer, number, key), total, place)
            check_again((consumer, number, attempt, due_ns), again, place)
            found.append(
                DeliveryRow(
                    consumer, number, key, attempt, due_ns, whole(entry, place, key)
                )
            )
        if len(found) < limit:
            before = single(connection, _PENDING_UP_TO, (consumer, after))
            row = figures(connection, KIND_CONSUMER, consumer, consumer)
            kept = row[consumer][0] if row else 0
            counted("deliveries", before + len(found), kept)
    return found


def due(connection: Connection, until_ns: int, limit: int) -> list[DueRow]:
    """Return deliveries that waited for a time that has come."""
    with snapshot(connection):
        return list(_due(connection, until_ns, min(limit, STORE_PAGE_ROWS_MAX)))


def all_due(connection: Connection) -> Iterator[DueRow]:
    """Yield all deliveries that wait for a time."""
    return _due(connection, _ALWAYS, _EVERYTHING)


def _due(connection: Connection, until_ns: int, limit: int) -> Iterator[DueRow]:
    begin = (_LEAST, 0, 0, until_ns)
    pages = paged(connection, _DUE, begin, limit, lambda row: (*row[:3], until_ns))
    for (*values, total), entry in pages:
        place = f"table later, row {values[0]}/{values[1]}/{values[2]}"
        same(checksum(LATER, *values), total, place)
        due_ns, consumer, number, key = values
        yield DueRow(due_ns, consumer, number, key, whole(entry, place, key))


def next_due_ns(connection: Connection) -> int:
    """Return when the next delivery that waits is due; 0 if none waits."""
    with snapshot(connection):
        rows = listed(connection, _SOONEST)
        waiting = meta(connection).later
    if not rows:
        counted("later", 0, waiting)
        return 0
    *values, total = rows[0]
    same(checksum(LATER, *values), total, f"table later, row {values[:3]}")
    return int(values[0])


def letters(connection: Connection, after: int, limit: int) -> list[Letter]:
    """Return dead letters whose id is above `after`."""
    found: list[Letter] = []
    limit = min(limit, STORE_PAGE_ROWS_MAX)
    with snapshot(connection):
        pages = paged(connection, _LETTERS, (after,), limit, lambda row: (row[0],))
        for (number, total), data in pages:
            place = f"table letters, row {number}"
            same(checksum(LETTER, number, data), total, place)
            found.append(_letter(data or b""))
        if len(found) < limit:
            before = single(connection, _LETTERS_UP_TO, (after,))
            counted("letters", before + len(found), meta(connection).letters)
    return found


def paged(
    connection: Connection,
    sql: str,
    begin: tuple[Any, ...],
    limit: int,
    after: Callable[[list[Any]], tuple[Any, ...]],
) -> Iterator[tuple[list[Any], bytes | None]]:
    """Yield rows and the blob of each, some in each step.

    The statement yields `[[length, ...], ...]` in JSON, and all blobs as one. `after`
    says where to go on behind a row. A step is as long as the rows seen so far allow.
    """
    where, left, step = begin, limit, _ROWS_FIRST
    while left > 0:
        asked = min(step, left)
        text, data = connection.execute(sql, (*where, asked)).fetchall()[0]
        rows, place = _decode(text), 0
        for size, *row in rows:
            yield row, None if size is None else data[place : place + size]
            place += size or 0
            where = after(row)
        if len(rows) < asked:
            return
        left -= asked
        step = max(1, STORE_READ_BYTES * asked // (place + 1))


def same(found: int, kept: int, place: str) -> None:
    """Raise `StoreBrokenError` unless a checksum is the one that was kept."""
    if found != kept:
        raise StoreBrokenError(f"{place}: wrong checksum")


def check_again(row: tuple[int, int, int, int], again: int, place: str) -> None:
    """Raise unless what was noted of a delivery's attempts is as it was written."""
    never_tried = row[2:] == (0, 0) and not again
    if not never_tried:
        same(checksum(AGAIN, *row), again, place)


def whole(entry: bytes | None, place: str, key: int) -> bytes:
    """Return an entry; raise `StoreBrokenError` if its row is missing."""
    if entry is None:
        raise StoreBrokenError(f"{place}: its message {key} is missing")
    return entry


def counted(table: str, found: int, kept: int) -> None:
    """Raise `StoreBrokenError` unless as many rows were found as were kept."""
    if found != kept:
        raise StoreBrokenError(f"table {table}: {found} rows found, {kept} were kept")
