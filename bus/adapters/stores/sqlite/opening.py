"""Opens a store file: whose it is, whether all of it is there, whether it is as written.

Rule: everything is checked through a connection that cannot write, because the first
one that can may carry a damaged log into the file. Runs in the writer's thread, or
inline; every function may block.
"""

import os
import sys
from pathlib import Path
from typing import NamedTuple

from bus.adapters.stores.sqlite import checking, layout, making, reading, wal
from bus.adapters.stores.sqlite.heads import Head
from bus.adapters.stores.sqlite.layout import Connection
from bus.adapters.stores.sqlite.places import Place, looking, not_sqlite
from bus.adapters.stores.sqlite.state import State
from bus.core.changes import Contents
from bus.core.entries import Sealer
from bus.core.errors import StoreBrokenError
from bus.core.storelimits import STORE_CHECK_BYTES_MAX


class Checked(NamedTuple):
    """A file that was checked: its head and its figures."""

    head: Head
    state: State


class Opened(NamedTuple):
    """A connection that may write, and the figures of what it holds."""

    connection: Connection
    state: State


def begin(place: Place, sealer: Sealer, *, doubt: bool = False) -> Opened:
    """Return a connection to a store that was checked; make it if there is none.

    With `doubt` the last transaction may be there though it was refused: it is cut off.
    """
    head = place.head.read()
    if making.is_new(place, head):
        head = making.make(place)
    elif head is not None and (doubt or head.doubt):
        _settle_doubt(place, head)
    making.migrate(place, head)
    state = check(place, head, sealer).state
    connection = place.connect(place.path, False)
    try:
        layout.set_up(connection, readonly=False)
        _unchanged(connection, state)
    except BaseException:
        connection.close()
        raise
    return Opened(connection, state)


def check(
    place: Place,
    head: Head | None,
    sealer: Sealer,
    *,
    whole: bool = False,
    headless: bool = False,
) -> Checked:
    """Check a file that is there, without changing it; all of it if it is small."""
    with (
        not_sqlite(head),
        looking(place) as connection,
    ):
        making.whose(connection, head)
        checking.check_schema(connection)
        state = checking.load(connection)
        meta = state.meta
        if headless:
            head = Head(meta.txn, meta.next_number, layout.VERSION)
        head = _compare(place, head, state)
        size = place.path.stat().st_size
        log = wal.beside(place.path)
        size += log.stat().st_size if log.exists() else 0
        if whole or size <= STORE_CHECK_BYTES_MAX:
            _read_ahead(place.path)
            checking.check_pages(connection)
            checking.check_rows(connection, state, sealer)
        else:
            checking.check_samples(connection, state, sealer)
    return Checked(head, state)


def _read_ahead(path: Path) -> None:
    """Have the system begin to read a file that is read as a whole: pages come in no order."""
    if sys.platform == "linux":
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(file, 0, STORE_CHECK_BYTES_MAX, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)


def contents(connection: Connection, state: State, *, clean: bool) -> Contents:
    """Return what the bus is told of a store that was opened."""
    meta = state.meta
    ids, kept = checking.dedup(connection)
    reading.counted("dedup", kept, meta.dedup)
    return Contents(
        epoch=meta.epoch,
        clean=clean,
        next_number=meta.next_number,
        next_letter=meta.next_letter,
        streams=tuple(state.streams[stream].row() for stream in sorted(state.streams)),
        consumers=tuple(
            state.consumers[consumer].told() for consumer in sorted(state.consumers)
        ),
        dedup=tuple(ids),
        letters=meta.letters,
        next_due_ns=reading.next_due_ns(connection),
    )


def _compare(place: Place, head: Head | None, state: State) -> Head:
    """Return the head; raise unless the file got at least as far as it says."""
    meta = state.meta
    if head is None:
        raise StoreBrokenError(
            f"its head {place.head.path.name} is missing, so nobody can tell whether the "
            "file is whole: put back the one that belongs to it, or accept the file "
            f"as it is with `assent store head {place.path}`"
        )
    if meta.txn < head.txn:
        raise StoreBrokenError(
            f"transactions {meta.txn + 1} to {head.txn} were kept and are missing: the "
            "file or its log was cut, changed, or put back from an older copy"
        )
    return head


def _unchanged(connection: Connection, state: State) -> None:
    if reading.meta(connection) != state.meta:
        raise StoreBrokenError("it changed while it was checked")


def _settle_doubt(place: Place, head: Head) -> None:
    """Cut off the one transaction that may be there though it was refused."""
    log = wal.beside(place.path)
    if not log.exists():
        return
    wal.rewrite(log)
    with looking(place) as connection:
        found = reading.meta(connection).txn
    if found == head.txn + 1:
        wal.drop_last(log)
        log.with_name(place.path.name + "-shm").unlink(missing_ok=True)
