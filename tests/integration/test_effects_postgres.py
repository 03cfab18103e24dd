"""Inbox and outbox on a real PostgreSQL, through both kinds of psycopg's connections."""

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import psycopg.errors
import pytest
from psycopg.rows import dict_row

from bus import effects
from bus.effects import ForgottenError, Outbox, TransactionError
from tests.fakes.desks import AsyncDesk, Desk, SyncDesk, prepare
from tests.fakes.effects import FakeAgent, hand
from tests.fakes.effectsuite import START_NS, InboxSuite
from tests.fakes.outboxsuite import OutboxSuite, sees
from tests.fakes.postgres import Postgres, running_postgres
from tests.fakes.recording import SteppedClock

pytestmark = pytest.mark.integration
DAY_NS = 24 * 3600 * 1_000_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One server for all tests of this file."""
    with running_postgres() as running:
        yield running


@pytest.fixture
async def database(server: Postgres) -> str:
    """Return how to reach a schema of the test's own."""
    return await asyncio.to_thread(server.new_schema)


@pytest.fixture
async def blocking(database: str) -> AsyncIterator[Desk]:
    """A desk with a connection that blocks, and begins transactions by itself."""
    connect = functools.partial(psycopg.connect, database, row_factory=dict_row)
    plain = functools.partial(psycopg.connect, database)
    desk = await prepare(SyncDesk(await asyncio.to_thread(connect), plain))
    yield desk
    await desk.close()


@pytest.fixture
async def awaited(database: str) -> AsyncIterator[Desk]:
    """A desk with a connection that is awaited, and begins no transactions."""
    connect = functools.partial(
        psycopg.AsyncConnection.connect, database, autocommit=True
    )
    desk = await prepare(AsyncDesk(await connect(), connect))
    yield desk
    await desk.close()


class TestInboxBlocking(InboxSuite):
    """`psycopg.Connection`."""

    @pytest.fixture
    def desk(self, blocking: Desk) -> Desk:
        """The desk of the suite."""
        return blocking


class TestInboxAwaited(InboxSuite):
    """`psycopg.AsyncConnection`."""

    @pytest.fixture
    def desk(self, awaited: Desk) -> Desk:
        """The desk of the suite."""
        return awaited


class TestOutboxBlocking(OutboxSuite):
    """`psycopg.Connection`; the relay has a thread."""

    @pytest.fixture
    def desk(self, blocking: Desk) -> Desk:
        """The desk of the suite."""
        return blocking


class TestOutboxAwaited(OutboxSuite):
    """`psycopg.AsyncConnection`."""

    @pytest.fixture
    def desk(self, awaited: Desk) -> Desk:
        """The desk of the suite."""
        return awaited


async def test_an_error_that_is_caught_inside_is_told(awaited: AsyncDesk) -> None:
    """After it PostgreSQL rolls back where it is told to commit: nothing would be kept."""
    connection = awaited.connection

    async def handle(token: int, statement: str) -> None:
        async with effects.once(hand(token=token), connection):
            await connection.execute("INSERT INTO effects VALUES (1)")
            try:
                await connection.execute(statement)
            except psycopg.errors.UndefinedTable:
                return

    with pytest.raises(TransactionError, match="catch its errors"):
        await handle(1, "INSERT INTO nowhere VALUES (1)")
    assert await awaited.numbers() == []
    await handle(2, "SELECT 1")
    assert await awaited.numbers() == [1]


async def test_a_handlers_own_savepoints_are_left_to_it(awaited: AsyncDesk) -> None:
    """What it guards by a transaction of psycopg's it may catch."""
    connection = awaited.connection
    async with effects.once(hand(), connection) as first:
        assert first
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with connection.transaction():
                await connection.execute("INSERT INTO nowhere VALUES (1)")
        async with connection.transaction():
            await connection.execute("INSERT INTO effects VALUES (1)")
    assert await awaited.numbers() == [1]


