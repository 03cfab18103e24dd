"""Answers questions about a store in a thread of its own, or inline.

Rule: one connection, which cannot write; a new one after a fault.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from bus.adapters.stores.sqlite import places
from bus.adapters.stores.sqlite.faults import Fault, code, fault, words
from bus.adapters.stores.sqlite.layout import Connect, Connection
from bus.adapters.stores.sqlite.running import Runner, ask
from bus.core.errors import StoreBrokenError, StoreUnavailableError

T = TypeVar("T")
_PLAIN_ERRORS: Final = (0, sqlite3.SQLITE_ERROR)


class Reader:
    """Reads the store at `path`."""

    def __init__(self, path: Path, runner: Runner, connect: Connect) -> None:
        self.broken = ""
        """What was found that is not as it was written, if anything."""
        self._path: Final = path
        self._runner: Final = runner
        self._connect: Final = connect
        self._connection: Connection | None = None
        self._started = False

    def start(self) -> None:
        """Begin to answer."""
        self.broken = ""
        if not self._started:
            self._started = True
            self._runner.start()

    async def ask(self, question: Callable[..., T], *values: int) -> T:
        """Return the answer to a question about the file as it is now.

        Raises:
            StoreUnavailableError: it cannot be read now.
            StoreBrokenError: what is there is not what was written.
        """
        try:
            return await ask(self._runner, lambda: self._answer(question, *values))
        except StoreBrokenError as error:
            self.broken = str(error)
            raise

    async def close(self) -> None:
        """Let the file go."""
        if self._started:
            await ask(self._runner, self._shut)

    async def stop(self) -> None:
        """Let the file go, and end."""
        await self.close()
        self._started = False
        self._runner.stop()

    def _answer(self, question: Callable[..., T], *values: int) -> T:
        try:
            if self._connection is None:
                self._connection = places.reader(self._path, self._connect)
            return question(self._connection, *values)
        except StoreBrokenError as error:
            raise StoreBrokenError(f"store {self._path}: {error}") from error
        except sqlite3.Error as error:
            self._shut()
            text = f"store {self._path}: {words(error)}"
            if fault(error) is Fault.BROKEN or code(error) in _PLAIN_ERRORS:
                raise StoreBrokenError(text) from error
            raise StoreUnavailableError(text) from error

    def _shut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # it is over either way
                connection.close()
