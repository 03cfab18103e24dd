"""What the tests of stores share: each store there is, sealed entries, all one can read."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.adapters.stores.memory import MemoryStore
from bus.adapters.stores.sqlite import SqliteStore
from bus.core.changes import (
    Append,
    Change,
    ConsumerRow,
    Contents,
    Letter,
    PutConsumer,
    PutStream,
)
from bus.core.decision import Decision
from bus.core.entries import Sealer, key_of
from bus.core.stamp import KeyRing
from bus.ports import Clock
from bus.storing import Done, Store
from tests.fakes.messages import full
from tests.fakes.recording import NOW_NS, SteppedClock

RING: Final = KeyRing({7: bytes(range(32))}, active=7)
SEALER: Final = Sealer(RING)
ALLOW: Final = Decision(allow=True, reasons=("it may",), revision="r1", digest="d")
ALL: Final = 4_096
"""More rows than a test reads at once, as far as a store gives them."""
KEYS: Final = (0, (1 << 63) - 1)
NEVER_NS: Final = (1 << 62) - 1
LOWEST: Final = -(1 << 62)

Make = Callable[[Path, Clock], Store]


def _memory(path: Path, clock: Clock) -> Store:
    del path
    return MemoryStore(clock)


def _threaded(path: Path, clock: Clock) -> Store:
    return SqliteStore(path, SEALER, clock)


def _inline(path: Path, clock: Clock) -> Store:
    return SqliteStore(path, SEALER, clock, threaded=False)


INLINE: Final = "sqlite in the loop"
STORES: Final[dict[str, Make]] = {
    "memory": _memory,
    "sqlite": _threaded,
    INLINE: _inline,
}
DURABLE: Final = sorted(STORES.keys() - {"memory"})


class Shelf:
    """A place for one store, and the time there."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.clock = SteppedClock()
        self.store = self.make()

    @property
    def durable(self) -> bool:
        """Whether it keeps anything when its process ends."""
        return self.kind in DURABLE

    def make(self) -> Store:
        """Return a store in this place that nobody has opened."""
        return STORES[self.kind](self.folder / "store.db", self.clock)

    async def again(self) -> Contents:
        """Close it, and open it as the next process would."""
        await self.store.close()
        if self.durable:
            self.store = self.make()
        return await self.store.open()


def append(
    stream: int,
    sequence: int,
    *deliveries: tuple[int, int, int],
    time_ns: int = NOW_NS,
    body: bytes = b"{}",
    dedup: tuple[str, int] | None = None,
) -> Append:
    """Return a change that keeps a message whose entry is sealed."""
    key = key_of(stream, sequence)
    plan = tuple(consumer for consumer, _, _ in deliveries)
    sealed = SEALER.close(key, full(body=body, created_ns=time_ns), ALLOW, plan)
    return Append(key, time_ns, sealed, deliveries, dedup)


def stream(number: int) -> PutStream:
    """Return a change that makes a stream."""
    return PutStream(number, "acme", f"stream-{number}")


def consumer(number: int, **fields: Any) -> PutConsumer:
    """Return a change that makes a consumer."""
    row = ConsumerRow(number, "acme", f"consumer-{number}", "critic", "a.>", "q")
    return PutConsumer(msgspec.structs.replace(row, **fields))


def letter(number: int, of: Append) -> Letter:
    """Return a dead letter for an entry."""
    return Letter(number, NOW_NS, "acme", "consumer", 3, "gave up", of.key, of.entry)


def keep(store: Store, *changes: Change) -> asyncio.Future[None]:
    """Submit; the future ends as the submission does."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    store.submit(changes, done)
    return ended


class Told:
    """How submissions ended, in the order in which that was told."""

    def __init__(self) -> None:
        self.endings: list[tuple[int, str]] = []

    def of(self, number: int) -> Done:
        """Return what notes the ending of one: `ok`, or the name of the error."""

        def done(error: Exception | None) -> None:
            self.endings.append((number, type(error).__name__ if error else "ok"))

        return done


Picture = dict[str, Any]


async def picture(store: Store, consumers: range = range(1, 6)) -> Picture:
    """Return everything there is to read."""
    found: Picture = {
        "entries": await store.entries(*KEYS, ALL),
        "due": await store.due(NEVER_NS, ALL),
        "next_due_ns": await store.next_due_ns(),
        "letters": await store.letters(LOWEST, ALL),
    }
    for number in consumers:
        found[f"of {number}"] = await store.deliveries(number, LOWEST, ALL)
    return found
