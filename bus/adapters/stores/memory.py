"""In-memory store: keeps what every store keeps, until the process ends.

Rule: submissions and cuts wait in one queue, which a step of the loop carries out in
order; nothing is carried out, and nobody is told, from within a call.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import TypeVar

import msgspec

from bus.adapters.stores.tables import Tables
from bus.core.changes import (
    Append,
    Bounds,
    Change,
    Contents,
    DeliveryRow,
    DueRow,
    Letter,
    Trimmed,
)
from bus.core.entries import SEQUENCE_MAX, key_of
from bus.core.errors import StoreUnavailableError
from bus.core.stats import StoreStats
from bus.core.storelimits import (
    STORE_BATCH_CHANGES_MAX,
    STORE_PAGE_BYTES_MAX,
    STORE_PAGE_ROWS_MAX,
    STORE_PENDING_BYTES_MAX,
    STORE_PENDING_CHANGES_MAX,
)
from bus.ports import Clock
from bus.storing import Done

T = TypeVar("T")


class MemoryStore:
    """`bus.ports.Store` in plain structures: all its promises but durability.

    What it holds outlives `close`, and is there when it is opened again. It never
    fails: room comes with the next turns of the loop.
    """

    def __init__(self, clock: Clock) -> None:
        self.full = False
        self._clock = clock
        self._tables = Tables()
        self._queue: deque[tuple[Callable[[], None], int, int]] = deque()
        self._stepping = False
        self._pending = 0
        self._pending_bytes = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._open = False
        self._clean = True
        self._epoch = 0
        self._stats = StoreStats()

    def submit(self, changes: Sequence[Change], done: Done) -> None:
        """Take a submission, as the port says."""
        if not self._open:
            self._enqueue(partial(done, _closed()), 0, 0)
            return
        own = tuple(changes)
        self._enqueue(partial(self._keep, own, done), len(own), sum(map(_size, own)))

    async def room(self) -> None:
        """Wait until it is not full."""
        while self.full:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)

    async def trim(self, stream: int, bounds: Bounds) -> Trimmed:
        """Cut a stream in its turn, as the port says."""
        self._check_open()
        cut: asyncio.Future[Trimmed] = asyncio.get_running_loop().create_future()
        self._enqueue(partial(self._cut, stream, bounds, cut), 1, 0)
        return await cut

    async def deliveries(
        self, consumer: int, after: int, limit: int
    ) -> list[DeliveryRow]:
        """Return a consumer's pending deliveries, as the port says."""
        self._check_open()
        rows, entry = self._tables.pending.get(consumer), self._tables.entry
        if rows is None:
            return []
        found = [
            DeliveryRow(consumer, number, *rows[number], entry(rows[number][0]))
            for number in rows.above(after, _most(limit))
        ]
        return _page(found, lambda row: row.entry)

    async def due(self, until_ns: int, limit: int) -> list[DueRow]:
        """Return deliveries whose time has come, as the port says."""
        self._check_open()
        rows, entry = self._tables.waiting, self._tables.entry
        found = [
            DueRow(*place, rows[place], entry(rows[place]))
            for place in rows.above((0, 0, 0), _most(limit))
            if place[0] <= until_ns
        ]
        return _page(found, lambda row: row.entry)

    async def next_due_ns(self) -> int:
        """Return when the next delivery that waits is due; 0 if none waits."""
        self._check_open()
        return self._next_due_ns()

    async def entries(
        self, first: int, last: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """Return entries by their keys, as the port says."""
        self._check_open()
        found: list[tuple[int, bytes]] = []
        for stream, rows in sorted(self._tables.messages.items()):
            start, room = key_of(stream, 0), _most(limit) - len(found)
            if start | SEQUENCE_MAX < first or start > last or not room:
                continue
            above = rows.above(first - start - 1, room)
            keys = [start | sequence for sequence in above]
            found += [(k, rows[k & SEQUENCE_MAX][1]) for k in keys if k <= last]
        return _page(found, lambda row: row[1])

    async def at(self, stream: int, time_ns: int) -> int:
        """Return the sequence that a time stands for, as the port says."""
        self._check_open()
        rows = self._tables.messages.get(stream)
        if rows is None:
            return 1
        order = rows.ordered()
        place = bisect_left(order, time_ns, key=lambda sequence: rows[sequence][0])
        past = self._tables.stream(stream).last + 1
        return order[place] if place < len(order) else past

    async def letters(self, after: int, limit: int) -> list[Letter]:
        """Return dead letters, as the port says."""
        self._check_open()
        rows = self._tables.letters
        found = [rows[number] for number in rows.above(after, _most(limit))]
        return _page(found, lambda row: row.entry)

    async def open(self) -> Contents:
        """Return what it holds: nothing when it is new."""
        clean, self._clean, self._open = self._clean, False, True
        self._epoch += 1
        self._stats = StoreStats()
        tables = self._tables
        tables.forget_ids(self._clock.now_ns())
        tables.counts.update(evicted=0, appended=0)
        return Contents(
            epoch=self._epoch,
            clean=clean,
            next_number=tables.counts["number"],
            next_letter=tables.counts["letter"],
            streams=tuple(tables.stream(stream) for stream in sorted(tables.streams)),
            consumers=tuple(tables.consumer(c) for c in sorted(tables.consumers)),
            dedup=tuple((name, *kept) for name, kept in sorted(tables.dedup.items())),
            letters=len(tables.letters),
            next_due_ns=self._next_due_ns(),
        )

    async def reopen(self) -> None:
        """Go on: nothing here can fail, so nothing was refused."""
        self._check_open()
        self._stats.reopened += 1

    async def close(self) -> None:
        """Carry out what was submitted; what is submitted from now on is refused."""
        self._open = False
        drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enqueue(partial(_tell, drained), 0, 0)
        await drained
        self._clean = True

    def health(self) -> tuple[bool, str]:
        """Tell whether it is open."""
        return (True, "in memory") if self._open else (False, "closed")

    def stats(self) -> StoreStats:
        """Return the counts since the opening."""
        stats, tables = self._stats, self._tables
        stats.pending = self._pending
        stats.appended = tables.counts["appended"]
        stats.bytes = tables.size
        stats.letters = len(tables.letters)
        stats.letters_evicted = tables.counts["evicted"]
        return msgspec.structs.replace(stats)

    def _check_open(self) -> None:
        if not self._open:
            raise _closed()

    def _next_due_ns(self) -> int:
        place = self._tables.waiting.first()
        return 0 if place is None else place[0]

    def _enqueue(self, work: Callable[[], None], changes: int, size: int) -> None:
        self._queue.append((work, changes, size))
        self._pending += changes
        self._pending_bytes += size
        self._note_room()
        self._next_step()

    def _next_step(self) -> None:
        if self._queue and not self._stepping:
            asyncio.get_running_loop().call_soon(self._step)
            self._stepping = True  # once there is a loop to do it

    def _step(self) -> None:
        """Carry out what waits, up to a batch; the rest in the loop's next turn."""
        budget = STORE_BATCH_CHANGES_MAX
        self._tables.forget_ids(self._clock.now_ns())
        try:
            while self._queue and budget > 0:
                work, changes, size = self._queue.popleft()
                budget -= changes
                self._pending -= changes
                self._pending_bytes -= size
                work()
        finally:  # what a `done` raises is the loop's to tell; the others go on
            self._stepping = False
            self._stats.commits += 1
            self._note_room()
            self._next_step()

    def _note_room(self) -> None:
        self.full = (
            self._pending >= STORE_PENDING_CHANGES_MAX
            or self._pending_bytes >= STORE_PENDING_BYTES_MAX
        )
        if not self.full:
            for waiter in self._waiting:
                _tell(waiter)

    def _keep(self, changes: tuple[Change, ...], done: Done) -> None:
        error: StoreUnavailableError | None = None
        try:
            self._tables.apply(changes)
            self._stats.changes += len(changes)
        except StoreUnavailableError as refusal:
            error = refusal
        except Exception as fault:  # noqa: BLE001 - whoever waits must be told of it
            error = StoreUnavailableError(f"the store cannot keep this: {fault!r}")
            error.__cause__ = fault
        if error is not None:
            self._stats.failed += 1
        done(error)

    def _cut(self, stream: int, bounds: Bounds, cut: asyncio.Future[Trimmed]) -> None:
        if cut.done():  # given up: nothing may go that nobody is told of
            return
        try:
            cut.set_result(self._tables.trim(stream, bounds))
        except Exception as error:  # noqa: BLE001 - whoever waits must be told of it
            cut.set_exception(error)


def _tell(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _closed() -> StoreUnavailableError:
    return StoreUnavailableError("the store is closed")


def _most(limit: int) -> int:
    return min(limit, STORE_PAGE_ROWS_MAX)


def _page(found: list[T], entry: Callable[[T], bytes]) -> list[T]:
    """Return the first of what was found, as many as a page has bytes for."""
    ends = list(accumulate(len(entry(row)) for row in found))
    return found[: max(bisect_right(ends, STORE_PAGE_BYTES_MAX), 1)]


def _size(change: Change) -> int:
    return len(change.entry) if isinstance(change, Append) else 0
