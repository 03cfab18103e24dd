"""A store's files as one thing: opened with all checks, written, checkpointed, closed.

Runs in the writer's thread, or inline; every method may block. A transaction is in the
head once it is on disk. After a fault whose outcome is unknown the connection is not
used again, and the head says so.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from bus.adapters.stores.sqlite import carrying, cutting, layout, opening, places
from bus.adapters.stores.sqlite.faults import Fault, fault, words
from bus.adapters.stores.sqlite.heads import Head, HeadFile
from bus.adapters.stores.sqlite.layout import Connect, Connection
from bus.adapters.stores.sqlite.locks import LockFile
from bus.adapters.stores.sqlite.pieces import Plan
from bus.adapters.stores.sqlite.state import Draft, State
from bus.core.changes import Bounds, Contents, Trimmed
from bus.core.entries import Sealer
from bus.core.errors import ConfigurationError, StoreBrokenError

_CAUGHT: Final = (sqlite3.Error, OSError, StoreBrokenError)


class Failed(Exception):  # noqa: N818 - nobody outside the store sees it
    """A transaction that was not kept, or whose outcome is not known."""

    def __init__(self, kind: Fault, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class StoreFile:
    """The store at `path`."""

    def __init__(self, path: Path, sealer: Sealer, connect: Connect) -> None:
        self.path: Final = path
        self.state = State()
        self.failed = ""
        """Why nothing more can be written, though all that was told as kept is."""
        self._sealer: Final = sealer
        self._connect: Final = connect
        self._lock: Final = LockFile(path)
        self._head: Final = HeadFile(path)
        self._connection: Connection | None = None
        self._guard: Connection | None = None
        """It only looks. While it is there, the other writes nothing as it is closed:
        after a failed fsync nothing goes to disk through the same connection."""
        self._inode = (0, 0)
        self._doubtful = False

    def open(self, now_ns: int) -> Contents:
        """Check what is there, take it, and return what it holds.

        Raises:
            ConfigurationError: it cannot be kept there, or is another's.
            StoreBrokenError: it was changed or cut short.
        """
        held = self._lock.held
        self.shut()
        try:
            with places.told(self.path):
                self._lock.take()
                found = opening.begin(self._place(), self._sealer, doubt=self._doubtful)
                self._doubtful, self.failed = False, ""
                self.state = found.state
                self._connection = found.connection
                self._guard = places.reader(self.path, self._connect)
                self._guard.execute("SELECT count(*) FROM sqlite_schema").fetchall()
                clean = bool(self.state.meta.clean)
                self._begin_epoch(now_ns)
                self._inode = _inode(self.path)
                return opening.contents(self._connection, self.state, clean=clean)
        except BaseException:
            self.shut()
            if not held:
                self._lock.free()
            raise

    def _begin_epoch(self, now_ns: int) -> None:
        draft = Draft(self.state)
        draft.meta.epoch += 1
        draft.meta.clean = 0
        try:
            self._commit(draft, partial(carrying.purge, draft=draft, now_ns=now_ns))
        except BaseException:
            self._doubt()
            raise

    def carry_out(self, plan: Plan) -> None:
        """Carry out a plan; raise `Failed`."""
        self._attempt(
            plan.draft, lambda connection: carrying.carry_out(connection, plan)
        )

    def trim(self, stream: int, bounds: Bounds) -> Trimmed:
        """Cut a stream; raise `Failed`."""
        draft = Draft(self.state)
        cuts: list[Trimmed] = []

        def work(connection: Connection) -> None:
            cuts.append(cutting.cut(connection, draft, stream, bounds))
            carrying.note(connection, draft)

        self._attempt(draft, work)
        return cuts[0]

    def checkpoint(self) -> None:
        """Bring what is in the log into the file; raise `Failed`."""
        try:
            if _inode(self.path) != self._inode:
                raise StoreBrokenError("another file stands in its place")
            self._used().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except _CAUGHT as error:
            kind = fault(error)
            if kind is not Fault.STALLED:
                self._doubt()
                raise Failed(kind, f"{self.path}: {words(error)}") from error

    def close(self) -> None:
        """Note that nobody has it open any more, and let go; raise `Failed`."""
        draft = Draft(self.state)
        draft.meta.clean = 1
        try:
            self._attempt(draft, lambda connection: carrying.note(connection, draft))
            self._used().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._head.sync()
            guard, self._guard = self._guard, None
            _close(guard)
        except _CAUGHT as error:
            raise Failed(fault(error), f"{self.path}: {words(error)}") from error
        finally:
            self.shut()
            self._lock.free()

    def shut(self) -> None:
        """Let go of connection and head, whatever state they are in; the lock stays."""
        connection, self._connection = self._connection, None
        guard, self._guard = self._guard, None
        _close(connection)
        _close(guard)
        self._head.close()

    def abandon(self) -> None:
        """Let go of everything as it is: the next opening checks it."""
        self.shut()
        self._lock.free()

    def verify(self) -> str:
        """Check every row of a file that nobody has open; raises as `open`."""
        with self._alone():
            head = self._head.read()
            _, state = opening.check(self._place(), head, self._sealer, whole=True)
            return _told(state)

    def renew_head(self) -> str:
        """Make a head from what a whole file holds; raises as `open`."""
        with self._alone():
            self._refuse_known_head()
            found = opening.check(
                self._place(), None, self._sealer, whole=True, headless=True
            )
            self._head.create(found.head)
            return _told(found.state)

    def _refuse_known_head(self) -> None:
        try:
            head = self._head.read()
        except StoreBrokenError:
            return  # it says nothing
        if head is not None:
            raise ConfigurationError(
                f"its head is there and says transaction {head.txn}; only if it is not "
                "the one of this file, move it away first"
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with places.told(self.path):
                if not self.path.is_file():
                    raise ConfigurationError("there is no such file")
                self._lock.take()
                yield
        finally:
            self.abandon()

    def _place(self) -> places.Place:
        return places.Place(self.path, self._head, self._connect)

    def _attempt(self, draft: Draft, work: Callable[[Connection], None]) -> None:
        try:
            self._commit(draft, work)
        except Exception as error:
            kind = self._roll_back(fault(error))
            if kind in {Fault.STOPPED, Fault.BROKEN}:
                self._doubt()
            raise Failed(kind, f"{self.path}: {words(error)}") from error

    def _commit(self, draft: Draft, work: Callable[[Connection], None]) -> None:
        connection = self._used()
        connection.execute("BEGIN IMMEDIATE")
        work(connection)
        connection.execute("COMMIT")
        self.state.take(draft)
        meta = draft.meta
        try:
            self._head.write(Head(meta.txn, meta.next_number, layout.VERSION))
        except OSError as error:  # it is on disk, and the head is one behind
            self.failed = f"{self.path}-head: {words(error)}"

    def _roll_back(self, kind: Fault) -> Fault:
        """Undo what was begun; what cannot be undone stops the store."""
        connection = self._connection
        try:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
        except _CAUGHT:
            return Fault.STOPPED
        return kind

    def _doubt(self) -> None:
        """Say in the head that one more transaction may be found, which was refused."""
        self._doubtful = True
        meta = self.state.meta
        # Where that fails, the next opening by this process knows it all the same.
        with contextlib.suppress(OSError):
            self._head.write(
                Head(meta.txn, meta.next_number, layout.VERSION, doubt=True)
            )

    def _used(self) -> Connection:
        if self._connection is None:
            raise ConfigurationError(f"{self.path}: not open")
        return self._connection


def _close(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(*_CAUGHT):  # it is over either way
            connection.close()


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _told(state: State) -> str:
    streams, meta = state.streams.values(), state.meta
    messages = sum(stream.messages for stream in streams)
    pending = sum(consumer.pending for consumer in state.consumers.values())
    return (
        f"transaction {meta.txn}: {messages} messages in {len(streams)} streams, "
        f"{pending} deliveries to {len(state.consumers)} consumers, {meta.later} that "
        f"wait, {meta.letters} dead letters; every row is as it was written"
    )
