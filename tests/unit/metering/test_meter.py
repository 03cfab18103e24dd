"""Usage is counted exactly, and a sink's troubles are its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings, strategies as st

from bus.adapters.usage import MemoryUsage
from bus.core.errors import ConfigurationError, UsageError
from bus.core.limits import METER_BATCH_RECORDS, METER_FLUSH_S, METER_RETRY_S
from bus.core.stats import MeterStats
from bus.metering import OPERATIONS, UsageBatch, UsageMeter
from bus.ports import Meter
from tests.fakes.recording import NOW_NS, SteppedClock


class Sink:
    """Keeps batches; `failures` writes raise first, `held` keeps one waiting."""

    name = "fake"

    def __init__(self) -> None:
        self.batches: list[UsageBatch] = []
        self.failures = 0
        self.calls = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def write(self, batch: UsageBatch) -> None:
        """Take a batch, or do as told."""
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise OSError("no route to the sink")
        await self.go_on.wait()
        self.batches.append(batch)

    @property
    def events(self) -> int:
        """Events in all batches taken."""
        return sum(batch.events for batch in self.batches)


@contextlib.asynccontextmanager
async def running(meter: UsageMeter) -> AsyncIterator[None]:
    """Run a meter beside the test, then cancel it."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(meter.run())
        await settle()
        try:
            yield
        finally:
            task.cancel()


async def settle() -> None:
    """Let everything that can run do so."""
    for _ in range(50):
        await asyncio.sleep(0)


def use(meter: Meter, agent: str, events: int, body_bytes: int = 10) -> None:
    """Count as a publish does."""
    cell = meter.cell("acme", agent, "agent_message")
    for _ in range(events):
        cell.events += 1
        cell.body_bytes += body_bytes


async def test_what_was_used_reaches_the_sink_each_interval() -> None:
    """Counts, bytes and the window are in the record."""
    sink, clock = Sink(), SteppedClock()
    meter = UsageMeter([sink], clock)
    async with running(meter):
        use(meter, "planner", 3)
        assert sink.batches == []
        clock.step(METER_FLUSH_S)
        await settle()
        (record,) = sink.batches[0].records
        assert (record.tenant, record.agent) == ("acme", "planner")
        assert (record.operation, record.events) == ("agent_message", 3)
        assert record.body_bytes == 30
        assert (record.start_ns, record.end_ns) == (NOW_NS, clock.now)
        use(meter, "planner", 2)
        clock.step(METER_FLUSH_S)
        await settle()
    assert sink.batches[1].records[0].start_ns == record.end_ns
    assert meter.stats() == MeterStats(sent=5, metered=5, dropped=0, pending=0)


async def test_the_same_arguments_give_the_same_cell() -> None:
    """A publisher may keep its cell."""
    meter = UsageMeter([Sink()], SteppedClock())
    one = meter.cell("acme", "planner", "agent_message")
    assert meter.cell("acme", "planner", "agent_message") is one
    assert meter.cell("acme", "worker", "agent_message") is not one


async def test_nothing_used_is_nothing_sent() -> None:
    """An idle agent costs a sink nothing."""
    sink, clock = Sink(), SteppedClock()
    meter = UsageMeter([sink], clock)
    meter.cell("acme", "planner", "agent_message")
    async with running(meter):
        clock.step(METER_FLUSH_S)
        await settle()
    assert sink.calls == 0


async def test_an_unknown_operation_is_refused() -> None:
    """Operations have one vocabulary."""
    meter = UsageMeter([Sink()], SteppedClock())
    with pytest.raises(UsageError, match="agent_massage"):
        meter.cell("acme", "planner", "agent_massage")
    for operation in OPERATIONS:
        meter.cell("acme", "planner", operation)


def test_a_meter_without_a_sink_is_refused() -> None:
    """Counting into nowhere is not metering."""
    with pytest.raises(ConfigurationError):
        UsageMeter([], SteppedClock())


async def test_past_the_bound_on_cells_usage_is_dropped_and_counted() -> None:
    """One agent too many shares a cell that is never handed over."""
    sink = Sink()
    meter = UsageMeter([sink], SteppedClock(), cells_max=2)
    for agent in ("a", "b", "c", "d"):
        use(meter, agent, 5)
    assert meter.stats() == MeterStats(sent=20, metered=0, dropped=10, pending=10)
    await meter.close()
    assert meter.stats() == MeterStats(sent=20, metered=10, dropped=10, pending=0)


async def test_a_slow_sink_drops_nothing_and_holds_nobody_up() -> None:
    """Past the bound on waiting records the counts stay in their cells."""
    sink, clock = Sink(), SteppedClock()
    sink.go_on.clear()
    meter = UsageMeter([sink], clock, queue_max=3)
    async with running(meter):
        for _ in range(5):
            for agent in ("a", "b"):
                use(meter, agent, 1)
            clock.step(METER_FLUSH_S)
            await settle()
        assert meter.stats() == MeterStats(sent=10, metered=0, dropped=0, pending=10)
        sink.go_on.set()
        for _ in range(3):
            clock.step(METER_FLUSH_S)
            await settle()
    assert meter.stats() == MeterStats(sent=10, metered=10, dropped=0, pending=0)
    assert sink.events == 10


