"""What a bus with a store keeps beside messages: who gets them, and how far they are.

Rule: a delivery has a row in the store until it has ended. Its end is submitted when it
happens and not waited for: should it be lost, the delivery is made once more.
"""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from bus.ageing import Ageing
from bus.burying import Burying
from bus.consumers import BEFORE_ALL, Consumer, putting
from bus.core.changes import Contents, DeliveryRow, Forget, Retry, Settle, Trimmed
from bus.core.errors import StoreBrokenError, UsageError
from bus.feeding import Feeder, committed
from bus.keeping import Keeping
from bus.later import Later
from bus.membership import Consumers
from bus.parts import Storage
from bus.ports import AuditLog, Clock, Validator
from bus.rereading import Rereading
from bus.rewinding import Rewinding, taken_back
from bus.standin import standing_for
from bus.storing import Store
from bus.streams import Streams
from bus.subscription import Delivery, Subscription
from bus.wants import Handler

_log: Final = logging.getLogger("assent.store")
_NS_PER_S: Final = 1_000_000_000

Placed = Callable[[Subscription, bool], None]
"""Puts a stand-in into its tenant's routes (True), or takes it out."""


class Ledger:
    """The durable side of one bus."""

    def __init__(
        self,
        kept: Storage,
        validator: Validator,
        audit: AuditLog,
        clock: Clock,
        start: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        store, sealer = kept.store, kept.sealer
        self.store: Store = store
        self.sealer = sealer
        self.streams = Streams(kept.streams)
        self.consumers = Consumers()
        self.keeping = Keeping(store, sealer, self.streams, audit, clock)
        self.burying = Burying(store, sealer, clock, audit, start)
        self.feeder = Feeder(store, sealer, clock, start, self)
        self.ageing = Ageing(store, clock, start, self.streams, self)
        self.keeping.cut_away, self.keeping.fed = self.evicted, self.feeder.feed
        self.keeping.start = start
        self.later = Later(store, sealer, clock, start, self.consumers)
        self.rewinding = Rewinding(store, sealer, self.consumers, self.feeder)
        self.rereading = Rereading(store, sealer, validator, clock)
        self.opened_ns = 0
        self.around: Callable[[Handler], Handler]
        self.placed: Placed
        self._clock = clock
        self._start = start

    # Opening and closing.

    def restore(self, contents: Contents, next_due_ns: int) -> None:
        """Take over what the store holds; each consumer there has a stand-in at first."""
        self.opened_ns = self._clock.now_ns()
        self.keeping.numbers.restore(contents.next_number, contents.epoch)
        self.keeping.remembered.restore(contents.dedup)
        self.keeping.woken = self.later.woken
        self.burying.restore(contents.next_letter)
        self.streams.restore(contents.streams)
        entered = contents.next_number - 1
        begun_to = BEFORE_ALL if contents.clean else entered
        self.consumers.restore(contents.consumers, entered, begun_to)
        for consumer in self.consumers.by_id.values():
            self.close(consumer)
        self.later.begin(
            self.keeping.numbers, self.feeder.feed, self.broken, next_due_ns
        )
        self.ageing.begin()

    def stop(self) -> None:
        """Read and wake nothing more."""
        self.feeder.stopped = self.rereading.stopped = True
        self.burying.stop()
        self.later.stop()
        for consumer in self.consumers.by_id.values():
            consumer.stop()
        self.ageing.stop()

    # Members.

    def attach(self, subscription: Subscription) -> None:
        """Make a subscription durable: what is kept for it comes in from now on.

        Raises:
            UsageError: its name is taken.
        """
        if subscription.spec.durable is False:
            return
        consumer, made = self.consumers.join(subscription)
        if consumer.stand_in is not None:
            self.placed(consumer.stand_in, False)
            consumer.stand_in = None
        if subscription.spec.once:
            subscription.spec = msgspec.structs.replace(
                subscription.spec, handler=self.around(subscription.spec.handler)
            )
        if made:
            if subscription.spec.start != "new":
                streams = self.streams.of_tenant(consumer.row.tenant)
                self.rereading.begin(consumer, streams, subscription.spec.start)
                self.keeping.bring(subscription)
            self.store.submit(
                (putting(consumer),), lambda error: _saved(consumer, error)
            )
        if consumer.replaying and not consumer.reading:
            consumer.reading = True
            name = f"assent replay for {consumer.row.name}"
            self._start(self._read_back(consumer), name)
        self.feeder.feed(consumer)

    async def _read_back(self, consumer: Consumer) -> None:
        """Let a consumer read back from where it was."""
        try:
            await self.rereading.run(consumer, self.feeder.feed)
        except StoreBrokenError as error:
            self.broken(error)
        finally:
            consumer.reading = False

    def leave(self, subscription: Subscription, anew: Sequence[Delivery]) -> int:
        """Let a subscription go; what it did not settle stays kept. Return how much.

        `anew` is what was in the hands of its handlers.
        """
        consumer: Consumer = subscription.consumer
        left = [*anew, *taken_back(subscription)]
        consumer.leave(subscription, left)
        self.close(consumer)
        self.feeder.feed(consumer)
        return len(left)

    def close(self, consumer: Consumer) -> None:
        """Let a stand-in take what comes from now on, if no member does."""
        if consumer.stand_in is None and consumer.least_loaded() is None:
            consumer.stand_in = standing_for(consumer)
            self.placed(consumer.stand_in, True)

    @staticmethod
    def require_forgettable(consumer: Consumer | None, agent: str) -> None:
        """Raise `UsageError` unless an agent's one subscription is all of a consumer of its."""
        if consumer is None:
            raise UsageError("nothing is kept for this subscription")
        name = consumer.row.name
        if consumer.row.agent != agent:
            raise UsageError(f"{name!r} is {consumer.row.agent}'s to remove")
        if len(consumer.members) > 1:
            raise UsageError(f"{name!r} has other members; it goes with its last")

    def forget(self, tenant: str, name: str) -> None:
        """Remove a consumer that nobody subscribes to, with all that is kept for it.

        Raises:
            UsageError: there is none, or somebody is subscribed.
        """
        consumer = self.consumers.named(tenant, name)
        if consumer is None:
            raise UsageError(f"the store keeps nothing for {name!r} of {tenant}")
        if consumer.members:
            raise UsageError(f"{name!r} is subscribed; unsubscribe first")
        if consumer.stand_in is not None:
            self.placed(consumer.stand_in, False)
        self.consumers.drop(consumer)
        told = f"{max(consumer.behind, 0)} deliveries go with their consumer"
        self.burying.note("evicted", consumer, told)
        self.burying.insist(Forget(consumer.row.id))

    # Deliveries.

    def handed(self, delivery: Delivery) -> None:
        """Give a delivery its fencing token: it is about to be handed over."""
        delivery.token = self.keeping.numbers.token()

    def over(self, delivery: Delivery) -> None:
        """Note that a delivery has ended, and read on where little is left."""
        consumer: Consumer | None = delivery.subscription.consumer
        if consumer is None:
            return
        self.store.submit((Settle(consumer.row.id, delivery.number),), _ignored)
        self.fed(delivery)

    def fed(self, delivery: Delivery) -> None:
        """Read on for a consumer, where little is left, after one of its deliveries ended."""
        consumer: Consumer | None = delivery.subscription.consumer
        if consumer is not None and (consumer.behind or consumer.anew):
            self.feeder.feed(consumer)

    def again(self, following: Delivery, delay_s: float) -> None:
        """Note that a delivery is tried again after so many seconds."""
        consumer: Consumer | None = following.subscription.consumer
        if consumer is None:
            return
        consumer.redelivered += 1
        due_ns = self._clock.now_ns() + int(delay_s * _NS_PER_S) if delay_s else 0
        begun = following.attempt - 1
        change = Retry(consumer.row.id, following.number, begun, due_ns)
        self.store.submit((change,), _ignored)
        self.fed(following)  # what waits for its time takes no place in the queue

    async def begun(self, delivery: Delivery) -> None:
        """Note for good that an attempt begins, before it does.

        Raises:
            StoreUnavailableError: it could not be noted; the attempt must wait.
        """
        consumer: Consumer = delivery.subscription.consumer
        change = Retry(consumer.row.id, delivery.number, delivery.attempt, 0)
        await committed(self.store, (change,))

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Note that a delivery was given up: a letter is kept."""
        consumer: Consumer | None = delivery.subscription.consumer
        if consumer is not None:
            self.burying.bury(consumer, delivery, reason)
            self.fed(delivery)

    # What is not as it was kept.

    def unreadable(
        self, consumer: Consumer, row: DeliveryRow, error: StoreBrokenError
    ) -> None:
        """End a delivery whose entry was changed: kept as a letter, never delivered."""
        self.burying.note("refused", consumer, f"{error.code}: {error}")
        self.burying.bury_row(consumer, row, f"{error.code}: {error}")

    def evicted(self, told: Trimmed) -> None:
        """Count out what a cut took from consumers before it came into memory."""
        gone: dict[int, set[int]] = {}
        for consumer_id, number in told.evicted:
            gone.setdefault(consumer_id, set()).add(number)
        for consumer_id, numbers in gone.items():
            consumer = self.consumers.by_id.get(consumer_id)
            if consumer is None:
                continue
            for number in sorted(numbers):
                if number > consumer.read_to:
                    text = f"delivery {number} went with its stream"
                    self.burying.note("evicted", consumer, text)
            consumer.evicted(numbers)
            self.feeder.feed(consumer)

    def broken(self, error: StoreBrokenError) -> None:
        """Note that the store cannot be trusted; the operator must look."""
        _log.error("the store: %s", error)
        self.rewinding.failure = self.rewinding.failure or error


def _saved(consumer: Consumer, error: Exception | None) -> None:
    """It is made again with the next message for it if this could not be kept."""
    consumer.saved = error is None


def _ignored(error: Exception | None) -> None:
    """What is not noted is found again after a restart, and delivered once more."""
    del error
