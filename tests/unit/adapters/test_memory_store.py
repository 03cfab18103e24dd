"""The in-memory store's own: its turns of the loop, its rows, and what it takes back."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bus.adapters.stores import tables
from bus.adapters.stores.memory import MemoryStore
from bus.adapters.stores.rows import Journal, SortedRows
from bus.core.changes import Bounds, Bury, Settle
from bus.core.errors import StoreUnavailableError
from bus.core.storelimits import STORE_BATCH_CHANGES_MAX
from tests.fakes.recording import SteppedClock
from tests.fakes.storekit import (
    KEYS,
    Told,
    append,
    consumer,
    keep,
    letter,
    picture,
    stream,
)

NOTHING = Bounds(messages=0, bytes=0, before_ns=0, settled_only=False)


async def opened() -> MemoryStore:
    """Return a new store that is open."""
    store = MemoryStore(SteppedClock())
    await store.open()
    return store


async def test_what_waits_is_carried_out_by_batches_and_the_loop_turns_between() -> (
    None
):
    """A store with much to do holds nobody else up for long."""
    store = await opened()
    told = Told()
    for number in range(3):
        store.submit([Settle(1, 1)] * STORE_BATCH_CHANGES_MAX, told.of(number))
    for turn in range(3):
        assert len(told.endings) == turn
        await asyncio.sleep(0)
    assert len(told.endings) == 3
    assert store.stats().commits == 3
    await store.close()


async def test_a_cut_that_was_given_up_takes_nothing() -> None:
    """Nobody would be told of the deliveries that went with it."""
    store = await opened()
    await keep(store, stream(1), consumer(1), append(1, 1, (1, 1, 0)))
    before = await picture(store)
    cutting = store.trim(1, NOTHING)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await cutting
    await keep(store)
    assert await picture(store) == before
    await store.close()


async def test_a_value_that_no_store_knows_is_refused_and_told() -> None:
    """Nothing of its submission is kept, and the next ones go on."""
    store = await opened()
    odd: Any = "settle everything"
    with pytest.raises(StoreUnavailableError, match="cannot keep this") as caught:
        await keep(store, stream(1), append(1, 1), odd)
    assert isinstance(caught.value.__cause__, KeyError)
    assert await store.entries(*KEYS, 9) == []
    await keep(store, stream(1), append(1, 1))
    assert store.stats().failed == 1
    await store.close()


async def test_the_oldest_letters_give_way_and_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that what nobody looks at does not fill the store."""
    monkeypatch.setattr(tables, "LETTERS_KEPT_MAX", 3)
    store = await opened()
    for number in range(1, 6):
        await keep(store, Bury(1, 1, letter(number, append(1, 1))))
    assert [one.id for one in await store.letters(0, 9)] == [3, 4, 5]
    stats = store.stats()
    assert (stats.letters, stats.letters_evicted) == (3, 2)
    await store.close()
    contents = await store.open()
    assert (contents.letters, contents.next_letter) == (3, 6)
    assert store.stats().letters_evicted == 0
    await store.close()


async def test_counts_that_were_handed_out_stay_as_they_were() -> None:
    """They are a copy, of one moment."""
    store = await opened()
    before = store.stats()
    await keep(store, stream(1))
    assert (before.changes, store.stats().changes) == (0, 1)
    before.changes = 99
    assert store.stats().changes == 1
    await store.close()


async def test_a_store_that_is_closed_cannot_be_reopened_but_opened() -> None:
    """`reopen` is for one that is open and had a fault."""
    store = await opened()
    await store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.reopen()
    assert (await store.open()).clean
    assert not (await store.open()).clean
    await store.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "take", "first", "above", "order"]),
            st.integers(-20, 20),
        ),
        max_size=300,
    )
)
def test_rows_are_a_dictionary_in_order(steps: list[tuple[str, int]]) -> None:
    """Whatever is put and taken, in whatever order."""
    rows: SortedRows[int, int] = SortedRows()
    model: dict[int, int] = {}
    for place, (step, key) in enumerate(steps):
        if step == "put":
            rows[key] = model[key] = place
        elif step == "take" and key in model:
            del rows[key], model[key]
        elif step == "first":
            assert rows.first() == min(model, default=None)
        elif step == "above":
            above = sorted(k for k in model if k > key)
            assert rows.above(key, 3) == above[:3]
        elif step == "order":
            assert rows.ordered() == sorted(model)
        assert rows == model
    assert rows.above(-99, 99) == sorted(model)


def test_rows_that_went_leave_no_trace_behind_for_long() -> None:
    """A queue that is filled and emptied for ever does not grow."""
    rows: SortedRows[int, int] = SortedRows()
    for number in range(10_000):
        rows[number] = number
        assert rows.first() == number
        del rows[number]
    assert rows.first() is None
    assert len(rows.ordered()) == 0
    assert rows._order.__sizeof__() < 10_000  # noqa: SLF001 - nothing else shows it


_steps = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 9)), max_size=30
)


@given(_steps, _steps)
def test_a_journal_takes_back_all_since_it_was_kept(
    kept: list[tuple[bool, int, int]], undone: list[tuple[bool, int, int]]
) -> None:
    """In whatever order a row was put, changed and taken."""
    rows: dict[int, int] = {}
    journal = Journal()
    for put, key, value in kept:
        if put:
            journal.put(rows, key, value)
        else:
            there = rows.get(key)
            assert journal.take(rows, key) == there
            assert key not in rows
    journal.keep()
    before = dict(rows)
    for put, key, value in undone:
        if put:
            journal.put(rows, key, value)
        else:
            journal.take(rows, key)
    journal.undo()
    assert rows == before
    journal.undo()
    assert rows == before


async def test_who_gives_up_closing_may_close_again() -> None:
    """What was submitted is carried out all the same."""
    store = await opened()
    told = Told()

    async def hasty() -> None:
        async with asyncio.timeout(0):
            store.submit([stream(1)], told.of(1))
            await store.close()

    with pytest.raises(TimeoutError):
        await hasty()
    await store.close()
    assert told.endings == [(1, "ok")]
    assert (await store.open()).clean
    await store.close()
