"""Which letters give way: of those who have most, and only while there are too many."""

from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import StoreUnavailableError
from bus.culling import level_of
from tests.fakes.buses import lower_bound
from tests.fakes.durable import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return where a store in memory is."""
    return Place("memory", tmp_path)


@pytest.mark.parametrize(
    ("counts", "total", "level"),
    [
        ([], 10, 0),
        ([3, 4], 10, 4),
        ([100], 10, 10),
        ([100, 2], 10, 8),
        ([100, 100], 10, 5),
        ([1, 100, 50], 10, 4),
        ([0, 100, 100, 100], 10, 3),
    ],
)
def test_who_has_less_than_its_part_leaves_the_rest_to_others(
    counts: list[int], total: int, level: int
) -> None:
    """And together they have no more than the total."""
    assert level_of(counts, total) == level
    assert sum(min(count, level) for count in counts) <= total


async def test_a_store_that_cannot_be_read_is_looked_at_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the next letter; meanwhile nothing of it is lost."""
    lower_bound(monkeypatch, "LETTERS_KEPT_MAX", 10)
    bus = place.bus()

    async def fails(body: int) -> None:
        raise ValueError(body)

    async def unreadable(after: int, limit: int) -> Any:
        raise StoreUnavailableError(f"{after}, {limit}")

    bus.agent("worker").subscribe("a", fails, max_deliver=1)
    async with bus:
        read = bus.line.letters_read
        bus.line.letters_read = unreadable
        await bus.keep("a", *range(9))
        await bus.settle()
        assert bus.ledger.store.stats().letters == 9
        bus.line.letters_read = read
        await bus.keep("a", 9, 10)
        await bus.settle()
        rows = await bus.ledger.store.letters(0, 100)
        assert [row.id for row in rows] == list(range(12 - len(rows), 12))
        assert 8 <= len(rows) <= 9


async def test_a_bus_that_stops_culls_nothing_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there stays for the next."""
    lower_bound(monkeypatch, "LETTERS_KEPT_MAX", 10)
    bus = place.bus()

    async def fails(body: int) -> None:
        raise ValueError(body)

    bus.agent("worker").subscribe("a", fails, max_deliver=1)
    async with bus:
        bus.ledger.burying.stop()
        await bus.keep("a", *range(9))
        await bus.settle()
        assert bus.ledger.burying.stopped
        assert bus.ledger.store.stats().letters == 9
