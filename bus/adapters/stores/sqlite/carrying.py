"""Carries out plans: one transaction each, and the head once it is on disk.

Runs in the writer's thread, or inline; every function may block.
"""

from typing import Final

from bus.adapters.stores.sqlite.checksums import (
    CONSUMER,
    DELIVERY,
    LATER,
    STREAM,
    checksum,
)
from bus.adapters.stores.sqlite.layout import Connection
from bus.adapters.stores.sqlite.pieces import (
    MESSAGE_VALUES,
    Delivers,
    Forgets,
    Piece,
    Plan,
    Rows,
    Wakes,
)
from bus.adapters.stores.sqlite.state import KIND_CONSUMER, WIDTH, Draft
from bus.adapters.stores.sqlite.statements import Many
from bus.core.errors import StoreBrokenError
from bus.core.storelimits import LETTERS_KEPT_MAX

MESSAGES: Final = Many(
    "INSERT OR FAIL INTO messages SELECT * FROM {rows}", MESSAGE_VALUES
)
DELIVERIES: Final = Many(
    "INSERT OR FAIL INTO deliveries SELECT column1,column2,column3,column4,0,0,0 "
    "FROM {rows}",
    4,
)
AGAINS: Final = Many(
    "UPDATE OR FAIL deliveries SET attempt=v.column3,due_ns=v.column4,again=v.column5 "
    "FROM {rows} AS v WHERE consumer=v.column1 AND number=v.column2",
    5,
)
LATERS: Final = Many("INSERT OR FAIL INTO later SELECT * FROM {rows}", 5)
DEDUPS: Final = Many("INSERT OR FAIL INTO dedup SELECT * FROM {rows}", 5)
LETTERS: Final = Many("INSERT OR FAIL INTO letters SELECT * FROM {rows}", 3)
STREAMS: Final = Many("INSERT OR REPLACE INTO streams SELECT * FROM {rows}", 4)
CONSUMERS: Final = Many("INSERT OR REPLACE INTO consumers SELECT * FROM {rows}", 8)
FIGURES: Final = Many("INSERT OR REPLACE INTO figures SELECT * FROM {rows}", WIDTH)
DROP_LETTERS: Final = Many(
    "DELETE FROM letters WHERE id IN (SELECT column1 FROM {rows})", 1
)
SETTLED: Final = Many(
    "DELETE FROM deliveries WHERE consumer=? AND number IN "
    "(SELECT column1 FROM {rows})",
    1,
)
WOKEN: Final = Many(
    "SELECT json_group_array(json_array(due_ns,consumer,number,key,sum)) FROM "
    "{rows} AS v CROSS JOIN later ON due_ns=v.column1 AND consumer=v.column2 "
    "AND number=v.column3",
    3,
)
UNLATER: Final = Many(
    "DELETE FROM later WHERE (due_ns,consumer,number) IN "
    "(SELECT column1,column2,column3 FROM {rows})",
    3,
)
THERE: Final = Many(
    "SELECT json_group_array(key) FROM {rows} AS v CROSS JOIN messages "
    "ON key=v.column1",
    1,
)
COUNTED: Final = Many(
    "SELECT json_group_array(json_array(consumer,found)) FROM ("
    "SELECT consumer,count(*) AS found FROM (SELECT DISTINCT * FROM {rows}) AS v "
    "CROSS JOIN deliveries ON consumer=v.column1 AND number=v.column2 "
    "GROUP BY consumer)",
    2,
)
SETTLED_BY_MANY: Final = Many(
    "DELETE FROM deliveries WHERE (consumer,number) IN "
    "(SELECT column1,column2 FROM {rows})",
    2,
)
RUNS_MAX: Final = 4
CONSUMERS_ONE_BY_ONE: Final = 8
_RANGE: Final = "DELETE FROM deliveries WHERE consumer=? AND number BETWEEN ? AND ?"
_OLDEST_LETTERS: Final = (
    "DELETE FROM letters WHERE id IN (SELECT id FROM letters ORDER BY id LIMIT ?)"
)


_PURGE: Final = "DELETE FROM dedup WHERE until_ns<=?"
_FORGET_FIGURES: Final = "DELETE FROM figures WHERE kind=? AND id=?"


def carry_out(connection: Connection, plan: Plan) -> None:
    """Carry out a plan within the transaction at hand.

    Raises:
        StoreBrokenError: a row that was read is not what was written.
    """
    for piece in plan.pieces:
        _piece(connection, piece, plan.draft)
    DEDUPS.run(connection, plan.dedup)
    purge(connection, plan.draft, plan.purge_ns)


def purge(connection: Connection, draft: Draft, now_ns: int) -> None:
    """Forget publishers' ids whose time ended by then; write the figures."""
    if now_ns and draft.meta.dedup:
        draft.meta.dedup -= connection.execute(_PURGE, (now_ns,)).rowcount
    note(connection, draft)


def note(connection: Connection, draft: Draft) -> None:
    """Write the figures of a transaction, and who is new."""
    excess = draft.meta.letters - LETTERS_KEPT_MAX
    if excess > 0:
        draft.evicted = connection.execute(_OLDEST_LETTERS, (excess,)).rowcount
        draft.meta.letters -= draft.evicted
    if draft.made:
        STREAMS.run(connection, _stream_rows(draft))
    if draft.named:
        CONSUMERS.run(connection, _consumer_rows(draft))
    FIGURES.run(connection, draft.rows())


