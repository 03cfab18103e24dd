"""Bare SQLite: inserts as a hand-written program would do them, and nothing else.

Rule: WAL and synchronous=FULL, as the store has them; rows of the size of its entries;
one prepared statement; no other thread, no checks, no index beside the key.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.contest import IN_FLIGHT, Took

ROW_BYTES: Final = 600  # until it is known what an entry weighs
_INSERT: Final = "INSERT INTO rows VALUES (?, ?)"


class Bare:
    """One table of a key and bytes; `batch` rows are one commit."""

    def __init__(self, name: str, connection: sqlite3.Connection) -> None:
        self.name = name
        self.connection = connection
        self._next = 0
        self.batch = IN_FLIGHT
        self.row = b"x" * ROW_BYTES

    async def together(self, messages: int) -> Took:
        """Insert rows, `batch` of them a commit."""
        return self.insert(messages, self.batch)

    async def alone(self, messages: int) -> Took:
        """Insert rows, one a commit."""
        return self.insert(messages, 1)

    async def kept(self) -> int:
        """Count the rows."""
        (rows,) = self.connection.execute("SELECT count(*) FROM rows").fetchone()
        return int(rows)

    async def empty(self) -> None:
        """Leave the rows: what is inserted goes to the end."""

    def insert(self, messages: int, batch: int) -> Took:
        """Insert rows, `batch` of them a commit; the rows are made beforehand."""
        batches = list(self._batches(messages, batch))
        execute, many = self.connection.execute, self.connection.executemany
        start = time.perf_counter()
        for rows in batches:
            execute("BEGIN IMMEDIATE")
            if len(rows) == 1:
                execute(_INSERT, rows[0])
            else:
                many(_INSERT, rows)
            execute("COMMIT")
        return Took(messages, time.perf_counter() - start)

    def _batches(self, messages: int, batch: int) -> Iterator[list[tuple[int, bytes]]]:
        first, end = self._next, self._next + messages
        self._next = end
        for start in range(first, end, batch):
            keys = range(start, min(start + batch, end))
            yield [(key, self.row) for key in keys]


@contextmanager
def bare(file: Path, name: str) -> Iterator[Bare]:
    """Open a new database."""
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE rows (key INTEGER PRIMARY KEY, entry BLOB NOT NULL)"
        )
        yield Bare(name, connection)
    finally:
        connection.close()
