"""The audit log as the bus sees it: append costs a list append, the rest is batched.

Rule: what is appended is written, in order; while it cannot be, `full` is True and
publishing waits. All methods belong to the loop's thread; the disk to the writer's.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bus.adapters.audit.files import FileRecord
from bus.adapters.audit.memory import MemoryRecord
from bus.adapters.audit.shut import Shut
from bus.adapters.audit.slots import Pool, Slot
from bus.adapters.audit.writer import Record, State, Writer
from bus.core import auditrecord
from bus.core.errors import (
    AuditStalledError,
    BusAlreadyStartedError,
    BusNotStartedError,
)
from bus.core.limits import (
    AUDIT_BLOCK_RECORDS,
    AUDIT_CLOSE_S,
    AUDIT_FLUSH_S,
    AUDIT_FSYNC_S,
    AUDIT_KEPT_RECORDS,
    AUDIT_OPEN_S,
    AUDIT_PENDING_RECORDS_MAX,
    AUDIT_RETRY_S,
    AUDIT_WAIT_S,
)
from bus.core.names import SYSTEM_AGENT
from bus.core.stats import AuditStats
from bus.ports import AuditRecord, Clock, Timer


class Log:
    """Buffers, encodes and hands over. `full` is True when publishing must wait."""

    def __init__(
        self,
        record: Record,
        clock: Clock,
        *,
        wait_s: float = AUDIT_WAIT_S,
        close_s: float = AUDIT_CLOSE_S,
        fsync_s: float = AUDIT_FSYNC_S,
    ) -> None:
        self.full = True
        # Shown each block as it is encoded: may not keep the list, wait or raise.
        self.watch: Callable[[list[AuditRecord]], None] | None = None
        self._record: Final = record
        self._clock: Final = clock
        self._wait_s: Final = wait_s
        self._close_s: Final = close_s
        self._fsync_s: Final = fsync_s
        self._buffer: list[AuditRecord] = Shut()
        self._due_at = 1  # buffered records at which `_due` must look
        self._pool: Final = Pool()
        self._slot: Slot | None = None  # encoded, not yet given to the writer
        self._handed = 0  # records encoded
        self._writer: Writer | None = None
        self._flush_timer: Timer | None = None
        self._sync_timer: Timer | None = None
        self._flushing = 0  # callers of `flush` that wait
        self._news = asyncio.Event()

    def append(self, record: AuditRecord) -> None:
        """Take a record. Raise `BusNotStartedError` if the log is not open."""
        buffer = self._buffer
        buffer.append(record)
        # One comparison for both reasons to act; the usual record has neither.
        if len(buffer) >= self._due_at:
            self._due()

    async def room(self) -> None:
        """Wait until it is no longer full; raise `AuditStalledError` when it stalls."""
        await self._until(lambda: not self.full, "no room", self._wait_s)

    async def flush(self) -> None:
        """Wait until all that was appended is written; raise `AuditStalledError`."""
        writer = self._running()
        self._hand_over()
        target = self._handed
        self._flushing += 1
        writer.wanted = True
        try:
            await self._until(
                lambda: writer.written >= target, "not written", self._wait_s
            )
        finally:
            self._flushing -= 1

    async def open(self) -> None:
        """Start writing; raise `ConfigurationError` if the record cannot be kept."""
        if self._writer is not None:
            raise BusAlreadyStartedError("an audit log opens once; make a new one")
        loop = asyncio.get_running_loop()

        def notify() -> None:
            # With the loop closed nobody is left who could be told.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._changed)

        writer = self._writer = Writer(self._record, self._pool, notify)
        writer.start()
        try:
            await self._until(
                lambda: writer.state is not State.OPENING, "not opened", AUDIT_OPEN_S
            )
        except BaseException:
            writer.stop()
            raise
        if writer.error is not None:
            raise writer.error
        self._buffer = []
        self._changed()
        if writer.repaired:
            self.append(self._recovered(writer.repaired))

    async def close(self) -> None:
        """Write everything that was taken, then stop.

        Raises:
            AuditStalledError: it could not be written in time; says how much is lost.
        """
        writer = self._writer
        if writer is None or isinstance(self._buffer, Shut):
            return
        self._hand_over()
        self._buffer = Shut()
        self.full = True
        for timer in (self._flush_timer, self._sync_timer):
            if timer is not None:
                timer.cancel()
        writer.stop()
        if not await self._ended(writer, self._close_s):
            writer.abandon()
            await self._ended(writer, AUDIT_RETRY_S)
        lost = self._handed - writer.written
        if lost or writer.error is not None or writer.state is not State.ENDED:
            cause = writer.error or f"the disk took over {self._close_s:g} s"
            raise AuditStalledError(
                f"audit log closed with {lost} records not written: {cause}"
            ) from writer.error

    def stats(self) -> AuditStats:
        """Return the counts since the start."""
        appended = self._handed + len(self._buffer)
        written = 0 if self._writer is None else self._writer.written
        return AuditStats(
            appended=appended, written=written, pending=appended - written
        )

    def health(self) -> tuple[bool, str]:
        """Tell whether records are being written, and if not, why."""
        writer = self._writer
        if writer is None or isinstance(self._buffer, Shut):
            return False, "not open"
        if writer.error is not None:
            return False, f"{writer.state.value}: {writer.error}"
        if self.full:
            return False, f"behind by {self._handed - writer.written} records"
        return True, writer.state.value

    def _due(self) -> None:
        if len(self._buffer) >= AUDIT_BLOCK_RECORDS:
            self._encode()
        elif self._flush_timer is None:
            self._flush_timer = self._clock.call_after(AUDIT_FLUSH_S, self._tick)
        self._due_at = AUDIT_BLOCK_RECORDS

    def _tick(self) -> None:
        self._flush_timer = None
        self._due_at = 1
        self._hand_over()

    def _encode(self) -> None:
        buffer = self._buffer
        lines, records = auditrecord.encode(buffer), len(buffer)
        if self.watch is not None:
            self.watch(buffer)
        if self._slot is None or not self._slot.add(lines, records):
            self._put()
            self._slot = self._pool.lend(len(lines))
            self._slot.add(lines, records)
        self._handed += records
        buffer.clear()

    def _hand_over(self) -> None:
        if self._buffer:
            self._encode()
        self._put()

    def _put(self) -> None:
        """Wake the writer: that costs more than encoding, so not for each block."""
        if self._slot is None:
            return
        writer = self._running()
        writer.put(self._slot)
        self._slot = None
        if self._sync_timer is None:
            self._sync_timer = self._clock.call_after(self._fsync_s, self._sync)
        if self._handed - writer.written > AUDIT_PENDING_RECORDS_MAX:
            self._review(writer)

    def _sync(self) -> None:
        self._sync_timer = None
        self._running().sync()

    def _review(self, writer: Writer) -> None:
        # Set before looking: the writer counts first and then looks at `wanted`, so
        # one of the two always notices.
        writer.wanted = True
        behind = self._handed - writer.written > AUDIT_PENDING_RECORDS_MAX
        self.full = behind or writer.state is not State.WRITING
        writer.wanted = self.full or self._flushing > 0

    def _changed(self) -> None:
        """Runs in the loop whenever the writer has news."""
        if self._writer is not None and not isinstance(self._buffer, Shut):
            self._review(self._writer)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _ended(self, writer: Writer, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                while writer.state is not State.ENDED:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _until(
        self, holds: Callable[[], bool], otherwise: str, wait_s: float
    ) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not holds():
                    await self._news.wait()
        except TimeoutError as error:
            writer = self._running()
            cause = writer.error or f"{self._handed - writer.written} records behind"
            raise AuditStalledError(
                f"audit log: {otherwise} in {wait_s:g} s: {cause}"
            ) from error

    def _running(self) -> Writer:
        if self._writer is None:
            raise BusNotStartedError("audit log is not open")
        return self._writer

    def _recovered(self, detail: str) -> AuditRecord:
        now_ns = self._clock.now_ns()
        return ("recovered", now_ns, b"", "", SYSTEM_AGENT, "", "", detail, b"")


class FileAudit(Log):
    """Keeps the record in the file at `path` and its head at `head`, or beside it."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        head: Path | None = None,
        wait_s: float = AUDIT_WAIT_S,
        close_s: float = AUDIT_CLOSE_S,
        fsync_s: float = AUDIT_FSYNC_S,
    ) -> None:
        record = FileRecord(path, head)
        waits = {"wait_s": wait_s, "close_s": close_s, "fsync_s": fsync_s}
        super().__init__(record, clock, **waits)


class MemoryAudit(Log):
    """Keeps the chain and the last records; nothing outlives the process."""

    def __init__(
        self,
        clock: Clock,
        *,
        kept: int = AUDIT_KEPT_RECORDS,
        wait_s: float = AUDIT_WAIT_S,
        close_s: float = AUDIT_CLOSE_S,
        fsync_s: float = AUDIT_FSYNC_S,
    ) -> None:
        self._memory = MemoryRecord(kept)
        waits = {"wait_s": wait_s, "close_s": close_s, "fsync_s": fsync_s}
        super().__init__(self._memory, clock, **waits)

    def tail(self, count: int) -> list[auditrecord.Entry]:
        """Return the last `count` records written, oldest first."""
        return self._memory.tail(count)
