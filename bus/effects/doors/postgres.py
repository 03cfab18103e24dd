"""The door to PostgreSQL: psycopg 3, connections that block and that are awaited."""

from typing import Any, Final

import psycopg
import psycopg.errors
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from bus.effects.dialects import POSTGRES
from bus.effects.door import AsyncDoor, Standing, SyncDoor
from bus.effects.steps import Rows, Statement

Connection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

_FAULTS: Final = (psycopg.Error,)
_ASTRAY: Final = (
    psycopg.errors.InFailedSqlTransaction,
    psycopg.errors.InvalidSavepointSpecification,
    psycopg.errors.NoActiveSqlTransaction,
)
_BEGIN: Final[tuple[Statement, ...]] = (("BEGIN", ()),)


def _standing(connection: Connection) -> Standing:
    idle = connection.info.transaction_status is TransactionStatus.IDLE
    return Standing(not idle, begins=not connection.autocommit)


def _begin(connection: Connection) -> tuple[Statement, ...]:
    """Return nothing where the driver says BEGIN by itself: twice is complained of."""
    return _BEGIN if connection.autocommit else ()


def _astray(fault: Exception) -> bool:
    return isinstance(fault, _ASTRAY)


def _text(statement: Statement) -> tuple[bytes, tuple[object, ...]]:
    sql, parameters = statement
    return sql.replace("?", "%s").encode(), parameters


def _execute(connection: psycopg.Connection[Any], statement: Statement) -> Rows:
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(*_text(statement))
        return cursor.fetchall() if cursor.description else []


async def _execute_awaited(
    connection: psycopg.AsyncConnection[Any], statement: Statement
) -> Rows:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(*_text(statement))
        return await cursor.fetchall() if cursor.description else []


DOORS: Final[dict[type, SyncDoor | AsyncDoor]] = {
    psycopg.Connection: SyncDoor(
        POSTGRES, _FAULTS, _standing, _begin, _astray, _execute
    ),
    psycopg.AsyncConnection: AsyncDoor(
        POSTGRES, _FAULTS, _standing, _begin, _astray, _execute_awaited
    ),
}
