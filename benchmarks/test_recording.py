"""What recording adds to a message: an audit append, and a metering add."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bus.adapters.audit import FileAudit, MemoryAudit, verify
from bus.adapters.audit.log import Log
from bus.adapters.clock import SystemClock
from bus.adapters.usage import MemoryUsage
from bus.core import auditrecord
from bus.core.limits import AUDIT_BLOCK_RECORDS
from bus.metering import UsageMeter
from bus.ports import AuditRecord

RECORDS = 10_000
NOW_NS = 1_700_000_000_000_000_000


def _records() -> list[AuditRecord]:
    return [
        (
            "accepted",
            NOW_NS + number,
            number.to_bytes(16, "big"),
            "tenant-a",
            "agent-17",
            "survey.files.python",
            "0123456789abcdef",
            "",
            number.to_bytes(20, "big"),
        )
        for number in range(RECORDS)
    ]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give a loop that the benchmark turns itself, between its rounds."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_audit_append(
    benchmark: BenchmarkFixture,
    loop: asyncio.AbstractEventLoop,
    tmp_path: Path,
    kind: str,
) -> None:
    """The loop's share for 10,000 records: append, encode and hand over."""
    path = tmp_path / "audit.jsonl"
    clock = SystemClock()
    log: Log = FileAudit(path, clock) if kind == "file" else MemoryAudit(clock)
    loop.run_until_complete(log.open())
    records = _records()

    async def appended() -> None:
        append = log.append
        for record in records:
            append(record)

    def drain() -> tuple[tuple[()], dict[str, object]]:
        loop.run_until_complete(log.flush())
        return (), {}

    benchmark.extra_info["per"] = f"{RECORDS} records"
    benchmark.pedantic(  # type: ignore[no-untyped-call]  # the library has no types
        lambda: loop.run_until_complete(appended()), setup=drain, rounds=30
    )
    loop.run_until_complete(log.close())
    if log.stats().pending or (
        kind == "file" and verify(path).records != log.stats().written
    ):
        pytest.fail("records are missing")


def test_audit_sustained(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The whole way of 100,000 records: appended, sealed, written and synced."""

    async def run() -> None:
        log = FileAudit(tmp_path / f"{time.perf_counter_ns()}.jsonl", SystemClock())
        await log.open()
        for record in records:
            log.append(record)
            if log.full:
                await log.room()
        await log.close()

    records = _records() * 10
    benchmark.extra_info["per"] = f"{len(records)} records"
    benchmark.pedantic(lambda: asyncio.run(run()), rounds=5)  # type: ignore[no-untyped-call]  # the library has no types


def test_audit_encode(benchmark: BenchmarkFixture) -> None:
    """A block of records to JSON lines, which is the floor of an append."""
    records = _records()[:AUDIT_BLOCK_RECORDS]
    benchmark.extra_info["per"] = f"{AUDIT_BLOCK_RECORDS} records"
    if len(benchmark(auditrecord.encode, records).splitlines()) != len(records):
        pytest.fail("records are missing")


def test_meter_add(benchmark: BenchmarkFixture) -> None:
    """What a publish pays: find the cell and add to it, 10,000 times."""
    meter = UsageMeter([MemoryUsage()], SystemClock())

    def add() -> None:
        for _ in range(RECORDS):
            cell = meter.cell("tenant-a", "agent-17", "agent_message")
            cell.events += 1
            cell.body_bytes += 220

    benchmark.extra_info["per"] = f"{RECORDS} messages"
    benchmark(add)
    if meter.stats().sent % RECORDS or not meter.stats().sent:
        pytest.fail("events are missing")


def test_meter_add_to_a_kept_cell(benchmark: BenchmarkFixture) -> None:
    """What a publish pays that keeps its cell."""
    meter = UsageMeter([MemoryUsage()], SystemClock())
    cell = meter.cell("tenant-a", "agent-17", "agent_message")

    def add() -> None:
        for _ in range(RECORDS):
            cell.events += 1
            cell.body_bytes += 220

    benchmark.extra_info["per"] = f"{RECORDS} messages"
    benchmark(add)
    if meter.stats().sent % RECORDS or not meter.stats().sent:
        pytest.fail("events are missing")