async def test_a_handler_that_is_cancelled_leaves_nothing(awaited: AsyncDesk) -> None:
    """Its lease ran out while the server worked for it."""
    connection = awaited.connection

    async def handle() -> None:
        async with effects.once(hand(), connection):
            await connection.execute("INSERT INTO effects VALUES (1)")
            await connection.execute("SELECT pg_sleep(60)")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(handle())
        await asyncio.sleep(0.2)
        task.cancel()
    assert await awaited.carry_out(hand(token=2), 1)
    assert await awaited.numbers() == [1]


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
async def test_a_connection_that_is_lost_is_told_as_what_it_is(
    server: Postgres, kind: str
) -> None:
    """The handler is not blamed for it, and its message comes again."""
    database = await asyncio.to_thread(server.new_schema)
    connect = functools.partial(psycopg.connect, database)
    one, two = await asyncio.to_thread(connect), await asyncio.to_thread(connect)

    def handle() -> None:
        effects.create_tables(one)
        with effects.once(hand(), one):
            pid = one.info.backend_pid
            two.execute("SELECT pg_terminate_backend(%s)", (pid,))

    async def handle_awaited() -> None:
        connection = await psycopg.AsyncConnection.connect(database)
        await effects.create_tables(connection)
        async with effects.once(hand(), connection):
            pid = connection.info.backend_pid
            await asyncio.to_thread(
                two.execute, "SELECT pg_terminate_backend(%s)", (pid,)
            )

    with pytest.raises(psycopg.OperationalError) as told:
        await (asyncio.to_thread(handle) if kind == "blocking" else handle_awaited())
    assert "could not be rolled back" in told.value.__notes__[0]
    await asyncio.to_thread(one.close)
    await asyncio.to_thread(two.close)


async def test_to_join_a_transaction_there_must_be_one(awaited: AsyncDesk) -> None:
    """Where the driver begins none."""
    with pytest.raises(TransactionError, match="begin one"):
        await effects.join(hand(), awaited.connection)


async def test_a_driver_that_begins_transactions_may_be_joined(
    blocking: SyncDesk,
) -> None:
    """What is written first begins the one that the user commits."""
    assert await blocking.join(hand())
    await blocking.commit()
    assert not await blocking.carry_out(hand(token=2), 1)


async def test_a_snapshot_older_than_a_purge_is_refused(database: str) -> None:
    """Under repeatable read a purge that was committed since could not be seen."""
    async with (
        await psycopg.AsyncConnection.connect(database) as one,
        await psycopg.AsyncConnection.connect(database) as two,
    ):
        await effects.create_tables(one)
        async with effects.once(hand(at_ns=START_NS), one):
            pass
        await two.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await two.execute("SELECT 1")
        await two.execute("SELECT count(*) FROM assent_inbox_floor")
        purged = await effects.purge(one, keep_s=1, now_ns=lambda: START_NS + DAY_NS)
        assert purged == 1
        with pytest.raises(psycopg.errors.SerializationFailure):
            await effects.join(hand(token=2, at_ns=START_NS), two)
        await two.rollback()
        await two.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        with pytest.raises(ForgottenError):
            async with effects.once(hand(token=3, at_ns=START_NS), two):
                pass
        async with effects.once(hand(2, at_ns=START_NS + DAY_NS), two) as first:
            assert first


async def test_a_purge_under_a_hand_over_is_seen(database: str) -> None:
    """What waits for a row that a purge deletes is not taken for the first."""
    async with (
        await psycopg.AsyncConnection.connect(database, autocommit=True) as one,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as two,
    ):
        await effects.create_tables(one)
        async with effects.once(hand(at_ns=START_NS), one):
            pass
        await one.execute("BEGIN")
        await one.execute("UPDATE assent_inbox_floor SET message = '\\xff'")
        await one.execute("DELETE FROM assent_inbox")

        async def handle() -> None:
            async with effects.once(hand(token=2, at_ns=START_NS), two):
                pass

        async with asyncio.TaskGroup() as group:
            task = group.create_task(_refused(handle()))
            await _waits_for_a_lock(database)
            await one.execute("COMMIT")
        assert task.result()


async def test_tables_can_be_made_by_many_at_once(database: str) -> None:
    """Each process of a program makes them when it starts."""

    async def make() -> None:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            await effects.create_tables(connection)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(make())


