"""What a store is asked to keep, in an order that a seed decides; and what it then holds.

Everything is run from outside the loop: files are read and written between its turns.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any, Final, Self, TypeVar

import msgspec

from bus.adapters.stores.sqlite import SqliteStore, layout
from bus.adapters.stores.sqlite.layout import Connect
from bus.core.changes import (
    Bounds,
    Bury,
    Change,
    Contents,
    DropLetter,
    Forget,
    Retry,
    Settle,
    Wake,
)
from bus.core.errors import BusError
from tests.fakes.crashdisk import Files, put
from tests.fakes.recording import NOW_NS, SteppedClock
from tests.fakes.storekit import (
    SEALER,
    Picture,
    append,
    consumer,
    keep,
    letter,
    picture,
    stream,
)

T = TypeVar("T")
CONSUMERS: Final = range(1, 4)
FORGETS_AT: Final = 20
State = tuple[Picture, Contents]
"""All that a store holds, but for how often it was opened."""


class Workload:
    """Something of everything, in an order that a seed decides."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._sequence = 0
        self._number = 0
        self._letter = 0
        self._pending: list[tuple[int, int]] = []
        self._later: list[tuple[int, int, int]] = []
        self._forgotten = False

    def begin(self) -> list[Change]:
        """Return what makes streams and consumers."""
        return [stream(1), stream(2), *(consumer(number) for number in CONSUMERS)]

    def next(self) -> list[Change]:
        """Return the next submission."""
        changes: list[Change] = []
        for _ in range(self._dice.randint(1, 3)):
            choice = self._dice.random()
            if choice < 0.55 or not self._pending:
                changes.append(self._append())
            elif choice < 0.85:
                changes.append(self._settled())
            elif choice < 0.93 and self._later:
                changes.append(self._woken())
            elif self._letter and choice < 0.95:
                changes.append(DropLetter(self._dice.randint(1, self._letter)))
            else:
                changes.append(consumer(2, replay=self._dice.randbytes(4)))
        return changes

    def forget(self) -> list[Change]:
        """Return what lets a consumer go."""
        self._forgotten = True
        self._pending = [place for place in self._pending if place[0] != 3]
        self._later = [place for place in self._later if place[1] != 3]
        return [Forget(3)]

    def _append(self) -> Change:
        self._sequence += 1
        due_ns = self._dice.choice([0, 0, 0, NOW_NS + 10**9])
        takers = []
        for to in CONSUMERS:
            if self._dice.random() < 0.6 and not (self._forgotten and to == 3):
                self._number += 1
                takers.append((to, self._number, due_ns))
                if due_ns:
                    self._later.append((due_ns, to, self._number))
                else:
                    self._pending.append((to, self._number))
        size = self._dice.choice([2, 300, 5_000, 14_000])
        name = (f"name {self._sequence}", NOW_NS * 2) if size == 300 else None
        body = self._dice.randbytes(size)
        place = self._dice.choice([1, 1, 2])
        return append(place, self._sequence, *takers, body=body, dedup=name)

    def _settled(self) -> Change:
        place = self._pending.pop(self._dice.randrange(len(self._pending)))
        choice = self._dice.random()
        if choice < 0.7:
            return Settle(*place)
        if choice < 0.85:
            self._pending.append(place)
            return Retry(*place, 1, self._dice.choice([0, NOW_NS + 5]))
        self._letter += 1
        return Bury(*place, letter(self._letter, append(1, 1, body=b"dead")))

    def _woken(self) -> Change:
        due_ns, to, number = self._later.pop(0)
        self._number += 1
        self._pending.append((to, self._number))
        return Wake(to, number, due_ns, self._number)


class Bench:
    """A loop that stands still between the steps of a trial."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the loop."""
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self._runner.run(work)

    def state(self, files: Files, place: Path) -> State:
        """Return what a store holds that is opened from files; raises as `open`."""
        place.mkdir()
        put(files, place / "store.db")
        return self.run(state_of(new_store(place / "store.db")))

    def do(self, store: SqliteStore, number: int, work: Workload) -> None:
        """Have a store keep the next submission, or the next few in one commit."""
        self.run(_do(store, number, work))


def new_store(path: Path, connect: Connect = layout.connect) -> SqliteStore:
    """Return a store that works in the loop."""
    return SqliteStore(path, SEALER, SteppedClock(), threaded=False, connect=connect)


async def state_of(store: SqliteStore) -> State:
    """Open a store, read everything as a bus does, seals too, close it."""
    contents = await store.open()
    try:
        found = await picture(store, CONSUMERS)
        for key, entry in found["entries"]:
            SEALER.open(key, entry)
        for name in ("due", "letters", *(f"of {number}" for number in CONSUMERS)):
            for row in found[name]:
                SEALER.open(row.key, row.entry)
    except BusError:
        with contextlib.suppress(BusError):  # what was found first is what is told
            await store.close()
        raise
    await store.close()
    plain = msgspec.structs.replace(
        contents, epoch=0, clean=True, dedup=tuple(sorted(contents.dedup))
    )
    return found, plain


async def _do(store: SqliteStore, number: int, work: Workload) -> None:
    if number == 0:
        await keep(store, *work.begin())
    elif number == FORGETS_AT:
        await keep(store, *work.forget())
    elif number % 17 == 16:
        await store.trim(number % 2 + 1, Bounds(number // 2, 1 << 40, 0, False))
    elif number % 7 == 6:
        for ended in [keep(store, *work.next()) for _ in range(number % 4 + 2)]:
            await ended
    else:
        await keep(store, *work.next())
