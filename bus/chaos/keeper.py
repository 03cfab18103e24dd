"""A message store that is slow, or fails.

Rule: a fault keeps the store's promises: what is refused is not kept, and how each
submission ended is told in order, a late one before all that came after it.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from bus.chaos.seam import Seam
from bus.core.changes import (
    Bounds,
    Change,
    Contents,
    DeliveryRow,
    DueRow,
    Letter,
    Trimmed,
)
from bus.core.errors import StoreUnavailableError
from bus.core.faults import Strike
from bus.core.operatinglimits import (
    CHAOS_CHECK_S,
    CHAOS_DRAWN_MAX,
)
from bus.core.stats import StoreStats
from bus.pauses import pause
from bus.ports import Clock, Timer
from bus.storing import Done, Store

COMPONENT: Final = "store"
_NS_PER_S: Final = 1_000_000_000
_NOW: Final = Strike(0.0, "")


class _Late(msgspec.Struct, frozen=True):
    """An ending that is told later, at a time, or with the fault that it hangs on."""

    due_ns: int
    hung: bool
    done: Done
    error: Exception | None


class ChaosStore:
    """A `Store` around another. Opening, closing and reopening are never hit.

    `clock` is the true one, which no fault moves.
    """

    def __init__(self, inner: Store, seam: Seam, clock: Clock) -> None:
        self._inner = inner
        self._seam = seam
        self._clock = clock
        self._late: deque[_Late] = deque()
        self._delayed = 0  # submissions that will be late, and have not ended yet
        self._timer: Timer | None = None

    @property
    def full(self) -> bool:
        """Whether publishing must wait for `room`."""
        return self._inner.full or len(self._late) >= CHAOS_DRAWN_MAX

    def submit(self, changes: Sequence[Change], done: Done) -> None:
        """Take a submission; one that is hit is refused, or its ending told late."""
        strike = self._seam.strike()
        if strike is None:
            if self._late or self._delayed:
                self._inner.submit(
                    changes, lambda error: self._ended(_NOW, done, error)
                )
            else:
                self._inner.submit(changes, done)
            return
        self._delayed += 1

        def ended(error: Exception | None) -> None:
            self._delayed -= 1
            if error is None and strike.refused:
                error = StoreUnavailableError(strike.refused)
            self._ended(strike, done, error)

        # What is refused still takes its place in the order.
        self._inner.submit(() if strike.refused else changes, ended)

    async def room(self) -> None:
        """Wait until it is not full."""
        while len(self._late) >= CHAOS_DRAWN_MAX:
            await pause(self._clock, CHAOS_CHECK_S)
        if self._inner.full:
            await self._inner.room()

    async def trim(self, stream: int, bounds: Bounds) -> Trimmed:
        """Cut a stream, late or not at all where this is hit."""
        await self._seam.cross(StoreUnavailableError)
        return await self._inner.trim(stream, bounds)

    async def deliveries(
        self, consumer: int, after: int, limit: int
    ) -> list[DeliveryRow]:
        """Read, late or not at all where this is hit; so do all that follow."""
        await self._seam.cross(StoreUnavailableError)
        return await self._inner.deliveries(consumer, after, limit)

    async def due(self, until_ns: int, limit: int) -> list[DueRow]:
        """Read what is due."""
        await self._seam.cross(StoreUnavailableError)
        return await self._inner.due(until_ns, limit)

    async def next_due_ns(self) -> int:
        """Read when the next is due."""
        await self._seam.cross(StoreUnavailableError)
        return await self._inner.next_due_ns()

    async def entries(
        self, first: int, last: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """Read entries."""
        await self._seam.cross(StoreUnavailableError)
        return await self._inner.entries(first, last, limit)

    async def at(self, stream: int, time_ns: int) -> int:
        """Read where a time is in a stream."""
        await self._seam.cross(StoreUnavailableError)
        return await self._inner.at(stream, time_ns)

    async def letters(self, after: int, limit: int) -> list[Letter]:
        """Read dead letters."""
        await self._seam.cross(StoreUnavailableError)
        return await self._inner.letters(after, limit)

    async def open(self) -> Contents:
        """Open it."""
        return await self._inner.open()

    async def reopen(self) -> None:
        """Open it anew."""
        await self._inner.reopen()

    async def close(self) -> None:
        """Close it; whoever waits for a late ending is told first."""
        try:
            await self._inner.close()
        finally:
            self._tell(everything=True)

    def health(self) -> tuple[bool, str]:
        """Tell what the store itself says of its health."""
        return self._inner.health()

    def stats(self) -> StoreStats:
        """Return the store's own counts."""
        return self._inner.stats()

    def _ended(self, strike: Strike, done: Done, error: Exception | None) -> None:
        wait_s = self._seam.deadline_s if strike.hangs else strike.delay_s
        due_ns = self._clock.now_ns() + int(wait_s * _NS_PER_S)
        self._late.append(_Late(due_ns, strike.hangs, done, error))
        self._tell()

    def _tell(self, *, everything: bool = False) -> None:
        """Tell the endings whose time has come, in order; see to the next."""
        late = self._late
        while late and (everything or self._due(late[0])):
            one = late.popleft()
            one.done(one.error)
        if late and self._timer is None:
            wait_s = (late[0].due_ns - self._clock.now_ns()) / _NS_PER_S
            if late[0].hung:
                wait_s = min(wait_s, CHAOS_CHECK_S)  # the fault may be over by then
            self._timer = self._clock.call_after(wait_s, self._again)

    def _due(self, one: "_Late") -> bool:
        over = one.hung and not self._seam.hit
        return over or one.due_ns <= self._clock.now_ns()

    def _again(self) -> None:
        self._timer = None
        self._tell()
