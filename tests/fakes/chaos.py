"""What an injector needs around it, as a test says."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from bus.chaos import ChaosClock, Injector, Surroundings
from bus.core.chaosplan import Plan
from bus.core.decision import Decision, Principal
from bus.core.faults import Asked, Kind, Reach
from bus.ports import Access
from bus.testing import TURNS, FakeClock

QUESTIONS = frozenset({Kind.LATENCY, Kind.ERROR, Kind.TIMEOUT, Kind.PARTITION})
OFFERS = {
    "policy": QUESTIONS | {Kind.BREAKER},
    "store": QUESTIONS,
    "audit": QUESTIONS,
    "clock": frozenset({Kind.CLOCK}),
    "memory": frozenset({Kind.MEMORY}),
}
NEEDED: dict[Kind, dict[str, Any]] = {
    Kind.LATENCY: {"share": 1.0, "latency_s": 0.5},
    Kind.ERROR: {"share": 1.0},
    Kind.TIMEOUT: {"share": 1.0},
    Kind.CLOCK: {"jump_s": 60.0},
    Kind.MEMORY: {"amount": 10},
}


def fault(kind: Kind, component: str = "policy", **given: Any) -> Asked:
    """Return a fault of ten seconds that hits everything, but for what is given."""
    said = {"seconds": 10, "reason": "drill", **NEEDED.get(kind, {}), **given}
    return Asked(kind=kind, component=component, **said)


def full_plan(radius: float = 1.0) -> Plan:
    """Return a plan that lets everything be hit."""
    reach = Reach(
        max_seconds=60, blast_radius=radius, components=frozenset({*OFFERS, "api"})
    )
    return Plan(reach, OFFERS)


class Weights:
    """Ballast that is only counted. `gate` holds a `take` up, in its thread."""

    def __init__(self, there: int = 100) -> None:
        self.there = there
        self.held = 0
        self.fault: Exception | None = None
        self.given_back = 0

    def free(self) -> int:
        """Return what there is."""
        return self.there

    def take(self, amount: int) -> int:
        """Take it, or fail as the test says."""
        if self.fault is not None:
            raise self.fault
        self.held = amount
        return amount

    def give_back(self) -> None:
        """Give it back."""
        self.given_back += self.held
        self.held = 0


class Broken:
    """An injector in made-up surroundings, with a clock that moves when told."""

    def __init__(self, radius: float = 1.0) -> None:
        self.true = FakeClock()
        self.weights = Weights()
        self.notes: list[str] = []
        self.asked: list[Access] = []
        self.critical: Callable[[], str] = str
        self.admit: Callable[[Access], Decision] = lambda _: Decision(
            allow=True, reasons=(), revision="r1", digest=""
        )
        self.trips: list[bool] = []
        self.fault: Exception | None = None
        self._names = (f"f{number}" for number in itertools.count(1))
        self.injector = Injector(
            full_plan(radius),
            ChaosClock(self.true),
            ballast={Kind.MEMORY: lambda: self.weights},
            breakers={"policy": self._trip},
            blast_radius=radius,
        )

    def attach(self) -> "Broken":
        """Put the injector in its surroundings."""
        self.injector.attach(
            Surroundings(
                who=lambda: Principal("op", "acme"),
                admit=self._admit,
                note=lambda event, detail: self.notes.append(f"{event}: {detail}"),
                critical=self._critical,
                draw=lambda: bytes(range(8)),
                name=lambda: next(self._names),
            )
        )
        return self

    async def _admit(self, access: Access) -> Decision:
        self.asked.append(access)
        await asyncio.sleep(0)  # as an engine that is asked elsewhere
        return self.admit(access)

    def _critical(self) -> str:
        return self.critical()

    def _trip(self) -> bool:
        if self.fault is not None:
            raise self.fault
        self.trips.append(True)
        return True

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        until_ns = self.true.now_ns() + int(seconds * 1e9)
        await self.settle()
        while self.true.step(until_ns):
            await self.settle()

    async def settle(self) -> None:
        """Let what is under way come to rest."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
