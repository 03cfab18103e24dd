"""What every message store promises of submissions: together or not at all, in order.

A store that is added is added to STORES in tests/fakes/storekit.py, and keeps the same
promises. What is read is in test_store_reading.py, opening in test_store_life.py.
"""

import asyncio
import threading
from typing import Any

import pytest

from bus.core.changes import (
    Append,
    Bury,
    Change,
    Deliver,
    DropLetter,
    Forget,
    Retry,
    Settle,
    Wake,
)
from bus.core.entries import key_of
from bus.core.errors import StoreUnavailableError
from bus.core.storelimits import STORE_PENDING_BYTES_MAX, STORE_PENDING_CHANGES_MAX
from bus.storing import Store
from tests.fakes.recording import NOW_NS
from tests.fakes.storekit import (
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

DUE_NS = NOW_NS + 60
MESSAGE = append(1, 1, (1, 1, 0), (2, 1, 0), (2, 2, DUE_NS))
LETTER = letter(1, MESSAGE)
BASE: tuple[Change, ...] = (stream(1), consumer(1), consumer(2), MESSAGE)


async def numbers(store: Store, consumer: int) -> list[int]:
    """Return the numbers of a consumer's pending deliveries."""
    return [row.number for row in await store.deliveries(consumer, LOWEST, 100)]


async def test_done_is_told_in_the_running_loop_and_never_from_within_submit(
    store: Store,
) -> None:
    """Whoever submits can go on undisturbed, whatever a `done` does."""
    told: list[tuple[Any, int]] = []
    within = True

    def done(error: Exception | None) -> None:
        assert not within
        assert error is None
        told.append((asyncio.get_running_loop(), threading.get_ident()))

    store.submit([stream(1)], done)
    store.submit([], done)
    store.submit([Settle(1, 1)], done)
    within = False
    assert told == []
    await keep(store)
    assert told == [(asyncio.get_running_loop(), threading.get_ident())] * 3


async def test_endings_are_told_in_the_order_of_the_submissions(store: Store) -> None:
    """Kept, refused and empty ones alike."""
    await keep(store, stream(1), consumer(1))
    told, expected = Told(), []
    for number in range(300):
        changes: list[Change] = []
        if number % 3 == 1:
            changes = [append(1, number, (1, number, 0))]
        elif number % 3 == 2:
            changes = [append(1, number - 1)]
        expected.append((number, "StoreUnavailableError" if number % 3 == 2 else "ok"))
        store.submit(changes, told.of(number))
    await keep(store)
    assert told.endings == expected
    assert await numbers(store, 1) == list(range(1, 300, 3))


async def test_an_empty_submission_marks_a_place_in_the_order(store: Store) -> None:
    """Once it is done, all before it is done, and can be read."""
    told = Told()
    store.submit([stream(1)], told.of(1))
    store.submit([append(1, 1)], told.of(2))
    await keep(store)
    assert told.endings == [(1, "ok"), (2, "ok")]
    assert await store.entries(0, key_of(1, 1), 10) != []


async def test_a_done_may_submit(store: Store) -> None:
    """That comes after what was submitted before it."""
    told = Told()

    def first(error: Exception | None) -> None:
        assert error is None
        store.submit([append(1, 1)], told.of(3))
        assert told.endings == []

    store.submit([], first)
    store.submit([stream(1)], told.of(2))
    await keep(store)
    await keep(store)
    assert told.endings == [(2, "ok"), (3, "ok")]


async def test_a_done_that_raises_keeps_nobody_else_from_being_told(
    store: Store,
) -> None:
    """The loop is told of it; the submission is kept."""
    faults: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def raising(error: Exception | None) -> None:
        assert error is None
        raise ZeroDivisionError

    told = Told()
    store.submit([stream(1)], raising)
    store.submit([append(1, 1)], told.of(1))
    await keep(store)
    assert told.endings == [(1, "ok")]
    assert [type(fault) for fault in faults] == [ZeroDivisionError]


async def test_what_was_submitted_is_the_stores_own(store: Store) -> None:
    """The caller's list may be used for the next one at once."""
    changes: list[Change] = [*BASE]
    told = Told()
    store.submit(changes, told.of(1))
    changes.clear()
    await keep(store)
    rows = await store.deliveries(1, LOWEST, 10)
    assert [(row.number, row.entry) for row in rows] == [(1, MESSAGE.entry)]
    rows.clear()
    assert await numbers(store, 1) == [1]


REFUSED: dict[str, tuple[Change, ...]] = {
    "a key that is there": (append(1, 5),),
    "a key below the last": (append(1, 4),),
    "a key twice": (append(1, 9), append(1, 9)),
    "no such stream": (append(9, 1),),
    "a delivery that is there": (append(1, 9, (1, 1, 0)),),
    "a delivery twice": (append(1, 9, (1, 2, 0), (1, 2, 0)),),
    "a waiting delivery that is there": (append(1, 9, (2, 2, DUE_NS)),),
    "no such consumer": (append(1, 9, (9, 2, 0)),),
    "no such consumer later": (append(1, 9, (9, 2, DUE_NS)),),
    "a forgotten consumer": (Forget(1), append(1, 9, (1, 2, 0))),
    "read back as one that is there": (Deliver(1, 1, MESSAGE.key),),
    "read back for nobody": (Deliver(9, -1, MESSAGE.key),),
    "woken as one that is there": (Wake(2, 2, DUE_NS, 1),),
    "a letter that is there": (Bury(1, 1, LETTER), Bury(2, 1, LETTER)),
}
FIRST: tuple[Change, ...] = (
    stream(2),
    consumer(3),
    consumer(1, replay=b"stand"),
    append(1, 7, (3, 7, 0), (3, 8, DUE_NS), dedup=("name", NEVER_NS)),
    append(2, 1, (2, 7, 0)),
    Retry(2, 10, 1, DUE_NS),
    Bury(2, 10, letter(9, MESSAGE)),
    DropLetter(9),
    Wake(3, 8, DUE_NS, 9),
    Settle(3, 7),
    Deliver(3, -1, MESSAGE.key),
)
TAKING: tuple[Change, ...] = (Forget(3), Settle(1, 10))


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("also", [FIRST, (*FIRST, *TAKING), ()], ids=len)
async def test_a_refused_submission_changes_nothing(
    shelf: Shelf, bad: tuple[Change, ...], also: tuple[Change, ...]
) -> None:
    """Not the changes before the one that cannot be, and no count."""
    await keep(shelf.store, *BASE, append(1, 5, (1, 10, 0), (2, 10, 0)))
    before, contents = await picture(shelf.store), await shelf.again()
    with pytest.raises(StoreUnavailableError):
        await keep(shelf.store, *also, *bad)
    assert await picture(shelf.store) == before
    after = await shelf.again()
    assert (after.streams, after.consumers) == (contents.streams, contents.consumers)
    assert (after.dedup, after.letters) == (contents.dedup, contents.letters)
    assert after.next_due_ns == contents.next_due_ns
    assert await picture(shelf.store) == before


async def test_a_refused_submission_holds_up_no_other(store: Store) -> None:
    """Those before and after it are kept."""
    told = Told()
    store.submit(BASE, told.of(1))
    store.submit([append(1, 2, (1, 2, 0)), append(1, 1)], told.of(2))
    store.submit([append(1, 3, (1, 3, 0))], told.of(3))
    await keep(store)
    assert [ending for _, ending in told.endings] == [
        "ok",
        "StoreUnavailableError",
        "ok",
    ]
    assert await numbers(store, 1) == [1, 3]
    await keep(store, append(1, 4, (1, 2, 0)))
    assert await numbers(store, 1) == [1, 2, 3]


async def test_changes_of_one_submission_build_on_one_another(store: Store) -> None:
    """A stream, a consumer, a message, its delivery and its end in one."""
    await keep(store, *BASE, Settle(1, 1), append(1, 2, (1, 1, 0)), Settle(2, 1))
    assert await numbers(store, 1) == [1]
    assert await numbers(store, 2) == []


async def test_settle_ends_a_delivery(store: Store) -> None:
    """Its own only: the message stays, and so do its other deliveries."""
    await keep(store, *BASE)
    await keep(store, Settle(1, 1))
    assert await numbers(store, 1) == []
    assert await numbers(store, 2) == [1]
    assert await store.entries(MESSAGE.key, MESSAGE.key, 1) == [
        (MESSAGE.key, MESSAGE.entry)
    ]


@pytest.mark.parametrize(
    "change",
    [
        Settle(1, 9),
        Settle(9, 1),
        Settle(2, 2),
        Retry(1, 9, 1, DUE_NS),
        Retry(9, 1, 1, DUE_NS),
        Wake(2, 2, DUE_NS + 1, 9),
        Wake(2, 9, DUE_NS, 9),
        Wake(9, 2, DUE_NS, 9),
        Wake(1, 1, 0, 9),
        DropLetter(9),
        Forget(9),
        Deliver(1, -1, key_of(1, 9)),
        Deliver(1, -1, key_of(9, 1)),
        stream(1),
    ],
    ids=repr,
)
async def test_what_is_not_there_can_be_ended_without_a_fault(
    shelf: Shelf, change: Change
) -> None:
    """Settling twice, waking what went: nothing happens, and that is no fault."""
    await keep(shelf.store, *BASE)
    before = await picture(shelf.store)
    contents = await shelf.again()
    await keep(shelf.store, change)
    assert await picture(shelf.store) == before
    after = await shelf.again()
    assert (after.streams, after.consumers) == (contents.streams, contents.consumers)


async def test_retry_keeps_the_attempt_and_when_the_next_is_due(shelf: Shelf) -> None:
    """They are read back, and over a restart as well."""
    await keep(shelf.store, *BASE)
    (row,) = await shelf.store.deliveries(1, LOWEST, 10)
    assert (row.attempt, row.due_ns, row.key) == (0, 0, MESSAGE.key)
    await keep(shelf.store, Retry(1, 1, 2, DUE_NS))
    for _ in range(2):
        (row,) = await shelf.store.deliveries(1, LOWEST, 10)
        assert (row.attempt, row.due_ns, row.key) == (2, DUE_NS, MESSAGE.key)
        assert row.entry == MESSAGE.entry
        await shelf.again()
    await keep(shelf.store, Retry(1, 1, 3, 0))
    (row,) = await shelf.store.deliveries(1, LOWEST, 10)
    assert (row.attempt, row.due_ns) == (3, 0)


async def test_a_delivery_with_a_time_waits_until_it_is_woken(store: Store) -> None:
    """Then it is pending under its fresh number, at its first attempt."""
    await keep(store, *BASE)
    assert await numbers(store, 2) == [1]
    (due,) = await store.due(DUE_NS, 10)
    assert (due.due_ns, due.consumer, due.number, due.key, due.entry) == (
        DUE_NS,
        2,
        2,
        MESSAGE.key,
        MESSAGE.entry,
    )
    await keep(store, Wake(2, 2, DUE_NS, 40))
    assert await store.due(DUE_NS, 10) == []
    row = (await store.deliveries(2, 1, 10))[0]
    assert (row.number, row.key, row.attempt, row.due_ns) == (40, MESSAGE.key, 0, 0)


async def test_bury_ends_a_delivery_and_keeps_a_letter(store: Store) -> None:
    """The letter is as it was given."""
    await keep(store, *BASE)
    await keep(store, Bury(1, 1, LETTER))
    assert await numbers(store, 1) == []
    assert await numbers(store, 2) == [1]
    assert await store.letters(0, 10) == [LETTER]


async def test_a_letter_is_kept_though_its_delivery_has_gone(store: Store) -> None:
    """What was evicted meanwhile may still be given up by who had it in hand."""
    await keep(store, Bury(9, 9, LETTER))
    assert await store.letters(0, 10) == [LETTER]


async def test_a_dropped_letter_is_gone(store: Store) -> None:
    """The others stay."""
    other = letter(2, MESSAGE)
    await keep(store, Bury(1, 1, LETTER), Bury(1, 2, other), DropLetter(1))
    assert await store.letters(0, 10) == [other]


async def test_forget_takes_a_consumers_deliveries_along(shelf: Shelf) -> None:
    """Pending and waiting ones; those of others stay, and so does the message."""
    await keep(shelf.store, *BASE, append(1, 2, (1, 2, 0), (2, 3, DUE_NS + 1)))
    await keep(shelf.store, Forget(2))
    assert await numbers(shelf.store, 1) == [1, 2]
    assert await numbers(shelf.store, 2) == []
    assert await shelf.store.due(NEVER_NS, 10) == []
    assert len(await shelf.store.entries(0, key_of(1, 9), 10)) == 2
    contents = await shelf.again()
    assert [(row.id, row.pending) for row in contents.consumers] == [(1, 2)]
    await keep(shelf.store, consumer(2))
    assert await numbers(shelf.store, 2) == []


async def test_put_consumer_notes_where_it_stands_and_leaves_its_deliveries(
    shelf: Shelf,
) -> None:
    """`pending` is the store's to keep, whatever the row says."""
    await keep(shelf.store, *BASE, append(1, 2, (1, 2, 0)))
    changed = consumer(1, replay=b"half-way", queue="other", pending=77)
    await keep(shelf.store, changed, consumer(3, pending=5))
    assert await numbers(shelf.store, 1) == [1, 2]
    first, second, third = (await shelf.again()).consumers
    assert (first.replay, first.queue, first.pending) == (b"half-way", "other", 2)
    assert (second.replay, second.pending) == (b"", 1)
    assert (third.id, third.pending) == (3, 0)


async def test_a_message_that_is_read_back_comes_first(store: Store) -> None:
    """Negative numbers are below all others, in their own order."""
    await keep(store, *BASE, append(1, 2, (1, 2, 0)))
    await keep(store, Deliver(1, -5, key_of(1, 2)), Deliver(1, -9, MESSAGE.key))
    rows = await store.deliveries(1, LOWEST, 10)
    assert [row.number for row in rows] == [-9, -5, 1, 2]
    assert [row.key & 0xFF for row in rows] == [1, 2, 1, 2]
    assert {(row.attempt, row.due_ns) for row in rows} == {(0, 0)}
    await keep(store, Settle(1, -9))
    assert await numbers(store, 1) == [-5, 1, 2]


async def test_too_many_changes_under_way_push_back_until_there_is_room(
    store: Store,
) -> None:
    """`submit` takes them all the same: who publishes has looked at `full`."""
    assert not _full(store)
    await asyncio.wait_for(store.room(), 30)
    told = Told()
    part = [Settle(1, 1)] * (STORE_PENDING_CHANGES_MAX // 16)
    for number in range(32):
        assert _full(store) is (number >= 16)
        store.submit(part, told.of(number))
    assert store.stats().pending == 2 * STORE_PENDING_CHANGES_MAX
    await _room(store)
    await keep(store)
    assert not _full(store)
    assert told.endings == [(number, "ok") for number in range(32)]
    assert store.stats().pending == 0


async def test_too_many_bytes_under_way_push_back_until_there_is_room(
    store: Store,
) -> None:
    """A few large messages are as much as many small ones."""
    body, count = bytes(1 << 22), STORE_PENDING_BYTES_MAX >> 22
    await keep(store, stream(1))
    changes: list[Append] = [append(1, n, body=body) for n in range(1, count + 1)]
    endings = [keep(store, change) for change in changes]
    assert _full(store)
    await _room(store)
    await asyncio.wait(endings)
    assert not _full(store)
    assert [ending.exception() for ending in endings] == [None] * count


async def _room(store: Store) -> None:
    """Wait for room as several publishers do, one of whom gives up."""
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(store.room()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    assert not _full(store)


def _full(store: Store) -> bool:
    return store.full
