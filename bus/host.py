"""What the agents of one running bus share: its parts, routes, workers and dead letters.

Rule: the host knows every task it started and every delivery that has not ended, so
closing can wait for the one and account for the other.
"""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from bus import durability
from bus.core.errors import (
    BusAlreadyStartedError,
    BusError,
    BusNotStartedError,
    DeniedError,
    UsageError,
)
from bus.core.limits import GRACE_S, IDLE_CHECK_S, LEASE_CHECK_S
from bus.core.message import Message
from bus.core.stats import Snapshot
from bus.crew import Crew
from bus.dispatcher import Dispatcher
from bus.draft import Terms
from bus.events import SystemEvents
from bus.holds import Holds
from bus.ledger import Ledger
from bus.letterbox import Letterbox, StoredLetter
from bus.letters import Letters
from bus.notes import Notes
from bus.parts import Parts
from bus.pipeline import Pipeline
from bus.ports import Timer
from bus.recall import Recall, as_now
from bus.releasing import Releasing
from bus.roster import Roster
from bus.routes import Origin
from bus.settling import Settling
from bus.subscription import Subscription, handled
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
        self.crew = Crew(self._failed)
        self.notes = Notes(parts)
        self.holds = Holds(parts, self._denied)
        self.ledger = durability.ledger_of(parts, self.crew)
        keeping = None if self.ledger is None else self.ledger.keeping
        self.pipeline = Pipeline(parts, self.holds, keeping)
        self.letters = Letters(self.terms, self.pipeline, self.origin)
        settling = Settling(parts, self.letters)
        recall = Recall(parts, self.pipeline, settling)
        self.dispatcher = Dispatcher(parts, settling, recall)
        self.roster = Roster(
            parts, self.notes, self.crew, self.letters, self.dispatcher
        )
        if self.ledger is not None:
            durability.join(self.ledger, settling, self.roster)
        self.releasing = Releasing(
            parts, self.notes, self.pipeline, self.letters, self.holds
        )
        self.events = SystemEvents(
            self.terms, self.pipeline, self.origin, lambda: self.roster.tenants
        )
        self._origins: dict[tuple[str, str], Origin] = {}
        self.failure: BaseException | None = None
        self.closing: Callable[[], Awaitable[None]] | None = None  # before tasks end
        self._letterbox: Letterbox | None = None
        self._ending: asyncio.Task[int] | None = None
        self._hurry = False
        self._lease_timer: Timer | None = None

    def origin(self, tenant: str, agent: str) -> Origin:
        """Return where an agent's messages come from."""
        known = self._origins.get((tenant, agent))
        if known is None:
            usage = self.parts.meter.cell(tenant, agent, AGENT_MESSAGE)
            known = Origin(self.roster.table(tenant), usage)
            self._origins[tenant, agent] = known
        return known

    def require_ledger(self) -> Ledger:
        """Return what is kept, or raise `UsageError` if nothing is."""
        return durability.required(self.ledger)

    def require_letterbox(self) -> Letterbox:
        """Return the dead letters that are kept; raises as `require_ledger`."""
        ledger = self.require_ledger()
        if self._letterbox is None:
            self._letterbox = Letterbox(ledger.store, ledger.sealer, self.pipeline)
        return self._letterbox

    async def letter_now(self, letter: StoredLetter) -> StoredLetter:
        """Return a letter as policy lets it be seen now: perhaps without its message."""
        message, decision = letter.message, letter.decision
        if message is None or decision is None:
            return letter
        seen = await as_now(self.parts, message, decision)
        return msgspec.structs.replace(letter, message=seen)

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

        Raises what `Roster.subscribe` raises.
        """
        if self.phase in {Phase.DRAINING, Phase.CLOSED}:
            self.require_open()
        return self.roster.subscribe(spec, running=self.phase is Phase.RUNNING)

    async def detach(self, subscription: Subscription, drain_s: float) -> int:
        """End a subscription; return how many of its messages became dead letters."""
        if not self.roster.detach(subscription):
            return 0
        if self.ledger is not None and subscription.consumer is not None:
            subscription.ended = True  # the rest stays kept, and so does what comes
            self.ledger.close(subscription.consumer)
        await self._idle([subscription], drain_s)
        return self.roster.end(subscription, "its subscription was closed")

    async def start(self) -> None:
        """Begin to take messages."""
        if self.phase is not Phase.NEW:
            raise BusAlreadyStartedError("a bus starts once; make a new one")
        await self.parts.audit.open()
        if self.ledger is not None:
            try:
                await durability.open_with(self.ledger, self.roster)
            except BaseException:
                await self.parts.audit.close()
                raise
        self.phase = Phase.RUNNING
        self.notes.begin()
        try:
            await self.roster.let_in()
        except BusError:
            await self._end_all(0.0)
            raise
        self.open = True
        self.notes.note("started")
        self.crew.start(self.parts.meter.run(), "assent meter")
        self.crew.start(self.letters.publish_dead(), "assent dead letters")
        self.crew.start(self.events.run(), "assent events")
        self._check_leases()

    async def stop(self, drain_s: float) -> int:
        """Drain for at most `drain_s`, then end everything; return what was left.

        What is left ends as dead letters: kept, counted and recorded. Who is cancelled
        meanwhile cuts the draining short and is cancelled once all has ended.
        """
        if self.phase is Phase.NEW:
            return 0
        task = asyncio.current_task()
        if any(w.task is task for s in self.roster.staffed for w in s.workers):
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
        if self.ledger is not None:
            self.ledger.stop()
            for subscription in self.roster.all:
                subscription.ended = subscription.consumer is not None
        await self._idle(list(self.roster.all), drain_s)
        self.phase = Phase.CLOSED
        self.holds.end()
        left = 0
        for subscription in self.roster.all:
            subscription.close()
            if self.ledger is not None and subscription.consumer is not None:
                again = self.dispatcher.settling.leave(subscription)
                left += self.ledger.leave(subscription, again)
            left += self.dispatcher.settling.abandon(subscription, "the bus was closed")
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        try:
            if self.closing is not None:
                await self.closing()
            await self.crew.end(GRACE_S)
            self.letters.end(BusNotStartedError("the bus was closed"))
            await self.parts.meter.close()
            if self.ledger is not None:
                await self.ledger.store.close()
            self.notes.note("stopped")
        finally:
            await self.parts.audit.close()
        return left

    def _denied(self, message: Message, reasons: tuple[str, ...]) -> None:
        """Tell whoever waits for a reply to a held message that there is none."""
        error = DeniedError(
            reasons, decision_id=message.id.hex(), revision=message.revision
        )
        self.letters.refuse(message, error)

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
            subscriptions=len(self.roster.all),
            queued=sum(s.size + s.aside + len(s.delayed) for s in self.roster.staffed),
            in_flight=sum(s.in_flight for s in self.roster.staffed),
            held=len(self.holds.kept),
            dead_letters=len(self.letters.kept),
            dead_letters_evicted=self.letters.evicted,
            dead_letters_unpublished=self.letters.unpublished,
            events_dropped=self.events.dropped,
            store=None if self.ledger is None else self.ledger.store.stats(),
            consumers=0 if self.ledger is None else len(self.ledger.consumers.by_id),
            lag=0 if self.ledger is None else self.ledger.rewinding.lag,
            latency_log2_ns=list(latency.log2_ns),
            latency_sum_ns=latency.sum_ns,
        )

    def _check_leases(self) -> None:
        for subscription in self.roster.staffed:
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
