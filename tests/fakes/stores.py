"""SQLite stores for tests: connections of APSW on a file system that fails on demand."""

import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import apsw

from bus.adapters.clock import SystemClock
from bus.adapters.stores.sqlite import SqliteStore
from bus.ports import Clock
from tests.fakes.storekit import SEALER, append, consumer, keep, stream

T = TypeVar("T")
_names = count(1)


class Rows:
    """What a statement left."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        return self._rows


class ApswConnection:
    """A connection of APSW with as much of the standard library's face as a store uses."""

    def __init__(self, path: Path, flags: int, vfs: str | None = None) -> None:
        try:
            self._connection = apsw.Connection(str(path), flags, vfs)
        except apsw.Error as error:
            raise _translated(error) from error

    @property
    def in_transaction(self) -> bool:
        """Whether one was begun and not ended."""
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run one statement to its end."""
        try:
            rows = list(self._connection.execute(sql, tuple(parameters)))
        except apsw.Error as error:
            raise _translated(error) from error
        return Rows(rows, self._connection.changes())

    def close(self) -> None:
        """End it."""
        try:
            self._connection.close()
        except apsw.Error as error:
            raise _translated(error) from error


class Disk(apsw.VFS):
    """The file system below, with faults.

    Each fault is a code of SQLite that is raised as long as it is set. `after` lets so
    many calls pass first; only files whose names end as `failing` fail. `calls` are the writes and syncs there were.
    """

    def __init__(self) -> None:
        self.name = f"faulty-{next(_names)}"
        super().__init__(self.name, "")
        self.write: int | None = None
        self.sync: int | None = None
        self.truncate: int | None = None
        self.opening: int | None = None
        self.after = 0
        self.failing = ""
        self.calls: list[tuple[str, str]] = []

    def heal(self) -> None:
        """Let everything work again."""
        self.write = self.sync = self.truncate = self.opening = None
        self.after = 0
        self.failing = ""

    def connect(self, path: Path, readonly: bool) -> ApswConnection:  # noqa: FBT001 - as the store calls it
        """Open a file on this disk."""
        how = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
        return ApswConnection(path, how, self.name)

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        """Open a file whose calls can fail."""
        self.fail("open", str(name), self.opening)
        return _File(self, name, flags)

    def fail(self, call: str, name: str, code: int | None) -> None:
        """Note a call; raise if that is to fail."""
        self.calls.append((call, name))
        if code is None or not name.endswith(self.failing):
            return
        if self.after > 0:
            self.after -= 1
            return
        raise apsw.exception_for(code)


class _File(apsw.VFSFile):
    def __init__(
        self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._name = (
            name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        )

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Write, or fail."""
        self._disk.fail("write", self._name, self._disk.write)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Sync, or fail."""
        self._disk.fail("sync", self._name, self._disk.sync)
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's name
        """Cut, or fail."""
        self._disk.fail("truncate", self._name, self._disk.truncate)
        super().xTruncate(size)


def _translated(error: apsw.Error) -> sqlite3.Error:
    found = sqlite3.OperationalError(str(error))
    code = getattr(error, "extendedresult", 0)
    found.sqlite_errorcode = code
    names = {**apsw.mapping_result_codes, **apsw.mapping_extended_result_codes}
    found.sqlite_errorname = str(names.get(code, type(error).__name__))
    return found


def sqlite_store(
    folder: Path, clock: Clock | None = None, **options: Any
) -> SqliteStore:
    """Return a store in a folder that nobody has opened."""
    return SqliteStore(folder / "store.db", SEALER, clock or SystemClock(), **options)


async def kept_store(folder: Path, **options: Any) -> SqliteStore:
    """Return an open store with three messages, each still to be delivered."""
    store = sqlite_store(folder, **options)
    await store.open()
    await keep(store, stream(1), consumer(1))
    for number in (1, 2, 3):
        await keep(store, append(1, number, (1, number, 0)))
    return store


class Files:
    """The files of a store: the one at `path`, and those whose names begin like it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def at(self, name: str = "") -> Path:
        """Return where one of them is; `-wal` is the log."""
        return self.path.with_name(self.path.name + name)

    def read(self, name: str = "") -> bytes:
        """Return what is in it."""
        return run(self.at(name).read_bytes)

    def write(self, data: bytes, name: str = "") -> None:
        """Put something in its place."""
        run(self.at(name).write_bytes, data)

    def drop(self, name: str = "") -> None:
        """Take it away."""
        run(self.at(name).unlink)

    def replace(self, name: str) -> None:
        """Put one of them in the place of the store itself."""
        run(self.at(name).replace, self.path)

    def flip(self, place: int, name: str = "", bit: int = 0) -> None:
        """Turn one bit of it."""
        data = bytearray(self.read(name))
        data[place] ^= 1 << bit
        self.write(bytes(data), name)

    def there(self) -> list[str]:
        """Return what is in the folder, by name."""
        return sorted(run(os.listdir, self.path.parent))

    def mode(self, name: str = "") -> int:
        """Return who may do what with it."""
        return stat.S_IMODE(run(self.at(name).stat).st_mode)


def run(call: Callable[..., T], *values: Any) -> T:
    """Call what blocks; the guard of the loop lets this one do so."""
    return call(*values)


def copied(path: Path, folder: Path) -> Files:
    """Copy a store as it is at this moment, as a crash would leave it."""
    folder.mkdir(exist_ok=True)
    files, copies = Files(path), Files(folder / path.name)
    for name in ("", "-wal", "-head"):
        if files.at(name).exists():
            copies.write(files.read(name), name)
    return copies


def open_raw(path: Path, *statements: str) -> list[Any]:
    """Run statements in a store's file behind its back; return what the last left."""
    rows: list[Any] = []
    with closing(sqlite3.connect(path)) as raw, raw:
        for statement in statements:
            rows = raw.execute(statement).fetchall()
    return rows
