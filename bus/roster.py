"""The subscriptions of a bus: let in, staffed, asked about again, ended.

Rule: a subscription receives nothing before policy has let it in, and `admitted` is the
revision that did. When the revision changes it is empty until policy was asked again.
"""

from typing import Final

from bus.core.errors import (
    BusError,
    BusNotStartedError,
    DeniedError,
    LimitExceededError,
    SubjectError,
    UnavailableError,
)
from bus.core.limits import READMIT_S, SUBSCRIPTIONS_MAX
from bus.core.subject import DEAD_PREFIX, INBOX_PREFIX, SYSTEM_PREFIX
from bus.crew import Crew
from bus.dispatcher import Dispatcher
from bus.inbox import Inbox, Waits, inbox_spec
from bus.ledger import Ledger
from bus.letters import Letters
from bus.notes import Notes
from bus.parts import Parts
from bus.pauses import pause
from bus.ports import Access
from bus.routes import RouteTable
from bus.settling import Settling
from bus.subscription import Subscription, Worker
from bus.wants import Spec

_OPEN: Final = (DEAD_PREFIX, SYSTEM_PREFIX)
"""What agents may subscribe to of the bus's own subjects, if policy lets them."""


class Roster:
    """Every subscription, and the tenants' routes to them."""

    def __init__(
        self,
        parts: Parts,
        notes: Notes,
        crew: Crew,
        letters: Letters,
        dispatcher: Dispatcher,
    ) -> None:
        self._parts = parts
        self._notes = notes
        self._crew = crew
        self._letters = letters
        self._dispatcher = dispatcher
        self._settling: Settling = dispatcher.settling
        self.all: dict[Subscription, None] = {}
        self.staffed: dict[Subscription, None] = {}
        self._tables: dict[str, RouteTable] = {}
        self._pending: dict[Subscription, None] = {}
        self.ledger: Ledger | None = None

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants that have, or had, subscriptions."""
        return tuple(self._tables)

    def table(self, tenant: str) -> RouteTable:
        """Return a tenant's routes; no other tenant's are reachable from it."""
        table = self._tables.get(tenant)
        if table is None:
            table = RouteTable(self._parts.plan, self._parts.counters)
            self._tables[tenant] = table
        return table

    def subscribe(self, spec: Spec, *, running: bool) -> Subscription:
        """Return a subscription: in force, or once policy has answered.

        Where policy must be waited for, `Subscription.ready` does so, and raises.

        Raises:
            DeniedError: policy said no.
            LimitExceededError: too many subscriptions.
        """
        decision = self._notes.admit_now(subscribing(spec))
        if spec.pattern.startswith("$") and not spec.pattern.startswith(_OPEN):
            raise SubjectError(f"{spec.pattern!r}: '$' belongs to the bus")
        self._require_room()
        stats = self._parts.counters.of(spec.tokens)
        asked = self._parts.around(spec)
        subscription = Subscription(asked, self._settling, stats, self._staff)
        if decision is not None:
            self._add(subscription, decision.revision)
            return subscription
        subscription.admission.wait_for_policy()
        self._pending[subscription] = None
        if running:
            name = f"assent admission of {subscription.name}"
            self._crew.start(self._let_in(subscription), name)
        return subscription

    async def let_in(self) -> None:
        """Ask policy about what was subscribed before the start; raises `DeniedError`."""
        for subscription in list(self._pending):
            await self._let_in(subscription)
            await subscription.ready()

    async def _let_in(self, subscription: Subscription) -> None:
        """Ask policy about one; who awaits it is told, and nobody else fails."""
        spec = subscription.spec
        try:
            await self._notes.admit(Access("connect", spec.agent, spec.tenant))
            decision = await self._notes.admit(subscribing(spec))
            while decision.revision != self._parts.authorizer.revision:
                await pause(self._parts.clock, READMIT_S)  # a reload has overtaken it
                decision = await self._notes.admit(subscribing(spec))
            if subscription.closed:
                raise BusNotStartedError(f"{subscription.name} was closed meanwhile")
            self._add(subscription, decision.revision)
        except BusError as error:
            subscription.admission.turned_away = error
            subscription.close()
        finally:
            self._pending.pop(subscription, None)
            subscription.admission.answered()

    def open_inbox(self, agent: str, tenant: str, waits: Waits) -> str:
        """Return the subject of a new inbox whose replies resolve `waits`."""
        token = self._parts.ids.next(self._parts.clock.now_ns()).hex()
        subject = f"{INBOX_PREFIX}{token}"
        spec = inbox_spec(subject, agent, tenant)
        stats = self._parts.counters.of(spec.tokens)
        self._letters.requests[subject] = waits
        inbox = Inbox(spec, self._settling, stats, waits)
        self._add(inbox, self._parts.authorizer.revision)
        return subject

    async def recheck(self) -> int:
        """Ask policy again about every subscription; end those it no longer allows.

        What waited for them is dead, not delivered. Returns how many ended.
        """
        subscriptions = list(self.all)
        for subscription in subscriptions:
            subscription.admitted = ""  # nothing is handed over until policy was asked
        ended = 0
        for subscription in subscriptions:
            if subscription in self.all:
                ended += await self._readmit(subscription) is False
        return ended

    async def _readmit(self, subscription: Subscription) -> bool | None:
        """Tell whether policy lets it stay; None if it cannot be asked now.

        Then it stays empty, and policy is asked again until it answers.
        """
        spec = subscription.spec
        try:
            connect = Access("connect", spec.agent, spec.tenant)
            decision = await self._notes.admit(connect)
            if not isinstance(subscription, Inbox):
                decision = await self._notes.admit(subscribing(spec))
        except UnavailableError:
            self._ask_later(subscription)
            return None
        except DeniedError as error:
            if error.passing:
                self._ask_later(subscription)
                return None
            self._letters.end_inbox(spec.pattern, error)
            self.end(subscription, "its subscription is no longer allowed")
            return False
        if decision.revision != self._parts.authorizer.revision:
            self._ask_later(subscription)
            return None
        subscription.admitted = decision.revision
        subscription.admission.answered()
        return True

    def _ask_later(self, subscription: Subscription) -> None:
        name = f"assent readmission of {subscription.name}"
        self._crew.start(self._readmit_later(subscription), name)

    async def _readmit_later(self, subscription: Subscription) -> None:
        await pause(self._parts.clock)
        if subscription in self.all and not subscription.admitted:
            await self._readmit(subscription)

    def detach(self, subscription: Subscription) -> bool:
        """Let a subscription take no more; tell whether it was there."""
        if self._pending.pop(subscription, 0) is None:
            subscription.close()
            return False
        if subscription not in self.all:
            return False
        self.table(subscription.spec.tenant).remove(subscription)
        subscription.close()
        return True

    def end(self, subscription: Subscription, reason: str) -> int:
        """End a subscription now; return how many messages that left dead.

        What a store keeps for it stays there.
        """
        self.table(subscription.spec.tenant).remove(subscription)
        subscription.close()
        if self.ledger is not None and subscription.consumer is not None:
            self.ledger.leave(subscription, self._settling.leave(subscription))
        left = self._settling.abandon(subscription, reason)
        for worker in subscription.workers:
            if worker.task is not None:
                worker.task.cancel()
        self.all.pop(subscription, None)
        self.staffed.pop(subscription, None)
        return left

    def _require_room(self) -> None:
        if len(self.all) + len(self._pending) >= SUBSCRIPTIONS_MAX:
            raise LimitExceededError(
                "subscriptions",
                actual=len(self.all) + len(self._pending) + 1,
                allowed=SUBSCRIPTIONS_MAX,
            )

    def _add(self, subscription: Subscription, revision: str) -> None:
        if self.ledger is not None and not isinstance(subscription, Inbox):
            self.ledger.attach(subscription)
        subscription.admitted = revision
        self.all[subscription] = None
        self.table(subscription.spec.tenant).add(subscription)

    def _staff(self, subscription: Subscription) -> None:
        """Give a subscription one more worker."""
        worker = Worker(subscription)
        subscription.workers.append(worker)
        subscription.unstaffed = (
            len(subscription.workers) < subscription.spec.max_in_flight
        )
        self.staffed[subscription] = None
        worker.task = self._crew.employ(
            self._dispatcher.work(worker), f"assent {subscription.name}"
        )


def subscribing(spec: Spec) -> Access:
    """Return what policy is asked about a subscription."""
    return Access("subscribe", spec.agent, spec.tenant, spec.pattern, spec.queue)
