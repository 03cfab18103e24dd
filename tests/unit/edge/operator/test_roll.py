"""The roll of agents: read once a revision, in slices, found by bisection."""

import asyncio
from typing import Any, Self

import pytest

from bus.app import Bus
from bus.edge.operator.inside import Inside
from bus.edge.operator.loads import Loads
from bus.edge.operator.roll import Roll
from bus.edge.operator.tap import Tap
from tests.fakes.buses import Inbox
from tests.fakes.nodes import data

MANY = 5_000


@pytest.fixture
def crowded() -> Bus:
    """Return a bus with many agents of two tenants, every tenth disabled."""
    made: dict[str, Any] = data()
    for number in range(MANY):
        made["agents"][f"many-{number:05d}"] = {
            "tenant": "globex" if number % 2 else "acme",
            "roles": ["all"],
            "enabled": bool(number % 10),
        }
    return Bus(made)


class Turns:
    """Counts the turns of the loop while the block runs."""

    def __init__(self) -> None:
        self.count = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._turn())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        assert self._task is not None
        self._task.cancel()

    async def _turn(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


async def test_many_agents_are_read_in_slices_once_a_revision(crowded: Bus) -> None:
    """The loop turns meanwhile, and the second time nothing is read."""
    roll = Roll(Inside(crowded), Tap())
    async with Turns() as turns:
        assert await roll.count(None) == MANY + 8
        assert turns.count > MANY / 1_000
        before = turns.count
        assert await roll.count("globex") == MANY / 2 + 2
        assert turns.count - before < 3
    assert await roll.count("nobody") == 0


async def test_agents_are_found_and_go_on_after_a_name(crowded: Bus) -> None:
    """Also after one that is not there."""
    roll = Roll(Inside(crowded), Tap())
    one = await roll.find("many-00010")
    assert one is not None
    assert (one.tenant, one.roles, one.enabled) == ("acme", ("all",), False)
    assert await roll.find("many-1") is None
    assert await roll.find("zzz") is None
    sheet, places = await roll.after("acme", "many-00011")
    assert roll.at(sheet, next(places)).name == "many-00012"
    sheet, places = await roll.after(None, "zzz")
    assert list(places) == []


async def test_the_loads_of_many_subscriptions_are_summed_in_slices(
    crowded: Bus,
) -> None:
    """By agent, and by tenant."""
    for number in range(1, 1_200, 2):
        crowded.agent(f"many-{number:05d}").subscribe(f"a{number}.>", Inbox())
    crowded.agent("planner").subscribe("b.>", Inbox())
    loads = Loads(Inside(crowded))
    async with Turns() as turns:
        assert (await loads.of("globex")).subscriptions == 600
        assert turns.count > 1
    assert (await loads.of("acme")).subscriptions == 1
    assert (await loads.of(None)).subscriptions == 601
    found = await loads.now()
    assert found["acme", "planner"].subscriptions == 1
