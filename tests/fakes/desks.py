"""A user's database and what its handlers do there, whatever the driver is.

Rule: the calls are those a user makes: `with` for a connection that blocks, in a thread;
`async with` for one that is awaited.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from bus import effects
from bus.effects import Handed, Outbox
from bus.effects.connections import AsyncConnection, SyncConnection

TABLE = "CREATE TABLE effects (number INTEGER NOT NULL)"


class Desk(Protocol):
    """One connection of a user, and another way to look at the tables."""

    connect: Callable[[], Any]
    """Makes a further connection, or something to await for one."""
    connection: Any

    async def carry_out(
        self,
        handed: Handed,
        number: int,
        *,
        careless: bool = False,
        then: Sequence[str] = (),
    ) -> bool:
        """Handle a message: write its number, then `then`; tell whether it was the first.

        A careless handler writes without asking whether it is.
        """

    async def fail(self, handed: Handed, number: int, error: Exception) -> None:
        """Handle a message, write its number, and raise."""

    async def join(self, handed: Handed) -> bool:
        """Do as `join` in whatever is open."""

    async def put(
        self, outbox: Outbox, subject: str, body: object, **more: Any
    ) -> bool:
        """Put a message into an outbox, in whatever is open."""

    async def put_once(self, outbox: Outbox, handed: Handed, *subjects: str) -> None:
        """Handle a message by putting others."""

    async def purge(self, keep_s: float, now_ns: int) -> int:
        """Purge the inbox."""

    async def create_tables(self) -> None:
        """Make the tables of inbox and outbox."""

    async def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Carry out a statement on the connection; return its rows."""

    async def commit(self) -> None:
        """Commit what is open."""

    async def numbers(self) -> list[int]:
        """Return the effects, as another connection sees them."""

    async def close(self) -> None:
        """Close the connection."""


class SyncDesk:
    """With a connection whose calls block."""

    def __init__(self, connection: Any, connect: Callable[[], Any]) -> None:
        self.connection = connection
        self.connect = connect

    async def carry_out(
        self,
        handed: Handed,
        number: int,
        *,
        careless: bool = False,
        then: Sequence[str] = (),
    ) -> bool:
        """As in `Desk`."""

        def work() -> bool:
            with effects.once(handed, self.connection) as first:
                if first or careless:
                    self._write(number)
                for text in then:
                    self.connection.execute(text)
            return bool(first)

        return await asyncio.to_thread(work)

    async def fail(self, handed: Handed, number: int, error: Exception) -> None:
        """As in `Desk`."""

        def work() -> None:
            with effects.once(handed, self.connection):
                self._write(number)
                raise error

        await asyncio.to_thread(work)

    async def join(self, handed: Handed) -> bool:
        """As in `Desk`."""
        return await asyncio.to_thread(effects.join, handed, self.connection)

    async def put(
        self, outbox: Outbox, subject: str, body: object, **more: Any
    ) -> bool:
        """As in `Desk`."""
        return await asyncio.to_thread(
            lambda: outbox.put(self.connection, subject, body, **more)
        )

    async def put_once(self, outbox: Outbox, handed: Handed, *subjects: str) -> None:
        """As in `Desk`."""

        def work() -> None:
            with effects.once(handed, self.connection):
                for subject in subjects:
                    outbox.put(self.connection, subject, b"")

        await asyncio.to_thread(work)

    async def purge(self, keep_s: float, now_ns: int) -> int:
        """As in `Desk`."""
        return await asyncio.to_thread(
            lambda: effects.purge(self.connection, keep_s=keep_s, now_ns=lambda: now_ns)
        )

    async def create_tables(self) -> None:
        """As in `Desk`."""
        await asyncio.to_thread(lambda: effects.create_tables(self._sync))

    async def sql(self, text: str) -> list[tuple[Any, ...]]:
        """As in `Desk`."""

        def work() -> list[tuple[Any, ...]]:
            cursor = self.connection.execute(text)
            return list(cursor.fetchall()) if cursor.description else []

        return await asyncio.to_thread(work)

    async def commit(self) -> None:
        """As in `Desk`."""
        await asyncio.to_thread(self.connection.commit)

    async def numbers(self) -> list[int]:
        """As in `Desk`."""

        def work() -> list[int]:
            other = self.connect()
            try:
                rows = other.execute("SELECT number FROM effects").fetchall()
            finally:
                other.close()
            return sorted(row[0] for row in rows)

        return await asyncio.to_thread(work)

    async def close(self) -> None:
        """As in `Desk`."""
        await asyncio.to_thread(self.connection.close)

    @property
    def _sync(self) -> SyncConnection:
        connection: SyncConnection = self.connection
        return connection

    def _write(self, number: int) -> None:
        self.connection.execute(f"INSERT INTO effects VALUES ({number:d})")  # noqa: S608 - a number


class AsyncDesk:
    """With a connection whose calls are awaited."""

    def __init__(self, connection: Any, connect: Callable[[], Any]) -> None:
        self.connection = connection
        self.connect = connect

    async def carry_out(
        self,
        handed: Handed,
        number: int,
        *,
        careless: bool = False,
        then: Sequence[str] = (),
    ) -> bool:
        """As in `Desk`."""
        async with effects.once(handed, self.connection) as first:
            if first or careless:
                await self._write(number)
            for text in then:
                await self.connection.execute(text)
        return bool(first)

    async def fail(self, handed: Handed, number: int, error: Exception) -> None:
        """As in `Desk`."""
        async with effects.once(handed, self.connection):
            await self._write(number)
            raise error

    async def join(self, handed: Handed) -> bool:
        """As in `Desk`."""
        return await effects.join(handed, self._awaited)

    async def put(
        self, outbox: Outbox, subject: str, body: object, **more: Any
    ) -> bool:
        """As in `Desk`."""
        return await outbox.put(self._awaited, subject, body, **more)

    async def put_once(self, outbox: Outbox, handed: Handed, *subjects: str) -> None:
        """As in `Desk`."""
        async with effects.once(handed, self.connection):
            for subject in subjects:
                await outbox.put(self.connection, subject, b"")

    async def purge(self, keep_s: float, now_ns: int) -> int:
        """As in `Desk`."""
        return await effects.purge(self._awaited, keep_s=keep_s, now_ns=lambda: now_ns)

    async def create_tables(self) -> None:
        """As in `Desk`."""
        await effects.create_tables(self.connection)

    async def sql(self, text: str) -> list[tuple[Any, ...]]:
        """As in `Desk`."""
        cursor = await self.connection.execute(text)
        return list(await cursor.fetchall()) if cursor.description else []

    async def commit(self) -> None:
        """As in `Desk`."""
        await self.connection.commit()

    async def numbers(self) -> list[int]:
        """As in `Desk`."""
        other = await self.connect()
        try:
            cursor = await other.execute("SELECT number FROM effects")
            return sorted(row[0] for row in await cursor.fetchall())
        finally:
            await other.close()

    async def close(self) -> None:
        """As in `Desk`."""
        await self.connection.close()

    @property
    def _awaited(self) -> AsyncConnection:
        connection: AsyncConnection = self.connection
        return connection

    async def _write(self, number: int) -> None:
        await self.connection.execute(f"INSERT INTO effects VALUES ({number:d})")  # noqa: S608 - a number


async def prepare(desk: Desk) -> Desk:
    """Make the tables, and the user's own."""
    await desk.create_tables()
    await desk.sql(TABLE)
    await desk.commit()
    return desk
