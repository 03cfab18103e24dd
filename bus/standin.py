"""Stands in the routes for a durable consumer that nobody is subscribed as now."""

from typing import Any, NoReturn

from bus.consumers import Consumer
from bus.core.decision import Decision
from bus.core.errors import IllegalTransitionError
from bus.core.message import Message
from bus.core.outcome import Outcome
from bus.core.stats import SubjectStats
from bus.handlers import inspect_handler
from bus.subscription import Delivery, Subscription
from bus.wants import Spec

_ROOM: int = 1 << 62  # what is kept for it takes no memory; its streams have limits


class StandIn(Subscription):
    """A subscription that is never full, and gets nothing into memory."""

    __slots__ = ()

    @property
    def away(self) -> bool:
        """It stands for somebody who is not there."""
        return True

    def put(
        self,
        message: Message,
        decision: Decision,
        bodies: dict[Any, Any] | None = None,
    ) -> None:
        """Refuse: what it stands for is kept, not handed over."""
        del decision, bodies
        raise IllegalTransitionError(f"{message.id.hex()} for {self.name}, who is away")


class _Nobody:
    """Settles nothing: a stand-in has no deliveries."""

    def _refuse(self, delivery: Delivery) -> NoReturn:
        raise IllegalTransitionError(f"{delivery.message.id.hex()} at a stand-in")

    ack = in_progress = evict = _refuse

    def nak(self, delivery: Delivery, delay_s: float | None) -> None:
        del delay_s
        self._refuse(delivery)

    def term(self, delivery: Delivery, reason: str) -> None:
        del reason
        self._refuse(delivery)

    def postpone(self, delivery: Delivery, delay_s: float, until_ns: int = 0) -> None:
        del delay_s, until_ns
        self._refuse(delivery)

    async def reply(self, delivery: Delivery, body: object) -> Outcome:
        del body
        self._refuse(delivery)


def standing_for(consumer: Consumer) -> StandIn:
    """Return a stand-in for a consumer."""
    row = consumer.row
    spec = Spec(
        pattern=row.pattern,
        tokens=consumer.tokens,
        agent=row.agent,
        tenant=row.tenant,
        handler=inspect_handler(_unused),
        queue=row.queue,
        capacity=_ROOM,
    )
    made = StandIn(spec, _Nobody(), SubjectStats(template=""), _never)
    made.consumer = consumer
    return made


async def _unused(delivery: Delivery) -> None:
    raise IllegalTransitionError(f"{delivery.message.id.hex()} at a stand-in")


def _never(subscription: Subscription) -> None:
    raise IllegalTransitionError(f"{subscription.name} has no workers")
