"""Buses with a store, in one place: closed, crashed and opened again, step by step."""

import asyncio
import importlib
import shutil
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.adapters.stores.memory import MemoryStore
from bus.core.changes import (
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
from bus.core.ids import IdSource
from bus.core.outcome import Accepted
from bus.core.stamp import KeyRing
from bus.core.stats import StoreStats
from bus.parts import Storage
from bus.ports import Clock
from bus.storing import Done, Store
from bus.streams import StreamSpec
from bus.subscription import Delivery
from bus.testing import FakeClock
from policy import constitution
from policy.compliance import ComplianceValidator
from tests.fakes.buses import PartsBus

RING: Final = KeyRing({1: bytes(range(32))}, active=1)
SEALER: Final = Sealer(RING)
HASH: Final = constitution.BUILT_IN.hash
KINDS: Final = ("memory", "sqlite")
TURNS: Final = 100_000
FILES: Final = ("", "-wal", "-head")  # of an SQLite store; its lock is not kept


class Line:
    """A store, and the line to it: what is sent can be held back, refused or cut off.

    `held` submissions go on with `release`. `refusing` is what all are refused with.
    `reads` and `told` are called before a read, and before an ending is told, if set.
    """

    def __init__(self, store: Store) -> None:
        self.inner = store
        self.full = False
        self.held = False
        self.refusing: Exception | None = None
        self.cut_off = False
        self.page_gate: asyncio.Event | None = None
        self.pages = 0
        self.sent: list[Change] = []
        self.letters_read = store.letters
        self.waiting: list[tuple[Sequence[Change], Done]] = []

    def submit(self, changes: Sequence[Change], done: Done) -> None:
        """Send it on, unless it is held, refused or cut off."""
        if self.cut_off:
            return
        if self.held:
            self.waiting.append((tuple(changes), done))
            return
        self.sent += changes
        if self.refusing is not None:
            refused = self.refusing
            self.inner.submit((), lambda _: done(refused))
        else:
            self.inner.submit(changes, done)

    def release(self, count: int | None = None) -> None:
        """Send on what was held, in order: all of it, or so many submissions."""
        self.held = False
        count = len(self.waiting) if count is None else count
        waiting, self.waiting = self.waiting[:count], self.waiting[count:]
        for changes, done in waiting:
            self.submit(changes, done)

    def of(self, kind: type[Change]) -> list[Any]:
        """Return the changes of one kind that were sent so far."""
        return [change for change in self.sent if isinstance(change, kind)]

    async def room(self) -> None:
        """Wait for room."""
        await self.inner.room()

    async def trim(self, stream: int, bounds: Bounds) -> Trimmed:
        """Cut a stream."""
        self._require_line()
        return await self.inner.trim(stream, bounds)

    async def deliveries(
        self, consumer: int, after: int, limit: int
    ) -> list[DeliveryRow]:
        """Read a page; with a gate the answer comes when that is open."""
        self._require_line()
        self.pages += 1
        rows = await self.inner.deliveries(consumer, after, limit)
        if self.page_gate is not None:
            await self.page_gate.wait()
        return rows

    async def due(self, until_ns: int, limit: int) -> list[DueRow]:
        """Read what is due."""
        self._require_line()
        return await self.inner.due(until_ns, limit)

    async def next_due_ns(self) -> int:
        """Read when something is due."""
        self._require_line()
        return await self.inner.next_due_ns()

    async def entries(
        self, first: int, last: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """Read entries."""
        self._require_line()
        return await self.inner.entries(first, last, limit)

    async def at(self, stream: int, time_ns: int) -> int:
        """Find a time."""
        self._require_line()
        return await self.inner.at(stream, time_ns)

    async def letters(self, after: int, limit: int) -> list[Letter]:
        """Read letters."""
        self._require_line()
        return await self.letters_read(after, limit)

    async def open(self) -> Contents:
        """Open it."""
        return await self.inner.open()

    async def reopen(self) -> None:
        """Open it anew."""
        await self.inner.reopen()

    async def close(self) -> None:
        """Close it, unless it cannot be reached: then it was never closed."""
        if not self.cut_off:
            self.release()
            await self.inner.close()

    def health(self) -> tuple[bool, str]:
        """Tell how it is."""
        return self.inner.health()

    def stats(self) -> StoreStats:
        """Return its counts."""
        return self.inner.stats()

    def _require_line(self) -> None:
        if self.cut_off:
            raise StoreUnavailableError("the line is cut")


class Place:
    """Where one store is: buses there come and go, time and what is kept stay."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.clock = FakeClock()
        self.line: Line
        self._memory = MemoryStore(self.clock)
        self.buses = 0
        self._images = 0
        self._file = folder / "store.db"

    @property
    def file(self) -> Path:
        """The file of an SQLite store."""
        return self._file

    @property
    def memory(self) -> MemoryStore:
        """The store, where it is in memory."""
        return self._memory

    def bus(
        self,
        policy_data: Any = None,
        *,
        streams: Sequence[StreamSpec] = (),
        **parts: Any,
    ) -> "DurableBus":
        """Return a bus that was not started."""
        self.line = Line(self._store())
        self.buses += 1
        return DurableBus(self, self.line, policy_data, tuple(streams), **parts)

    async def crash(self, bus: "DurableBus") -> None:
        """End a bus as if its process died: nothing more of it reaches the store."""
        line = bus.line
        line.cut_off = True
        if self.kind == "sqlite":
            self._images += 1
            image = self.folder / f"image-{self._images}.db"
            await asyncio.to_thread(self._copy, image)
            await line.inner.close()
        await bus.end_tasks()

    def _copy(self, image: Path) -> None:
        """Have what is on disk now where the next bus looks."""
        for part in FILES:
            source = Path(f"{self._file}{part}")
            if source.exists():
                shutil.copy(source, f"{image}{part}")
        self._file = image

    def _store(self) -> Store:
        if self.kind == "memory":
            return self._memory
        return sqlite_store(self._file, self.clock)


class DurableBus(PartsBus):
    """A bus on a store, with the clock of its place."""

    def __init__(
        self,
        place: Place,
        line: Line,
        policy_data: Any,
        streams: tuple[StreamSpec, ...],
        **parts: Any,
    ) -> None:
        super().__init__(
            policy_data,
            clock=place.clock,
            validator=ComplianceValidator(HASH, RING),
            kept=Storage(line, SEALER, streams),
            ids=IdSource(bytes([place.buses % 256] * 8)),
            **parts,
        )
        self.clock = place.clock
        self.line = line

    @property
    def ledger(self) -> Any:
        """What it keeps beside messages."""
        return self._host.require_ledger()

    @property
    def store_failure(self) -> Exception | None:
        """Why the store cannot be trusted, if so."""
        found: Exception | None = self.ledger.rewinding.failure
        return found

    def consumer(self, name: str, tenant: str = "acme") -> Any:
        """Return a consumer by its name."""
        found = self.ledger.consumers.named(tenant, name)
        assert found is not None, name
        return found

    async def keep(
        self, subject: str, *bodies: object, by: str = "planner", **options: Any
    ) -> list[Accepted]:
        """Publish; every one must be accepted. Return the outcomes."""
        agent = self.agent(by)
        kept: list[Accepted] = []
        for body in bodies:
            outcome = await agent.publish(subject, body, **options)
            assert isinstance(outcome, Accepted), outcome
            kept.append(outcome)
        return kept

    async def keep_all(
        self, subject: str, bodies: Iterable[object], **options: Any
    ) -> None:
        """Publish at once, in order; every one must be accepted."""
        publish = self.agent("planner").publish
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(publish(subject, body, **options)) for body in bodies
            ]
        assert all(isinstance(task.result(), Accepted) for task in tasks)

    async def settle(self) -> None:
        """Let what is under way go as far as it can without time passing."""
        loop: Any = asyncio.get_running_loop()
        for _ in range(TURNS):
            await asyncio.sleep(0)
            if not loop._ready:  # noqa: SLF001 - nothing else is to run in this turn
                return
        raise AssertionError("it never comes to rest")

    async def end_tasks(self) -> None:
        """Cancel all that runs; the store, if it can be reached, is told nothing more."""
        self.ledger.stop()
        for subscription in self._host.roster.all:
            subscription.ended = True
        await self._host.crew.end(1.0)


class Takes:
    """A handler that keeps what it is handed, and does as told with it.

    `fails` names bodies that it raises on; while `gate` is closed it waits.
    """

    def __init__(self, *fails: Any) -> None:
        self.fails = set(fails)
        self.bodies: list[Any] = []
        self.seen: list[Delivery] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = 0
        self.most_at_once = 0

    @property
    def attempts(self) -> list[int]:
        """The attempts it was handed, in order."""
        return [delivery.attempt for delivery in self.seen]

    async def __call__(self, body: Any, delivery: Delivery) -> None:
        """Take it."""
        self.bodies.append(body)
        self.seen.append(delivery)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if body in self.fails:
            raise ValueError(f"no {body}")


def sqlite_store(file: Path, clock: Clock, *, threaded: bool = False) -> Store:
    """Return the store in a file."""
    module = importlib.import_module("bus.adapters.stores.sqlite")
    made: Store = module.SqliteStore(file, SEALER, clock, threaded=threaded)
    return made


async def eventually(
    condition: Callable[[], bool] | Callable[[], Coroutine[Any, Any, bool]],
    seconds: float = 10.0,
) -> None:
    """Return once a condition holds, by the clock of the loop; fail if it does not."""
    async with asyncio.timeout(seconds):
        while True:
            held: Any = condition()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.002)


def spoil_letters(line: Line, letter_id: int) -> None:
    """Have a letter's entry read with one bit changed, as where its row was."""
    read = line.inner.letters

    async def spoilt(after: int, limit: int) -> list[Letter]:
        return [
            msgspec.structs.replace(letter, entry=flipped(letter.entry))
            if letter.id == letter_id
            else letter
            for letter in await read(after, limit)
        ]

    line.letters_read = spoilt


def flipped(entry: bytes) -> bytes:
    """Return an entry with one bit of its body changed."""
    return entry[:40] + bytes([entry[40] ^ 1]) + entry[41:]
