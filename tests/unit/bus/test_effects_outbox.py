"""The outbox on SQLite, through both of its drivers."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from bus import effects
from bus.core.errors import LimitExceededError, UsageError
from bus.effects import Outbox
from tests.fakes.desks import AsyncDesk, Desk, SyncDesk, prepare
from tests.fakes.effects import FakeAgent, hand
from tests.fakes.outboxsuite import OutboxSuite, sees
from tests.fakes.recording import SteppedClock


class TestSqlite(OutboxSuite):
    """sqlite3, as the standard library has it; the relay has a thread."""

    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncIterator[Desk]:
        """A connection, and where others can be had."""

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(tmp_path / "user.db", check_same_thread=False)

        desk = await prepare(SyncDesk(connect(), connect))
        yield desk
        await desk.close()


class TestAiosqlite(OutboxSuite):
    """aiosqlite, which awaits a thread."""

    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncIterator[Desk]:
        """A connection, and where others can be had."""

        def connect() -> aiosqlite.Connection:
            return aiosqlite.connect(tmp_path / "user.db")

        desk = await prepare(AsyncDesk(await connect(), connect))
        yield desk
        await desk.close()


async def test_a_fault_of_the_database_is_counted_and_passes(tmp_path: Path) -> None:
    """The relay takes a new connection, as often as it must."""
    faults = [sqlite3.OperationalError("out of reach"), None, None]

    def connect() -> sqlite3.Connection:
        if made and (fault := faults.pop(0)):
            raise fault
        made.append(None)
        return sqlite3.connect(tmp_path / "user.db")

    made: list[None] = []
    agent, clock = FakeAgent(), SteppedClock()
    outbox = Outbox(connect, agent, clock=clock, poll_s=1.0)
    async with asyncio.TaskGroup() as group:
        relay = group.create_task(outbox.run())
        for number in (1, 2):  # no tables yet, then out of reach
            await sees(lambda: outbox.stats.faults == number and clock.waiting > 0)  # noqa: B023 - awaited here
            if number == 1:
                await asyncio.to_thread(_fill, tmp_path / "user.db", outbox)
            clock.step(1.0)
        await sees(lambda: outbox.stats.published == 1)
        relay.cancel()
    assert [sent.subject for sent in agent.sent] == ["a.1"]
    assert len(made) == 2


def _fill(path: Path, outbox: Outbox) -> None:
    connection = sqlite3.connect(path)
    effects.create_tables(connection)
    with effects.once(hand(), connection):
        outbox.put(connection, "a.1", 1)
    connection.close()


async def test_a_database_out_of_reach_at_the_start_is_told() -> None:
    """A wrong address is not tried for ever."""

    def connect() -> sqlite3.Connection:
        raise sqlite3.OperationalError("no such place")

    with pytest.raises(sqlite3.OperationalError, match="no such place"):
        await Outbox(connect, FakeAgent(), clock=SteppedClock()).run()


async def test_what_connects_gives_a_connection() -> None:
    """Else the first use says what is wrong."""

    async def blocking() -> sqlite3.Connection:
        return await asyncio.to_thread(
            lambda: sqlite3.connect(":memory:", check_same_thread=False)
        )

    made: list[Any] = []

    async def kept() -> sqlite3.Connection:
        made.append(await blocking())
        connection: sqlite3.Connection = made[0]
        return connection

    with pytest.raises(UsageError, match="blocks was made in the event loop"):
        await Outbox(kept, FakeAgent(), clock=SteppedClock()).drain()
    made[0].close()
    with pytest.raises(UsageError, match="no connection of"):
        await Outbox(object, FakeAgent(), clock=SteppedClock()).drain()


@pytest.mark.parametrize("poll_s", [4_000.0, 1e12])
def test_the_time_between_looks_is_bounded(poll_s: float) -> None:
    """A relay that never looks is a mistake."""
    with pytest.raises(LimitExceededError, match="poll"):
        Outbox(object, FakeAgent(), poll_s=poll_s)
