"""What every message store promises of reading and of cutting a stream."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bus.core.changes import Bounds, Bury, Deliver, Retry, Settle, Wake
from bus.core.entries import SEQUENCE_MAX, key_of
from bus.core.errors import StoreUnavailableError
from bus.core.storelimits import (
    STORE_PAGE_BYTES_MAX,
    STORE_PAGE_ROWS_MAX,
    STORE_TRIM_ROWS_MAX,
)
from bus.storing import Store
from tests.fakes.messages import full
from tests.fakes.recording import NOW_NS
from tests.fakes.storekit import (
    ALLOW,
    KEYS,
    LOWEST,
    NEVER_NS,
    SEALER,
    Shelf,
    append,
    consumer,
    keep,
    letter,
    stream,
)

MANY = 1 << 62
KEEP_ALL = Bounds(messages=MANY, bytes=MANY, before_ns=0, settled_only=False)


def bounds(
    *, messages: int = MANY, size: int = MANY, before_ns: int = 0, settled: bool = False
) -> Bounds:
    """Return bounds that cut nothing but what is said."""
    return Bounds(messages, size, before_ns, settled)


async def filled(store: Store, count: int, *takers: int) -> None:
    """Keep so many messages in stream 1, one a nanosecond, for these consumers."""
    await keep(store, stream(1), *(consumer(taker) for taker in takers))
    for n in range(1, count + 1):
        store.submit(
            [append(1, n, *((t, n, 0) for t in takers), time_ns=NOW_NS + n)], _ignore
        )
    await keep(store)


def _ignore(error: Exception | None) -> None:
    assert error is None


async def sequences(store: Store, number: int = 1) -> list[int]:
    """Return what is in a stream."""
    first, last = key_of(number, 0), key_of(number, SEQUENCE_MAX)
    return [key & SEQUENCE_MAX for key, _ in await store.entries(first, last, 4_096)]


async def test_deliveries_come_in_ascending_order_from_after_a_number(
    store: Store,
) -> None:
    """At most as many as asked for, with the entries that they bring."""
    await filled(store, 20, 1, 2)
    await keep(store, Settle(1, 4), Deliver(1, -3, key_of(1, 9)))
    read = [row.number for row in await store.deliveries(1, LOWEST, 5)]
    assert read == [-3, 1, 2, 3, 5]
    rows = await store.deliveries(1, 5, 3)
    assert [row.number for row in rows] == [6, 7, 8]
    assert [row.consumer for row in rows] == [1, 1, 1]
    for row in rows:
        assert SEALER.open(row.key, row.entry).sequence == row.number
    assert await store.deliveries(1, 20, 3) == []
    assert await store.deliveries(1, -1, 1) != []
    assert await store.deliveries(7, LOWEST, 3) == []


async def test_no_page_is_longer_than_the_limit(store: Store) -> None:
    """Whoever asks for more gets as much, and asks again."""
    count = STORE_PAGE_ROWS_MAX + 10
    await keep(store, stream(1), consumer(1), consumer(2))
    for n in range(1, count + 1):
        store.submit([append(1, n, (1, n, 0), (2, n, 9))], _ignore)
    await keep(store)
    message = append(1, count + 1)
    await keep(store, *(Bury(9, 9, letter(n, message)) for n in range(1, count)))
    assert len(await store.entries(*KEYS, count)) == STORE_PAGE_ROWS_MAX
    assert len(await store.deliveries(1, LOWEST, count)) == STORE_PAGE_ROWS_MAX
    assert len(await store.due(NEVER_NS, count)) == STORE_PAGE_ROWS_MAX
    assert len(await store.letters(0, count)) == STORE_PAGE_ROWS_MAX
    rest = await store.deliveries(1, STORE_PAGE_ROWS_MAX, count)
    assert [row.number for row in rest] == list(
        range(STORE_PAGE_ROWS_MAX + 1, count + 1)
    )


async def test_no_page_has_more_bytes_than_fit_the_loops_turn(store: Store) -> None:
    """Long entries make short pages, and one that is too long for any is a page."""
    third = b"x" * (STORE_PAGE_BYTES_MAX // 3)
    bodies = [b"", third, third, third, b"", third * 4, b""]
    await keep(store, stream(1), consumer(1), consumer(2))
    for n, body in enumerate(bodies, 1):
        message = append(1, n, (1, n, 0), (2, n, 9), body=body)
        await keep(store, message, Bury(9, 9, letter(n, message)))
    pages = [[1, 2, 3], [4, 5], [6], [7]]

    async def read(ask: Callable[[int], Awaitable[list[int]]]) -> list[list[int]]:
        found, after = [], 0
        while page := await ask(after):
            found.append(page)
            after = page[-1]
        return found

    async def delivered(after: int) -> list[int]:
        return [row.number for row in await store.deliveries(1, after, 99)]

    async def kept(after: int) -> list[int]:
        rows = await store.entries(key_of(1, after + 1), key_of(1, 99), 99)
        return [key & SEQUENCE_MAX for key, _ in rows]

    async def buried(after: int) -> list[int]:
        return [row.id for row in await store.letters(after, 99)]

    assert await read(delivered) == pages
    assert await read(kept) == pages
    assert await read(buried) == pages
    assert [row.number for row in await store.due(NEVER_NS, 99)] == pages[0]


async def test_what_waits_is_due_when_its_time_has_come(store: Store) -> None:
    """The soonest first; the bound is included."""
    await keep(store, stream(1), consumer(1), consumer(2))
    assert await store.next_due_ns() == 0
    await keep(
        store,
        append(1, 1, (1, 1, 300), (2, 1, 100)),
        append(1, 2, (1, 2, 200)),
        append(1, 3, (1, 3, 200), (1, 4, 0)),
    )
    assert await store.next_due_ns() == 100
    assert await store.due(99, 9) == []
    found = [(row.due_ns, row.consumer, row.number) for row in await store.due(200, 9)]
    assert found == [(100, 2, 1), (200, 1, 2), (200, 1, 3)]
    assert [row.number for row in await store.due(300, 2)] == [1, 2]
    for row in await store.due(300, 9):
        assert SEALER.open(row.key, row.entry).plan
    await keep(store, Wake(2, 1, 100, 9))
    assert await store.next_due_ns() == 200


async def test_a_delivery_that_is_tried_again_is_pending_and_not_due(
    store: Store,
) -> None:
    """`Retry` notes a time; the row stays where it is."""
    await filled(store, 1, 1)
    await keep(store, Retry(1, 1, 1, NOW_NS + 5))
    assert await store.next_due_ns() == 0
    assert await store.due(NEVER_NS, 9) == []
    assert len(await store.deliveries(1, LOWEST, 9)) == 1


async def test_entries_are_read_from_one_key_to_another_both_included(
    store: Store,
) -> None:
    """Over gaps, and as the bytes they are."""
    await keep(store, stream(1), stream(2))
    kept = [append(1, n) for n in (1, 2, 4, 9)] + [append(2, 1)]
    await keep(store, *kept)
    every = [(change.key, change.entry) for change in kept]
    assert await store.entries(*KEYS, 9) == every
    assert await store.entries(key_of(1, 2), key_of(1, 4), 9) == every[1:3]
    assert await store.entries(key_of(1, 3), key_of(1, 8), 9) == every[2:3]
    assert await store.entries(key_of(1, 4), key_of(2, 1), 9) == every[2:]
    assert await store.entries(key_of(1, 1), key_of(2, 1), 2) == every[:2]
    assert await store.entries(key_of(1, 5), key_of(1, 8), 9) == []
    assert await store.entries(key_of(3, 1), key_of(3, 8), 9) == []
    assert await store.entries(key_of(2, 1), key_of(1, 1), 9) == []


async def test_an_entry_holds_what_was_accepted(store: Store) -> None:
    """Message, decision and plan, opened with the sealer."""
    await filled(store, 1, 1, 2)
    ((key, sealed),) = await store.entries(*KEYS, 9)
    entry = SEALER.open(key, sealed)
    assert entry.message == full(body=b"{}", created_ns=NOW_NS + 1)
    assert (entry.decision, entry.plan) == (ALLOW, (1, 2))


async def test_keys_of_a_stream_ascend_over_gaps(store: Store) -> None:
    """One that comes late is refused, also when what came after it has gone."""
    await keep(store, stream(1), consumer(1), append(1, 5, (1, 5, 0)))
    await keep(store, append(1, 9, (1, 4, 0)))
    for late in (5, 7, 9):
        with pytest.raises(StoreUnavailableError):
            await keep(store, append(1, late))
    assert await sequences(store) == [5, 9]
    rows = await store.deliveries(1, LOWEST, 9)
    assert [(row.number, row.key & SEQUENCE_MAX) for row in rows] == [(4, 9), (5, 5)]
    await store.trim(1, bounds(messages=0))
    with pytest.raises(StoreUnavailableError):
        await keep(store, append(1, 8))
    await keep(store, append(1, 10))
    assert await sequences(store) == [10]


async def test_a_time_stands_for_the_first_message_kept_at_or_after_it(
    store: Store,
) -> None:
    """One past the last if there is none."""
    await keep(store, stream(1), stream(2))
    assert await store.at(1, NOW_NS) == 1
    for n, second in ((1, 10), (2, 20), (4, 20), (5, 30), (9, 40)):
        await keep(store, append(1, n, time_ns=NOW_NS + second))
    found = [await store.at(1, NOW_NS + s) for s in (0, 10, 11, 20, 21, 40, 41)]
    assert found == [1, 1, 2, 2, 5, 9, 10]
    assert await store.at(2, NOW_NS) == 1
    assert await store.at(3, NOW_NS) == 1
    await store.trim(1, bounds(messages=2))
    assert await store.at(1, NOW_NS) == 5
    await store.trim(1, bounds(messages=0))
    assert await store.at(1, NOW_NS) == 10


async def test_letters_are_paged_by_their_ids(store: Store) -> None:
    """In ascending order, those above one."""
    message = append(1, 1)
    letters = [letter(number, message) for number in (1, 2, 5, 8)]
    await keep(store, *(Bury(1, one.id, one) for one in reversed(letters)))
    assert await store.letters(0, 9) == letters
    assert await store.letters(0, 2) == letters[:2]
    assert await store.letters(2, 2) == letters[2:]
    assert await store.letters(8, 2) == []


async def test_a_stream_is_cut_to_a_number_of_messages(store: Store) -> None:
    """The oldest go; what went is told."""
    await filled(store, 10)
    size = len(append(1, 1).entry)
    cut = await store.trim(1, bounds(messages=4))
    assert await sequences(store) == [7, 8, 9, 10]
    assert (cut.messages, cut.bytes, cut.evicted) == (6, 6 * size, ())
    row = cut.stream
    assert (row.id, row.tenant, row.name) == (1, "acme", "stream-1")
    assert (row.messages, row.bytes, row.first, row.last) == (4, 4 * size, 7, 10)
    assert (await store.trim(1, KEEP_ALL)).messages == 0
    assert (await store.trim(1, bounds(messages=4))).messages == 0


async def test_a_stream_is_cut_to_a_number_of_bytes(store: Store) -> None:
    """Of its entries: as many go as must."""
    await keep(store, stream(1))
    sizes = []
    for n in range(1, 6):
        change = append(1, n, body=bytes(100 * n))
        sizes.append(len(change.entry))
        await keep(store, change)
    cut = await store.trim(1, bounds(size=sizes[3] + sizes[4]))
    assert (cut.stream.bytes, cut.bytes) == (sum(sizes[3:]), sum(sizes[:3]))
    assert await sequences(store) == [4, 5]
    await store.trim(1, bounds(size=sizes[3] + sizes[4] - 1))
    assert await sequences(store) == [5]
    assert (await store.trim(1, bounds(size=0))).stream.bytes == 0


async def test_a_stream_is_cut_of_what_is_older_than_a_time(store: Store) -> None:
    """What was kept at that time stays."""
    await filled(store, 6)
    cut = await store.trim(1, bounds(before_ns=NOW_NS + 4))
    assert await sequences(store) == [4, 5, 6]
    assert (cut.messages, cut.stream.first) == (3, 4)


async def test_an_empty_stream_goes_on_where_it_was(shelf: Shelf) -> None:
    """Its sequence does not start anew, not even after a restart."""
    await filled(shelf.store, 3)
    cut = await shelf.store.trim(1, bounds(messages=0))
    row = cut.stream
    assert (row.messages, row.bytes, row.first, row.last) == (0, 0, 4, 3)
    assert (await shelf.again()).streams == (row,)
    await keep(shelf.store, append(1, 4))
    row = (await shelf.store.trim(1, KEEP_ALL)).stream
    assert (row.messages, row.first, row.last) == (1, 4, 4)


async def test_a_cut_takes_the_deliveries_along_and_names_them(shelf: Shelf) -> None:
    """Pending, tried again, waiting and read back: whoever has one in hand is told."""
    store = shelf.store
    await filled(store, 3, 1, 2)
    await keep(store, append(1, 4, (1, 4, NOW_NS), (2, 4, 0), time_ns=NOW_NS + 4))
    await keep(store, Settle(1, 1), Retry(2, 1, 3, 99), Deliver(1, -2, key_of(1, 2)))
    await keep(store, Deliver(2, -1, key_of(1, 4)), Settle(2, 3))
    cut = await store.trim(1, bounds(messages=2))
    assert sorted(cut.evicted) == [(1, -2), (1, 2), (2, 1), (2, 2)]
    assert [row.number for row in await store.deliveries(1, LOWEST, 9)] == [3]
    assert [row.number for row in await store.deliveries(2, LOWEST, 9)] == [-1, 4]
    cut = await store.trim(1, bounds(messages=0))
    assert sorted(cut.evicted) == [(1, 3), (1, 4), (2, -1), (2, 4)]
    assert await store.due(NEVER_NS, 9) == []
    assert await store.next_due_ns() == 0
    assert [row.pending for row in (await shelf.again()).consumers] == [0, 0]


async def test_settled_only_stops_at_the_first_that_is_not_settled(
    store: Store,
) -> None:
    """It stays, and so does everything after it, until it is settled."""
    await filled(store, 6, 1)
    await keep(store, Settle(1, 1), Settle(1, 2), Settle(1, 4), Settle(1, 5))
    only = bounds(messages=0, settled=True)
    cut = await store.trim(1, only)
    assert (cut.messages, cut.stream.first, cut.evicted) == (2, 3, ())
    assert (await store.trim(1, only)).messages == 0
    await keep(store, Retry(1, 3, 1, 99))
    assert (await store.trim(1, only)).messages == 0
    await keep(store, Settle(1, 3))
    assert (await store.trim(1, only)).messages == 3
    assert await sequences(store) == [6]


async def test_what_waits_or_is_read_back_is_not_settled(store: Store) -> None:
    """Until it is woken and settled, buried, or its consumer is forgotten."""
    only = bounds(before_ns=NEVER_NS, settled=True)
    await keep(store, stream(1), consumer(1), append(1, 1, (1, 1, 50)), append(1, 2))
    assert (await store.trim(1, only)).messages == 0
    await keep(store, Wake(1, 1, 50, 2))
    assert (await store.trim(1, only)).messages == 0
    await keep(store, Deliver(1, -1, key_of(1, 1)), Settle(1, 2))
    assert (await store.trim(1, only)).messages == 0
    await keep(store, Bury(1, -1, letter(1, append(1, 1))))
    assert (await store.trim(1, only)).messages == 2


async def test_a_cut_stays_within_its_bounds_also_where_all_is_settled(
    store: Store,
) -> None:
    """`settled_only` does not take more than must go."""
    await filled(store, 6)
    assert (await store.trim(1, bounds(messages=5, settled=True))).messages == 1
    assert await sequences(store) == [2, 3, 4, 5, 6]


async def test_a_cut_is_of_one_stream(store: Store) -> None:
    """The same place in another one stays."""
    await filled(store, 2)
    await keep(store, stream(2), append(2, 1), append(2, 2))
    await store.trim(1, bounds(messages=0))
    assert await sequences(store, 2) == [1, 2]
    assert await sequences(store, 1) == []


async def test_a_cut_takes_its_place_in_the_order(store: Store) -> None:
    """It sees what was submitted before it and leaves what is submitted after it."""
    await keep(store, stream(1))
    first = keep(store, *(append(1, n) for n in range(1, 6)))
    async with asyncio.TaskGroup() as tasks:
        cut = tasks.create_task(store.trim(1, bounds(messages=0)))
        await asyncio.sleep(0)
        last = keep(store, append(1, 6))
    await last
    assert first.done()
    assert cut.result().messages == 5
    assert await sequences(store) == [6]


async def test_a_cut_removes_no_more_at_a_time_than_its_limit(store: Store) -> None:
    """The rest goes with the next one: nobody waits long behind a cut."""
    over = 3
    await keep(store, stream(1))
    for start in range(1, STORE_TRIM_ROWS_MAX + over, 1_000):
        end = min(start + 1_000, STORE_TRIM_ROWS_MAX + over + 1)
        await keep(store, *(append(1, n) for n in range(start, end)))
    assert (await store.trim(1, bounds(messages=0))).messages == STORE_TRIM_ROWS_MAX
    assert (await store.trim(1, bounds(messages=0))).messages == over


async def test_a_stream_that_is_not_there_cannot_be_cut(store: Store) -> None:
    """A typed error, and the store goes on."""
    with pytest.raises(StoreUnavailableError):
        await store.trim(9, KEEP_ALL)
    await filled(store, 1)
    assert await sequences(store) == [1]
