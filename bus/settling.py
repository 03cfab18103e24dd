"""How deliveries end: acked, back for another attempt, dead, expired, evicted.

Rule: every delivery ends once, in the state the table gives, counted and recorded.
"""

from collections.abc import Callable
from typing import Final, Protocol

from bus.core.delivery import Event, State, advance, backoff_ms
from bus.core.errors import (
    AlreadySettledError,
    ConstitutionalError,
    MalformedMessageError,
    MessageExpiredError,
)
from bus.core.limits import ERROR_CHARS_MAX, NAK_DELAY_S_MAX
from bus.core.message import Message
from bus.core.outcome import Outcome
from bus.core.validation import check_seconds
from bus.parts import Parts
from bus.subscription import Delivery, Subscription

IN_FLIGHT: Final = advance(State.READY, Event.DELIVER)
ACKED: Final = advance(IN_FLIGHT, Event.ACK)


class Desk(Protocol):
    """Sends on what deliveries leave behind."""

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Keep a dead delivery, with its reason."""

    def fault(self, delivery: Delivery) -> None:
        """Tell whoever waits for its reply that there is none."""

    async def reply(self, delivery: Delivery, body: object) -> Outcome:
        """Publish a handler's answer."""


class Settling:
    """The `Settler` of all subscriptions."""

    def __init__(self, parts: Parts, desk: Desk) -> None:
        self._record = parts.audit.append
        self._clock = parts.clock
        self._check = parts.validator.check
        self.desk = desk

    def hand(self, delivery: Delivery, take: Callable[[Message], None]) -> None:
        """Check a delivery and let `take` have it at once; `take` does not fail."""
        try:
            self._check(delivery.message, self._clock.now_ns())
        except ConstitutionalError as error:
            self.refuse(delivery, error)
            return
        delivery.state = IN_FLIGHT
        take(delivery.message)
        self.ack(delivery)

    def ack(self, delivery: Delivery) -> None:
        """Settle a delivery as done."""
        self.settle(delivery, Event.ACK)
        delivery.subscription.stats.delivered += 1
        self._tell(delivery, "delivered", delivery.subscription.name)

    def nak(self, delivery: Delivery, delay_s: float | None) -> None:
        """Put a delivery back, due after `delay_s` or the usual backoff."""
        if delay_s is not None:
            check_seconds("nak delay", delay_s, NAK_DELAY_S_MAX)
        self.settle(delivery, Event.NAK)
        self.again(delivery, "not acknowledged", delay_s)

    def term(self, delivery: Delivery, reason: str) -> None:
        """Give a delivery up."""
        if type(reason) is not str:
            raise MalformedMessageError(
                f"a reason is text, not {type(reason).__name__}"
            )
        self.settle(delivery, Event.TERM)
        self._dead(delivery, reason)

    def in_progress(self, delivery: Delivery) -> None:
        """Start the lease anew."""
        if delivery.state is not IN_FLIGHT:
            raise AlreadySettledError(_place(delivery))
        for worker in delivery.subscription.workers:
            if worker.delivery is delivery:
                worker.seen = None

    def evict(self, delivery: Delivery) -> None:
        """End a delivery that its subscription gives up for newer ones."""
        delivery.state = advance(delivery.state, Event.EVICT)
        delivery.subscription.stats.evicted += 1
        self.desk.fault(delivery)
        self._tell(delivery, "evicted", delivery.subscription.name)

    async def reply(self, delivery: Delivery, body: object) -> Outcome:
        """Publish an answer to the request that is being handled."""
        state = delivery.state
        if (state is not IN_FLIGHT and state is not ACKED) or not _at_work(delivery):
            raise AlreadySettledError(_place(delivery))
        self._check(delivery.message, self._clock.now_ns())  # it says where replies go
        delivery.replied = True
        return await self.desk.reply(delivery, body)

    def settle(self, delivery: Delivery, event: Event) -> None:
        """Take a delivery that is in flight to where `event` leads.

        Raises:
            AlreadySettledError: it is not in flight.
        """
        if delivery.state is not IN_FLIGHT:
            raise AlreadySettledError(_place(delivery))
        delivery.state = advance(delivery.state, event)

    def again(self, delivery: Delivery, reason: str, delay_s: float | None) -> None:
        """Redeliver later, or give up at the last attempt or if nobody takes it."""
        sub = delivery.subscription
        if delivery.attempt >= sub.spec.max_deliver or sub.closed:
            self.give_up(delivery, f"{reason} (attempt {delivery.attempt})")
            return
        if delay_s is None:
            delay_s = backoff_ms(delivery.attempt) / 1000
        # Another object: what a handler still does with this one must not touch it.
        following = Delivery(
            delivery.message,
            delivery.decision,
            sub,
            delivery.attempt + 1,
            delivery.turn,
        )
        sub.stats.redelivered += 1
        sub.hold(1)

        def due() -> None:
            del sub.delayed[following]
            sub.hold(-1)
            sub.put_back(following)

        sub.delayed[following] = self._clock.call_after(delay_s, due)

    def give_up(self, delivery: Delivery, reason: str) -> None:
        """End a delivery that no attempt can help: it goes to the dead letters."""
        delivery.state = advance(delivery.state, Event.EXHAUST)
        self._dead(delivery, reason)

    def refuse(self, delivery: Delivery, error: ConstitutionalError) -> None:
        """End a delivery that does not stand under the constitution any more."""
        stats = delivery.subscription.stats
        self.desk.fault(delivery)
        if isinstance(error, MessageExpiredError):
            delivery.state = advance(delivery.state, Event.LAPSE)
            stats.expired += 1
            self._tell(delivery, "expired", str(error))
            return
        delivery.state = advance(delivery.state, Event.REFUSE)
        stats.refused += 1
        self._tell(delivery, "refused", f"{error.code}: {error}")

    def abandon(self, subscription: Subscription, reason: str) -> int:
        """End everything that waits or is in flight as dead; return how much that was."""
        subscription.ended = True
        running = [
            worker.delivery
            for worker in subscription.workers
            if worker.delivery is not None and worker.delivery.state is IN_FLIGHT
        ]
        for delivery in running:
            self.term(delivery, f"{reason} while its handler ran")
        for delivery, timer in subscription.delayed.items():
            timer.cancel()
            subscription.push(delivery, delivery.message.priority)
        subscription.hold(-len(subscription.delayed))
        subscription.delayed.clear()
        left = subscription.clear()
        for delivery in left:
            self.give_up(delivery, reason)
        return len(running) + len(left)

    def _dead(self, delivery: Delivery, reason: str) -> None:
        delivery.subscription.stats.dead += 1
        self._tell(delivery, "dead", f"{delivery.subscription.name}: {reason}")
        self.desk.bury(delivery, reason[:ERROR_CHARS_MAX])

    def _tell(self, delivery: Delivery, event: str, detail: str) -> None:
        message = delivery.message
        self._record(
            (
                event,
                self._clock.now_ns(),
                message.id,
                message.tenant,
                delivery.subscription.agent,
                message.subject,
                message.revision,
                detail[:ERROR_CHARS_MAX],
                message.stamp,
            )
        )


def _at_work(delivery: Delivery) -> bool:
    for worker in delivery.subscription.workers:  # noqa: SIM110 - any() takes thrice as long
        if worker.delivery is delivery:
            return True
    return False


def _place(delivery: Delivery) -> str:
    return (
        f"{delivery.message.id.hex()} at {delivery.subscription.name} is "
        f"{delivery.state.value}; it is settled once, while its handler runs"
    )
