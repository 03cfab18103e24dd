"""What the agents of one running bus share: its parts, routes, workers and dead letters.

Rule: the host knows every task it started and every delivery that has not ended, so
closing can wait for the one and account for the other.
"""

import asyncio
import enum
from typing import Final

from bus.core.errors import (
    BusAlreadyStartedError,
    BusNotStartedError,
    DeniedError,
    LimitExceededError,
    SubjectError,
    UsageError,
)
from bus.core.limits import GRACE_S, IDLE_CHECK_S, LEASE_CHECK_S, SUBSCRIPTIONS_MAX
from bus.core.stats import Snapshot
from bus.core.subject import DEAD_PREFIX, INBOX_PREFIX
from bus.crew import Crew
from bus.dispatcher import Dispatcher
from bus.draft import Terms
from bus.inbox import Inbox, Waits, inbox_spec
from bus.letters import Letters
from bus.notes import Notes
from bus.parts import Parts
from bus.pipeline import Origin, Pipeline
from bus.ports import Access, Timer
from bus.routes import RouteTable
from bus.settling import Settling
from bus.subscription import Subscription, Worker, handled
from bus.wants import Spec

AGENT_MESSAGE: Final = "agent_message"


class Phase(enum.Enum):
    """Where a bus stands; it goes through these once, in order."""

    NEW = "new"
    RUNNING = "running"
    DRAINING = "draining"
    CLOSED = "closed"


