"""What every message store promises of opening, closing and what is there afterwards."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bus.core.changes import (
    Bounds,
    Bury,
    Change,
    Contents,
    Deliver,
    DropLetter,
    Forget,
    Retry,
    Settle,
    Wake,
)
from bus.core.entries import key_of
from bus.core.errors import StoreUnavailableError
from bus.storing import Store
from tests.fakes.recording import NOW_NS
from tests.fakes.storekit import (
    DURABLE,
    KEYS,
    LOWEST,
    NEVER_NS,
    Shelf,
    Told,
    append,
    consumer,
    keep,
    letter,
    picture,
    stream,
)

BOUNDS = Bounds(messages=0, bytes=0, before_ns=0, settled_only=False)
CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "deliveries": lambda store: store.deliveries(1, LOWEST, 9),
    "due": lambda store: store.due(NEVER_NS, 9),
    "next_due_ns": lambda store: store.next_due_ns(),
    "entries": lambda store: store.entries(*KEYS, 9),
    "at": lambda store: store.at(1, NOW_NS),
    "letters": lambda store: store.letters(0, 9),
    "trim": lambda store: store.trim(1, BOUNDS),
    "submit": lambda store: keep(store, stream(1)),
    "an empty submit": keep,
}


async def busy(store: Store) -> None:
    """Have something of everything in a store."""
    first = append(1, 1, (1, 1, 0), (2, 1, 0), dedup=("one", NEVER_NS))
    await keep(store, stream(1), stream(3), consumer(1), consumer(2), first)
    await keep(store, append(3, 1, (1, 2, 0), (2, 2, NOW_NS + 90)))
    await keep(store, append(3, 3, (1, 3, NOW_NS + 80), (2, 3, NOW_NS + 70)))
    await keep(store, Settle(1, 1), Retry(2, 1, 2, NOW_NS + 9))
    await keep(store, Wake(2, 3, NOW_NS + 70, 4), Deliver(1, -7, key_of(3, 1)))
    await keep(store, Bury(1, 2, letter(1, first)), Bury(9, 9, letter(2, first)))
    await keep(store, DropLetter(1))


async def test_a_new_store_is_empty(shelf: Shelf) -> None:
    """Nothing is in it, and no number was used; so it is after a restart."""
    for _ in range(2):
        found = await picture(shelf.store)
        assert not any(found.values())
        contents = await shelf.again()
        assert contents == Contents(
            epoch=contents.epoch, clean=True, next_number=1, next_letter=1
        )


async def test_what_was_kept_is_there_when_it_is_opened_again(shelf: Shelf) -> None:
    """All one can read, and all that is told of it."""
    await busy(shelf.store)
    before = await picture(shelf.store)
    contents = await shelf.again()
    assert await picture(shelf.store) == before
    assert contents.clean
    assert [(row.id, row.pending) for row in contents.consumers] == [(1, 1), (2, 2)]
    assert contents.consumers[0] == consumer(1, pending=1).row
    told = [(r.id, r.name, r.messages, r.first, r.last) for r in contents.streams]
    assert told == [(1, "stream-1", 1, 1, 1), (3, "stream-3", 2, 1, 3)]
    sizes = {row.id: row.bytes for row in contents.streams}
    entries = before["entries"]
    for number, size in sizes.items():
        assert size == sum(len(e) for key, e in entries if key >> 40 == number)
    assert contents.dedup == (("one", key_of(1, 1), NEVER_NS),)
    assert (contents.letters, contents.next_due_ns) == (1, NOW_NS + 80)
    assert (contents.next_number, contents.next_letter) == (5, 3)


async def test_the_epoch_rises_with_every_opening(shelf: Shelf) -> None:
    """So fencing tokens made of it never repeat."""
    epochs = [(await shelf.again()).epoch for _ in range(4)]
    assert epochs == sorted(set(epochs))


@pytest.mark.parametrize("together", [True, False])
async def test_a_number_that_was_used_is_not_used_again(
    shelf: Shelf, *, together: bool
) -> None:
    """Not even one whose delivery ended at once, waited, or was woken."""
    await keep(shelf.store, stream(1), consumer(1))
    told = Told()
    message = append(1, 1, (1, 41, 0))
    if together:
        shelf.store.submit([message, Settle(1, 41)], told.of(1))
    else:
        shelf.store.submit([message], told.of(1))
        shelf.store.submit([Settle(1, 41)], told.of(2))
    await keep(shelf.store)
    assert (await shelf.again()).next_number == 42
    await keep(shelf.store, append(1, 2, (1, 50, NOW_NS)))
    assert (await shelf.again()).next_number == 51
    await keep(shelf.store, Wake(1, 50, NOW_NS, 60), Settle(1, 60))
    assert (await shelf.again()).next_number == 61
    await keep(shelf.store, append(1, 3, (1, 55, 0)), Deliver(1, -99, key_of(1, 1)))
    await keep(shelf.store, Forget(1))
    await shelf.store.trim(1, BOUNDS)
    assert (await shelf.again()).next_number == 61


async def test_a_letters_id_is_not_used_again(shelf: Shelf) -> None:
    """Not even that of the latest one, when it was dropped."""
    await keep(shelf.store, Bury(1, 1, letter(5, append(1, 1))))
    assert (await shelf.again()).next_letter == 6
    await keep(shelf.store, DropLetter(5))
    contents = await shelf.again()
    assert (contents.next_letter, contents.letters) == (6, 0)
    await keep(shelf.store, Bury(1, 1, letter(3, append(1, 1))))
    contents = await shelf.again()
    assert (contents.next_letter, contents.letters) == (6, 1)


async def test_pending_counts_the_rows_of_a_consumer(shelf: Shelf) -> None:
    """Through everything that makes or ends one; what waits counts when it is woken."""
    expected = 0
    await keep(shelf.store, stream(1), consumer(1), consumer(2))
    steps: list[tuple[tuple[Change, ...], int]] = [
        ((append(1, 1, (1, 1, 0), (2, 1, 0)),), 1),
        ((append(1, 2, (1, 2, 0), (1, 3, 0), (1, 4, NOW_NS)),), 2),
        ((Wake(1, 4, NOW_NS, 5),), 1),
        ((Wake(1, 4, NOW_NS, 6),), 0),
        ((Settle(1, 1), Settle(1, 1)), -1),
        ((Settle(1, 1),), 0),
        ((Retry(1, 2, 1, 0),), 0),
        ((Bury(1, 2, letter(1, append(1, 2))),), -1),
        ((Bury(1, 2, letter(2, append(1, 2))),), 0),
        ((Deliver(1, -1, key_of(1, 1)), Deliver(1, -2, key_of(1, 9))), 1),
        ((append(1, 3, (1, 7, 0)), Settle(1, 7), Settle(1, 3)), -1),
        ((consumer(1, pending=99),), 0),
    ]
    for changes, step in steps:
        await keep(shelf.store, *changes)
        expected += step
        first, second = (await shelf.again()).consumers
        assert (first.pending, second.pending) == (expected, 1), changes
        assert len(await shelf.store.deliveries(1, LOWEST, 99)) == expected


async def test_a_publishers_name_is_remembered_until_its_time(shelf: Shelf) -> None:
    """Though the message has gone; a later one of that name takes its place."""
    soon = NOW_NS + 10_000_000_000
    await keep(shelf.store, stream(1), consumer(1))
    await keep(shelf.store, append(1, 1, (1, 1, 0), dedup=("a", soon)))
    await keep(shelf.store, append(1, 2, dedup=("b", soon)), Settle(1, 1))
    await keep(shelf.store, append(1, 3, dedup=("b", NEVER_NS)))
    await shelf.store.trim(1, BOUNDS)
    known = (("a", key_of(1, 1), soon), ("b", key_of(1, 3), NEVER_NS))
    assert tuple(sorted((await shelf.again()).dedup)) == known
    shelf.clock.step(9)
    assert tuple(sorted((await shelf.again()).dedup)) == known
    shelf.clock.step(2)
    assert (await shelf.again()).dedup == known[1:]
    await keep(shelf.store, append(1, 4, dedup=("a", soon + 5_000_000_000)))
    (first, _) = sorted((await shelf.again()).dedup)
    assert first == ("a", key_of(1, 4), soon + 5_000_000_000)


async def test_closing_carries_out_what_was_submitted(shelf: Shelf) -> None:
    """And tells of it, before it returns."""
    told = Told()
    shelf.store.submit([stream(1)], told.of(1))
    for number in range(1, 50):
        shelf.store.submit([append(1, number)], told.of(2))
    await shelf.store.close()
    assert told.endings == [(1, "ok")] + [(2, "ok")] * 49
    await shelf.again()
    assert len(await shelf.store.entries(*KEYS, 99)) == 49


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_store_that_is_closed_refuses(
    shelf: Shelf, call: Callable[[Store], Awaitable[object]]
) -> None:
    """With a typed error, like one that was never opened; later it may work again."""
    await shelf.store.close()
    await shelf.store.close()
    with pytest.raises(StoreUnavailableError):
        await call(shelf.store)
    assert shelf.store.health()[0] is False
    assert shelf.store.health()[1]
    shelf.store = shelf.make()
    with pytest.raises(StoreUnavailableError):
        await call(shelf.store)
    assert shelf.store.health()[0] is False
    await shelf.store.open()
    assert shelf.store.health()[0] is True
    await keep(shelf.store)


async def test_what_is_submitted_to_a_closed_store_is_told_later(shelf: Shelf) -> None:
    """Never from within `submit`, here as well; and nothing is kept."""
    await shelf.store.close()
    told = Told()
    shelf.store.submit([stream(1)], told.of(1))
    assert told.endings == []
    await asyncio.sleep(0.01)
    assert told.endings == [(1, "StoreUnavailableError")]
    assert (await shelf.again()).streams == ()


async def test_reopening_loses_nothing_that_was_done(shelf: Shelf) -> None:
    """It goes on where it was."""
    await busy(shelf.store)
    before = await picture(shelf.store)
    await shelf.store.reopen()
    assert await picture(shelf.store) == before
    assert shelf.store.health()[0] is True
    await keep(shelf.store, append(1, 9, (1, 9, 0)))
    assert shelf.store.stats().reopened == 1


async def test_counts_since_the_opening_tell_what_was_done(shelf: Shelf) -> None:
    """Changes that were kept, messages, refusals, and what it holds."""
    await busy(shelf.store)
    size = sum(len(entry) for _, entry in await shelf.store.entries(*KEYS, 99))
    with pytest.raises(StoreUnavailableError):
        await keep(shelf.store, append(1, 1), append(1, 2))
    stats = shelf.store.stats()
    assert (stats.changes, stats.appended, stats.failed) == (14, 3, 1)
    assert (stats.pending, stats.bytes, stats.letters) == (0, size, 1)
    assert 1 <= stats.commits <= 8
    await shelf.again()
    stats = shelf.store.stats()
    assert (stats.changes, stats.appended, stats.failed, stats.commits) == (0, 0, 0, 0)
    assert (stats.pending, stats.bytes, stats.letters) == (0, size, 1)


def crashed(shelf: Shelf, folder: Path) -> Shelf:
    """Return what a process that dies now leaves behind, in another place."""
    folder.mkdir()
    for name in ("store.db", "store.db-wal", "store.db-head"):
        if (shelf.folder / name).exists():
            shutil.copy(shelf.folder / name, folder / name)
    return Shelf(shelf.kind, folder)


@pytest.mark.parametrize("kind", DURABLE)
async def test_what_was_done_is_there_after_a_crash(kind: str, tmp_path: Path) -> None:
    """Nobody closed it, and `clean` says so."""
    shelf = Shelf(kind, tmp_path)
    first = await shelf.store.open()
    await busy(shelf.store)
    before = await picture(shelf.store)
    left = await asyncio.to_thread(crashed, shelf, tmp_path / "left")
    await shelf.store.close()
    contents = await left.store.open()
    assert not contents.clean
    assert contents.epoch > first.epoch
    assert (contents.next_number, contents.next_letter) == (5, 3)
    assert await picture(left.store) == before
    assert isinstance(await left.again(), Contents)
    await left.store.close()
