"""Reads a store: every row is checked, and a range that was read to its end is counted.

Runs in the reader's thread, or inline; every function may block. Each answer comes
from one transaction, and is bounded in rows and in bytes. Raises `StoreBrokenError`
where a row is changed or missing.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Final, NamedTuple

import msgspec

from bus.adapters.stores.sqlite.checksums import (
    AGAIN,
    DELIVERY,
    LATER,
    LETTER,
    checksum,
    crc,
    encode,
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
from bus.core.storelimits import (
    STORE_PAGE_BYTES_MAX,
    STORE_PAGE_ROWS_MAX,
    STORE_READ_BYTES,
)

_ROWS_FIRST: Final = 64
_FIGURES: Final = """SELECT json_group_array(json_array(kind,id,a,b,c,d,e,f,g,h,i,j,sum))
 FROM (SELECT * FROM figures WHERE kind=? AND id BETWEEN ? AND ? ORDER BY id)"""
_PENDING_UP_TO: Final = "SELECT count(*) FROM deliveries WHERE consumer=? AND number<=?"
_LETTERS_UP_TO: Final = "SELECT count(*) FROM letters WHERE id<=?"
_SOONEST: Final = """SELECT json_group_array(json_array(due_ns,consumer,number,key,sum))
 FROM (SELECT * FROM later ORDER BY due_ns,consumer,number LIMIT 1)"""
_ALWAYS: Final = (1 << 63) - 1
_LEAST: Final = -(1 << 63)
_decode: Final = msgspec.json.Decoder(list[list[Any]]).decode
_letter: Final = msgspec.msgpack.Decoder(Letter).decode
_column: Final = msgspec.json.Decoder(list[Any]).decode


class Query(NamedTuple):
    """Statements for rows that have a blob each: one for its bytes, one for all else."""

    sizes: str
    rows: str


class Page(NamedTuple):
    """Rows that were read, their blobs, and whether there are no more."""

    rows: list[tuple[Any, ...]]
    blobs: list[bytes | None]
    ended: bool


def query(columns: str, blob: str, source: str) -> Query:
    """Return what reads `columns` and `blob` of a source, which ends with its order.

    All rows come in one step: each column as a list in JSON, which is a third quicker
    than a list for each row, and the blobs as one.
    """
    lists = ",".join(f"json_group_array({column})" for column in columns.split(","))
    return Query(
        "SELECT json_group_array(size) FROM "  # noqa: S608 - names of ours
        f"(SELECT length({blob}) AS size {source} LIMIT ?)",
        f"SELECT {lists},CAST(group_concat({blob},'') AS BLOB) FROM "  # noqa: S608 - as above
        f"(SELECT {columns},{blob} {source} LIMIT ?)",
    )


_DELIVERIES: Final = query(
    "number,key,sum,attempt,due_ns,again",
    "entry",
    "FROM (SELECT d.*,entry FROM deliveries d LEFT JOIN messages m ON m.key=d.key"
    " WHERE consumer=? AND number>?) ORDER BY number",
)
_DUE: Final = query(
    "due_ns,consumer,number,key,sum",
    "entry",
    "FROM (SELECT l.*,entry FROM later l LEFT JOIN messages m ON m.key=l.key"
    " WHERE (due_ns,consumer,number)>(?,?,?) AND due_ns<=?)"
    " ORDER BY due_ns,consumer,number",
)
_LETTERS: Final = query("id,sum", "letter", "FROM letters WHERE id>? ORDER BY id")


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
    with snapshot(connection):
        rows, entries, ended = page(connection, _DELIVERIES, (consumer, after), limit)
        for (number, key, total, attempt, due_ns, again), entry in zip(
            rows, entries, strict=True
        ):
            changed = crc(encode((DELIVERY, consumer, number, key))) != total
            if changed or entry is None or attempt or due_ns or again:
                place = f"table deliveries, row {consumer}/{number}"
                same(checksum(DELIVERY, consumer, number, key), total, place)
                check_again((consumer, number, attempt, due_ns), again, place)
                entry = whole(entry, place, key)  # noqa: PLW2901 - the same, checked
            found.append(DeliveryRow(consumer, number, key, attempt, due_ns, entry))
        if ended:
            before = single(connection, _PENDING_UP_TO, (consumer, after))
            row = figures(connection, KIND_CONSUMER, consumer, consumer)
            kept = row[consumer][0] if row else 0
            counted("deliveries", before + len(found), kept)
    return found


def due(connection: Connection, until_ns: int, limit: int) -> list[DueRow]:
    """Return deliveries that waited for a time that has come."""
    with snapshot(connection):
        return _due(connection, (_LEAST, 0, 0, until_ns), limit)[0]


def all_due(connection: Connection) -> Iterator[DueRow]:
    """Yield all deliveries that wait for a time."""
    place, ended = (_LEAST, 0, 0), False
    while not ended:
        begin = (*place, _ALWAYS)
        rows, ended = _due(connection, begin, STORE_PAGE_ROWS_MAX)
        for row in rows:
            place = (row.due_ns, row.consumer, row.number)
            yield row


def _due(
    connection: Connection, begin: tuple[int, ...], limit: int
) -> tuple[list[DueRow], bool]:
    found = []
    rows, entries, ended = page(connection, _DUE, begin, limit)
    for (*values, total), entry in zip(rows, entries, strict=True):
        place = f"table later, row {values[0]}/{values[1]}/{values[2]}"
        same(checksum(LATER, *values), total, place)
        due_ns, consumer, number, key = values
        found.append(DueRow(due_ns, consumer, number, key, whole(entry, place, key)))
    return found, ended


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
    with snapshot(connection):
        rows, letters, ended = page(connection, _LETTERS, (after,), limit)
        for (number, total), data in zip(rows, letters, strict=True):
            place = f"table letters, row {number}"
            same(checksum(LETTER, number, data), total, place)
            found.append(_letter(data or b""))
        if ended:
            before = single(connection, _LETTERS_UP_TO, (after,))
            counted("letters", before + len(found), meta(connection).letters)
    return found


def page(
    connection: Connection, asked: Query, begin: tuple[Any, ...], limit: int
) -> Page:
    """Return the rows behind a place, as many as a page may have; at least one.

    The bytes are asked for first: so a page of long rows has fewer.
    """
    limit = min(limit, STORE_PAGE_ROWS_MAX)
    sizes = listed(connection, asked.sizes, (*begin, limit))
    ends = list(accumulate(size or 0 for size in sizes))
    count = max(bisect_right(ends, STORE_PAGE_BYTES_MAX), min(len(ends), 1))
    ended = len(sizes) < limit and count == len(sizes)
    if not count:
        return Page([], [], ended)
    columns = connection.execute(asked.rows, (*begin, count)).fetchall()[0]
    data = columns[-1] or b""
    blobs = [
        None if size is None else data[end - size : end]
        for size, end in zip(sizes[:count], ends, strict=False)
    ]
    rows = list(zip(*map(_column, columns[:-1]), strict=True))
    return Page(rows, blobs, ended)


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
