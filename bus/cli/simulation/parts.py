"""The parts of a simulated bus: the real ones, but for time, disk and threads."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any, Final

from bus import policing
from bus.adapters.stores.sqlite.store import SqliteStore
from bus.adapters.usage import MemoryUsage
from bus.cli.simulation.book import ClaimError
from bus.cli.simulation.disk import Disk
from bus.cli.simulation.loop import VirtualClock
from bus.client import BaseBus
from bus.composing import limiter
from bus.config import Settings
from bus.core.entries import Sealer
from bus.core.ids import IdSource
from bus.core.stamp import KeyRing
from bus.core.stats import AuditStats
from bus.metering import UsageMeter
from bus.parts import Parts, Storage
from bus.ports import AuditRecord, Authorizer, Clock
from bus.routes import Counters, Plan
from policy import constitution
from policy.compliance import ComplianceValidator
from processors.strategies.broadcast import Broadcast
from processors.strategies.direct import Direct

AGENTS: Final = ("shop", "desk", "till", "press")
_EVERYTHING: Final[dict[str, Any]] = {
    "publish": [{"subject": ">"}],
    "subscribe": [">", "$DEAD.>"],
}
POLICY: Final[dict[str, Any]] = {
    "tenants": {"acme": {}},
    "agents": {name: {"tenant": "acme", "roles": ["all"]} for name in AGENTS},
    "roles": {"all": _EVERYTHING},
}


class Record:
    """An audit log that only checks the order of what it is told."""

    def __init__(self) -> None:
        self.full = False
        self._accepted: set[bytes] = set()
        self.count = 0

    def append(self, record: AuditRecord) -> None:
        """Take a record; nothing is delivered that was not recorded as accepted."""
        self.count += 1
        event, _, message_id = record[:3]
        if event == "accepted":
            if message_id in self._accepted:
                raise ClaimError(f"{message_id.hex()} was recorded as accepted twice")
            self._accepted.add(message_id)

    async def room(self) -> None:
        """There always is."""

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Nothing is to be closed."""

    def stats(self) -> AuditStats:
        """All that was taken is written."""
        return AuditStats(appended=self.count, written=self.count)


class LateClock:
    """The clock of the run under way, for a policy engine that outlives runs."""

    def __init__(self) -> None:
        self.now: Clock | None = None

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return 0 if self.now is None else self.now.now_ns()

    def call_after(self, delay_s: float, callback: Any) -> Any:
        """Call back in the run under way."""
        if self.now is None:
            raise ClaimError("a timer outside a run")
        return self.now.call_after(delay_s, callback)


def authorizer(clock: LateClock) -> Authorizer:
    """Return the engine that decides for all runs of a process: it is slow to make."""
    return policing.governance(Settings(), POLICY, clock).authorizer


def new_bus(
    disk: Disk, clock: VirtualClock, engine: Authorizer, random: Random
) -> tuple[BaseBus, SqliteStore]:
    """Return a bus over the disk as it is, with its store."""
    ring = KeyRing({1: bytes(range(32))}, active=1)
    sealer, record = Sealer(ring), Record()
    store = SqliteStore(disk.file, sealer, clock, threaded=False, connect=disk.connect)
    parts = Parts(
        authorizer=engine,
        validator=ComplianceValidator(constitution.BUILT_IN.hash, ring),
        meter=UsageMeter([MemoryUsage()], clock),
        audit=record,
        clock=clock,
        ids=IdSource(random.randbytes(8)),
        plan=Plan((), (), Direct()),
        counters=Counters([]),
        limiter=limiter,
        kept=Storage(store, sealer),
        publish_wait_s=5.0,
        ack_wait_s=3.0,
    )
    return BaseBus(parts, broadcast=Broadcast(), drain_s=0.0), store


class Work:
    """The tasks of one life beside those of its bus."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run it until it ends, or this does."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.append(task)

    async def end(self) -> None:
        """Cancel everything, and wait until it is over."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    def check(self) -> None:
        """Raise what a task failed with."""
        for task in self._tasks:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                raise ClaimError(f"{task.get_name()} failed: {error!r}")


async def turns(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)