@pytest.mark.timeout(180)
async def test_effects_happen_once_over_crashes_of_the_server(
    server: Postgres, database: str
) -> None:
    """Killed at random moments, recovered from its log, handed everything again."""
    dice = random.Random(4)  # noqa: S311 - which moments is no secret
    setup = await psycopg.AsyncConnection.connect(database, autocommit=True)
    await effects.create_tables(setup)
    await setup.execute("CREATE TABLE effects (number INTEGER NOT NULL)")
    await setup.close()
    agent = FakeAgent()
    connect = functools.partial(psycopg.AsyncConnection.connect, database)
    outbox = Outbox(connect, agent, clock=SteppedClock())
    source = _Source()
    for round_ in range(6):
        async with asyncio.TaskGroup() as group:
            worker = group.create_task(_work(database, outbox, source, round_))
            relay = group.create_task(_relay(outbox))
            await asyncio.sleep(dice.uniform(0.02, 0.15))
            await asyncio.to_thread(server.crash)
            await asyncio.to_thread(server.start)
            worker.cancel()
            relay.cancel()
    source.dry = True
    await _work(database, outbox, source, 100)
    await outbox.drain()
    async with await connect() as connection:
        cursor = await connection.execute("SELECT number FROM effects ORDER BY number")
        numbers = [row[0] for row in await cursor.fetchall()]
    assert numbers == list(range(source.made))
    sent = list(dict.fromkeys(sent.options["dedup"] for sent in agent.sent))
    assert sent == [f"effect-{number}" for number in numbers]


class _Source:
    """Hands messages over until they are acked, in order; new ones until it is dry."""

    def __init__(self) -> None:
        self.made = 0
        self.dry = False
        self.pending: list[int] = []

    def messages(self) -> Iterator[int]:
        """Give what is pending, then new ones without end."""
        yield from list(self.pending)
        while not self.dry:
            self.pending.append(self.made)
            self.made += 1
            yield self.pending[-1]


async def _work(database: str, outbox: Outbox, source: _Source, round_: int) -> None:
    """Handle messages until the server goes, or the source is dry."""
    try:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            for number in source.messages():
                handed = hand(number, token=round_ << 32 | number)
                async with effects.once(handed, connection) as first:
                    if first:
                        await connection.execute(
                            "INSERT INTO effects VALUES (%s)", (number,)
                        )
                        await outbox.put(
                            connection, "done", number, dedup=f"effect-{number}"
                        )
                if number % 7:  # else the ack is lost
                    source.pending.remove(number)
    except psycopg.Error:
        return


async def _relay(outbox: Outbox) -> None:
    try:
        while True:
            await outbox.drain()
            await asyncio.sleep(0.005)
    except psycopg.Error:
        return


async def test_the_relay_outlives_the_server(server: Postgres, database: str) -> None:
    """It takes a new connection, and goes on where it was."""
    connect = functools.partial(psycopg.connect, database)
    setup: psycopg.Connection[Any] = await asyncio.to_thread(connect)
    await asyncio.to_thread(lambda: effects.create_tables(setup))
    agent, clock = FakeAgent(), SteppedClock()
    outbox = Outbox(connect, agent, clock=clock, poll_s=1.0)
    async with asyncio.TaskGroup() as group:
        relay = group.create_task(outbox.run())
        await sees(lambda: clock.waiting > 0)
        await asyncio.to_thread(setup.close)
        await asyncio.to_thread(server.crash)
        clock.step(1.0)
        await sees(lambda: outbox.stats.faults == 1 and clock.waiting > 0)
        await asyncio.to_thread(server.start)
        setup = await asyncio.to_thread(connect)
        await asyncio.to_thread(lambda: outbox.put(setup, "a.1", 1))
        await asyncio.to_thread(setup.commit)
        await asyncio.to_thread(setup.close)
        clock.step(1.0)
        await sees(lambda: outbox.stats.published == 1)
        relay.cancel()


async def _refused(work: Any) -> bool:
    try:
        await work
    except ForgottenError:
        return True
    return False


async def _waits_for_a_lock(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(
        database, autocommit=True
    ) as connection:
        while True:
            cursor = await connection.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
            )
            if (await cursor.fetchall())[0][0]:
                return
            await asyncio.sleep(0.01)
