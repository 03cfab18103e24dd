"""When a part of the bus itself breaks: loud, and nothing more is taken."""

import asyncio

import pytest

from bus.core.errors import BusNotStartedError
from bus.host import Phase
from tests.fakes.buses import Inbox, PartsBus, new_bus
from tests.fakes.busparts import ListAudit


async def test_a_worker_that_cannot_record_stops_the_bus_and_says_why() -> None:
    """Delivered and unrecorded may not go on; leaving the block raises the cause."""
    audit = ListAudit()
    bus = PartsBus(audit=audit)

    async def run() -> None:
        async with asyncio.timeout(5), bus:
            bus.agent("worker").subscribe("a", Inbox())
            audit.refuse = lambda record: (
                RuntimeError("bug in the log") if record[0] == "delivered" else None
            )
            await bus.agent("planner").publish("a", 1)
            await bus.settle()
            audit.refuse = lambda _: None
            assert not bus.running
            with pytest.raises(BusNotStartedError, match="bug in the log"):
                await bus.agent("planner").publish("a", 2)

    with pytest.raises(RuntimeError, match="bug in the log"):
        await run()
    assert bus.phase is Phase.CLOSED


async def test_a_handler_that_will_not_end_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The bus closes without it, and says whose it is."""
    release = asyncio.Event()

    async def stubborn(_: int) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with asyncio.timeout(8), new_bus() as bus:
        bus.agent("worker").subscribe("a", stubborn)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        await bus.close(drain=0)
        assert bus.phase is Phase.CLOSED
        assert "worker/a" in caplog.text
        release.set()
        await bus.settle()
        assert len(bus.dead_letters) == 1