def _piece(connection: Connection, piece: Piece, draft: Draft) -> None:
    match piece:
        case Rows():
            _rows(connection, piece, draft)
        case Wakes():
            _wake(connection, piece, draft)
        case Delivers():
            _deliver(connection, piece, draft)
        case Forgets():
            _forget(connection, piece.consumer, draft)


def _rows(connection: Connection, rows: Rows, draft: Draft) -> None:
    _settle(connection, rows.settled, draft)
    MESSAGES.run(connection, rows.messages)
    DELIVERIES.run(connection, rows.deliveries)
    for consumer, numbers in rows.added.items():
        _count(draft, consumer, len(numbers))
    AGAINS.run(connection, rows.again)
    LATERS.run(connection, rows.later)
    draft.meta.letters -= DROP_LETTERS.run(connection, rows.dropped)
    LETTERS.run(connection, rows.letters)


def _settle(
    connection: Connection, settled: dict[int, list[int]], draft: Draft
) -> None:
    if len(settled) > CONSUMERS_ONE_BY_ONE:
        flat = [v for c, numbers in settled.items() for n in numbers for v in (c, n)]
        for consumer, found in COUNTED.ask(connection, flat):
            _count(draft, consumer, -found)
        SETTLED_BY_MANY.run(connection, flat)
        return
    for consumer, numbers in settled.items():
        runs = _runs(numbers)
        if len(runs) > RUNS_MAX:
            gone = SETTLED.run(connection, numbers, consumer)
        else:
            gone = sum(
                connection.execute(_RANGE, (consumer, *run)).rowcount for run in runs
            )
        _count(draft, consumer, -gone)


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Return the runs of numbers without a gap, first and last; a few at most."""
    runs: list[tuple[int, int]] = []
    first = last = None
    for number in sorted(numbers):
        if last is not None and number - last <= 1:
            last = number
            continue
        if first is not None and last is not None:
            runs.append((first, last))
            if len(runs) > RUNS_MAX:
                return runs
        first = last = number
    if first is not None and last is not None:
        runs.append((first, last))
    return runs


def _wake(connection: Connection, piece: Wakes, draft: Draft) -> None:
    fresh: dict[tuple[int, int, int], int] = {}
    for wake in piece.wakes:
        fresh.setdefault((wake.due_ns, wake.consumer, wake.number), wake.fresh)
    places = [value for place in fresh for value in place]
    added: list[int] = []
    for due_ns, consumer, number, key, total in WOKEN.ask(connection, places):
        check_later((due_ns, consumer, number, key), total)
        row = (consumer, fresh[due_ns, consumer, number], key)
        added += (*row, checksum(DELIVERY, *row))
        _count(draft, consumer, 1)
    draft.meta.later -= UNLATER.run(connection, places)
    DELIVERIES.run(connection, added)


def _deliver(connection: Connection, piece: Delivers, draft: Draft) -> None:
    there = set(THERE.ask(connection, [deliver.key for deliver in piece.delivers]))
    added: list[int] = []
    for deliver in piece.delivers:
        if deliver.key in there:
            row = (deliver.consumer, deliver.number, deliver.key)
            added += (*row, checksum(DELIVERY, *row))
            _count(draft, deliver.consumer, 1)
    DELIVERIES.run(connection, added)


def _forget(connection: Connection, consumer: int, draft: Draft) -> None:
    connection.execute("DELETE FROM deliveries WHERE consumer=?", (consumer,))
    gone = connection.execute("DELETE FROM later WHERE consumer=?", (consumer,))
    draft.meta.later -= gone.rowcount
    connection.execute("DELETE FROM consumers WHERE id=?", (consumer,))
    connection.execute(_FORGET_FIGURES, (KIND_CONSUMER, consumer))
    again = draft.known(consumer)
    if again is not None:  # another one was made under its id since
        again.pending = 0


def check_later(row: tuple[int, ...], total: int) -> None:
    """Raise `StoreBrokenError` unless a row of `later` is as it was written."""
    if checksum(LATER, *row) != total:
        raise StoreBrokenError(f"table later, row {row[:3]}: wrong checksum")


def _count(draft: Draft, consumer: int, more: int) -> None:
    known = draft.known(consumer)
    if known is not None:
        known.pending += more


def _stream_rows(draft: Draft) -> list[int | str]:
    rows: list[int | str] = []
    for stream in draft.made:
        row = draft.streams[stream]
        kept = (row.id, row.tenant, row.name)
        rows += (*kept, checksum(STREAM, *kept))
    return rows


def _consumer_rows(draft: Draft) -> list[int | str | bytes]:
    rows: list[int | str | bytes] = []
    for consumer in draft.named:
        found = draft.known(consumer)
        if found is not None:
            row = found.row
            kept = (row.id, row.tenant, row.name, row.agent, row.pattern, row.queue)
            rows += (*kept, row.replay, checksum(CONSUMER, *kept, row.replay))
    return rows
