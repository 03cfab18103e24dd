"""Counts usage in cells and hands it to sinks beside the flow.

Rule: sent = metered + dropped + pending, exactly, at all times. A publish only adds
to a cell. While a sink is slow or fails, its batches wait; past the bound the counts
stay in their cells, so their windows grow and nothing is dropped. Dropped is only
what comes past METER_CELLS_MAX cells, after `close`, or finds no sink at `close`.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from bus.core.errors import ConfigurationError, UsageError
from bus.core.limits import (
    METER_BATCH_RECORDS,
    METER_CELLS_MAX,
    METER_CELLS_PER_TURN,
    METER_CLOSE_ATTEMPTS,
    METER_CLOSE_S,
    METER_FLUSH_S,
    METER_QUEUE_MAX,
    METER_RETRY_S,
    METER_SINK_S,
)
from bus.core.stats import MeterStats
from bus.metering.usage import OPERATIONS, Cell, UsageBatch, UsageRecord, UsageSink
from bus.ports import Clock

Key = tuple[str, str, str]


class UsageMeter:
    """Meters into `sinks`; each batch goes to every sink, one after the other."""

    def __init__(
        self,
        sinks: Sequence[UsageSink],
        clock: Clock,
        *,
        cells_max: int = METER_CELLS_MAX,
        queue_max: int = METER_QUEUE_MAX,
        close_s: float = METER_CLOSE_S,
    ) -> None:
        if not sinks:
            raise ConfigurationError("a meter needs a sink to hand usage to")
        self._sinks: Final = tuple(sinks)
        self._clock: Final = clock
        self._cells_max: Final = cells_max
        self._queue_max: Final = queue_max
        self._close_s: Final = close_s
        self._cells: dict[Key, Cell] = {}
        self._order: list[tuple[Key, Cell]] = []  # the same, to walk while it grows
        self._cursor = 0  # the cell whose turn it is
        self._overflow: Final = Cell()
        self._open: list[UsageRecord] = []  # the batch being made
        self._queue: deque[UsageBatch] = deque()
        self._waiting = 0  # records out of their cells that no sink has taken
        self._queued = 0  # their events
        self._taken = 0  # sinks that have taken the first batch of the queue
        self._number = 0
        self._metered = 0
        self._dropped = 0
        self._closed = False
        self._error: Exception | None = None
        self._filled = asyncio.Event()

    def cell(self, tenant: str, agent: str, operation: str) -> Cell:
        """Return the cell to add to; the same one for the same arguments.

        Past the bound on cells all share one, whose events count as dropped.

        Raises:
            UsageError: no operation of OPERATIONS.
        """
        key = (tenant, agent, operation)
        cell = self._cells.get(key)
        if cell is not None:
            return cell
        if operation not in OPERATIONS:
            raise UsageError(f"operation {operation!r} is not metered")
        if len(self._cells) >= self._cells_max:
            return self._overflow
        cell = self._cells[key] = Cell(since_ns=self._clock.now_ns())
        self._order.append((key, cell))
        return cell

    async def run(self) -> None:
        """Hand usage to the sinks until cancelled; a batch under way is kept."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._collect_always())
            tasks.create_task(self._hand_over_always())

    async def close(self) -> None:
        """Hand over what is left, in bounded time; what no sink takes is dropped.

        `run` must have ended. Afterwards sent = metered + dropped.
        """
        if self._closed:
            return
        try:
            async with asyncio.timeout(self._close_s):
                await self._hand_over_rest()
        except TimeoutError as error:
            self._error = error
        finally:
            self._closed = True
            self._dropped += self._queued
            self._queued = 0
            self._queue.clear()
            self._open.clear()

    def stats(self) -> MeterStats:
        """Return the counts since the start."""
        live = sum(cell.events for cell in self._cells.values())
        dropped = self._dropped + self._overflow.events
        pending = live + self._queued
        if self._closed:  # whatever is added now, nobody collects
            dropped, pending = dropped + pending, 0
        return MeterStats(
            sent=self._metered + dropped + pending,
            metered=self._metered,
            dropped=dropped,
            pending=pending,
        )

    def health(self) -> tuple[bool, str]:
        """Tell whether the sinks take usage, and if not, why."""
        if self._error is not None:
            return False, f"{type(self._error).__name__}: {self._error}"
        return True, f"{self._queued} events waiting"

    async def _collect_always(self) -> None:
        while True:
            await self._pause(METER_FLUSH_S)
            left = len(self._order)
            while left > 0 and self._collect(min(left, METER_CELLS_PER_TURN)):
                left -= METER_CELLS_PER_TURN
                await asyncio.sleep(0)
            self._end_batch()

    async def _hand_over_always(self) -> None:
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            if not await self._hand_over():
                await self._pause(METER_RETRY_S)

    async def _hand_over_rest(self) -> None:
        rounds = len(self._order) // self._queue_max + 1
        for _ in range(rounds):
            self._collect(len(self._order))
            self._end_batch()
            attempts = 0
            while self._queue and attempts < METER_CLOSE_ATTEMPTS:
                attempts = 0 if await self._hand_over() else attempts + 1

    def _collect(self, cells: int) -> bool:
        """Swap the counts of the next cells out; False if the bound was reached."""
        now_ns = self._clock.now_ns()
        for _ in range(cells):
            if self._waiting >= self._queue_max:
                return False
            self._cursor %= len(self._order)
            key, cell = self._order[self._cursor]
            self._cursor += 1
            if cell.events:
                self._take(key, cell, now_ns)
            cell.since_ns = now_ns
        return True

    def _take(self, key: Key, cell: Cell, now_ns: int) -> None:
        tenant, agent, operation = key
        record = UsageRecord(
            tenant=tenant,
            agent=agent,
            operation=operation,
            events=cell.events,
            body_bytes=cell.body_bytes,
            start_ns=cell.since_ns,
            end_ns=now_ns,
        )
        self._waiting += 1
        self._queued += cell.events
        cell.events = cell.body_bytes = 0
        self._open.append(record)
        if len(self._open) >= METER_BATCH_RECORDS:
            self._end_batch()

    def _end_batch(self) -> None:
        if self._open:
            self._number += 1
            self._queue.append(UsageBatch(self._number, tuple(self._open)))
            self._open.clear()
            self._filled.set()

    async def _hand_over(self) -> bool:
        """Give the oldest batch to the sinks that have not taken it; False if one failed."""
        batch = self._queue[0]
        try:
            while self._taken < len(self._sinks):
                async with asyncio.timeout(METER_SINK_S):
                    await self._sinks[self._taken].write(batch)
                self._taken += 1
        except Exception as error:  # noqa: BLE001 - a sink may raise anything; health tells
            self._error = error
            return False
        self._error = None
        self._taken = 0
        self._queue.popleft()
        self._waiting -= len(batch.records)
        self._queued -= batch.events
        self._metered += batch.events
        return True

    async def _pause(self, seconds: float) -> None:
        over = asyncio.Event()
        timer = self._clock.call_after(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()
