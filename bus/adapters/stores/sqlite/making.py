"""A store file that is new, or of an older version: made, or brought up to date.

Rule: a file in which something may have been kept is never made anew. Runs in the
writer's thread, or inline; every function may block.
"""

import os
from contextlib import closing
from pathlib import Path

from bus.adapters.stores.sqlite import checking, layout, reading, wal
from bus.adapters.stores.sqlite.heads import MODE, Head
from bus.adapters.stores.sqlite.layout import Connection, single
from bus.adapters.stores.sqlite.places import Place, looking, not_sqlite
from bus.adapters.stores.sqlite.state import KIND_META, figures
from bus.core.errors import ConfigurationError, StoreBrokenError


def is_new(place: Place, head: Head | None) -> bool:
    """Tell whether nothing was ever kept there."""
    path = place.path
    if path.exists() and not path.is_file():
        raise ConfigurationError("not a regular file")
    if head is not None and not head.txn:
        head = None  # of a start that went no further
    if head is None:
        _roll_back(place)
    size = path.stat().st_size if path.exists() else 0
    log = wal.beside(path)
    logged = log.exists() and log.stat().st_size > 0
    if size:
        return head is None and _is_bare(place)
    if head is not None or logged:
        found = "its head" if head is not None else "its log"
        raise StoreBrokenError(
            f"the file is {'empty' if path.exists() else 'gone'}, {found} is there: "
            f"put the file back, or move {path.name}-head and {log.name} away to "
            "begin a new one"
        )
    return True


def make(place: Place) -> Head:
    """Make the file, its tables and its head."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    os.close(os.open(place.path, flags, MODE))
    place.path.chmod(MODE)
    with closing(place.connect(place.path, False)) as connection:
        layout.set_up(connection, readonly=False)
        connection.execute("BEGIN IMMEDIATE")
        if not single(connection, "PRAGMA user_version"):
            for sql in layout.SCHEMAS[layout.VERSION]:
                connection.execute(sql)
            connection.execute(
                "INSERT INTO figures VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                figures(KIND_META, 0, (0, 0, 1, 1, 1)),
            )
            connection.execute(f"PRAGMA application_id={layout.APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={layout.VERSION}")
        connection.execute("COMMIT")
    head = Head(0, 1, layout.VERSION)
    place.head.create(head)
    _sync_folder(place.path.parent)
    return head


def migrate(place: Place, head: Head | None) -> None:
    """Bring a file of an older version to this one, step by step or not at all."""
    with not_sqlite(head), looking(place) as connection:
        version = whose(connection, head)
        if version == layout.VERSION:
            return
        checking.check_schema(connection)
        checking.check_pages(connection)
    with closing(place.connect(place.path, False)) as connection:
        layout.set_up(connection, readonly=False)
        connection.execute("BEGIN IMMEDIATE")
        for step in range(version + 1, layout.VERSION + 1):
            layout.MIGRATIONS[step](connection)
        connection.execute(f"PRAGMA user_version={layout.VERSION}")
        connection.execute("COMMIT")


def whose(connection: Connection, head: Head | None) -> int:
    """Return a file's version; raise unless it is ours, and of one that is known."""
    mark = single(connection, "PRAGMA application_id")
    version = int(single(connection, "PRAGMA user_version"))
    if mark != layout.APPLICATION_ID:
        if head is not None:
            raise StoreBrokenError(f"page 1: application id {mark:#x} is not ours")
        raise ConfigurationError(
            f"a database of another program (application id {mark:#x}); name another file"
        )
    if version not in layout.SCHEMAS:
        if head is not None and head.version in layout.SCHEMAS:
            raise StoreBrokenError(
                f"page 1: version {version}, the head says {head.version}"
            )
        raise ConfigurationError(
            f"written by a newer release (version {version}, this one knows "
            f"{layout.VERSION}); use that release, or name another file"
        )
    return version


def _roll_back(place: Place) -> None:
    """Undo what a start had begun to write to its file's only page."""
    journal = place.path.with_name(place.path.name + "-journal")
    there = journal.exists() and place.path.exists()
    if there and place.path.stat().st_size <= layout.PAGE_BYTES:
        with closing(place.connect(place.path, False)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()


def _is_bare(place: Place) -> bool:
    """Tell whether a file is one that a start made and did not finish."""
    with not_sqlite(None), looking(place) as connection:
        if single(connection, "PRAGMA application_id") not in {
            0,
            layout.APPLICATION_ID,
        }:
            return False
        tables = {
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type='table'"
            ).fetchall()
        }
        if not tables:
            return not single(connection, "PRAGMA user_version")
        return "figures" in tables and not reading.meta(connection).epoch


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
