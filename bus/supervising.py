"""Which parts of a bus are supervised, and how each is brought back.

Rule: a part is supervised if it can fail and something can be done about it. Every step
of a recovery is recorded, and told on `$SYS.recovery.`. Below the composition root.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from bus.config import Settings
from bus.config.operating import ProcessSettings, RecoverySettings
from bus.core.errors import ConfigurationError
from bus.core.recovering import DEFAULTS, Kind, Policy
from bus.core.suggest import hint
from bus.host import Host
from bus.ledger import Ledger
from bus.ports import Clock
from bus.recovery import (
    AgentProcess,
    Component,
    HealthBoard,
    Orchestrator,
    Program,
    Transition,
    reconnect,
    reopen,
    rewind,
    telling,
)

Health = Callable[[], tuple[bool, str]]
Act = Callable[[], Awaitable[Any]]
STORE: Final = "store"
CONSUMERS: Final = "consumers"
POLICY: Final = "policy"
AUDIT: Final = "audit"
DECISION_LOG: Final = "decision-log"


def names(settings: Settings) -> tuple[str, ...]:
    """Return the parts of a bus that are supervised, but for processes."""
    kept = (STORE, CONSUMERS) if settings.store.kind != "direct" else ()
    return (POLICY, AUDIT, *kept)


class Supervision:
    """The orchestrator and the health board of one bus, and the processes it runs."""

    def __init__(
        self, host: Host, clock: Clock, told: Sequence[RecoverySettings]
    ) -> None:
        self._host = host
        self._clock = clock
        self._told_of = {one.component: one for one in told}
        self.orchestrator = Orchestrator(
            clock, host.crew.start, self._told, random.random
        )
        self._essential: dict[str, Health] = {}
        self._telling: dict[str, Health] = {"recovery": self.orchestrator.health}
        self.board: HealthBoard | None = None
        self.processes: list[AgentProcess] = []
        self._names: list[str] = []
        self._store_health: Health = lambda: (True, "")

    def policy(self, health: Health, renew: Act) -> None:
        """Supervise the policy engine: brought back, it is asked for its policy again."""
        self._essential["policy loaded"] = health
        part = reconnect(POLICY, telling(health), _plain(renew), kind=Kind.POLICY)
        self._register(part)

    def audit(self, health: Health, room: Act) -> None:
        """Supervise the audit record: its writer tries again until there is room."""
        self._essential["audit not stalled"] = health
        part = reopen(AUDIT, telling(health), _plain(room), kind=Kind.AUDIT)
        self._register(part)

    def decision_log(self, health: Health, flush: Act) -> None:
        """Supervise the sink of the decision log: what waits is sent again."""
        self._telling["decision log not stalled"] = health
        part = reconnect(
            DECISION_LOG, telling(health), _plain(flush), kind=Kind.CONNECTION
        )
        self._register(part)

    def store(self, ledger: Ledger) -> None:
        """Supervise the store, reopened after a fault, and its consumers, rewound."""
        self._essential["store writable"] = ledger.store.health
        self._telling["consumers fed"] = ledger.rewinding.health
        store = ledger.store
        self._register(reopen(STORE, telling(store.health), store.reopen))
        ledger.keeping.refused, self._store_health = self._store_refused, store.health
        self._register(
            rewind(
                CONSUMERS,
                telling(ledger.rewinding.health),
                ledger.rewinding.rewind_stuck,
            )
        )

    def _store_refused(self, error: Exception) -> None:
        """Be told of a message that was not kept: a store that is unwell is not waited for."""
        if not self._store_health()[0]:
            self.orchestrator.report(STORE, error)

    def agents(self, told: Sequence[ProcessSettings]) -> None:
        """Supervise agents that are processes of their own, restarted when they end."""
        for process in told:
            program = Program(
                argv=process.command,
                environment=process.environment,
                folder=process.folder,
                grace_s=process.grace_seconds,
            )
            agent = AgentProcess(
                process.name,
                program,
                clock=self._clock,
                spawn=self._host.crew.start,
                exited=self.orchestrator.report,
            )
            self.processes.append(agent)
            self._register(agent)

    def ready(self) -> None:
        """Be told that all parts are there.

        Raises:
            ConfigurationError: the settings speak of a part that is not.
        """
        for name in self._told_of.keys() - self._names:
            raise ConfigurationError(
                f"recovery: no component {name!r}{hint(name, self._names)}"
            )

    async def start(self) -> None:
        """Begin to check, to sample and to run processes."""
        self.board = HealthBoard(
            self._clock,
            self.orchestrator.breakers,
            essential=self._essential,
            telling=self._telling,
        )
        self.orchestrator.start()
        self.board.start()
        for process in self.processes:
            await process.start()

    async def stop(self) -> None:
        """End processes, and do nothing any more."""
        self.orchestrator.stop()
        if self.board is not None:
            self.board.stop()
        for process in self.processes:
            await process.stop()

    def _register(self, part: Component) -> None:
        care, told = DEFAULTS[part.kind], self._told_of.get(part.name)
        if told is not None:
            policy = Policy(
                strategy=told.strategy,
                attempts=told.attempts,
                multiplier=told.multiplier,
                initial_ms=told.initial_ms,
                max_ms=told.max_ms,
            )
            care = msgspec.structs.replace(care, policy=policy)
        self._names.append(part.name)
        self.orchestrator.register(part, care)

    def _told(self, step: Transition) -> None:
        """Record a step, and publish it."""
        said = (
            f"{step.component}: {step.before.value} -> {step.after.value} on "
            f"{step.event.value}, attempt {step.attempt} of {step.attempts}, breaker "
            f"{step.breaker.value}"
        )
        more = "; ".join(filter(None, (step.by and f"by {step.by}", step.detail)))
        self._host.notes.note("recovery", f"{said}; {more}" if more else said)
        self._host.events.tell(f"recovery.{step.component}", step)


def _plain(act: Act) -> Callable[[], Any]:
    async def acted() -> None:
        await act()

    return acted
