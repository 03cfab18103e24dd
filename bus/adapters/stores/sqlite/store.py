"""The SQLite store as the bus sees it: two threads behind it, or none.

Rule: nothing here blocks. All methods belong to the loop's thread; the writer's has the
file, the reader's a connection that cannot write.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bus.adapters.stores.sqlite import layout, reading, streams
from bus.adapters.stores.sqlite.file import Failed, StoreFile
from bus.adapters.stores.sqlite.inflow import Inflow
from bus.adapters.stores.sqlite.layout import Connect
from bus.adapters.stores.sqlite.readers import Reader
from bus.adapters.stores.sqlite.running import Inline, Runner, Threaded, ask
from bus.adapters.stores.sqlite.submissions import Cut, Standing, size_of
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
from bus.core.entries import Sealer
from bus.core.errors import StoreUnavailableError
from bus.core.stats import StoreStats
from bus.core.storelimits import (
    STORE_PENDING_BYTES_MAX,
    STORE_PENDING_CHANGES_MAX,
    STORE_WAIT_S,
)
from bus.ports import Clock
from bus.storing import Done

T = TypeVar("T")


class SqliteStore:
    """`bus.ports.Store` in the file at `path`, with `-wal`, `-shm`, `-head`, `-lock` beside.

    With `threaded=False` everything is done in the loop's turns, for tests. `connect`
    opens a connection to a path, for reading only if its second argument says so.
    """

    def __init__(
        self,
        path: Path,
        sealer: Sealer,
        clock: Clock,
        *,
        threaded: bool = True,
        connect: Connect = layout.connect,
    ) -> None:
        self.full = False
        self.path: Final = path
        self._clock: Final = clock
        self._file: Final = StoreFile(path, sealer, connect)
        self._writer: Final[Runner] = Threaded("assent-store") if threaded else Inline()
        self._reader: Final = Reader(
            path,
            Threaded("assent-store-read") if threaded else Inline(),
            connect,
        )
        self._inflow: Final = Inflow(self._file, self._writer, clock, self._note_room)
        self._going = False  # `go` is called in the loop's next turn
        self._waiting: set[asyncio.Future[None]] = set()

    def submit(self, changes: Sequence[Change], done: Done) -> None:
        """Take a submission, as the port says."""
        own = tuple(changes)
        if len(own) == 1:
            change = own[0]
            size = len(change.entry) if type(change) is Append else 0
        else:
            size = size_of(own)
        inflow = self._inflow
        inflow.queue.append((own, done, size))
        inflow.pending_changes += len(own)
        inflow.pending_bytes += size
        if not self._going:
            self._going = True
            asyncio.get_running_loop().call_soon(self._go)
        if (
            inflow.pending_changes >= STORE_PENDING_CHANGES_MAX
            or inflow.pending_bytes >= STORE_PENDING_BYTES_MAX
        ):
            self.full = True

    async def room(self) -> None:
        """Wait until it is not full; raise `StoreUnavailableError` when that takes long."""
        late = False

        def too_late() -> None:
            nonlocal late
            late = True
            self._wake()

        timer = self._clock.call_after(STORE_WAIT_S, too_late)
        try:
            while self.full and not late:
                waiter: asyncio.Future[None]
                waiter = asyncio.get_running_loop().create_future()
                self._waiting.add(waiter)
                try:
                    await waiter
                finally:
                    self._waiting.discard(waiter)
        finally:
            timer.cancel()
        if self.full:
            why = self._inflow.why or f"{self._inflow.pending_changes} changes wait"
            raise StoreUnavailableError(f"no room in {STORE_WAIT_S:g} s: {why}")

    async def trim(self, stream: int, bounds: Bounds) -> Trimmed:
        """Cut a stream, as the port says."""
        cut = Cut(stream, bounds)
        self.submit((), cut)
        return await cut.answer

    async def deliveries(
        self, consumer: int, after: int, limit: int
    ) -> list[DeliveryRow]:
        """Return a consumer's pending deliveries, as the port says."""
        return await self._read(reading.deliveries, consumer, after, limit)

    async def due(self, until_ns: int, limit: int) -> list[DueRow]:
        """Return deliveries whose time has come, as the port says."""
        return await self._read(reading.due, until_ns, limit)

    async def next_due_ns(self) -> int:
        """Return when the next delivery that waits is due; 0 if none waits."""
        return await self._read(reading.next_due_ns)

    async def entries(
        self, first: int, last: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """Return entries by their keys, as the port says."""
        return await self._read(streams.entries, first, last, limit)

    async def at(self, stream: int, time_ns: int) -> int:
        """Return the sequence that a time stands for, as the port says."""
        return await self._read(streams.at, stream, time_ns)

    async def letters(self, after: int, limit: int) -> list[Letter]:
        """Return dead letters, as the port says."""
        return await self._read(reading.letters, after, limit)

    async def open(self) -> Contents:
        """Check what is there and return it, as the port says."""
        self._writer.start()
        try:
            contents = await self._open()
        except BaseException:
            self._writer.stop()
            raise
        self._inflow.stats = StoreStats()
        self._inflow.ready()
        return contents

    async def reopen(self) -> None:
        """Open it anew, as the port says; what was set aside is carried out then."""
        if self._inflow.standing is Standing.SHUT:
            raise StoreUnavailableError(f"store {self.path}: not open")
        await self._inflow.hold()
        await self._reader.close()
        await self._open()
        self._inflow.stats.reopened += 1
        self._inflow.ready()

    async def close(self) -> None:
        """Carry out what was submitted, then stop; raises if that could not be done."""
        inflow = self._inflow
        if inflow.standing is Standing.SHUT:
            return
        inflow.go()
        await inflow.drain()
        why = inflow.why
        left = inflow.give_up("the store is closed" + (f" ({why})" if why else ""))
        self._note_room()
        await self._reader.stop()
        try:
            await ask(self._writer, self._file.abandon if why else self._file.close)
        except Failed as error:
            why = str(error)
        finally:
            self._writer.stop()
        if why:
            raise StoreUnavailableError(
                f"store {self.path} was closed with {left} submissions not kept: {why}"
            )

    def health(self) -> tuple[bool, str]:
        """Tell whether it can keep messages, and if not, why."""
        inflow = self._inflow
        if inflow.standing is not Standing.READY:
            return False, inflow.why or inflow.standing.value
        if self._reader.broken:
            return False, self._reader.broken
        if self.full:
            return False, f"behind by {inflow.pending_changes} changes"
        return True, "open"

    def stats(self) -> StoreStats:
        """Return the counts since the opening."""
        state = self._file.state
        return msgspec.structs.replace(
            self._inflow.stats,
            pending=self._inflow.pending_changes,
            bytes=sum(stream.bytes for stream in list(state.streams.values())),
            letters=state.meta.letters,
        )

    async def verify(self) -> str:
        """Check every row of a store that nobody has open, and say what it holds.

        Nothing is changed. Raises as `open`.
        """
        return await self._offline(self._file.verify)

    async def renew_head(self) -> str:
        """Accept a file whose head is lost as it is, after a check of every row.

        Whether something is missing at its end cannot be told any more. Raises as `open`.
        """
        return await self._offline(self._file.renew_head)

    async def _offline(self, work: Callable[[], T]) -> T:
        self._writer.start()
        try:
            return await ask(self._writer, work)
        finally:
            self._writer.stop()

    async def _open(self) -> Contents:
        now_ns = self._clock.now_ns()
        contents = await ask(self._writer, lambda: self._file.open(now_ns))
        self._reader.start()
        return contents

    async def _read(self, question: Callable[..., T], *values: int) -> T:
        if self._inflow.standing is Standing.SHUT:
            raise StoreUnavailableError(f"store {self.path}: {self._inflow.why}")
        return await self._reader.ask(question, *values)

    def _go(self) -> None:
        self._going = False
        self._inflow.go()
        self._note_room()

    def _note_room(self) -> None:
        inflow = self._inflow
        self.full = (
            inflow.pending_changes >= STORE_PENDING_CHANGES_MAX
            or inflow.pending_bytes >= STORE_PENDING_BYTES_MAX
        )
        if self._waiting and not self.full:
            self._wake()

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
