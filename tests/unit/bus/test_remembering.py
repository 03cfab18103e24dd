"""Names that publishers gave: pending, kept, forgotten in time."""

import asyncio

import pytest

from bus.core.errors import OverloadedError
from bus.core.storelimits import TENANT_SHARES
from bus.outbox import Outbox, outbox
from bus.remembering import Remembered
from tests.fakes.buses import Background


async def test_a_name_is_known_within_its_window_only() -> None:
    """And the latest that had it counts."""
    names = Remembered()
    names.begin("n", 0)
    names.end("n", 7, 10)
    assert names.find("n", 9) == 7
    assert names.find("n", 10) is None
    names.begin("n", 11)
    names.end("n", 8, 20)
    assert names.find("n", 11) == 8
    assert names.find("other", 0) is None


async def test_a_name_that_was_not_kept_is_not_known() -> None:
    """What had it before stays."""
    names = Remembered()
    names.restore([("n", 7, 10)])
    names.begin("n", 5)
    names.end("n", None, 0)
    assert names.find("n", 9) == 7


async def test_who_has_a_name_is_waited_for_in_turn() -> None:
    """Each that waited looks again."""
    names, order = Remembered(), list[int]()

    async def one(number: int) -> None:
        await names.settled("n")
        names.begin("n", 0)
        order.append(number)
        await asyncio.sleep(0)
        names.end("n", None, 0)

    async with Background() as background:
        tasks = [background.run(one(number)) for number in range(3)]
        await asyncio.wait(tasks)
    assert order == [0, 1, 2]


async def test_no_more_names_are_remembered_than_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a tenant; those whose window is over make way, whatever came before them."""
    monkeypatch.setattr("bus.remembering.DEDUP_IDS_MAX", 4 * TENANT_SHARES)
    names = Remembered()
    names.restore([("t s long", 1, 1_000), ("t s a", 2, 10), ("t s b", 3, 10)])
    names.begin("t s c", 5)
    with pytest.raises(OverloadedError):
        names.begin("t s d", 5)
    names.begin("other s d", 5)
    names.begin("t s d", 10)
    assert names.find("t s long", 10) == 1
    assert names.find("t s a", 10) is None


async def test_a_name_that_was_renewed_outlives_its_first_window() -> None:
    """Forgetting is by the window it has now."""
    names = Remembered()
    names.restore([("n", 1, 10)])
    names.begin("n", 5)
    names.end("n", 2, 50)
    names.begin("other", 20)
    assert names.find("n", 20) == 2


async def test_of_transactions_that_wait_in_a_circle_the_last_is_undone() -> None:
    """However long the circle is; who waits for one that waits for nobody waits on."""
    names, boxes = Remembered(), [Outbox() for _ in range(4)]

    async def takes(number: int, *wanted: int) -> None:
        outbox.set(boxes[number])
        for one in wanted:
            await names.settled(f"t s {one}")
            names.begin(f"t s {one}", 0)
            await asyncio.sleep(0)

    async with Background() as background:
        first = background.run(takes(0, 0, 1))
        second = background.run(takes(1, 1, 2))
        beside = background.run(takes(3, 3, 1))
        third = background.run(takes(2, 2, 0))
        error = await third
        assert isinstance(error, OverloadedError)
        assert [box.undone for box in boxes] == [None, None, error, None]
        names.end("t s 2", None, 0)
        assert await second is None
        for one in (1, 2):
            names.end(f"t s {one}", None, 0)
        await asyncio.wait([first, beside], return_when=asyncio.FIRST_COMPLETED)
        names.end("t s 1", None, 0)
        assert (await first, await beside) == (None, None)
