"""Back-pressure: a record that cannot be written stops publishing, and nothing is lost."""

import asyncio

import pytest

from bus.adapters.audit import MemoryAudit
from bus.adapters.audit.log import Log
from bus.core.auditchain import Verifier
from bus.core.errors import AuditStalledError
from bus.core.limits import (
    AUDIT_BLOCK_RECORDS,
    AUDIT_FSYNC_S,
    AUDIT_PENDING_RECORDS_MAX,
    AUDIT_SEAL_RECORDS_MAX,
)
from tests.fakes.recording import StallingRecord, SteppedClock, disk_full, record


async def opened(held: StallingRecord, *, wait_s: float = 5, close_s: float = 5) -> Log:
    """Return an open log over a record that can be made to stall."""
    log = Log(held, SteppedClock(), wait_s=wait_s, close_s=close_s)
    await log.open()
    return log


def full(log: Log) -> bool:
    """Tell whether publishing must wait now."""
    return log.full


async def failing(log: Log, held: StallingRecord) -> None:
    """Make the disk full and wait until the log knows."""
    held.failing = disk_full()
    log.append(record(0))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(log.flush(), 0.05)
    assert full(log)


def verified(held: StallingRecord) -> int:
    """Return how many records stand in an unbroken chain."""
    verifier = Verifier()
    for line in held.lines:
        verifier.feed(line)
    return verifier.end().records


async def test_a_writer_that_is_behind_makes_publishing_wait() -> None:
    """Past the bound it is full; when the writer has caught up there is room."""
    held = StallingRecord()
    held.go_on.clear()
    log = await opened(held)
    number = 0
    while not full(log):
        log.append(record(number))
        number += 1
        assert number < 2 * AUDIT_PENDING_RECORDS_MAX
    assert number > AUDIT_PENDING_RECORDS_MAX
    assert log.health() == (False, f"behind by {number} records")
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await log.room()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait())
        await waiting.wait()
        held.go_on.set()
    assert not full(log)
    await log.close()
    assert verified(held) == number


async def test_a_stall_ends_the_wait_with_an_error() -> None:
    """Nobody waits forever: the bound is kept and the cause named."""
    held = StallingRecord()
    log = await opened(held, wait_s=0.05)
    await failing(log, held)
    with pytest.raises(AuditStalledError, match="No space left"):
        await log.room()
    held.failing = None
    await log.close()


async def test_a_full_disk_is_full_at_once_and_mends() -> None:
    """One failed write stops publishing; when it works again nothing is missing."""
    held = StallingRecord()
    log = await opened(held)
    await failing(log, held)
    ok, text = log.health()
    assert not ok
    assert "No space left" in text
    for number in range(1, 1000):
        log.append(record(number))
    held.failing = None
    await log.room()
    assert log.health() == (True, "writing")
    await log.close()
    assert held.attempts > 1
    assert verified(held) == 1000


async def test_flush_says_when_it_could_not() -> None:
    """What is not written is not reported as written."""
    held = StallingRecord()
    log = await opened(held, wait_s=0.05)
    held.failing = disk_full()
    log.append(record(0))
    with pytest.raises(AuditStalledError, match="not written"):
        await log.flush()
    held.failing = None
    await log.close()


async def test_close_never_hangs_and_says_what_is_lost() -> None:
    """A disk that stays full ends the close in bounded time, loudly."""
    held = StallingRecord()
    log = await opened(held, close_s=0.05)
    held.failing = disk_full()
    for number in range(3):
        log.append(record(number))
    async with asyncio.timeout(3):
        with pytest.raises(AuditStalledError, match="3 records not written"):
            await log.close()
    assert held.closed


async def test_close_does_not_wait_for_a_disk_that_hangs() -> None:
    """A write that never returns cannot keep the program."""
    held = StallingRecord()
    held.go_on.clear()
    log = await opened(held, close_s=0.05)
    log.append(record(0))
    async with asyncio.timeout(3):
        with pytest.raises(AuditStalledError, match="1 records not written"):
            await log.close()
    held.go_on.set()


async def test_a_fault_of_our_own_fails_closed() -> None:
    """Were the writer to die, publishing stops; it does not go on unrecorded."""
    held = StallingRecord()
    log = await opened(held, wait_s=0.05)
    held.broken = ValueError("a bug")
    log.append(record(0))
    with pytest.raises(AuditStalledError):
        await log.flush()
    assert full(log)
    assert not log.health()[0]
    with pytest.raises(AuditStalledError, match="a bug"):
        await log.close()


async def test_written_is_synced_within_its_time() -> None:
    """What was written is brought to disk once per interval, not per block."""
    held, clock = StallingRecord(), SteppedClock()
    log = Log(held, clock)
    await log.open()
    for number in range(5):
        log.append(record(number))
        await log.flush()
    assert held.heads == []
    clock.step(AUDIT_FSYNC_S)
    assert await asyncio.to_thread(held.synced.wait, 5)
    log.append(record(5))
    await log.flush()
    assert [head.at.records for head in held.heads] == [5]
    await log.close()
    assert [head.at.records for head in held.heads] == [5, 6]


async def test_a_writer_that_is_behind_seals_more_at_once() -> None:
    """Blocks grow with the backlog, but never past their bound."""
    held = StallingRecord()
    held.go_on.clear()
    log = await opened(held)
    for number in range(40 * AUDIT_BLOCK_RECORDS):
        log.append(record(number))
        if number % 5_000 == 0:
            await asyncio.sleep(0)
    held.go_on.set()
    await log.close()
    verifier, blocks = Verifier(), []
    for line in held.lines:
        before = verifier.mark
        verifier.feed(line)
        if line.startswith(b"{") and before is not None and verifier.mark is not None:
            blocks.append(verifier.mark.records - before.records)
    assert sum(blocks) == 40 * AUDIT_BLOCK_RECORDS
    assert AUDIT_BLOCK_RECORDS < max(blocks) <= AUDIT_SEAL_RECORDS_MAX


async def test_memory_keeps_a_bounded_number() -> None:
    """Without a file only the newest records stay."""
    log = MemoryAudit(SteppedClock(), kept=10)
    await log.open()
    for number in range(100):
        log.append(record(number))
        await log.flush()
    details = [entry.detail for entry in log.tail(1000)]
    assert details == [f"number {number}" for number in range(90, 100)]
    assert [entry.detail for entry in log.tail(1)] == ["number 99"]
    assert log.tail(0) == []
    await log.close()


async def test_a_cancelled_open_leaves_no_writer() -> None:
    """Who gives up while a long record is checked finds it free soon after."""
    held = StallingRecord()
    held.may_open.clear()
    log = Log(held, SteppedClock())
    async with asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(log.open())
        await asyncio.sleep(0.01)
        opening.cancel()
    held.may_open.set()
    assert await asyncio.to_thread(held.gone.wait, 5)
    assert full(log)


async def test_a_fault_of_our_own_while_opening_is_raised() -> None:
    """An open that failed in a way nobody foresaw is not taken for done."""
    held = StallingRecord()
    held.unopenable = ValueError("a bug")
    log = Log(held, SteppedClock())
    with pytest.raises(ValueError, match="a bug"):
        await log.open()
    assert full(log)