class Host:
    """The inside of a bus. `open` is True while agents may publish."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.phase = Phase.NEW
        self.open = False
        self.terms = Terms(
            parts.ids,
            parts.clock.now_ns,
            parts.validator.constitution,
            parts.authorizer.revision,
        )
        self.pipeline = Pipeline(parts)
        self.notes = Notes(parts)
        self.letters = Letters(self.terms, self.pipeline, self.origin)
        self.settling = Settling(parts, self.letters)
        self.dispatcher = Dispatcher(parts, self.settling)
        self.subscriptions: dict[Subscription, None] = {}
        self._origins: dict[tuple[str, str], Origin] = {}
        self._tables: dict[str, RouteTable] = {}
        self._staffed: dict[Subscription, None] = {}
        self.crew = Crew(self._failed)
        self.failure: BaseException | None = None
        self._ending: asyncio.Task[int] | None = None
        self._hurry = False
        self._lease_timer: Timer | None = None

    def table(self, tenant: str) -> RouteTable:
        """Return a tenant's routes; no other tenant's are reachable from it."""
        table = self._tables.get(tenant)
        if table is None:
            table = RouteTable(self.parts.plan, self.parts.counters)
            self._tables[tenant] = table
        return table

    def origin(self, tenant: str, agent: str) -> Origin:
        """Return where an agent's messages come from."""
        known = self._origins.get((tenant, agent))
        if known is None:
            usage = self.parts.meter.cell(tenant, agent, AGENT_MESSAGE)
            known = Origin(self.table(tenant), usage)
            self._origins[tenant, agent] = known
        return known

    def require_open(self) -> None:
        """Raise `BusNotStartedError` unless publishing is allowed.

        While the bus drains, handlers may still publish.
        """
        if self.open or (self.phase is Phase.DRAINING and handled.get() is not None):
            return
        if self.phase is Phase.NEW:
            raise BusNotStartedError("the bus is not started: use 'async with bus'")
        if self.failure is not None:
            raise BusNotStartedError(f"the bus has failed: {self.failure!r}")
        raise BusNotStartedError(f"the bus is {self.phase.value}; it takes no more")

    def subscribe(self, spec: Spec) -> Subscription:
        """Let a subscription receive; its workers start with its first message.

        Raises `DeniedError`, or `LimitExceededError` for too many subscriptions.
        """
        if self.phase in {Phase.DRAINING, Phase.CLOSED}:
            self.require_open()
        self.notes.admit(_subscribing(spec))
        if spec.pattern.startswith("$") and not spec.pattern.startswith(DEAD_PREFIX):
            raise SubjectError(f"{spec.pattern!r}: '$' belongs to the bus")
        return self.attach(spec)

    def attach(self, spec: Spec) -> Subscription:
        """Add a subscription that is allowed already."""
        if len(self.subscriptions) >= SUBSCRIPTIONS_MAX:
            raise LimitExceededError(
                "subscriptions",
                actual=len(self.subscriptions) + 1,
                allowed=SUBSCRIPTIONS_MAX,
            )
        stats = self.parts.counters.of(spec.tokens)
        return self._add(Subscription(spec, self.settling, stats, self._staff))

    def open_inbox(self, agent: str, tenant: str, waits: Waits) -> str:
        """Return the subject of a new inbox whose replies resolve `waits`."""
        token = self.parts.ids.next(self.parts.clock.now_ns()).hex()
        subject = f"{INBOX_PREFIX}{token}"
        spec = inbox_spec(subject, agent, tenant)
        stats = self.parts.counters.of(spec.tokens)
        self.letters.requests[subject] = waits
        self._add(Inbox(spec, self.settling, stats, waits))
        return subject

    def _add(self, subscription: Subscription) -> Subscription:
        self.subscriptions[subscription] = None
        self.table(subscription.spec.tenant).add(subscription)
        return subscription

    def recheck(self) -> int:
        """Ask policy again about every subscription; end those it no longer allows.

        What waited for them is dead, not delivered. Returns how many ended.
        """
        ended = 0
        for subscription in list(self.subscriptions):
            spec = subscription.spec
            try:
                if isinstance(subscription, Inbox):
                    self.notes.admit(Access("connect", spec.agent, spec.tenant))
                else:
                    self.notes.admit(_subscribing(spec))
            except DeniedError as error:
                self.letters.end_inbox(spec.pattern, error)
                self._end(subscription, "its subscription is no longer allowed")
                ended += 1
        return ended

    async def detach(self, subscription: Subscription, drain_s: float) -> int:
        """End a subscription; return how many of its messages became dead letters."""
        if subscription not in self.subscriptions:
            return 0
        self.table(subscription.spec.tenant).remove(subscription)
        subscription.close()
        await self._idle([subscription], drain_s)
        return self._end(subscription, "its subscription was closed")

    def _end(self, subscription: Subscription, reason: str) -> int:
        """End a subscription now; return how many messages that left dead."""
        self.table(subscription.spec.tenant).remove(subscription)
        subscription.close()
        left = self.settling.abandon(subscription, reason)
        for worker in subscription.workers:
            if worker.task is not None:
                worker.task.cancel()
        self.subscriptions.pop(subscription, None)
        self._staffed.pop(subscription, None)
        return left

    async def start(self) -> None:
        """Begin to take messages."""
        if self.phase is not Phase.NEW:
            raise BusAlreadyStartedError("a bus starts once; make a new one")
        await self.parts.audit.open()
        self.phase, self.open = Phase.RUNNING, True
        self.notes.begin()
        self.notes.note("started")
        self.crew.start(self.parts.meter.run(), "assent meter")
        self.crew.start(self.letters.publish_dead(), "assent dead letters")
        self._check_leases()

    async def stop(self, drain_s: float) -> int:
        """Drain for at most `drain_s`, then end everything; return what was left.

        What is left ends as dead letters: kept, counted and recorded. Who is cancelled
        meanwhile cuts the draining short and is cancelled once all has ended.
        """
        if self.phase is Phase.NEW:
            return 0
        task = asyncio.current_task()
        if any(w.task is task for s in self._staffed for w in s.workers):
            raise UsageError("a handler cannot close the bus that runs it")
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(
                self._end_all(drain_s)
            )
        cancelled: asyncio.CancelledError | None = None
        while not self._ending.done():
            try:
                await asyncio.shield(self._ending)
            except asyncio.CancelledError as error:
                self._hurry, cancelled = True, error
        if cancelled is not None:
            raise cancelled
        return self._ending.result()

    async def _end_all(self, drain_s: float) -> int:
        self.phase, self.open = Phase.DRAINING, False
        await self._idle(list(self.subscriptions), drain_s)
        self.phase = Phase.CLOSED
        left = 0
        for subscription in self.subscriptions:
            subscription.close()
            left += self.settling.abandon(subscription, "the bus was closed")
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        try:
            await self.crew.end(GRACE_S)
            self.letters.end(BusNotStartedError("the bus was closed"))
            await self.parts.meter.close()
            self.notes.note("stopped")
        finally:
            await self.parts.audit.close()
        return left

    def _failed(self, error: BaseException) -> None:
        """Take nothing more: a part of the bus itself has failed."""
        self.open = False
        self.failure = self.failure or error
        self._hurry = True

    def snapshot(self) -> Snapshot:
        """Return everything counted."""
        parts, latency = self.parts, self.dispatcher.latency
        return Snapshot(
            subjects=list(parts.counters.by_template.values()),
            decisions=parts.authorizer.stats(),
            meter=parts.meter.stats(),
            audit=parts.audit.stats(),
            revision=parts.authorizer.revision,
            constitution=self.terms.constitution,
            subscriptions=len(self.subscriptions),
            queued=sum(s.size + len(s.delayed) for s in self._staffed),
            in_flight=sum(s.in_flight for s in self._staffed),
            dead_letters=len(self.letters.kept),
            dead_letters_evicted=self.letters.evicted,
            dead_letters_unpublished=self.letters.unpublished,
            latency_log2_ns=list(latency.log2_ns),
            latency_sum_ns=latency.sum_ns,
        )

    def _staff(self, subscription: Subscription) -> None:
        """Give a subscription one more worker."""
        worker = Worker(subscription)
        subscription.workers.append(worker)
        subscription.unstaffed = (
            len(subscription.workers) < subscription.spec.max_in_flight
        )
        self._staffed[subscription] = None
        worker.task = self.crew.employ(
            self.dispatcher.work(worker), f"assent {subscription.name}"
        )

    def _check_leases(self) -> None:
        for subscription in self._staffed:
            self.dispatcher.expire_leases(subscription)
        self._lease_timer = self.parts.clock.call_after(
            LEASE_CHECK_S, self._check_leases
        )

    async def _idle(self, subscriptions: list[Subscription], limit_s: float) -> None:
        """Wait until nothing is under way, at most `limit_s` of the loop's seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s
        while (not self._hurry and loop.time() < until) and (
            any(s.busy for s in subscriptions) or self.letters.busy
        ):
            await self.pause()

    async def pause(self) -> None:
        """Let the loop run while something is awaited."""
        await asyncio.sleep(IDLE_CHECK_S)


def _subscribing(spec: Spec) -> Access:
    return Access("subscribe", spec.agent, spec.tenant, spec.pattern, spec.queue)
