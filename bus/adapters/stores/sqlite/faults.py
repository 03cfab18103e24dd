"""What SQLite's errors mean for a store: the one place that knows their numbers."""

import enum
import sqlite3
from typing import Final

from bus.core.errors import BusError, StoreBrokenError


class Fault(enum.Enum):
    """What is to be done about an error."""

    REFUSED = "refused"  # this submission cannot be kept, others can
    STALLED = "stalled"  # nothing was kept; it may work again later
    BROKEN = "broken"  # what is on disk is not what was written
    STOPPED = "stopped"  # the outcome is unknown: this connection is over


_BY_CODE: Final = {
    sqlite3.SQLITE_CONSTRAINT: Fault.REFUSED,
    sqlite3.SQLITE_TOOBIG: Fault.REFUSED,
    sqlite3.SQLITE_MISMATCH: Fault.REFUSED,
    sqlite3.SQLITE_FULL: Fault.STALLED,
    sqlite3.SQLITE_BUSY: Fault.STALLED,
    sqlite3.SQLITE_LOCKED: Fault.STALLED,
    sqlite3.SQLITE_NOMEM: Fault.STALLED,
    sqlite3.SQLITE_READONLY: Fault.STALLED,
    sqlite3.SQLITE_CORRUPT: Fault.BROKEN,
    sqlite3.SQLITE_NOTADB: Fault.BROKEN,
}
_PRIMARY: Final = 0xFF
_WORDS: Final = {
    sqlite3.SQLITE_FULL: "disk full",
    sqlite3.SQLITE_BUSY: "another program keeps the file locked",
    sqlite3.SQLITE_READONLY: "the file or its file system is read-only",
    sqlite3.SQLITE_CANTOPEN: "a file could not be opened",
}


def code(error: BaseException) -> int:
    """Return the primary result code of an error; 0 if it is not one of SQLite's."""
    found = getattr(error, "sqlite_errorcode", 0)
    return int(found) & _PRIMARY


def fault(error: BaseException) -> Fault:
    """Tell what an error stands for. What nobody has thought of stops the store."""
    if isinstance(error, Refused):
        return Fault.REFUSED
    if isinstance(error, StoreBrokenError):
        return Fault.BROKEN
    return _BY_CODE.get(code(error), Fault.STOPPED)


def words(error: BaseException) -> str:
    """Say an error in a few words that name its number."""
    if isinstance(error, BusError | Refused):
        return str(error)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    plain = _WORDS.get(code(error))
    return f"{plain} ({name})" if plain else f"{name}: {error}"


class Refused(Exception):  # noqa: N818 - nobody outside the store sees it
    """A submission that cannot be kept; the text says why."""
