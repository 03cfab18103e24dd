"""Where a store's files are, how they are reached, and what their errors are to the bus.

Runs in the threads of the store, or inline; every function may block.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from bus.adapters.stores.sqlite import layout
from bus.adapters.stores.sqlite.faults import Fault, code, fault, words
from bus.adapters.stores.sqlite.heads import Head, HeadFile
from bus.adapters.stores.sqlite.layout import Connect, Connection
from bus.core.errors import ConfigurationError, StoreBrokenError

_PLAIN_ERRORS: Final = (0, sqlite3.SQLITE_ERROR)


class Place(NamedTuple):
    """Where a store is and how it is reached."""

    path: Path
    head: HeadFile
    connect: Connect


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what an opening can raise into errors that name the file."""
    try:
        yield
    except StoreBrokenError as error:
        raise StoreBrokenError(f"store {path}: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"store {path}: {error}") from error
    except sqlite3.Error as error:
        if fault(error) is Fault.BROKEN or code(error) in _PLAIN_ERRORS:
            raise StoreBrokenError(f"store {path}: {words(error)}") from error
        raise ConfigurationError(f"store {path}: {words(error)}") from error
    except OSError as error:
        raise ConfigurationError(f"store {path}: {error}") from error


def reader(path: Path, connect: Connect) -> Connection:
    """Return a connection that only reads."""
    connection = connect(path, True)
    try:
        layout.set_up(connection, readonly=True)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def looking(place: Place) -> Iterator[Connection]:
    """Look at a file through a connection that cannot write."""
    connection = reader(place.path, place.connect)
    try:
        yield connection
    finally:
        # At its end it tries to lock what it may not write; that it cannot is well.
        with suppress(sqlite3.Error):
            connection.close()


@contextmanager
def not_sqlite(head: Head | None) -> Iterator[None]:
    """Tell a file that never was ours from one of ours that was changed."""
    try:
        yield
    except sqlite3.Error as error:
        if head is None and code(error) == sqlite3.SQLITE_NOTADB:
            raise ConfigurationError("not a file of SQLite; name another") from error
        raise
