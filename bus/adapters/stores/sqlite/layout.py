"""The tables of a store file, and how a connection to one is set up.

A released schema is never edited: what changes is a step in MIGRATIONS.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from bus.core.storelimits import STORE_BUSY_S, STORE_CACHE_BYTES

APPLICATION_ID: Final = 0x61736E74  # "asnt"
VERSION: Final = 2
PAGE_BYTES: Final = 4096
_STATEMENTS_KEPT: Final = 256

SCHEMA_1: Final = (
    """CREATE TABLE messages(
  key INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, gap INTEGER NOT NULL,
  sum INTEGER NOT NULL, entry BLOB NOT NULL) STRICT""",
    """CREATE TABLE deliveries(
  consumer INTEGER NOT NULL, number INTEGER NOT NULL, key INTEGER NOT NULL,
  sum INTEGER NOT NULL, attempt INTEGER NOT NULL, due_ns INTEGER NOT NULL,
  again INTEGER NOT NULL, PRIMARY KEY(consumer, number)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX deliveries_by_key ON deliveries(key)",
    """CREATE TABLE later(
  due_ns INTEGER NOT NULL, consumer INTEGER NOT NULL, number INTEGER NOT NULL,
  key INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(due_ns, consumer, number)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX later_by_key ON later(key)",
    """CREATE TABLE letters(
  id INTEGER PRIMARY KEY, letter BLOB NOT NULL, sum INTEGER NOT NULL) STRICT""",
    """CREATE TABLE consumers(
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL,
  agent TEXT NOT NULL, pattern TEXT NOT NULL, queue TEXT NOT NULL,
  replay BLOB NOT NULL, sum INTEGER NOT NULL) STRICT""",
    """CREATE TABLE streams(
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL,
  sum INTEGER NOT NULL) STRICT""",
    """CREATE TABLE dedup(
  until_ns INTEGER NOT NULL, id TEXT NOT NULL, txn INTEGER NOT NULL,
  key INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(until_ns, id, txn)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE figures(
  kind INTEGER NOT NULL, id INTEGER NOT NULL, a INTEGER NOT NULL,
  b INTEGER NOT NULL, c INTEGER NOT NULL, d INTEGER NOT NULL, e INTEGER NOT NULL,
  f INTEGER NOT NULL, g INTEGER NOT NULL, h INTEGER NOT NULL, i INTEGER NOT NULL,
  j INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(kind, id)) STRICT, WITHOUT ROWID""",
)
SCHEMAS: Final[Mapping[int, Sequence[str]]] = {1: SCHEMA_1, 2: SCHEMA_1}
"""Of each released version."""


class Cursor(Protocol):
    """What a statement leaves."""

    @property
    def rowcount(self) -> int:
        """The rows it changed."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""


class Connection(Protocol):
    """As much of a connection as a store uses; raises `sqlite3.Error` with its code."""

    @property
    def in_transaction(self) -> bool:
        """Whether one was begun and not ended."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement."""

    def close(self) -> None:
        """End it."""


Connect = Callable[[Path, bool], Connection]
"""Opens the file at a path that is there; the flag says read-only."""

MIGRATIONS: Final[Mapping[int, Callable[[Connection], None]]] = {
    2: lambda _: None,  # new entries begin with the frame; those of before are read on
}
"""The step that leads to a version from the one before it; all steps that a file needs
run in one transaction."""


def connect(path: Path, readonly: bool) -> Connection:  # noqa: FBT001 - the type above
    """Open a file with the standard library's SQLite."""
    mode = "ro" if readonly else "rw"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_KEPT,
        timeout=STORE_BUSY_S,
    )


def set_up(connection: Connection, *, readonly: bool) -> None:
    """Set what a connection forgets.

    Checkpoints are the writer's to begin: one that SQLite begins by itself hides its
    errors. The bus trusts no schema that it did not check.
    """
    pragmas = [
        f"busy_timeout={int(STORE_BUSY_S * 1000)}",
        "cell_size_check=ON",
        "trusted_schema=OFF",
        "mmap_size=0",
        f"cache_size=-{STORE_CACHE_BYTES >> 10}",
        "temp_store=MEMORY",
    ]
    if readonly:
        pragmas.append("query_only=ON")
    else:
        pragmas += [
            "journal_mode=WAL",
            "synchronous=FULL",
            "fullfsync=ON",
            "wal_autocheckpoint=0",
            "secure_delete=FAST",
        ]
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").fetchall()


def single(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> Any:
    """Return the one value that a statement yields."""
    rows = connection.execute(sql, parameters).fetchall()
    return rows[0][0] if rows else None
