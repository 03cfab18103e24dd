"""All durable consumers of a bus, and who is a member of which."""

from collections.abc import Sequence

from bus.consumers import Consumer
from bus.core.changes import ConsumerRow
from bus.core.errors import LimitExceededError, UsageError
from bus.core.storelimits import CONSUMERS_MAX, TENANT_SHARES
from bus.subscription import Subscription
from bus.wants import Spec


class Consumers:
    """All consumers, by id and by name in their tenant."""

    def __init__(self) -> None:
        self.by_id: dict[int, Consumer] = {}
        self._by_name: dict[tuple[str, str], Consumer] = {}
        self._theirs: dict[str, int] = {}
        self._next_id = 1

    def restore(self, rows: Sequence[ConsumerRow], entered: int, begun_to: int) -> None:
        """Take over what a store holds, up to the number `entered`.

        Up to `begun_to` handlers may have begun.
        """
        for row in rows:
            consumer = Consumer(row, saved=True)
            consumer.entered, consumer.begun_to = entered, begun_to
            self._add(consumer)

    def named(self, tenant: str, name: str) -> Consumer | None:
        """Return a tenant's consumer, if there is one of that name."""
        return self._by_name.get((tenant, name))

    def join(self, subscription: Subscription) -> tuple[Consumer, bool]:
        """Make a subscription a member of its consumer; tell whether that is new.

        Raises:
            UsageError: another subscription has the name, and they are no queue group.
            LimitExceededError: too many consumers.
        """
        spec = subscription.spec
        name = consumer_name(spec)
        consumer = self._by_name.get((spec.tenant, name))
        made = consumer is None
        if consumer is None:
            self._require_room(spec.tenant)
            row = ConsumerRow(
                self._next_id, spec.tenant, name, spec.agent, spec.pattern, spec.queue
            )
            consumer = Consumer(row, saved=False)
            self._add(consumer)
        self._require_same(consumer, spec)
        consumer.members.append(subscription)
        subscription.consumer = consumer
        return consumer, made

    def drop(self, consumer: Consumer) -> None:
        """Forget a consumer."""
        consumer.forgotten = True
        self._theirs[consumer.row.tenant] -= 1
        del self.by_id[consumer.row.id]
        del self._by_name[consumer.row.tenant, consumer.row.name]

    def _require_room(self, tenant: str) -> None:
        share = CONSUMERS_MAX // TENANT_SHARES
        theirs = self._theirs.get(tenant, 0)
        if theirs >= share or len(self.by_id) >= CONSUMERS_MAX:
            raise LimitExceededError(
                f"consumers of tenant {tenant}", actual=theirs + 1, allowed=share
            )

    def _require_same(self, consumer: Consumer, spec: Spec) -> None:
        row = consumer.row
        if (row.pattern, row.queue) != (spec.pattern, spec.queue):
            raise UsageError(
                f"the store keeps {row.name!r} for {row.pattern!r}; take another "
                f"durable name for {spec.pattern!r}, or remove that consumer: subscribe "
                f"to {row.pattern!r} as before, then unsubscribe(..., forget=True)"
            )
        if row.agent != spec.agent and not spec.queue:
            raise UsageError(
                f"{row.name!r} is kept for {row.agent}; {spec.agent} needs a durable "
                "name of its own: durable='...'"
            )
        if consumer.members and not spec.queue:
            raise UsageError(
                f"{row.name!r} is subscribed already; give one of the two a durable "
                "name of its own: durable='...'"
            )

    def _add(self, consumer: Consumer) -> None:
        tenant = consumer.row.tenant
        self._theirs[tenant] = self._theirs.get(tenant, 0) + 1
        self.by_id[consumer.row.id] = consumer
        self._by_name[consumer.row.tenant, consumer.row.name] = consumer
        self._next_id = max(self._next_id, consumer.row.id + 1)


def consumer_name(spec: Spec) -> str:
    """Return the name a subscription is kept under: its own, or its queue group's."""
    if isinstance(spec.durable, str):
        return spec.durable
    if spec.queue:
        return f"group {spec.queue}/{spec.pattern}"  # no agent's name has a space
    return f"{spec.agent}/{spec.pattern}"
