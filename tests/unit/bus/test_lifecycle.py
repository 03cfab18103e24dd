"""Before the start and after the stop the bus takes nothing, and says so."""

import asyncio

import pytest

from bus.core.errors import (
    BusAlreadyStartedError,
    BusNotStartedError,
    ConfigurationError,
)
from bus.host import Phase
from tests.fakes.buses import Background, Inbox, PartsBus, new_bus
from tests.fakes.busparts import ListAudit


async def test_before_the_start_nothing_is_taken() -> None:
    """The error says what to do."""
    bus = new_bus()
    assert (bus.running, bus.phase) == (False, Phase.NEW)
    planner = bus.agent("planner")
    for call in (planner.publish, planner.broadcast, planner.request):
        with pytest.raises(BusNotStartedError, match="async with"):
            await call("a", 1)
    with pytest.raises(BusNotStartedError):
        await planner.publish_many([("a", 1)])


async def test_after_the_stop_nothing_is_taken() -> None:
    """Publishing, requesting and subscribing raise."""
    async with new_bus() as bus:
        planner = bus.agent("planner")
        assert (bus.running, bus.phase) == (True, Phase.RUNNING)
    assert (bus.running, bus.phase) == (False, Phase.CLOSED)
    for call in (planner.publish, planner.broadcast, planner.request):
        with pytest.raises(BusNotStartedError, match="closed"):
            await call("a", 1)
    with pytest.raises(BusNotStartedError):
        planner.subscribe("a", Inbox())


async def test_a_bus_starts_once() -> None:
    """Neither twice at once nor again after its end."""
    async with new_bus() as bus:
        with pytest.raises(BusAlreadyStartedError):
            await bus.__aenter__()
    with pytest.raises(BusAlreadyStartedError):
        await bus.__aenter__()


async def test_a_subscription_made_before_the_start_receives() -> None:
    """Handlers may be added first."""
    bus = new_bus()
    inbox = Inbox()
    bus.subscriber("a", agent="worker")(inbox)
    async with bus:
        await bus.agent("planner").publish("a", 1)
    assert inbox.done == [1]


async def test_a_start_that_fails_leaves_nothing_running() -> None:
    """The audit cannot be opened: the error comes through, and no task is left."""

    class Broken(ListAudit):
        async def open(self) -> None:
            raise ConfigurationError("the disk is read-only")

    bus = PartsBus(audit=Broken())
    before = asyncio.all_tasks()
    with pytest.raises(ConfigurationError, match="read-only"):
        await bus.__aenter__()
    assert bus.phase is Phase.NEW
    assert asyncio.all_tasks() == before


async def test_while_draining_the_outside_is_refused() -> None:
    """Only handlers may still publish."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        await planner.publish("a", 1)
        await bus.settle()
        closing = background.run(bus.close(drain=2))
        await bus.settle()
        assert bus.phase is Phase.DRAINING
        with pytest.raises(BusNotStartedError, match="draining"):
            await planner.publish("a", 2)
        inbox.gate.set()
        assert await closing == 0


async def test_an_error_in_the_block_comes_through_and_the_bus_closes() -> None:
    """The program's own error is not wrapped and not lost."""
    with pytest.raises(KeyError, match="mine"):
        async with new_bus() as bus:
            raise KeyError("mine")
    assert bus.phase is Phase.CLOSED


async def test_no_task_outlives_the_bus() -> None:
    """Whatever it started has ended."""
    before = asyncio.all_tasks()
    async with new_bus() as bus:
        bus.agent("worker").subscribe(">", Inbox(), max_in_flight=4)
        await bus.agent("planner").publish_many([("a", n) for n in range(20)])
        await bus.settle()
    assert asyncio.all_tasks() == before


async def test_health_tells_how_it_stands() -> None:
    """Running and policy and audit and the whole, each with a word."""
    async with new_bus() as bus:
        await bus.settle()
        assert {name: good for name, (good, _) in bus.health().items()} == {
            "bus running": True,
            "policy loaded": True,
            "audit not stalled": True,
            "standing": True,
        }
    assert bus.health()["bus running"] == (False, "closed")


async def test_closing_a_bus_that_never_started_does_nothing() -> None:
    """And it may still be started."""
    bus = new_bus()
    assert await bus.close() == 0
    async with bus:
        assert bus.running
