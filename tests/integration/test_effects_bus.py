"""Inbox and outbox under a real bus: redelivery, late handlers, dedup names, lineage."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import aiosqlite
import pytest

from bus import Delivery, effects
from bus.config.keeping import StoreSettings
from bus.core.message import Message
from bus.effects import Outbox, StaleTokenError
from bus.testing import TestBus
from tests.fakes.buses import new_bus
from tests.fakes.desks import TABLE
from tests.fakes.effects import Acting, handed


@pytest.fixture
def bus() -> TestBus:
    """A bus that keeps its messages in memory."""
    return new_bus(store=StoreSettings(kind="memory"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A user's database."""
    db = sqlite3.connect(tmp_path / "user.db")
    effects.create_tables(db)
    db.execute(TABLE)
    db.commit()
    db.close()
    return tmp_path / "user.db"


def numbers(path: Path) -> list[int]:
    """Return the effects."""
    db = sqlite3.connect(path)
    found = [row[0] for row in db.execute("SELECT number FROM effects")]
    db.close()
    return sorted(found)


async def test_a_message_that_comes_again_is_carried_out_once(
    bus: TestBus, path: Path
) -> None:
    """The handler naks after the commit, as a crash before the ack would."""
    seen: list[tuple[bool, int]] = []
    async with bus:
        worker = bus.agent("worker")

        @worker.subscriber("pay.in")
        async def pay(number: int, delivery: Delivery) -> None:
            async with (
                aiosqlite.connect(path) as db,
                effects.once(handed(delivery), db) as first,
            ):
                if first:
                    await db.execute("INSERT INTO effects VALUES (?)", (number,))
            seen.append((first, delivery.token))
            if delivery.attempt < 3:
                delivery.nak(delay=1.0)

        await bus.agent("planner").publish("pay.in", 7)
        while len(seen) < 3:
            await bus.advance(1.0)
    assert [first for first, _ in seen] == [True, False, False]
    tokens = [token for _, token in seen]
    assert tokens == sorted(set(tokens)), "tokens rise"
    assert await asyncio.to_thread(numbers, path) == [7]


async def test_a_handler_that_was_given_up_is_refused(bus: TestBus, path: Path) -> None:
    """Its thread goes on after its lease is over, when the next one has long committed."""
    go_on = threading.Event()
    refused: list[StaleTokenError] = []
    done: list[int] = []

    def write(number: int, delivery: Delivery) -> None:
        if delivery.attempt == 1:
            go_on.wait()
        db = sqlite3.connect(path)
        try:
            with effects.once(handed(delivery), db) as first:
                if first:
                    db.execute("INSERT INTO effects VALUES (?)", (number,))
            done.append(delivery.attempt)
        except StaleTokenError as error:
            refused.append(error)
        finally:
            db.close()

    async with bus:

        @bus.agent("worker").subscriber("pay.in", ack_wait=1.0)
        async def pay(number: int, delivery: Delivery) -> None:
            await asyncio.to_thread(write, number, delivery)

        await bus.agent("planner").publish("pay.in", 7)
        while not done:
            await bus.advance(1.0)
        go_on.set()
        while not refused:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
    assert done == [2]
    assert refused[0].token < refused[0].newest
    assert await asyncio.to_thread(numbers, path) == [7]


async def test_what_is_put_descends_from_what_is_handled_and_is_published_once(
    bus: TestBus, path: Path
) -> None:
    """Also by a relay that does not know that it has published it before."""
    told: list[Message] = []
    async with bus:
        worker, critic = bus.agent("worker"), bus.agent("critic")
        outbox = Outbox(lambda: aiosqlite.connect(path), Acting(worker))
        put = asyncio.Event()

        @worker.subscriber("pay.in")
        async def pay(number: int, delivery: Delivery) -> None:
            async with (
                aiosqlite.connect(path) as db,
                effects.once(handed(delivery), db) as first,
            ):
                assert first
                await outbox.put(db, "pay.done", number, ordering_key="ada")
            put.set()

        @critic.subscriber("pay.done")
        async def note(delivery: Delivery) -> None:
            told.append(delivery.message)

        accepted = await bus.agent("planner").publish("pay.in", 7)
        await put.wait()
        async with aiosqlite.connect(path) as db:
            await db.execute("CREATE TABLE copy AS SELECT * FROM assent_outbox")
            assert await outbox.drain() == 1
            await db.execute("INSERT INTO assent_outbox SELECT * FROM copy")
            await db.commit()
        assert await outbox.drain() == 1, "the bus tells that it has it"
        await bus.settle()
    [message] = told
    assert (message.parent, message.root, message.depth) == (
        accepted.id,
        accepted.id,
        1,
    )
    assert message.authors == ("planner",)
    assert message.sender == "worker"
    assert message.headers["assent-ordering-key"] == "ada"


async def test_what_policy_denies_is_kept_as_refused(path: Path) -> None:
    """An outbox lends nobody rights: policy is asked when it is published."""
    bus = new_bus(store=StoreSettings(kind="memory"))
    async with bus:
        outbox = Outbox(lambda: aiosqlite.connect(path), Acting(bus.agent("intern")))
        async with aiosqlite.connect(path) as db:
            await outbox.put(db, "pay.done", 1)
            await db.commit()
        assert await outbox.drain() == 0
        [refused] = await outbox.refused()
    assert refused.reason.startswith("denied: ")


async def test_a_bus_without_a_store_refuses_what_asks_for_one(path: Path) -> None:
    """It could not tell a message that is published again."""
    bus = new_bus()
    async with bus:
        bus.agent("critic").subscribe("pay.done", _ignore)
        outbox = Outbox(lambda: aiosqlite.connect(path), Acting(bus.agent("worker")))
        async with aiosqlite.connect(path) as db:
            await outbox.put(db, "pay.done", 1)
            await db.commit()
        assert await outbox.drain() == 0
        [refused] = await outbox.refused()
    assert "need a store" in refused.reason


async def _ignore(_delivery: Delivery) -> None:
    return
