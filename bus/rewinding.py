"""Whether consumers get what is kept for them, and back to their last ack if not."""

from typing import Final

import msgspec

from bus.consumers import BEFORE_ALL, Consumer
from bus.core.delivery import State
from bus.core.entries import Sealer
from bus.core.errors import StoreBrokenError, StoreUnavailableError, UsageError
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.suggest import hint
from bus.feeding import Feeder, committed
from bus.membership import Consumers
from bus.storing import Store
from bus.subscription import Delivery, Subscription

_OUT: Final = frozenset({State.READY, State.IN_FLIGHT})


class UnknownConsumerError(UsageError):
    """The store keeps no consumer of that name, or several tenants have one."""

    code = "unknown_consumer"


class Rewound(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer that was taken back to its last ack.

    `deliveries` are not settled; all but the `in_hand` of handlers are read anew.
    """

    tenant: str
    consumer: str
    deliveries: int
    in_hand: int


class Rewinding:
    """Watches over the consumers of one bus. `failure` is what of the store is broken."""

    def __init__(
        self, store: Store, sealer: Sealer, consumers: Consumers, feeder: Feeder
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._consumers = consumers
        self._feeder = feeder
        self.failure: StoreBrokenError | None = None

    async def oldest_ns(self, consumer: Consumer, now_ns: int) -> int | None:
        """Return the age of a consumer's oldest pending message; None if it cannot be read."""
        try:
            rows = await self._store.deliveries(consumer.row.id, BEFORE_ALL, 1)
            if not rows:
                return 0
            message = self._sealer.open(rows[0].key, rows[0].entry).message
        except (StoreUnavailableError, StoreBrokenError):
            return None
        return max(now_ns - message.created_ns, 0)

    @property
    def lag(self) -> int:
        """Deliveries of all consumers that are not settled."""
        return sum(max(one.pending, 0) for one in self._consumers.by_id.values())

    def health(self) -> tuple[bool, str]:
        """Tell whether every consumer gets what is kept for it, and which does not."""
        if self.failure is not None:
            return False, str(self.failure)
        consumers = self._consumers.by_id.values()
        stuck = [consumer.row.name for consumer in consumers if consumer.stuck]
        if stuck:
            return False, f"not fed: {', '.join(stuck)}"[:ERROR_CHARS_MAX]
        behind = sum(max(consumer.behind, 0) for consumer in consumers)
        return True, f"{len(consumers)} consumers, {behind} deliveries in the store"

    async def rewind_stuck(self) -> None:
        """Take every consumer that is not fed back to its last ack, and feed it again."""
        self.failure = None
        for consumer in tuple(self._consumers.by_id.values()):
            if consumer.stuck or consumer.anew:
                self.rewind(consumer)
        await committed(self._store)

    async def rewind_named(self, name: str, tenant: str = "") -> Rewound:
        """Take one consumer back to its last ack; without `tenant` the one that has it.

        Handlers go on with what they have in hand. Nothing is delivered that was settled.

        Raises:
            UnknownConsumerError: there is none, or several tenants have one.
            StoreUnavailableError: the store cannot be read now; nothing was changed.
        """
        await committed(self._store)
        consumer = self._found(name, tenant)
        self.rewind(consumer)
        return Rewound(
            tenant=consumer.row.tenant,
            consumer=name,
            deliveries=max(consumer.pending, 0),
            in_hand=len(consumer.aloft),
        )

    def _found(self, name: str, tenant: str) -> Consumer:
        everybody = self._consumers.by_id.values()
        found = [
            one
            for one in everybody
            if one.row.name == name and one.row.tenant == (tenant or one.row.tenant)
        ]
        if len(found) > 1:
            theirs = ", ".join(sorted(one.row.tenant for one in found))
            raise UnknownConsumerError(
                f"{name!r} is a consumer of {theirs}; say of which"[:ERROR_CHARS_MAX]
            )
        if not found:
            known = {one.row.name for one in everybody}
            where = f" of {tenant}" if tenant else ""
            raise UnknownConsumerError(
                f"the store keeps no consumer {name!r}{where}{hint(name, known)}"
            )
        return found[0]

    def rewind(self, consumer: Consumer) -> None:
        """Take a consumer back to its last ack: all but what is in hand is read anew."""
        left = [
            delivery for member in consumer.members for delivery in taken_back(member)
        ]
        consumer.rewind(left)
        self._feeder.feed(consumer)


def taken_back(subscription: Subscription) -> list[Delivery]:
    """Take everything out of a subscription's memory that has not ended."""
    for delivery, timer in subscription.delayed.items():
        timer.cancel()
        subscription.push(delivery, delivery.message.priority)
    subscription.hold(-len(subscription.delayed))
    subscription.delayed.clear()
    left = subscription.clear()
    for (
        worker
    ) in subscription.workers:  # what is in hand still comes before its key's next
        if worker.delivery is not None and worker.delivery.state in _OUT:
            subscription.line_up(worker.delivery)
    return left
