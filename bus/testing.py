"""A bus for tests: the same engine, with a clock that moves when it is told to.

async with TestBus(policy_data) as bus:
await bus.agent("planner").publish("tasks.new", task)
await bus.advance(seconds=30)      # what is due by then has happened
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Final

from bus.app import Bus
from bus.config import Settings
from bus.policing import PolicyData

START_NS: Final = 1_700_000_000_000_000_000
TURNS: Final = 50  # of the loop, for what is under way to come to rest


class FakeTimer:
    """A call that is due at a time of a `FakeClock`."""

    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Make sure it is not called."""
        self.callback = None


class FakeClock:
    """Time that stands still until `advance`."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self._now_ns = now_ns
        self._timers: list[tuple[int, int, FakeTimer]] = []
        self._order = itertools.count()

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return self._now_ns

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        """Call back once the clock has been advanced by `delay_s` seconds."""
        timer = FakeTimer(self._now_ns + int(delay_s * 1e9), callback)
        heapq.heappush(self._timers, (timer.due_ns, next(self._order), timer))
        return timer

    def next_due_ns(self) -> int | None:
        """Return when the next call is due, or None."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def step(self, until_ns: int) -> bool:
        """Move to the next due call at or before `until_ns` and make it; else to there."""
        due_ns = self.next_due_ns()
        if due_ns is None or due_ns > until_ns:
            self._now_ns = max(self._now_ns, until_ns)
            return False
        _, _, timer = heapq.heappop(self._timers)
        self._now_ns = max(self._now_ns, due_ns)
        callback, timer.callback = timer.callback, None
        if callback is not None:
            callback()
        return True


class TestBus(Bus):
    """`Bus` with a `FakeClock`; agents and roles as the test gives them."""

    __test__ = False  # the name begins like a test class; it is none

    def __init__(
        self, policy_data: PolicyData, *, settings: Settings | None = None
    ) -> None:
        self.clock = FakeClock()
        super().__init__(policy_data, settings=settings, clock=self.clock)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: every call that falls due is made, in order."""
        until_ns = self.clock.now_ns() + int(seconds * 1e9)
        await self.settle()
        while self.clock.step(until_ns):
            await self.settle()

    async def settle(self) -> None:
        """Let what is under way go as far as it can without time passing."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
