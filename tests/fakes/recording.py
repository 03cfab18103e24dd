"""Fakes for what records: a clock that is stepped, a record that stalls, and records."""

import asyncio
import errno
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bus.adapters.audit import FileAudit
from bus.adapters.clock import SystemClock
from bus.core.auditchain import Head, header_line, start
from bus.ports import AuditRecord

NOW_NS = 1_700_000_000_000_000_000


class _Call:
    """A call that is due at `at_ns`."""

    def __init__(self, at_ns: int, callback: Callable[[], None]) -> None:
        self.at_ns = at_ns
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Make sure it does not run."""
        self.cancelled = True


class SteppedClock:
    """Stands still until `step` is called; then what is due runs, in order."""

    def __init__(self) -> None:
        self.now = NOW_NS
        self._calls: list[_Call] = []

    @property
    def waiting(self) -> int:
        """Calls that are still due."""
        return sum(not call.cancelled for call in self._calls)

    def now_ns(self) -> int:
        """Return the time that was set."""
        return self.now

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> _Call:
        """Keep the call until its time has been stepped to."""
        call = _Call(self.now + round(delay_s * 1e9), callback)
        self._calls.append(call)
        return call

    def step(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1e9)
        due = sorted(
            (call for call in self._calls if call.at_ns <= self.now),
            key=lambda call: call.at_ns,
        )
        self._calls = [call for call in self._calls if call.at_ns > self.now]
        for call in due:
            if not call.cancelled:
                call.callback()


class StallingRecord:
    """Keeps blocks in memory. `failing` raises, `held` waits, `heads` are the syncs."""

    def __init__(self) -> None:
        self.header = header_line(bytes(32))
        self.blocks: list[bytes] = []
        self.heads: list[Head] = []
        self.failing: OSError | None = None
        self.broken: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.synced = threading.Event()
        self.unopenable: Exception | None = None
        self.may_open = threading.Event()
        self.may_open.set()
        self.gone = threading.Event()
        self.closed = False
        self.attempts = 0

    def open(self) -> tuple[Head, str]:
        """Return the start of a chain, or raise or wait as told."""
        if self.unopenable is not None:
            raise self.unopenable
        self.may_open.wait(5)
        mark = start(self.header)
        return Head(at=mark, before=mark), ""

    def write(self, blocks: Sequence[bytes | memoryview]) -> None:
        """Keep the blocks, or raise or wait as told."""
        self.attempts += 1
        if self.broken is not None:
            raise self.broken
        if self.failing is not None:
            raise self.failing
        self.go_on.wait(5)
        self.blocks += map(bytes, blocks)

    def sync(self, head: Head) -> None:
        """Remember the head."""
        self.heads.append(head)
        self.synced.set()

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
        self.gone.set()

    @property
    def lines(self) -> list[bytes]:
        """Everything written, as a file would hold it."""
        return [self.header, *b"".join(self.blocks).splitlines(keepends=True)]


def disk_full() -> OSError:
    """Return what a full disk raises."""
    return OSError(errno.ENOSPC, "No space left on device")


def record(number: int, event: str = "accepted", detail: str = "") -> AuditRecord:
    """Return a record that can be told from every other."""
    return (
        event,
        NOW_NS + number,
        number.to_bytes(16, "big"),
        "acme",
        "planner",
        "orders.created",
        "r1",
        detail or f"number {number}",
        bytes(20),
    )


def keep(path: Path, blocks: Iterable[int], head: Path | None = None) -> None:
    """Write a record file with blocks of the given sizes; ends the log properly."""

    async def run() -> None:
        audit = FileAudit(path, SystemClock(), head=head)
        await audit.open()
        number = 0
        for size in blocks:
            for _ in range(size):
                audit.append(record(number))
                number += 1
            await audit.flush()
        await audit.close()

    asyncio.run(run())
