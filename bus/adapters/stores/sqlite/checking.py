"""Checks what a file holds before anybody relies on it.

All of a small one, samples of a large one. Every function may block, and raises
`StoreBrokenError`.
"""

from collections.abc import Iterator
from typing import Any, Final

from bus.adapters.stores.sqlite import layout, reading, streams
from bus.adapters.stores.sqlite.checksums import CONSUMER, DEDUP, STREAM, checksum
from bus.adapters.stores.sqlite.layout import Connection, single
from bus.adapters.stores.sqlite.reading import counted, paged, same
from bus.adapters.stores.sqlite.state import (
    KIND_CONSUMER,
    KIND_STREAM,
    Consumer,
    State,
    Stream,
)
from bus.core.changes import ConsumerRow
from bus.core.entries import SEQUENCE_MAX, Sealer, key_of
from bus.core.errors import StoreBrokenError
from bus.core.storelimits import STORE_PAGE_ROWS_MAX, STORE_SAMPLES

_INTEGRITY_WORDS: Final = 5
_ID_MAX: Final = (1 << 63) - 1
_LEAST: Final = -(1 << 63)
_LISTED: Final = """SELECT json_group_array(json_array({columns})), x'' FROM
 (SELECT * FROM {table} WHERE id>? ORDER BY id LIMIT ?)"""
_STREAMS: Final = _LISTED.format(columns="0,id,tenant,name,sum", table="streams")
_CONSUMERS: Final = """SELECT
 json_group_array(json_array(length(replay),id,tenant,name,agent,pattern,queue,sum)),
 CAST(group_concat(replay,'') AS BLOB) FROM
 (SELECT * FROM consumers WHERE id>? ORDER BY id LIMIT ?)"""
_DEDUP: Final = """SELECT json_group_array(json_array(0,until_ns,id,txn,key,sum)), x''
 FROM (SELECT * FROM dedup WHERE (until_ns,id,txn)>(?,?,?)
 ORDER BY until_ns,id,txn LIMIT ?)"""
_EVERYTHING: Final = 1 << 62


def load(connection: Connection) -> State:
    """Return the figures of a file."""
    state = State()
    with reading.snapshot(connection):
        state.meta = reading.meta(connection)
        kept = reading.figures(connection, KIND_STREAM, 0, _ID_MAX)
        for (number, tenant, name, total), _ in _by_id(connection, _STREAMS):
            place = f"table streams, row {number}"
            same(checksum(STREAM, number, tenant, name), total, place)
            figures = _taken(kept, number, place)
            state.streams[number] = Stream(number, tenant, name, *figures[:4])
        if kept:
            raise StoreBrokenError(f"table streams: {min(kept)} is missing")
        kept = reading.figures(connection, KIND_CONSUMER, 0, _ID_MAX)
        for (*values, total), replay in _by_id(connection, _CONSUMERS):
            place = f"table consumers, row {values[0]}"
            same(checksum(CONSUMER, *values, replay), total, place)
            pending = _taken(kept, values[0], place)[0]
            number, tenant, name, agent, pattern, queue = values
            row = ConsumerRow(
                number, tenant, name, agent, pattern, queue, replay or b"", pending
            )
            state.consumers[row.id] = Consumer(row, pending)
        if kept:
            raise StoreBrokenError(f"table consumers: {min(kept)} is missing")
        counted("streams", len(state.streams), state.meta.streams)
        counted("consumers", len(state.consumers), state.meta.consumers)
    return state


def dedup(connection: Connection) -> tuple[list[tuple[str, int, int]], int]:
    """Return (id, key, until_ns) of the publishers' ids, and how many rows there are."""
    latest: dict[str, tuple[int, int, int]] = {}
    rows = 0
    begin = (_LEAST, "", _LEAST)
    for (*values, total), _ in paged(
        connection, _DEDUP, begin, _EVERYTHING, lambda row: tuple(row[:3])
    ):
        until_ns, name, txn, key = values
        same(checksum(DEDUP, *values), total, f"table dedup, row {name}")
        rows += 1
        known = latest.get(name)
        if known is None or known[0] < txn:
            latest[name] = (txn, key, until_ns)
    return [(name, key, until) for name, (_, key, until) in latest.items()], rows


