"""What waits for each agent: its subscriptions, summed in slices.

Rule: a sum is made for whoever asks and is good for LOADS_KEPT_S; the loop goes on in
between, so the numbers of one sum may be some milliseconds apart.
"""

import asyncio
from typing import Final

from bus.core.edgelimits import LOADS_KEPT_S, ROWS_PER_TURN
from bus.edge.operator.inside import Inside
from bus.inbox import Inbox

_NEARLY_FULL: Final = 0.9
_NS_PER_S: Final = 1_000_000_000


class Load:
    """What the subscriptions of one agent hold; `full` tells that one is nearly full."""

    __slots__ = ("full", "in_flight", "queued", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions = self.queued = self.in_flight = 0
        self.full = False


class Loads:
    """The loads of all agents of one bus."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._made_ns = 0
        self._kept: dict[tuple[str, str], Load] = {}
        self._one = asyncio.Lock()

    async def now(self) -> dict[tuple[str, str], Load]:
        """Return the loads by tenant and agent; nobody changes them."""
        async with self._one:
            age_ns = self._inside.now_ns() - self._made_ns
            if not 0 <= age_ns < LOADS_KEPT_S * _NS_PER_S:
                self._kept = await self._summed()
                self._made_ns = self._inside.now_ns()
        return self._kept

    async def of(self, tenant: str | None) -> Load:
        """Return the sum of a tenant, or of all."""
        total = Load()
        for number, ((owner, _), load) in enumerate((await self.now()).items(), 1):
            if tenant in {None, owner}:
                total.subscriptions += load.subscriptions
                total.queued += load.queued
                total.in_flight += load.in_flight
                total.full = total.full or load.full
            if not number % ROWS_PER_TURN:
                await asyncio.sleep(0)
        return total

    async def _summed(self) -> dict[tuple[str, str], Load]:
        found: dict[tuple[str, str], Load] = {}
        for number, one in enumerate(list(self._inside.host.roster.all), 1):
            if isinstance(one, Inbox):
                continue
            key = (one.spec.tenant, one.agent)
            load = found.get(key)
            if load is None:
                load = found[key] = Load()
            load.subscriptions += 1
            load.queued += one.size + one.aside + len(one.delayed)
            load.in_flight += one.in_flight
            taken = one.size + one.extra
            load.full = load.full or taken >= one.capacity * _NEARLY_FULL
            if not number % ROWS_PER_TURN:
                await asyncio.sleep(0)
        return found
