"""Injects faults into a running bus, and takes them back.

Rule: a fault is checked, allowed by policy and recorded before it begins. It ends at its
time, on a stop, when health is critical or with the bus, whoever ordered it and whether
they are still there. Stopping asks nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec

from bus.chaos.clock import ChaosClock
from bus.core.chaosplan import Plan
from bus.core.decision import Decision, Principal
from bus.core.errors import LimitExceededError
from bus.core.faults import RESOURCES, Asked, ChaosRefusedError, Injection, Kind
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.operatinglimits import CHAOS_CHECK_S
from bus.ports import Access, Timer

_OVER: Final = "its time is over"
_SEED_SHIFT: Final = 11  # of 64 bits of chance 53 are kept: JSON carries no more


class Ballast(Protocol):
    """What is taken once and given back once."""

    def free(self) -> int:
        """Return how much could be taken now. It may block."""

    def take(self, amount: int) -> int:
        """Take up to `amount`; return what was got. It blocks: call it in a thread."""

    def give_back(self) -> None:
        """Give everything back, also what a `take` under way is still getting."""


class Surroundings(msgspec.Struct, frozen=True):
    """What an injector needs of the bus it is in.

    `admit` asks policy, and raises `DeniedError` once the refusal is recorded. `note`
    records. `critical` says why everything is to be stopped, or nothing. `draw` gives
    8 bytes of chance, `name` the id of a fault.
    """

    who: Callable[[], Principal]
    admit: Callable[[Access], Awaitable[Decision]]
    note: Callable[[str, str], None]
    critical: Callable[[], str]
    draw: Callable[[], bytes]
    name: Callable[[], str]


class Injector:
    """The faults of one bus. Made by the composition root, only where it is enabled."""

    def __init__(
        self,
        plan: Plan,
        clock: ChaosClock,
        *,
        ballast: Mapping[Kind, Callable[[], Ballast]],
        breakers: Mapping[str, Callable[[], bool]],
        blast_radius: float,
    ) -> None:
        self.plan = plan
        self.clock = clock
        self._ballast = ballast
        self._breakers = breakers
        self._radius = blast_radius
        self._around: Surroundings | None = None
        self._held: dict[str, Ballast] = {}
        self._timers: dict[str, Timer] = {}
        self._watch: Timer | None = None

    def attach(self, around: Surroundings) -> None:
        """Say what bus it is in; before that nothing can be injected."""
        self._around = around

    @property
    def around(self) -> Surroundings:
        """What it is in; raises `ChaosRefusedError` before it is attached."""
        if self._around is None:
            raise ChaosRefusedError("the bus is not ready for chaos yet")
        return self._around

    async def start(self, asked: Asked) -> Injection:
        """Inject a fault; return it once it is on.

        Raises:
            ChaosRefusedError, LimitExceededError: it may not be injected.
            DeniedError: policy does not let the control agent.
            UnavailableError: policy could not be asked.
        """
        around = self.around
        self._check(asked)
        who = around.who()
        place = f"{asked.component}.{asked.kind.value}"
        await around.admit(Access("chaos", who.id, who.tenant, place))
        ballast = await self._ballast_for(asked)
        self._check(asked)  # others may have been admitted meanwhile
        seed = int.from_bytes(around.draw(), "big") >> _SEED_SHIFT
        name, told = around.name(), _told(asked, seed)
        self._note(f"begins {name} {place}: {told}, by {who.id}: {asked.reason}")
        true = self.clock.true
        injection = self.plan.admit(
            asked, name=name, by=who.id, seed=seed, now_ns=true.now_ns()
        )
        self._timers[name] = true.call_after(asked.seconds, lambda: self._over(name))
        if self._watch is None:
            self._watch = true.call_after(CHAOS_CHECK_S, self._look)
        if ballast is not None:
            self._held[name] = ballast
        try:
            await self._begin(injection)
        except BaseException:
            self._end(name, "it could not begin")
            raise
        return injection

    def stop(self, name: str, why: str = "stopped") -> list[Injection]:
        """End one fault; raises `ChaosRefusedError` where it is not on."""
        ended = self._end(name, why)
        if ended is None:
            told = ", ".join(self.plan.active) or "none"
            raise ChaosRefusedError(f"no fault {name!r} is on; there are: {told}")
        return [ended]

    def stop_all(self, why: str = "stopped") -> list[Injection]:
        """End every fault now."""
        ended = [self._end(name, why) for name in list(self.plan.active)]
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        return [injection for injection in ended if injection is not None]

    def _check(self, asked: Asked) -> None:
        if told := self._critical():
            raise ChaosRefusedError(f"nothing is injected while {told}")
        self.plan.check(asked)

    async def _ballast_for(self, asked: Asked) -> Ballast | None:
        """Return what takes a resource, if it takes no more of it than allowed."""
        if asked.kind not in RESOURCES:
            return None
        made = self._ballast[asked.kind]()
        allowed = int(await asyncio.to_thread(made.free) * self._radius)
        if asked.amount > allowed:
            raise LimitExceededError(
                f"amount of {asked.kind.value} (chaos.blast_radius of what is free)",
                actual=asked.amount,
                allowed=allowed,
            )
        return made

    async def _begin(self, injection: Injection) -> None:
        """Do what is not done question by question."""
        ballast = self._held.get(injection.id)
        if injection.asked.kind is Kind.CLOCK:
            self.clock.offset_ns = self.plan.jump_ns
        elif injection.asked.kind is Kind.BREAKER:
            injection.hits += self._breakers[injection.asked.component]()
        elif ballast is not None:
            took = asyncio.to_thread(ballast.take, injection.asked.amount)
            injection.amount = await took

    def _over(self, name: str) -> None:
        self._end(name, _OVER)

    def _critical(self) -> str:
        try:
            return self.around.critical()
        except Exception as error:  # noqa: BLE001 - who cannot tell is not well
            return f"health cannot be told: {error!r}"

    def _end(self, name: str, why: str) -> Injection | None:
        """Take a fault back, and say so. Asks nobody, and waits for nothing."""
        injection = self.plan.end(name, why)
        if injection is None:
            return None
        self._timers.pop(name).cancel()
        self.clock.offset_ns = self.plan.jump_ns
        ballast = self._held.pop(name, None)
        if ballast is not None:
            ballast.give_back()
        place = f"{injection.asked.component}.{injection.asked.kind.value}"
        self._note(
            f"ends {name} {place}: {why}; hit "
            f"{injection.hits} of {injection.questions}, took {injection.amount}"
        )
        return injection

    def _look(self) -> None:
        """End what should have ended, or everything; hold breakers open."""
        self._watch = None
        for name in self.plan.overdue(self.clock.true.now_ns()):
            self._end(name, _OVER)
        if told := self._critical():
            self.stop_all(f"stopped because {told}")
        for injection in list(self.plan.active.values()):
            if injection.asked.kind is Kind.BREAKER:
                self._hold_open(injection)
        if self.plan.active:
            self._watch = self.clock.true.call_after(CHAOS_CHECK_S, self._look)

    def _hold_open(self, injection: Injection) -> None:
        try:
            injection.hits += self._breakers[injection.asked.component]()
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest goes on
            self._end(injection.id, f"its breaker cannot be held open: {error!r}")

    def _note(self, detail: str) -> None:
        self.around.note("chaos", detail[:ERROR_CHARS_MAX])


def _told(asked: Asked, seed: int) -> str:
    """Return how much and how long."""
    chosen = seed if asked.seed is None else asked.seed
    said = {
        Kind.LATENCY: f"{asked.latency_s:g} s for {asked.share:g} of questions, seed {chosen}",
        Kind.TIMEOUT: f"{asked.share:g} of questions, seed {chosen}",
        Kind.ERROR: f"{asked.share:g} of questions, seed {chosen}",
        Kind.CLOCK: f"{asked.jump_s:+g} s",
    }
    amount = f"{asked.amount}" if asked.kind in RESOURCES else "all of it"
    where = f" at {asked.subject}" if asked.subject else ""
    return f"{said.get(asked.kind, amount)}{where}, for {asked.seconds:g} s"
