"""The door to sqlite3, which is the standard library's."""

import sqlite3
from typing import Final

from bus.effects.dialects import SQLITE
from bus.effects.door import AsyncDoor, Standing, SyncDoor
from bus.effects.steps import Rows, Statement

# The write lock is taken at once: a transaction that has read could not get it later.
BEGIN: Final[tuple[Statement, ...]] = (("BEGIN IMMEDIATE", ()),)


def standing(connection: sqlite3.Connection) -> Standing:
    """Tell where a connection stands; that a write begins anything is not relied on."""
    return Standing(connection.in_transaction, begins=False)


def astray(fault: Exception) -> bool:
    """Tell whether the transaction was ended by somebody else."""
    return "no such savepoint" in str(fault)


def _execute(connection: sqlite3.Connection, statement: Statement) -> Rows:
    cursor = connection.cursor()
    cursor.row_factory = None  # plain rows, whatever the connection's owner likes
    try:
        rows: Rows = cursor.execute(*statement).fetchall()
        return rows
    finally:
        cursor.close()


DOORS: Final[dict[type, SyncDoor | AsyncDoor]] = {
    sqlite3.Connection: SyncDoor(
        SQLITE, (sqlite3.Error,), standing, lambda _: BEGIN, astray, _execute
    )
}
