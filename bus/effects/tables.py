"""The tables in the user's database: shown, or made where they are missing."""

from collections.abc import Coroutine
from typing import Any, Final, overload

from bus.core.errors import UsageError
from bus.effects.connections import AsyncConnection, SyncConnection
from bus.effects.dialects import POSTGRES, SQLITE, Dialect
from bus.effects.door import AsyncDoor, SyncDoor
from bus.effects.doors import door_of
from bus.effects.steps import Steps
from bus.effects.transactions import transaction, transaction_awaited

_DIALECTS: Final = {"sqlite": SQLITE, "postgres": POSTGRES}


def tables(database: str) -> str:
    """Return the SQL that makes the tables in `sqlite` or `postgres`; twice is no fault.

    Raises:
        UsageError: another database.
    """
    dialect = _DIALECTS.get(database)
    if dialect is None:
        raise UsageError(f"no tables for {database!r}; it is sqlite or postgres")
    return "".join(f"{text};\n" for text in dialect.tables)


@overload
def create_tables(connection: AsyncConnection) -> Coroutine[Any, Any, None]: ...


@overload
def create_tables(connection: SyncConnection) -> None: ...


def create_tables(connection: Any) -> Any:
    """Make the tables that are missing, in one transaction.

    Raises:
        TransactionError: a transaction is open on the connection.
        UsageError: the connection is of no driver that is known.
    """
    door = door_of(connection)
    if isinstance(door, AsyncDoor):
        return _create_awaited(door, connection)
    return _create(door, connection)


def _making(dialect: Dialect) -> Steps[None]:
    for text in dialect.tables:
        yield text, ()


def _create(door: SyncDoor, connection: Any) -> None:
    with transaction(door, connection, _making(door.dialect)):
        pass


async def _create_awaited(door: AsyncDoor, connection: Any) -> None:
    async with transaction_awaited(door, connection, _making(door.dialect)):
        pass
