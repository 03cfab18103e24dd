"""A disk under SQLite that notes what reaches it, and that can be full, broken or shut.

Rule: a file is named by what its name adds to the store's: "", "-wal", "-journal". What
fails here fails as the operating system would have SQLite see it. Test-only: APSW.
"""

import itertools
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import apsw

from tests.fakes.stores import ApswConnection

_numbers: Final = itertools.count(1)
_KEPT_APART: Final = ("-wal", "-journal")
_OURS: Final = ("-head.new", "-head", "-wal")


class Wrote(NamedTuple):
    """Bytes were handed to the file system. It may bring them to disk at any time."""

    file: str
    place: int
    data: bytes


class Cut(NamedTuple):
    """A file was made as long as this."""

    file: str
    size: int


class Synced(NamedTuple):
    """All that was written of a file is on disk."""

    file: str


class Lost(NamedTuple):
    """A sync of a file failed: what it was to bring to disk never gets there."""

    file: str


class Renamed(NamedTuple):
    """A file took the place of another."""

    file: str
    to: str


class FolderSynced(NamedTuple):
    """Which files there are is on disk."""

    file: str = ""


class Removed(NamedTuple):
    """A file was deleted; `synced` if its folder was brought to disk as well."""

    file: str
    synced: bool


Event = Wrote | Cut | Synced | Lost | Renamed | FolderSynced | Removed


class Faults:
    """What goes wrong from now on."""

    def __init__(self) -> None:
        self.room_bytes: int | None = None  # by how much files may still grow
        self.sync_fails = ""  # "-wal" or "db": whose next sync fails, once
        self.writes_fail = 0  # the code that each write ends with, if any
        self.opens_fail = False  # no file handle is left


class Disk(apsw.VFS):
    """Files where they are told to be, by way of SQLite's own VFS."""

    def __init__(self) -> None:
        self.name: Final = f"assent-test-disk-{next(_numbers)}"
        self.faults: Final = Faults()
        self.events: Final[list[Event]] = []
        self.failed_syncs: Final[list[DiskFile]] = []
        self.after_failed_sync: Final[list[str]] = []
        """Syncs of a file, through the connection on which one had failed."""
        super().__init__(self.name, "")

    def __enter__(self) -> Self:
        """It is registered already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it away from SQLite."""
        del kind, error, trace
        self.unregister()

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> "DiskFile":
        """Open a file, unless no handle is left."""
        if self.faults.opens_fail:
            raise apsw.exception_for(apsw.SQLITE_CANTOPEN)
        return DiskFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001 - SQLite's own names
        """Delete a file."""
        super().xDelete(filename, syncdir)
        self.events.append(Removed(suffix(filename), syncdir))

    def connect(self, path: Path, readonly: bool) -> ApswConnection:  # noqa: FBT001 - as the store calls it
        """Open a store's file on this disk; give it to a store as `connect`."""
        how = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
        return ApswConnection(path.absolute(), how, self.name)


class DiskFile(apsw.VFSFile):
    """One open file; every connection has its own."""

    def __init__(
        self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._disk = disk
        self._failed = False
        found = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.file: Final = suffix(found or "")
        super().__init__("", name, flags)
        if not self.xFileSize():
            disk.events.append(Cut(self.file, 0))  # it is there from now on

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Write, as far as there is room."""
        faults = self._disk.faults
        if faults.writes_fail:
            raise apsw.exception_for(faults.writes_fail)
        grown = offset + len(data) - self.xFileSize()
        if faults.room_bytes is not None and grown > 0:
            if grown > faults.room_bytes:
                raise apsw.exception_for(apsw.SQLITE_FULL)
            faults.room_bytes -= grown
        super().xWrite(data, offset)
        self._disk.events.append(Wrote(self.file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        """Cut it."""
        super().xTruncate(newsize)
        self._disk.events.append(Cut(self.file, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Bring it to disk, unless that is to fail."""
        disk = self._disk
        if self._failed:
            disk.after_failed_sync.append(self.file)
        if disk.faults.sync_fails == (self.file or "db"):
            disk.faults.sync_fails = ""
            self._failed = True
            disk.failed_syncs.append(self)
            disk.events.append(Lost(self.file))
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
        disk.events.append(Synced(self.file))


def suffix(filename: str) -> str:
    """Return what a file's name adds to the store's."""
    return next((end for end in _KEPT_APART if filename.endswith(end)), "")


class Notes:
    """Notes what modules do to a store's files by themselves, past SQLite.

    `os` is put in the place of theirs, and `path` made of the store's.
    """

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._files: dict[int, str] = {}  # by descriptor
        self._names: dict[str, str] = {}  # by path
        self.os: Final = _NotedOs(self)

    def path(self, path: Path) -> Path:
        """Return the same path, whose renaming is noted."""
        return _noted_path(self)(path)

    def opened(self, path: Path, fd: int, flags: int) -> None:
        """Note that a file is open; a new one is empty."""
        found = next((end for end in _OURS if path.name.endswith(end)), "")
        self._files[fd] = "/" if path.is_dir() else found
        self._names[str(path)] = found
        if flags & os.O_TRUNC:
            self._events.append(Cut(found, 0))

    def wrote(self, fd: int, place: int, data: bytes) -> None:
        """Note a write."""
        self._events.append(Wrote(self._files[fd], place, data))

    def cut(self, fd: int, size: int) -> None:
        """Note a cut."""
        self._events.append(Cut(self._files[fd], size))

    def synced(self, fd: int) -> None:
        """Note a sync, of a file or of the folder."""
        file = self._files[fd]
        self._events.append(FolderSynced() if file == "/" else Synced(file))

    def renamed(self, path: Path, to: Path) -> None:
        """Note that a file took another's place."""
        file = self._names[str(path)]
        after = next(end for end in _OURS if to.name.endswith(end))
        self._files = {
            fd: after if name == file else name for fd, name in self._files.items()
        }
        self._events.append(Renamed(file, after))


class _NotedOs:
    """All of `os`; the calls that change files are noted."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """Open a file."""
        fd = os.open(path, flags, mode)
        self._notes.opened(Path(path), fd, flags)
        return fd

    def pwrite(self, fd: int, data: bytes, place: int) -> int:
        """Write."""
        written = os.pwrite(fd, data, place)
        self._notes.wrote(fd, place, bytes(data[:written]))
        return written

    def ftruncate(self, fd: int, size: int) -> None:
        """Cut it."""
        os.ftruncate(fd, size)
        self._notes.cut(fd, size)

    def fsync(self, fd: int) -> None:
        """Bring it to disk."""
        os.fsync(fd)
        self._notes.synced(fd)


def _noted_path(notes: Notes) -> type[Path]:
    class NotedPath(type(Path())):  # type: ignore[misc]  # this system's kind of path
        def replace(self, target: Path) -> Path:
            found: Path = super().replace(target)
            notes.renamed(self, Path(target))
            return found

    return NotedPath
