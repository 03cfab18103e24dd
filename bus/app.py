"""Composition root: the only module that knows which parts are used.

Rule: settings that cannot be honoured stop here, before anything runs.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any, Final, Self

from bus import breaking, composing, operating, policing, supervising
from bus.adapters.clock import SystemClock
from bus.adapters.control import Command
from bus.adapters.usage import MemoryUsage
from bus.client import BaseBus
from bus.config import Settings
from bus.core.errors import BusNotStartedError, PolicyLoadError, PolicyUnavailableError
from bus.core.ids import IdSource
from bus.core.limits import POLICY_WATCH_S
from bus.core.recovering import score
from bus.core.stats import ComponentStats, Snapshot
from bus.parts import Parts
from bus.policing import PolicyData
from bus.ports import Clock
from bus.routes import Counters
from bus.supervising import Supervision
from processors.strategies.broadcast import Broadcast

_log: Final = logging.getLogger("assent")


class Bus(BaseBus):
    """A governed bus in this process, with nothing to start beside it.

    `policy_data` says who the agents are and what their roles may do: a mapping, or
    the path of a JSON or TOML file. With `store`, the path of a SQLite file, what is
    accepted is kept there first, and survives. Everything else comes from `settings`, whose
    defaults decide in this process, keep the audit record in memory and make stamp
    keys for this run.

    Raises:
        ConfigurationError: something in the settings cannot be honoured.
    """

    def __init__(
        self,
        policy_data: PolicyData | None = None,
        *,
        store: str | Path | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = composing.stored_in(store, settings or Settings())
        clock = clock or SystemClock()
        trips = breaking.trips(
            lambda: self.supervision.orchestrator, supervising.names(self.settings)
        )
        self.chaos = breaking.injector(self.settings, clock, breakers=trips)
        clock = breaking.clock_of(self.chaos, clock)
        self._policy = policing.governance(self.settings, policy_data, clock)
        self._in_memory = not (
            policy_data is None or isinstance(policy_data, str | Path)
        )
        self._reloading = asyncio.Lock()
        self._under = ""  # the revision that all subscriptions were asked about under
        self.usage = MemoryUsage()
        parts = self._parts(clock)
        super().__init__(
            breaking.around(self.chaos, parts, self.settings),
            broadcast=Broadcast(),
            drain_s=self.settings.bus.drain_seconds,
        )
        self.supervision = self._supervised(clock)
        agent, critical = self.settings.control.agent, operating.critical(self.health)
        breaking.attach(self.chaos, self._host, agent, critical)

    def _parts(self, clock: Clock) -> Parts:
        """Return the parts that the settings choose."""
        self.audit = composing.audit(self.settings, clock)
        inner = self._policy.authorizer
        self.decision_log = policing.decision_log(self.settings, inner, clock)
        logged = self.decision_log
        ring = composing.key_ring(self.settings)
        return Parts(
            authorizer=inner if logged is None else logged.authorizer,
            validator=composing.validator(self.settings, ring),
            kept=composing.kept(self.settings, ring, clock),
            meter=composing.meter(self.settings, self.usage, clock),
            audit=self.audit,
            clock=clock,
            ids=IdSource(os.urandom(8)),
            plan=composing.plan(self.settings),
            limiter=composing.limiter,
            counters=Counters([t.subject for t in self.settings.templates]),
            publish_wait_s=self.settings.bus.publish_wait_seconds,
            ack_wait_s=self.settings.bus.ack_wait_seconds,
            max_deliver=self.settings.bus.max_deliver,
        )

    def _supervised(self, clock: Clock) -> Supervision:
        """Return what brings the parts of this bus back."""
        made = Supervision(self._host, clock, self.settings.recovery)
        made.policy(self._policy.health, self.reload_policy)
        made.audit(self.audit.health, self.audit.flush)
        if self.decision_log is not None:
            made.decision_log(self.decision_log.health, self.decision_log.flush)
        if self._host.ledger is not None:
            made.store(self._host.ledger)
        made.agents(self.settings.processes)
        made.ready()
        self._host.closing = made.stop
        return made

    async def reload_policy(self) -> str:
        """Put the policy that is there now in force; return the revision.

        Policy is asked again about every subscription and about everything queued.
        Subscriptions that it no longer allows end, and what waited for them becomes
        dead letters, or stays in the store until they are allowed again; messages that it
        no longer allows are recalled.

        Raises:
            PolicyLoadError, PolicyUnavailableError: it was refused, or could not be
                had, and the revision in force stays.
        """
        # In a task of the bus's own: who is cancelled here leaves nothing half done.
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._host.crew.start(self._reload(done), "assent policy reload")
        return await asyncio.shield(done)

    async def _reload(self, done: "asyncio.Future[str]") -> None:
        try:
            async with self._reloading:  # one after the other: the last read counts
                await self._renew()
            done.set_result(self.revision)
        except Exception as error:
            done.set_exception(error)
            done.exception()  # seen, also where the caller was cancelled
            if not isinstance(error, PolicyLoadError | PolicyUnavailableError):
                raise
            self._host.notes.note("reload_refused", f"policy: {error}")
        finally:
            if not done.done():
                done.set_exception(BusNotStartedError("the bus was closed meanwhile"))
                done.exception()

    async def _renew(self) -> None:
        """Put a policy in force, and everything under it, before anything else."""
        host = self._host
        await self._policy.renew()
        if self._under == self.revision:
            return
        host.terms.revision = self.revision
        host.holds.renewed()
        self._follow()
        self.forget_changed()
        ended = await host.roster.recheck()
        self._under = self.revision
        host.notes.note("reloaded", f"policy {self.revision}")
        if ended:
            _log.warning("%d subscriptions are no longer allowed", ended)

    async def __aenter__(self) -> Self:
        """Start, and watch where policy comes from if the settings say so.

        Raises what kept the policy from being put in force, or the logs from opening.
        """
        self._follow()
        if self.decision_log is not None:
            await self.decision_log.open()
        try:
            logged = self.decision_log is not None
            await self._policy.open(self._host.crew.start, logged=logged)
            self._host.terms.revision = self._under = self.revision
            self._follow()
            await super().__aenter__()
            await self.supervision.start()
        except BaseException:
            await self._end()
            raise
        if self.settings.policy.watch and not self._in_memory:
            self._host.crew.start(self._watch(), "assent policy watch")
        return self

    async def close(self, *, drain: float | None = None) -> int:
        """Take no more, finish what is under way, stop; see `BaseBus.close`."""
        if self.chaos is not None:
            self.chaos.stop_all("the bus stops")
        try:
            return await super().close(drain=drain)
        finally:
            await self._end()

    async def _end(self) -> None:
        try:
            await self._policy.close()
        finally:
            if self.decision_log is not None:
                await self.decision_log.close()

    async def _watch(self) -> None:
        """Reload on a change; a policy that is refused is said once a change."""
        if await self._policy.follow(self.reload_policy):
            return
        while True:
            await asyncio.sleep(POLICY_WATCH_S)
            try:
                if await self._policy.changed():
                    await self.reload_policy()
            except (PolicyLoadError, PolicyUnavailableError) as error:
                _log.error("policy refused, %s stays: %s", self.revision, str(error))

    @property
    def revision(self) -> str:
        """The policy revision in force."""
        return self._policy.authorizer.revision

    @property
    def constitution(self) -> str:
        """The hash of the constitution in force."""
        return self._host.terms.constitution

    @property
    def authorizer(self) -> Any:
        """What decides, without the decision log."""
        return self._policy.authorizer

    def _follow(self) -> None:
        """Let the decision log mask by the rules of the policy in force."""
        if self.decision_log is not None:
            self.decision_log.follow(self._policy.bundle())

    def _standing(self) -> str:
        failure = self._host.failure
        return self.phase.value if failure is None else f"failed: {failure!r}"

    def _policy_health(self) -> tuple[bool, str]:
        ok, told = self._policy.health()
        if self.running and self._under != self.revision:
            return False, f"{told}, and not everything was asked about under it yet"
        return ok, told

    def health(self) -> dict[str, tuple[bool, str]]:
        """Return each check by name: whether it holds, and a word on it."""
        checks = {
            "bus running": (self.running, self._standing()),
            "policy loaded": self._policy_health(),
            "audit not stalled": self.audit.health(),
        }
        if self.decision_log is not None:
            checks["decision log not stalled"] = self.decision_log.health()
        if self._host.ledger is not None:
            checks["store writable"] = self._host.ledger.store.health()
        board = self.supervision.board
        checks["standing"] = (False, "not started") if board is None else board.ready()
        return checks

    def stats(self) -> Snapshot:
        """Return everything counted so far."""
        snapshot = super().stats()
        recovery = self.supervision.orchestrator
        snapshot.health_score = score(recovery.breakers())
        snapshot.components = [
            ComponentStats(
                name=one.component, state=one.state.value, breaker=one.breaker.value
            )
            for one in recovery.status()
        ]
        return snapshot

    def commands(self) -> dict[str, Command]:
        """Return what an operator may order over the control channel, by name."""
        return operating.commands(
            lambda: operating.picture(self._host, self.health, self.supervision.board),
            self.chaos,
            self.supervision.orchestrator,
            operating.rewinds(self._host),
        )
