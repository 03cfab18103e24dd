"""Flow control, policy and the record on a bus with a store; and what was tampered with."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.adapters.audit import MemoryAudit
from bus.config.keeping import StoreSettings
from bus.core.changes import Append
from bus.core.entries import SEQUENCE_MAX
from bus.core.errors import StoreBrokenError
from bus.core.outcome import Accepted, Failed
from bus.subscription import Delivery
from bus.testing import TestBus
from tests.fakes.buses import Background, at_rest, data, lower_bound, new_bus, reload
from tests.fakes.durable import DurableBus, Place, Takes, flipped

PAGE = 100


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages of a hundred, so that hundreds of messages are many."""
    lower_bound(monkeypatch, "FEED_MESSAGES_MAX", PAGE)
    lower_bound(monkeypatch, "FEED_MESSAGES_LOW", PAGE // 4)


async def test_a_slow_consumer_makes_publishers_wait_and_slows_nobody_else(
    place: Place,
) -> None:
    """Those that need not wait go on; nothing is dropped."""
    bus, slow, quick = place.bus(), Takes(), Takes()
    slow.gate.clear()
    sub = bus.agent("critic").subscribe("a.both", slow, capacity=3)
    bus.agent("worker").subscribe("a.*", quick)
    async with bus, Background() as background:
        await bus.keep("a.both", 0, 1, 2, 3)
        waits = background.run(bus.agent("planner").publish("a.both", 4, wait=50))
        await bus.advance(10)
        assert not waits.done()
        await bus.keep("a.quick", *range(100, 150))
        await bus.settle()
        assert quick.bodies == [0, 1, 2, 3, *range(100, 150)]
        outcome = await bus.agent("planner").publish("a.both", 5, wait=0)
        assert isinstance(outcome, Failed)
        assert outcome.code == "overloaded"
        slow.gate.set()
        await bus.settle()
        assert isinstance(await waits, Accepted)
        await bus.settle()
        assert slow.bodies == [0, 1, 2, 3, 4]
        assert quick.bodies[-1] == 4
        assert at_rest(sub)


async def test_what_a_slow_consumer_has_in_memory_is_bounded(place: Place) -> None:
    """The rest waits in the store, and takes its room there."""
    total = 4 * PAGE
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    sub = bus.agent("critic").subscribe("a", takes, capacity=total)
    async with bus:
        await bus.keep_all("a", range(total))
        await bus.settle()
        assert sub.load <= PAGE + 1
        consumer = bus.consumer("critic/a")
        assert consumer.pending == total
        await bus.keep("a", total)  # one is in the handler's hands
        outcome = await bus.agent("planner").publish("a", -1, wait=0)
        assert isinstance(outcome, Failed)
        takes.gate.set()
        await bus.settle()
        assert takes.bodies == list(range(total + 1))
        assert at_rest(sub)
        assert consumer.pending == 0


async def test_publishers_that_wait_go_on_as_it_goes_on(place: Place) -> None:
    """First come first served, through the store as through memory."""
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    sub = bus.agent("critic").subscribe("a", takes, capacity=2)
    async with bus, Background() as background:
        publish = bus.agent("planner").publish
        waiting = [background.run(publish("a", body)) for body in range(40)]
        await bus.settle()
        assert sum(one.done() for one in waiting) == 3
        takes.gate.set()
        await bus.settle()
        assert all([isinstance(await one, Accepted) for one in waiting])
        assert takes.bodies == list(range(40))
        assert at_rest(sub)


async def test_a_full_store_makes_publishers_wait(place: Place) -> None:
    """Until it has room."""
    bus, room = place.bus(), asyncio.Event()

    async def until_there_is() -> None:
        await room.wait()
        bus.line.full = False

    async with bus, Background() as background:
        bus.line.room = until_there_is  # type: ignore[method-assign] # it is this line's
        bus.line.full = True
        waits = background.run(bus.agent("planner").publish("a", 1))
        await bus.settle()
        assert not waits.done()
        room.set()
        assert isinstance(await waits, Accepted)


async def test_each_accepted_message_is_recorded_once_and_before_it_is_delivered(
    place: Place,
) -> None:
    """Over restarts, redelivery and reading back too."""
    accepted: list[bytes] = []
    told: list[tuple[str, bytes]] = []
    for crashes in (True, False):
        bus, takes = place.bus(), Takes(3)
        bus.agent("critic").subscribe("a", takes, backoff=[1])
        bus.agent("worker").subscribe("a", Takes(), durable="all", start="all")
        async with bus:
            kept = await bus.keep("a", *range(10))
            accepted += [outcome.id for outcome in kept]
            await bus.advance(5)
            if crashes:
                await place.crash(bus)
        told += [(record[0], record[2]) for record in bus.audit.records]
    for message in accepted:
        events = [event for event, its in told if its == message]
        assert events.count("accepted") == 1
        assert events[0] == "accepted"
        assert "delivered" in events


async def test_a_page_that_has_what_is_not_accepted_yet_does_not_bring_it(
    place: Place,
) -> None:
    """On disk and not told of: it comes once it is recorded, and once."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", Takes())
    async with bus, Background() as background:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a", 1)
        submit, dones = bus.line.inner.submit, list[Any]()

        def tell_later(changes: Any, done: Any) -> None:
            late = any(isinstance(change, Append) for change in changes)
            submit(changes, dones.append if late else done)
            if late:
                dones.append(done)

        bus.line.submit = tell_later  # type: ignore[method-assign] # it is this line's
        publishing = background.run(bus.agent("planner").publish("a", 2))
        await bus.settle()
        back = bus.agent("critic").subscribe("a", takes)
        await bus.settle()
        assert takes.bodies == [1]
        dones[0](None)
        bus.line.submit = submit  # type: ignore[method-assign] # as above
        assert isinstance(await publishing, Accepted)
        await bus.settle()
        assert takes.bodies == [1, 2]
        events = bus.audit.events()
        assert events == ["accepted", "delivered", "accepted", "delivered"]
        assert at_rest(back)
        assert bus.consumer("critic/a").pending == 0


@pytest.mark.parametrize("other", [0, 1])
async def test_a_row_that_was_changed_is_not_delivered(
    place: Place, other: int
) -> None:
    """Nor one with another's entry: refused, and a letter; those beside it are delivered."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a", 1, 2, 3)
        await asyncio.to_thread(change_entry, place, 2, other)
        bus.agent("critic").subscribe("a", takes)
        await bus.settle()
        assert takes.bodies == [1, 3]
        assert bus.audit.events("accepted") == ["refused", "delivered", "delivered"]
        (letter,) = await bus.agent("critic").dead_letters()
        assert ("is the one of" if other else "was changed") in letter.reason
        assert letter.message is None
        assert bus.consumer("critic/a").pending == 0
        with pytest.raises(StoreBrokenError):
            _ = [entry async for entry in bus.agent("critic").replay("a")]
        late = Takes()
        bus.agent("worker").subscribe("a", late, start="all")
        await bus.settle()
        assert late.bodies == [1, 3]


async def test_a_small_store_with_a_row_that_was_changed_is_not_opened(
    tmp_path: Path,
) -> None:
    """The bus does not start, and says which it is."""
    place = Place("sqlite", tmp_path)
    bus = place.bus()
    async with bus:
        await bus.keep("a", 1, 2, 3)
    await asyncio.to_thread(change_entry, place, 2)
    with pytest.raises(StoreBrokenError, match="1/2 was changed"):
        await place.bus().__aenter__()


def change_entry(place: Place, sequence: int, other: int = 0) -> None:
    """Flip a bit of a stored entry, or put another one's in its place."""
    if place.kind == "memory":
        (rows,) = place.memory._tables.messages.values()  # noqa: SLF001 - a tamperer does not ask
        time_ns, entry = rows[sequence]
        rows[sequence] = time_ns, rows[other][1] if other else flipped(entry)
        return
    with sqlite3.connect(place.file) as connection:
        select = "SELECT key, entry FROM messages ORDER BY key"
        found = {
            key & SEQUENCE_MAX: (key, entry)
            for key, entry in connection.execute(select)
        }
        key, entry = found[sequence]
        entry = found[other][1] if other else flipped(entry)
        connection.execute("UPDATE messages SET entry=? WHERE key=?", (entry, key))
    connection.close()


async def test_nothing_of_a_message_is_in_anothers_hands(place: Place) -> None:
    """Two consumers of one message have headers of their own."""
    bus, seen = place.bus(), list[Any]()

    async def changes(delivery: Delivery) -> None:
        seen.append(dict(delivery.message.headers))
        delivery.message.headers["x"] = "changed"

    for agent in ("critic", "worker"):
        bus.agent(agent).subscribe("a", changes)
    async with bus:
        await bus.keep("a", 1, headers={"x": "1"})
        await bus.settle()
        assert seen == [{"x": "1"}] * 2


def memory_bus(roles: Any) -> TestBus:
    """Return a bus whose policy can be reloaded, with a store in memory."""
    return new_bus(roles, store=StoreSettings(kind="memory"))


async def test_what_is_kept_is_judged_by_the_policy_in_force_when_it_is_delivered() -> (
    None
):
    """A message that is not allowed any more is recalled, wherever it waits."""
    roles = data()
    bus = memory_bus(roles)
    assert isinstance(bus.audit, MemoryAudit)
    sub = bus.agent("critic").subscribe("a.*", Takes())
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        for subject in ("a.good", "a.bad"):
            await bus.agent("planner").publish(subject, subject)
        roles["roles"]["all"]["publish"] = [{"subject": "a.good"}]
        await reload(bus)
        takes = Takes()
        bus.agent("critic").subscribe("a.*", takes)
        await bus.advance(5)
        assert takes.bodies == ["a.good"]
        await bus.audit.flush()
        assert [e.event for e in bus.audit.tail(100)].count("recalled") == 1
        assert bus._host.require_ledger().consumers.by_id[1].pending == 0  # noqa: SLF001 - the account


async def test_a_subscription_that_is_not_allowed_any_more_keeps_what_is_stored() -> (
    None
):
    """It is there when policy lets it come back."""
    roles = data()
    bus = memory_bus(roles)
    held = Takes()
    held.gate.clear()
    bus.agent("critic").subscribe("a", held)
    async with bus:
        for body in range(3):
            await bus.agent("planner").publish("a", body)
        await bus.settle()
        roles["roles"]["all"]["subscribe"] = ["other"]
        await reload(bus)
        outcome = await bus.agent("planner").publish("a", 3)
        assert isinstance(outcome, Accepted)
        assert outcome.deliveries == 1
        assert bus.dead_letters == ()
        roles["roles"]["all"]["subscribe"] = [">"]
        await reload(bus)
        takes = Takes()
        bus.agent("critic").subscribe("a", takes)
        await bus.advance(5)
        assert held.bodies == [0]
        assert takes.bodies == [0, 1, 2, 3]


async def test_closing_tells_how_much_stays_kept(place: Place) -> None:
    """Nothing of it becomes a dead letter."""
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    bus.agent("critic").subscribe("a", takes)
    await bus.__aenter__()
    await bus.keep("a", *range(5))
    await bus.settle()
    assert await bus.close() == 5
    assert bus.dead_letters == ()
    again = place.bus()
    async with again:
        assert again.consumer("critic/a").pending == 5
        assert await again.agent("critic").dead_letters() == []


async def test_the_settings_of_a_message_reach_the_disk_and_back(place: Place) -> None:
    """Every field that a handler may see is as it was published."""
    seen: list[Any] = []
    bus: DurableBus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes())
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep(
            "a",
            {"deep": [1, None, "é"]},
            type="command",
            priority=3,
            headers={"x": "ü"},
            ttl=100,
            reply_to="answers",
            correlation="c",
            causation="d",
        )
        (before,) = [entry async for entry in bus.agent("critic").replay("a")]

    async def sees(body: Any, delivery: Delivery) -> None:
        seen.append((body, delivery.message))

    again = place.bus()
    again.agent("critic").subscribe("a", sees)
    async with again:
        await again.settle()
        ((body, message),) = seen
        assert body == {"deep": [1, None, "é"]}
        assert msgspec.structs.asdict(message) == msgspec.structs.asdict(before.message)
