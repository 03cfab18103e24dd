"""A connection of the relay's own, awaited whatever its driver is.

Rule: one that blocks lives in one thread, from its making to its close.
"""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from bus.core.errors import UsageError
from bus.effects.door import AsyncDoor, SyncDoor
from bus.effects.doors import door_of
from bus.effects.steps import Steps
from bus.effects.transactions import (
    read,
    read_awaited,
    transaction,
    transaction_awaited,
)

T = TypeVar("T")


class Session(Protocol):
    """One connection."""

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""

    async def read(self, steps: Steps[T]) -> T:
        """Carry out steps that only read."""

    async def write(self, steps: Steps[T]) -> T:
        """Carry out steps in a transaction, and commit it."""

    async def close(self) -> None:
        """Close the connection."""


async def open_session(connect: Callable[[], Any]) -> Session:
    """Call `connect`, in a thread, and return a session on what it gives.

    It gives a connection, or something to await for one. Raises what it raises.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="assent-outbox")
    try:
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(thread, lambda: connect())  # noqa: PLW0108 - it refuses coroutine functions
        awaited = inspect.isawaitable(made)
        connection = await made if awaited else made
        door = door_of(connection)
    except BaseException:
        thread.shutdown(wait=False)
        raise
    if isinstance(door, SyncDoor):
        if awaited:
            raise UsageError("a connection that blocks was made in the event loop")
        return _Threaded(door, connection, thread)
    thread.shutdown(wait=False)
    return _Awaited(door, connection)


class _Awaited:
    def __init__(self, door: AsyncDoor, connection: Any) -> None:
        self._door = door
        self._connection = connection
        self.faults = door.faults

    async def read(self, steps: Steps[T]) -> T:
        return await read_awaited(self._door, self._connection, steps)

    async def write(self, steps: Steps[T]) -> T:
        async with transaction_awaited(self._door, self._connection, steps) as result:
            return result

    async def close(self) -> None:
        await self._connection.close()


class _Threaded:
    def __init__(
        self, door: SyncDoor, connection: Any, thread: ThreadPoolExecutor
    ) -> None:
        self._door = door
        self._connection = connection
        self._thread = thread
        self.faults = door.faults

    async def read(self, steps: Steps[T]) -> T:
        return await self._away(lambda: read(self._door, self._connection, steps))

    async def write(self, steps: Steps[T]) -> T:
        def work() -> T:
            with transaction(self._door, self._connection, steps) as result:
                return result

        return await self._away(work)

    async def close(self) -> None:
        try:
            await self._away(self._connection.close)
        finally:
            self._thread.shutdown(wait=False)

    async def _away(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
