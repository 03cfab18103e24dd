"""Whole paths of a running bus, and the pieces of them that nothing else measures.

A bus needs its loop, so one round of a path is a run of the loop that carries `CALLS`
messages from the call to the end of the handler: divide by CALLS.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bus.app import Bus
from bus.cli.measures.load import COLLECTOR, Task, policy_data, task
from bus.core.ids import IdSource
from bus.core.message import Message, Priority
from processors import registry

CALLS = 640
TURN = 64
SUBJECT = "0.tasks.000"
NOW_NS = 1_800_000_000_000_000_000
STAGES: dict[str, dict[str, Any]] = {
    "rate_limit": {"per": "agent", "rate_per_s": 1e7, "burst": 10_000_000},
    "redact": {"headers": ["authorization"]},
    "enrich": {"headers": {"region": "north"}},
}


class Running:
    """A bus that runs on a loop of its own, which stands still between the rounds."""

    def __init__(self, bus: Bus, loop: asyncio.AbstractEventLoop) -> None:
        self.bus = bus
        self.agent = bus.agent(COLLECTOR)
        self.loop = loop
        self.arrived = 0
        self.all_in = asyncio.Event()

    async def handle(self, _: bytes) -> None:
        """Count a message."""
        self.arrived += 1
        if self.arrived == CALLS:
            self.all_in.set()

    def measure(
        self, benchmark: BenchmarkFixture, call: Callable[[], Awaitable[None]]
    ) -> None:
        """Measure runs of the loop."""

        async def once() -> None:
            await call()

        benchmark(lambda: self.loop.run_until_complete(once()))

    async def arrival(self) -> None:
        """Wait until all of a round have arrived."""
        await self.all_in.wait()
        self.arrived = 0
        self.all_in.clear()


@pytest.fixture
def running() -> Iterator[Running]:
    """Return a running bus; afterwards nothing may be left of what went through."""
    with asyncio.Runner() as runner:
        loop, bus = runner.get_loop(), Bus(policy_data())
        opened, closing = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with bus:
                opened.set()
                await closing.wait()

        held = loop.create_task(hold())
        loop.run_until_complete(opened.wait())
        yield Running(bus, loop)
        closing.set()
        loop.run_until_complete(held)
    stats = bus.stats()
    lost = sum(s.accepted - s.delivered for s in stats.subjects)
    if lost or stats.audit.pending or stats.meter.dropped:
        pytest.fail(f"not everything arrived: {stats}")


async def echo(body: Task) -> Task:
    """Answer with what was asked."""
    return body


def test_publish_to_a_handler(benchmark: BenchmarkFixture, running: Running) -> None:
    agent, body = running.agent, task()
    agent.subscribe(">", running.handle)

    async def publish() -> None:
        for number in range(CALLS):
            (await agent.publish(SUBJECT, body)).unwrap()
            if number % TURN == 0:
                await asyncio.sleep(0)
        await running.arrival()

    running.measure(benchmark, publish)


def test_publish_many_to_a_handler(
    benchmark: BenchmarkFixture, running: Running
) -> None:
    agent, items = running.agent, [(SUBJECT, task())] * TURN
    agent.subscribe(">", running.handle)

    async def publish() -> None:
        for _ in range(CALLS // TURN):
            for outcome in await agent.publish_many(items):
                outcome.unwrap()
            await asyncio.sleep(0)
        await running.arrival()

    running.measure(benchmark, publish)


def test_request(benchmark: BenchmarkFixture, running: Running) -> None:
    agent, body = running.agent, task()
    agent.subscribe(SUBJECT, echo)

    async def request() -> None:
        for _ in range(CALLS):
            await agent.request(SUBJECT, body, returns=Task)

    running.measure(benchmark, request)


def test_subscribe_and_unsubscribe(
    benchmark: BenchmarkFixture, running: Running
) -> None:
    agent = running.agent

    async def subscribe() -> None:
        for _ in range(CALLS):
            await agent.unsubscribe(agent.subscribe(SUBJECT, running.handle))

    running.measure(benchmark, subscribe)


@pytest.mark.parametrize("name", STAGES)
def test_stage(benchmark: BenchmarkFixture, name: str) -> None:
    stage = registry.stage(name, STAGES[name])
    message = Message(
        id=IdSource(bytes(8)).next(NOW_NS),
        subject=SUBJECT,
        type="event",
        priority=Priority.NORMAL.value,
        tenant="bench",
        sender=COLLECTOR,
        content_type="application/octet-stream",
        body=bytes(220),
        created_ns=NOW_NS,
        constitution="0123456789abcdef",
        revision="0123456789abcdef",
    )
    made = benchmark(stage.process, message, NOW_NS)
    if not isinstance(made, Message):
        pytest.fail(f"the stage ended the message: {made!r}")
