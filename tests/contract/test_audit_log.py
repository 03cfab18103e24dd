"""What every audit log promises, be it a file or memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bus.adapters.audit import FileAudit, MemoryAudit, tail
from bus.adapters.audit.log import Log
from bus.core.auditrecord import Entry
from bus.core.errors import BusAlreadyStartedError, BusNotStartedError
from bus.core.limits import AUDIT_BLOCK_RECORDS, AUDIT_FLUSH_S
from bus.core.stats import AuditStats
from bus.ports import AuditLog
from tests.fakes.recording import SteppedClock, record

Look = Callable[[int], list[Entry]]


class Kept:
    """A log, its clock, and a look at what it wrote."""

    def __init__(self, log: Log, clock: SteppedClock, look: Look) -> None:
        self.log = log
        self.clock = clock
        self._look = look

    def full(self) -> bool:
        """Tell whether publishing must wait now."""
        return self.log.full

    async def last(self, count: int) -> list[Entry]:
        """Return the last records that were written."""
        return await asyncio.to_thread(self._look, count)


@pytest.fixture(params=["file", "memory"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """Give one log of each sort, not yet open."""
    clock = SteppedClock()
    if request.param == "file":
        path = tmp_path / "audit.jsonl"
        yield Kept(FileAudit(path, clock), clock, lambda count: tail(path, count))
    else:
        memory = MemoryAudit(clock)
        yield Kept(memory, clock, memory.tail)


async def test_all_that_was_appended_is_written_in_order(kept: Kept) -> None:
    """Nothing is lost between append and close, whatever the batch."""
    port: AuditLog = kept.log
    await port.open()
    total = 3 * AUDIT_BLOCK_RECORDS + 7
    for number in range(total):
        port.append(record(number))
    await port.close()
    assert port.stats() == AuditStats(appended=total, written=total, pending=0)
    details = [entry.detail for entry in await kept.last(total)]
    assert details == [f"number {number}" for number in range(total)]


async def test_an_entry_says_what_the_record_said(kept: Kept) -> None:
    """Ids and stamps are read in hex, the rest as it was given."""
    await kept.log.open()
    kept.log.append(record(7, "denied", 'not "yours"\n'))
    await kept.log.close()
    assert await kept.last(1) == [
        Entry(
            event="denied",
            time_ns=record(7)[1],
            id=f"{7:032x}",
            tenant="acme",
            agent="planner",
            subject="orders.created",
            revision="r1",
            detail='not "yours"\n',
            stamp="00" * 20,
        )
    ]


async def test_a_lone_record_is_written_when_its_time_has_come(kept: Kept) -> None:
    """Under low load nobody has to wait for a block to fill."""
    await kept.log.open()
    kept.log.append(record(1))
    assert kept.log.stats().pending == 1
    kept.clock.step(AUDIT_FLUSH_S)
    await kept.log.flush()
    assert kept.log.stats() == AuditStats(appended=1, written=1, pending=0)
    await kept.log.close()


async def test_a_quiet_log_keeps_no_timer(kept: Kept) -> None:
    """Once all is safe, nothing wakes until the next record."""
    await kept.log.open()
    kept.log.append(record(1))
    for _ in range(3):
        kept.clock.step(1)
    assert kept.clock.waiting == 0
    kept.log.append(record(2))
    assert kept.clock.waiting == 1
    await kept.log.close()
    assert kept.clock.waiting == 0


async def test_a_record_json_cannot_carry_is_written_all_the_same(kept: Kept) -> None:
    """Half a surrogate or a monstrous text is escaped or cut, and says so."""
    await kept.log.open()
    kept.log.append(record(1, detail="odd \ud800 text"))
    kept.log.append(record(2, detail="x" * (2 << 20)))
    kept.log.append(record(3))
    await kept.log.close()
    odd, long, plain = await kept.last(3)
    assert odd.detail == "odd \\ud800 text"
    assert long.detail.endswith(f"(cut, was {2 << 20} characters)")
    assert len(long.detail) < 20_000
    assert plain.detail == "number 3"


async def test_a_log_that_is_not_open_refuses_records(kept: Kept) -> None:
    """A record is never taken where nothing will write it."""
    with pytest.raises(BusNotStartedError):
        kept.log.append(record(1))
    with pytest.raises(BusNotStartedError):
        await kept.log.flush()
    assert kept.full()
    await kept.log.open()
    assert not kept.full()
    await kept.log.close()
    with pytest.raises(BusNotStartedError):
        kept.log.append(record(1))
    assert kept.full()
    assert kept.log.stats() == AuditStats()


async def test_a_log_opens_once_and_closes_often(kept: Kept) -> None:
    """A second open is an error of the host, a second close is none."""
    await kept.log.close()
    await kept.log.open()
    with pytest.raises(BusAlreadyStartedError):
        await kept.log.open()
    await kept.log.close()
    await kept.log.close()


async def test_health_follows_the_log(kept: Kept) -> None:
    """Readiness needs an open log."""
    assert kept.log.health() == (False, "not open")
    await kept.log.open()
    assert kept.log.health() == (True, "writing")
    await kept.log.close()
    assert kept.log.health() == (False, "not open")


async def test_room_is_there_at_once_when_it_is_not_full(kept: Kept) -> None:
    """Waiting for room costs nothing where there is some."""
    await kept.log.open()
    await kept.log.room()
    await kept.log.close()
