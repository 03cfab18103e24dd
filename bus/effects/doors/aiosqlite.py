"""The door to aiosqlite: sqlite3 in a thread of its own."""

from typing import Final

import aiosqlite

from bus.effects.dialects import SQLITE
from bus.effects.door import AsyncDoor, Standing, SyncDoor
from bus.effects.doors.sqlite import BEGIN, astray
from bus.effects.steps import Rows, Statement


def _standing(connection: aiosqlite.Connection) -> Standing:
    return Standing(connection.in_transaction, begins=False)


async def _execute(connection: aiosqlite.Connection, statement: Statement) -> Rows:
    async with connection.cursor() as cursor:
        cursor.row_factory = None  # plain rows, whatever the connection's owner likes
        await cursor.execute(*statement)
        return [tuple(row) for row in await cursor.fetchall()]


DOORS: Final[dict[type, SyncDoor | AsyncDoor]] = {
    aiosqlite.Connection: AsyncDoor(
        SQLITE, (aiosqlite.Error,), _standing, lambda _: BEGIN, astray, _execute
    )
}
