"""What a durable contestant is: it keeps what it is given, and says when that is so.

Rule: a message counts once its keeper has answered for it. What was answered otherwise
is a failure, and so is every message by which what is kept differs from what was answered.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Final, Protocol

import msgspec

IN_FLIGHT: Final = 1_000  # messages that wait for their answer at once


class BrokenContestError(Exception):
    """A contestant does not do what it is there for."""


class Took(msgspec.Struct, frozen=True):
    """How long it took until the last of the messages was answered for."""

    messages: int
    seconds: float
    failures: int = 0

    @property
    def per_second(self) -> float:
        """Messages each second."""
        return self.messages / self.seconds

    @property
    def us_each(self) -> float:
        """Microseconds for each message."""
        return self.seconds / self.messages * 1e6


class Contestant(Protocol):
    """Keeps messages; all of them have the same body."""

    name: str

    async def together(self, messages: int) -> Took:
        """Have messages kept, `IN_FLIGHT` of them waiting for their answer at once."""

    async def alone(self, messages: int) -> Took:
        """Have messages kept one by one: each waits for the answer before it."""

    async def kept(self) -> int:
        """Return how many it has, as its store tells."""

    async def empty(self) -> None:
        """Have it forget what it has, where what it has would make it slower."""


class Tally:
    """What a contestant showed so far, and how often it failed."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self.many: list[Took] = []
        self.single: list[Took] = []
        self.failures = 0
        self._answered = 0

    async def together(self, messages: int) -> None:
        """Measure many at once."""
        self.many.append(self._counted(await self.contestant.together(messages)))

    async def alone(self, messages: int) -> None:
        """Measure one after the other."""
        self.single.append(self._counted(await self.contestant.alone(messages)))

    async def settle(self) -> None:
        """Compare what is kept with what was answered, then let it be forgotten."""
        self.failures += abs(await self.contestant.kept() - self._answered)
        await self.contestant.empty()
        self._answered = await self.contestant.kept()

    def warmed_up(self) -> None:
        """Forget the figures so far.

        Raises:
            BrokenContestError: there was a failure, so no figure would mean anything.
        """
        if self.failures:
            name = self.contestant.name
            raise BrokenContestError(f"{name}: {self.failures} failures in warming up")
        self.many.clear()
        self.single.clear()

    def per_second(self) -> float:
        """Return the median rate of many at once."""
        return median(took.per_second for took in self.many)

    def us_alone(self) -> float:
        """Return the median time of one alone."""
        return median(took.us_each for took in self.single)

    def _counted(self, took: Took) -> Took:
        self._answered += took.messages - took.failures
        self.failures += took.failures
        return took


def rate_ratio(ours: Sequence[Took], theirs: Sequence[Took]) -> float:
    """Return the median over the pairs of how many times faster ours are."""
    pairs = zip(ours, theirs, strict=True)
    return median(one.per_second / other.per_second for one, other in pairs)


async def one_by_one(messages: int, send: Callable[[], Awaitable[bool]]) -> Took:
    """Send messages, each after the one before has been answered; time it."""
    failures = 0
    start = time.perf_counter()
    for _ in range(messages):
        failures += not await send()
    return Took(messages, time.perf_counter() - start, failures)
