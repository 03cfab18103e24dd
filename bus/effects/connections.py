"""The connections that are served, as a type checker tells them apart."""

from typing import Protocol


class SyncConnection(Protocol):
    """One whose calls block: of sqlite3, or `psycopg.Connection`."""

    def commit(self) -> None:
        """Commit."""


class AsyncConnection(Protocol):
    """One whose calls are awaited: of aiosqlite, or `psycopg.AsyncConnection`."""

    async def commit(self) -> None:
        """Commit."""
