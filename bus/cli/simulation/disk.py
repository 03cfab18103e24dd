"""The disk of a simulation: a folder, whose store can fail and be cut off from its process.

Rule: a crash keeps exactly what a killed process leaves: the files as they are.
"""

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from bus.adapters.stores.sqlite.layout import Connection, Cursor, connect

_FULL: Final = (sqlite3.SQLITE_FULL, "SQLITE_FULL", "database or disk is full")
_IO: Final = (sqlite3.SQLITE_IOERR, "SQLITE_IOERR_FSYNC", "disk I/O error")


class Disk:
    """Files of one run. `full` refuses commits, `fsync_fails` breaks the next one."""

    def __init__(self, folder: Path, random: Random) -> None:
        self._folder = folder
        self._random = random
        self._lives = 0
        self.place = folder / "0"
        self.place.mkdir()
        self.full = False
        self.fsync_fails = False

    @property
    def file(self) -> Path:
        """Where the store of this life is."""
        return self.place / "store.db"

    def connect(self, path: Path, readonly: bool) -> Connection:  # noqa: FBT001 - the port's
        """Open the file with a connection that fails when the disk does."""
        inner = connect(path, readonly)
        return inner if readonly else _Failing(inner, self, path)

    def crash(self) -> None:
        """Leave the files of this life to the next, as they are now."""
        self._lives += 1
        after = self._folder / str(self._lives)
        shutil.copytree(self.place, after)
        for lock in after.glob("*-lock"):
            lock.unlink()
        for shared in after.glob("*-shm"):
            shared.unlink()
        self.place = after
        self.full = self.fsync_fails = False

    def fault(self) -> sqlite3.Error | None:
        """Return what a commit fails with now, if it does."""
        if self.full:
            return _error(*_FULL)
        if self.fsync_fails:
            self.fsync_fails = False
            return _error(*_IO)
        return None

    def half_way(self) -> bool:
        """Tell whether a commit that fails has reached the file all the same."""
        return self._random.random() < 0.5  # noqa: PLR2004 - as likely as not


class _Failing:
    """A connection of the standard library's whose commits the disk may fail."""

    def __init__(self, inner: Connection, disk: Disk, path: Path) -> None:
        self._inner = inner
        self._disk = disk
        self._files = (path, path.with_name(f"{path.name}-wal"))
        self._left: list[bytes] = []

    @property
    def in_transaction(self) -> bool:
        """Whether one was begun and not ended."""
        return self._inner.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run a statement; a commit may fail, and may have been made all the same."""
        if sql.lstrip().upper().startswith("COMMIT"):
            error = self._disk.fault()
            if error is not None:
                unknown = error.sqlite_errorcode == sqlite3.SQLITE_IOERR
                if unknown and self._disk.half_way():
                    self._inner.execute(sql)
                    self._left = [file.read_bytes() for file in self._files]
                elif unknown or self._inner.in_transaction:
                    self._inner.execute("ROLLBACK")
                raise error
        return self._inner.execute(sql, parameters)

    def close(self) -> None:
        """End it; what a failed commit left in the files is there afterwards.

        SQLite knows nothing of a commit that failed, and would not bring it from the log
        into the file on closing, as it does with the one that was made in its place.
        """
        self._inner.close()
        for file, left in zip(self._files, self._left, strict=False):
            file.write_bytes(left)
        if self._left:
            shm = self._files[0].with_name(f"{self._files[0].name}-shm")
            shm.unlink(missing_ok=True)
        self._left = []


def _error(code: int, name: str, text: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error
