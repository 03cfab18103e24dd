"""The inbox on SQLite, through both of its drivers."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from bus import effects
from bus.core.errors import UsageError
from bus.effects import TransactionError
from tests.fakes.desks import AsyncDesk, Desk, SyncDesk, prepare
from tests.fakes.effects import hand
from tests.fakes.effectsuite import BrokenError, InboxSuite


def _odd(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }


ROOT = Path(__file__).parents[3]


class TestSqlite(InboxSuite):
    """sqlite3, as the standard library has it."""

    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncIterator[Desk]:
        """A connection, and where others can be had."""

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(tmp_path / "user.db", check_same_thread=False)

        desk = await prepare(SyncDesk(connect(), connect))
        yield desk
        await desk.close()


class TestAiosqlite(InboxSuite):
    """aiosqlite, which awaits a thread."""

    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncIterator[Desk]:
        """A connection, and where others can be had."""

        def connect() -> aiosqlite.Connection:
            return aiosqlite.connect(tmp_path / "user.db")

        desk = await prepare(AsyncDesk(await connect(), connect))
        yield desk
        await desk.close()

    async def test_a_handler_that_is_cancelled_leaves_nothing(
        self, desk: AsyncDesk
    ) -> None:
        """Its lease ran out while it worked."""
        begun = asyncio.Event()

        async def handle() -> None:
            async with effects.once(hand(), desk.connection):
                await desk.connection.execute("INSERT INTO effects VALUES (1)")
                begun.set()
                await asyncio.Event().wait()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(handle())
            await begun.wait()
            task.cancel()
        assert not desk.connection.in_transaction
        assert await desk.carry_out(hand(token=2), 1)
        assert await desk.numbers() == [1]

    async def test_a_connection_that_is_lost_is_told_with_the_handlers_own_fault(
        self, desk: AsyncDesk
    ) -> None:
        """The first fault stays the one that is raised."""

        async def handle() -> None:
            async with effects.once(hand(), desk.connection):
                await desk.connection.set_authorizer(_deny)
                raise BrokenError

        with pytest.raises(BrokenError) as told:
            await handle()
        await desk.connection.set_authorizer(None)
        assert "could not be rolled back" in told.value.__notes__[0]


def _deny(*_: object) -> int:
    return sqlite3.SQLITE_DENY


def test_rows_are_read_whatever_the_owner_makes_of_them(tmp_path: Path) -> None:
    """A row factory is the connection owner's own affair."""
    connection = sqlite3.connect(tmp_path / "user.db", isolation_level=None)
    connection.row_factory = _odd
    effects.create_tables(connection)
    with effects.once(hand(token=1), connection) as first:
        assert first
    with effects.once(hand(token=2), connection) as first:
        assert not first
    assert effects.purge(connection) == 1
    assert connection.row_factory is _odd
    connection.close()


def test_to_join_a_transaction_there_must_be_one(tmp_path: Path) -> None:
    """Else what says that it was done would be committed before it is."""
    connection = sqlite3.connect(tmp_path / "user.db")
    effects.create_tables(connection)
    with pytest.raises(TransactionError, match="begin one"):
        effects.join(hand(), connection)
    assert not connection.in_transaction
    assert connection.execute("SELECT * FROM assent_inbox").fetchall() == []
    connection.close()


def test_a_subclass_of_a_connection_is_served(tmp_path: Path) -> None:
    """Whatever a program has made of the driver's class."""

    class Own(sqlite3.Connection):
        pass

    connection = sqlite3.connect(tmp_path / "user.db", factory=Own)
    effects.create_tables(connection)
    with effects.once(hand(), connection) as first:
        assert first
    connection.close()


@pytest.mark.parametrize("connection", [object(), None, sqlite3.Row, sqlite3.Error()])
def test_what_is_no_connection_is_refused(connection: Any) -> None:
    """The error says what is served."""
    with pytest.raises(UsageError, match="sqlite3, aiosqlite or psycopg 3"):
        effects.once(hand(), connection)


def test_the_lock_is_taken_at_once(tmp_path: Path) -> None:
    """A handler that reads before it writes does not fail on another's write."""
    one, two = (sqlite3.connect(tmp_path / "user.db", timeout=0) for _ in range(2))
    effects.create_tables(one)
    with effects.once(hand(), one), pytest.raises(sqlite3.OperationalError):
        two.execute("BEGIN IMMEDIATE")
    one.close()
    two.close()


def test_a_fault_of_a_rollback_does_not_hide_the_first(tmp_path: Path) -> None:
    """Both are told, the handler's own as the one that is raised."""
    connection = sqlite3.connect(tmp_path / "user.db")
    effects.create_tables(connection)

    def handle() -> None:
        with effects.once(hand(), connection):
            connection.set_authorizer(_deny)
            raise BrokenError

    with pytest.raises(BrokenError) as told:
        handle()
    assert "could not be rolled back" in told.value.__notes__[0]
    connection.close()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_the_tables_can_be_shown(database: str) -> None:
    """For those who make their tables themselves."""
    text = effects.tables(database)
    for table in ("assent_inbox ", "assent_inbox_floor ", "assent_outbox "):
        assert f"CREATE TABLE IF NOT EXISTS {table}" in text


def test_the_page_shows_the_tables_as_they_are() -> None:
    """What a reader copies is what `create_tables` makes."""
    page = ROOT / "docs" / "how-to" / "write-effects-once.md"
    assert f"```sql\n{effects.tables('sqlite')}```" in page.read_text(encoding="utf-8")


def test_the_tables_of_another_database_cannot(tmp_path: Path) -> None:
    """The error says which can; those that are shown can be made as they stand."""
    with pytest.raises(UsageError, match="sqlite or postgres"):
        effects.tables("oracle")
    connection = sqlite3.connect(tmp_path / "user.db")
    connection.executescript(effects.tables("sqlite"))
    with effects.once(hand(), connection) as first:
        assert first
    connection.close()
