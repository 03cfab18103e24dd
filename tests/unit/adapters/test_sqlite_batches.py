"""What is kept at once is kept as if it had been kept one by one."""

import asyncio
import random
from pathlib import Path

import pytest

from bus.adapters.stores.sqlite import SqliteStore, carrying, statements
from bus.adapters.stores.sqlite.pieces import Rows
from bus.adapters.stores.sqlite.planning import Planner
from bus.adapters.stores.sqlite.state import State
from bus.core.changes import (
    Bounds,
    Bury,
    Change,
    Deliver,
    Forget,
    PutConsumer,
    PutStream,
    Retry,
    Settle,
    Wake,
)
from bus.core.entries import key_of
from bus.storing import Store
from tests.fakes.recording import NOW_NS, SteppedClock
from tests.fakes.storekit import (
    LOWEST,
    NEVER_NS,
    append,
    consumer,
    keep,
    letter,
    picture,
    stream,
)
from tests.fakes.stores import kept_store, open_raw, sqlite_store


async def numbers(store: Store, who: int = 1) -> list[int]:
    """Return the numbers of a consumer's deliveries."""
    return [row.number for row in await store.deliveries(who, LOWEST, 4096)]


async def counts(store: SqliteStore) -> dict[int, int]:
    """Return how many deliveries each consumer is said to have, as kept on disk."""
    rows = open_raw(store.path, "SELECT id, a FROM figures WHERE kind=2")
    return dict(rows)


def planned(*changes: Change) -> Rows:
    """Return the rows of a plan with one piece."""
    planner = Planner(State())
    made = (PutStream(1, "acme", "default"), consumer(1))
    planner.add([((*made, *changes), lambda _: None, 0)])
    (piece,) = planner.plan().pieces
    assert isinstance(piece, Rows)
    return piece


def test_what_is_settled_in_the_batch_that_made_it_needs_no_row() -> None:
    """Nor does what was tried again in between."""
    rows = planned(
        append(1, 1, (1, 1, 0)),
        append(1, 2, (1, 2, 0)),
        Retry(1, 1, 1, 5),
        Settle(1, 1),
    )
    assert rows.added == {1: {2: key_of(1, 2)}}
    assert not rows.settled
    assert not rows.retried


async def test_what_is_settled_at_once_is_counted_right(tmp_path: Path) -> None:
    """And the messages are there."""
    store = await kept_store(tmp_path)
    kept = [
        keep(store, append(1, number, (1, number, 0)), Settle(1, number))
        for number in range(4, 50)
    ]
    await asyncio.wait(kept)
    assert await numbers(store) == [1, 2, 3]
    assert await counts(store) == {1: 3}
    assert store.stats().appended == 49
    await store.close()


@pytest.mark.parametrize("step", [1, 2, 3])
async def test_runs_and_scattered_numbers_are_settled_alike(
    tmp_path: Path, step: int
) -> None:
    """Those of no delivery change no count, nor does settling twice."""
    store = await kept_store(tmp_path)
    await keep(store, *[append(1, n, (1, n, 0)) for n in range(4, 301)])
    gone = [number for number in range(-5, 400) if number % step == 0]
    random.Random(step).shuffle(gone)  # noqa: S311 - an order
    await keep(store, *[Settle(1, number) for number in (*gone, *gone[:9])])
    left = [number for number in range(1, 301) if number % step]
    assert await numbers(store) == left
    assert await counts(store) == {1: len(left)}
    await store.close()


async def test_many_consumers_are_settled_in_one_step(tmp_path: Path) -> None:
    """Each count is right, also of those that had nothing, or are not there."""
    store = sqlite_store(tmp_path)
    await store.open()
    who = range(1, 31)
    await keep(store, stream(1), *[consumer(number) for number in who])
    await keep(store, *[append(1, n, *[(c, n, 0) for c in who]) for n in range(1, 9)])
    settled = [Settle(c, n) for c in (*who, 99) for n in range(c % 4, 9, 2)]
    await keep(store, *settled, *settled[:20])
    for c in who:
        gone = range(c % 4, 9, 2)
        assert await numbers(store, c) == [n for n in range(1, 9) if n not in gone]
    assert await counts(store) == {c: len(await numbers(store, c)) for c in who}
    await store.close()