async def test_a_failing_sink_is_tried_again_and_takes_each_batch_once() -> None:
    """Nothing is lost by a failure, nothing counted twice, and health tells."""
    sink, clock = Sink(), SteppedClock()
    sink.failures = 2
    meter = UsageMeter([sink], clock)
    async with running(meter):
        use(meter, "planner", 3)
        clock.step(METER_FLUSH_S)
        await settle()
        assert meter.health() == (False, "OSError: no route to the sink")
        for _ in range(2):
            clock.step(METER_RETRY_S)
            await settle()
    assert sink.calls == 3
    assert sink.events == 3
    assert meter.health() == (True, "0 events waiting")


async def test_a_sink_that_took_a_batch_is_not_sent_it_for_anothers_failure() -> None:
    """Each sink gets each batch once, though one of them fails."""
    good, bad, clock = Sink(), Sink(), SteppedClock()
    bad.failures = 1
    meter = UsageMeter([good, bad], clock)
    async with running(meter):
        use(meter, "planner", 3)
        clock.step(METER_FLUSH_S)
        await settle()
        clock.step(METER_RETRY_S)
        await settle()
    assert (good.calls, good.events, bad.events) == (1, 3, 3)


async def test_close_hands_over_what_is_left() -> None:
    """More than one batch, and more than the bound on waiting records."""
    sink = Sink()
    meter = UsageMeter([sink], SteppedClock(), queue_max=150)
    for number in range(4 * METER_BATCH_RECORDS):
        use(meter, f"agent-{number}", 2)
    await meter.close()
    total = 8 * METER_BATCH_RECORDS
    assert meter.stats() == MeterStats(sent=total, metered=total)
    assert sink.events == total
    assert max(len(batch.records) for batch in sink.batches) == METER_BATCH_RECORDS
    assert [batch.number for batch in sink.batches] == list(
        range(1, len(sink.batches) + 1)
    )


async def test_close_drops_and_counts_what_no_sink_takes() -> None:
    """A dead sink does not keep the program."""
    sink = Sink()
    sink.failures = 1_000
    meter = UsageMeter([sink], SteppedClock())
    use(meter, "planner", 3)
    await meter.close()
    assert meter.stats() == MeterStats(sent=3, metered=0, dropped=3, pending=0)


async def test_close_does_not_wait_for_a_sink_that_hangs() -> None:
    """The wait is bounded, and what hung is dropped and counted."""
    sink = Sink()
    sink.go_on.clear()
    meter = UsageMeter([sink], SteppedClock(), close_s=0.02)
    use(meter, "planner", 3)
    async with asyncio.timeout(3):
        await meter.close()
        await meter.close()
    assert meter.stats() == MeterStats(sent=3, metered=0, dropped=3, pending=0)
    assert meter.health()[0] is False


async def test_what_comes_after_close_is_dropped_and_counted() -> None:
    """Pending stays 0 for good."""
    meter = UsageMeter([Sink()], SteppedClock())
    use(meter, "planner", 3)
    await meter.close()
    use(meter, "planner", 2)
    assert meter.stats() == MeterStats(sent=5, metered=3, dropped=2, pending=0)


async def test_a_cancelled_run_keeps_the_batch_under_way() -> None:
    """Stopping in the middle of a write sends the batch again at close."""
    sink, clock = Sink(), SteppedClock()
    sink.go_on.clear()
    meter = UsageMeter([sink], clock)
    async with running(meter):
        use(meter, "planner", 3)
        clock.step(METER_FLUSH_S)
        await settle()
        assert sink.calls == 1
    assert meter.stats().pending == 3
    sink.go_on.set()
    await meter.close()
    assert meter.stats() == MeterStats(sent=3, metered=3)
    assert sink.events == 3


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 7), st.integers(1, 50)),
        st.tuples(st.just("fail"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("step"), st.integers(1, 3), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(actions=ACTIONS, cells_max=st.integers(1, 8), queue_max=st.integers(1, 5))
async def test_whatever_happens_it_reconciles(
    actions: list[tuple[str, int, int]], cells_max: int, queue_max: int
) -> None:
    """After every step sent = metered + dropped + pending, and the sinks agree."""
    flaky, totals, clock = Sink(), MemoryUsage(), SteppedClock()
    meter = UsageMeter([totals, flaky], clock, cells_max=cells_max, queue_max=queue_max)
    sent = 0

    def reconciled() -> MeterStats:
        stats = meter.stats()
        assert stats.sent == sent
        assert stats.sent == stats.metered + stats.dropped + stats.pending
        assert min(stats.metered, stats.dropped, stats.pending) >= 0
        return stats

    async with running(meter):
        for action, number, events in actions:
            if action == "use":
                use(meter, f"agent-{number}", events)
                sent += events
            elif action == "fail":
                flaky.failures += number
            else:
                clock.step(number)
                await settle()
            reconciled()
    await meter.close()
    stats = reconciled()
    assert stats.pending == 0
    assert stats.metered == flaky.events
    taken = sum(total.events for total in totals.totals.values())
    assert stats.metered <= taken <= stats.sent
