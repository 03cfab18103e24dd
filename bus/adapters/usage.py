"""Where usage goes: totals in memory, or a file of JSON Lines.

Rule: a batch that comes again adds nothing.
"""

import asyncio
import os
import threading
from pathlib import Path
from typing import Final

import msgspec

from bus.core.limits import METER_CELLS_MAX
from bus.metering import UsageBatch, UsageRecord

MODE: Final = 0o600
_STEP_BYTES: Final = 64 << 10

_encode_line: Final = msgspec.json.Encoder().encode


class Totals(msgspec.Struct):
    """What was used since the start."""

    events: int = 0
    body_bytes: int = 0


class MemoryUsage:
    """Sums per (tenant, agent, operation). Past `keys_max` sums go to `others`."""

    name = "memory"

    def __init__(self, keys_max: int = METER_CELLS_MAX) -> None:
        self.totals: Final[dict[tuple[str, str, str], Totals]] = {}
        self.others: Final = Totals()
        self._keys_max: Final = keys_max
        self._last = 0

    async def write(self, batch: UsageBatch) -> None:
        """Add a batch."""
        if batch.number <= self._last:
            return
        self._last = batch.number
        for record in batch.records:
            key = (record.tenant, record.agent, record.operation)
            total = self.totals.get(key)
            if total is None:
                total = self.others
                if len(self.totals) < self._keys_max:
                    total = self.totals[key] = Totals()
            total.events += record.events
            total.body_bytes += record.body_bytes


class FileUsage:
    """Appends a line a batch to the file at `path`, mode 0600.

    A line is the batch's records, so it is there whole or not at all; half a line
    left by a crash or a full disk is cut before the next. `run` names this start: with
    it the number of a batch is unique. The file may be moved away between batches.
    """

    name = "file"

    def __init__(self, path: Path, run: str) -> None:
        self._path: Final = path
        self._run: Final = run
        self._last = 0
        self._failed: tuple[int, int] | None = None  # inode, and where it began
        self._turn: Final = threading.Lock()

    async def write(self, batch: UsageBatch) -> None:
        """Append a batch and bring it to disk; raise OSError if that fails."""
        await asyncio.to_thread(self._append, batch)

    def _append(self, batch: UsageBatch) -> None:
        # A cancelled write goes on in its thread: the batch that is sent again
        # waits for it here, and then is known.
        with self._turn:
            if batch.number <= self._last:
                return
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            fd = os.open(self._path, flags, MODE)
            try:
                self._add(fd, batch)
            finally:
                os.close(fd)
            self._last = batch.number

    def _add(self, fd: int, batch: UsageBatch) -> None:
        line = _encode_line(_Line(self._run, batch.number, batch.records)) + b"\n"
        inode = os.fstat(fd).st_ino
        if self._failed is not None and self._failed[0] == inode:
            at = self._failed[1]
        else:
            at = _whole_lines(fd)
        os.ftruncate(fd, at)
        self._failed = (inode, at)
        view, end = memoryview(line), at
        while view:
            written = os.pwrite(fd, view, end)
            view, end = view[written:], end + written
        os.fdatasync(fd)
        self._failed = None


class _Line(msgspec.Struct, frozen=True):
    run: str
    batch: int
    records: tuple[UsageRecord, ...]


def _whole_lines(fd: int) -> int:
    """Return where the last whole line ends."""
    end = os.fstat(fd).st_size
    while end:
        start = max(0, end - _STEP_BYTES)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