async def test_more_rows_than_a_statement_takes_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several steps of one transaction."""
    monkeypatch.setattr(carrying.MESSAGES, "_rows_max", 8)
    monkeypatch.setattr(carrying.DELIVERIES, "_rows_max", 16)
    monkeypatch.setattr(carrying.SETTLED, "_rows_max", 4)
    monkeypatch.setattr(carrying.THERE, "_rows_max", 4)
    store = await kept_store(tmp_path)
    await keep(store, *[append(1, n, (1, n, 0)) for n in range(4, 101)])
    assert len(await numbers(store)) == 100
    await keep(store, *[Settle(1, number) for number in range(1, 101, 3)])
    assert len(await numbers(store)) == 66
    await keep(store, *[Deliver(1, n - 100, key_of(1, n)) for n in range(1, 101, 3)])
    assert len(await numbers(store)) == 100
    assert await counts(store) == {1: 100}
    await store.close()


async def test_a_consumer_that_is_made_again_in_one_batch_begins_with_nothing(
    tmp_path: Path,
) -> None:
    """What the one before it had is gone, what came since is there."""
    store = await kept_store(tmp_path)
    await keep(
        store,
        append(1, 4, (1, 4, 0)),
        append(1, 5, (1, 5, NOW_NS)),
        Forget(1),
        Wake(1, 5, NOW_NS, 6),
        consumer(1, pattern="b.>"),
        append(1, 6, (1, 7, 0)),
        append(1, 7, (1, 8, NOW_NS)),
        Wake(1, 8, NOW_NS, 9),
        Wake(1, 8, NOW_NS, 10),
    )
    assert await numbers(store) == [7, 9]
    assert await counts(store) == {1: 2}
    await store.close()
    again = sqlite_store(tmp_path)
    contents = await again.open()
    assert [(row.pattern, row.pending) for row in contents.consumers] == [("b.>", 2)]
    assert contents.next_due_ns == 0
    await again.close()


def _some(dice: random.Random, number: int) -> list[Change]:
    """Return a submission that is sure to be kept."""
    who = dice.randrange(1, 4)
    kinds: list[list[Change]] = [
        [append(1, number, (who, number, 0))],
        [append(1, number, (who, number, NOW_NS + number % 9), (4, number, 0))],
        [Settle(who, number - dice.randrange(1, 12))],
        [Retry(who, number - dice.randrange(1, 12), 1 + number % 3, NOW_NS)],
        [Deliver(who, -number, key_of(1, dice.randrange(1, number)))],
        [PutConsumer(consumer(who, replay=b"%d" % number).row)],
        [
            Wake(who, before, NOW_NS + before % 9, number + before)
            for before in range(number - 12, number - 9)
        ],
        [],
    ]
    return dice.choice(kinds)


@pytest.mark.parametrize("seed", range(12))
async def test_a_batch_ends_as_its_submissions_one_by_one(
    tmp_path: Path, seed: int
) -> None:
    """Whatever stands beside what."""
    seen = []
    for batch in (1, 40):
        dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
        folder = tmp_path / str(batch)
        await asyncio.to_thread(folder.mkdir)
        store = sqlite_store(folder)
        await store.open()
        await keep(store, stream(1), *[consumer(number) for number in range(1, 5)])
        kept: list[asyncio.Future[None]] = []
        for number in range(1, 121):
            kept.append(keep(store, *_some(dice, number * 30)))
            if number % batch == 0:
                await asyncio.wait(kept)
        assert [each.exception() for each in kept] == [None] * 120
        left = await picture(store)
        on_disk = await counts(store)
        await store.close()
        again = sqlite_store(folder)
        contents = await again.open()
        await again.close()
        seen.append((left, on_disk, contents))
    assert seen[0] == seen[1]


async def test_the_oldest_letters_give_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are counted; in one batch and over several."""
    monkeypatch.setattr(carrying, "LETTERS_KEPT_MAX", 5)
    store = await kept_store(tmp_path)
    first = append(1, 1)
    await keep(store, *[Bury(1, n, letter(n, first)) for n in range(1, 4)])
    await keep(store, *[Bury(1, n, letter(n, first)) for n in range(4, 9)])
    assert [found.id for found in await store.letters(0, 99)] == [4, 5, 6, 7, 8]
    assert store.stats().letters_evicted == 3
    assert store.stats().letters == 5
    await store.close()


async def test_a_cut_goes_on_where_the_last_one_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each removes a bounded number of messages."""
    monkeypatch.setattr("bus.adapters.stores.sqlite.cutting.STORE_TRIM_ROWS_MAX", 256)
    store = sqlite_store(tmp_path)
    await store.open()
    await keep(store, stream(1), consumer(1))
    await keep(store, *[append(1, n, (1, n, 0)) for n in range(1, 1001)])
    bounds = Bounds(messages=100, bytes=1 << 40, before_ns=0, settled_only=False)
    left = []
    for _ in range(5):
        trimmed = await store.trim(1, bounds)
        left.append((trimmed.messages, trimmed.stream.first))
    assert left == [(256, 257), (256, 513), (256, 769), (132, 901), (0, 901)]
    assert await numbers(store) == list(range(901, 1001))
    await store.close()


async def test_ids_whose_time_is_over_go_by_and_by(tmp_path: Path) -> None:
    """With a transaction that comes anyway, once a minute."""
    clock = SteppedClock()
    store = await kept_store(tmp_path, clock=clock)
    await keep(store, append(1, 4, dedup=("short", clock.now + 1)))
    await keep(store, append(1, 5, dedup=("long", NEVER_NS)))
    clock.step(61)
    await keep(store)
    assert open_raw(store.path, "SELECT id FROM dedup") == [("long",)]
    await store.close()


def test_a_statement_fits_into_what_sqlite_takes() -> None:
    """However wide its rows are."""
    for many in vars(carrying).values():
        if isinstance(many, statements.Many):
            values = many._rows_max * many._width  # noqa: SLF001 - what is measured
            assert values < statements.VARIABLES_MAX