def check_schema(connection: Connection) -> None:
    """Return if the tables are the ones of the file's version, to the letter."""
    version = single(connection, "PRAGMA user_version")
    released = layout.SCHEMAS.get(version, ())
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql NOT NULL")
    found = sorted(str(sql) for (sql,) in rows.fetchall())
    if found != sorted(released):
        odd = set(found) ^ set(released)
        raise StoreBrokenError(f"the schema was changed: {min(odd, default='')[:200]}")


def check_pages(connection: Connection) -> None:
    """Return if SQLite finds no fault in its pages."""
    found = connection.execute(f"PRAGMA integrity_check({_INTEGRITY_WORDS})").fetchall()
    if found != [("ok",)]:
        words = "; ".join(str(row[0]) for row in found)
        raise StoreBrokenError(f"SQLite's own check: {words}")


def check_rows(connection: Connection, state: State, sealer: Sealer) -> None:
    """Return if every row is as it was written, and none is missing."""
    for stream in state.streams.values():
        _check_stream(connection, stream, sealer)
    total = sum(stream.messages for stream in state.streams.values())
    _check_count(connection, "messages", total)
    for consumer in state.consumers:
        after = _LEAST
        while rows := reading.deliveries(
            connection, consumer, after, STORE_PAGE_ROWS_MAX
        ):
            after = rows[-1].number
    pending = sum(consumer.pending for consumer in state.consumers.values())
    _check_count(connection, "deliveries", pending)
    _check_later(connection, state)
    after = _LEAST
    while found := reading.letters(connection, after, STORE_PAGE_ROWS_MAX):
        after = found[-1].id
        for letter in found:
            sealer.open(letter.key, letter.entry)
    counted("dedup", dedup(connection)[1], state.meta.dedup)


def check_samples(connection: Connection, state: State, sealer: Sealer) -> int:
    """Return how many entries were looked at, spread evenly over all streams.

    Which ones differs with each opening.
    """
    holding = [stream for stream in state.streams.values() if stream.messages]
    total = sum(stream.last - stream.first + 1 for stream in holding)
    step = max(1, total // STORE_SAMPLES)
    place, looked = state.meta.epoch * 7919 % step, 0
    for stream in sorted(holding, key=lambda found: found.id):
        span = stream.last - stream.first + 1
        while place < span:
            sequence = stream.first + place
            _check_one(connection, stream, sequence, sealer)
            looked += 1
            place += step
        place -= span
    return looked


def _check_one(
    connection: Connection, stream: Stream, sequence: int, sealer: Sealer
) -> None:
    first, last = key_of(stream.id, sequence), key_of(stream.id, stream.last)
    rows = streams.rows(connection, first, last, 1)
    if not rows:
        raise StoreBrokenError(
            f"table messages: stream {stream.id} has none from {sequence} on"
        )
    sealer.open(rows[0][0], rows[0][3])


def _check_stream(connection: Connection, stream: Stream, sealer: Sealer) -> None:
    first, last = key_of(stream.id, 0), key_of(stream.id, SEQUENCE_MAX)
    messages = size = 0
    while rows := streams.rows(connection, first, last, STORE_PAGE_ROWS_MAX):
        for key, _, _, entry in rows:
            sealer.open(key, entry)
            size += len(entry)
        messages += len(rows)
        first = rows[-1][0] + 1
    counted(f"messages, stream {stream.id}", messages, stream.messages)
    counted(f"messages, bytes of stream {stream.id}", size, stream.bytes)


def _check_later(connection: Connection, state: State) -> None:
    found = 0
    for row in reading.all_due(connection):
        found += 1
        if row.consumer not in state.consumers:
            raise StoreBrokenError(
                f"table later, row {row.number}: consumer {row.consumer} is missing"
            )
    counted("later", found, state.meta.later)


def _check_count(connection: Connection, table: str, kept: int) -> None:
    sql = f"SELECT count(*) FROM {table}"  # noqa: S608 - a name of ours
    counted(table, single(connection, sql), kept)


def _taken(kept: dict[int, list[int]], number: int, place: str) -> list[int]:
    if number not in kept:
        raise StoreBrokenError(f"{place}: its figures are missing")
    return kept.pop(number)


def _by_id(
    connection: Connection, sql: str
) -> Iterator[tuple[list[Any], bytes | None]]:
    return paged(connection, sql, (_LEAST,), _EVERYTHING, lambda row: (row[0],))
