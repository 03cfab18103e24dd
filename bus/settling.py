"""How deliveries end: acked, back for another attempt, dead, expired, evicted.

Rule: every delivery ends once, in the state the table gives, counted and recorded.
"""

from collections.abc import Callable
from typing import Final

from bus.core.delivery import Event, State, advance
from bus.core.errors import (
    AlreadySettledError,
    ConstitutionalError,
    MalformedMessageError,
    MessageExpiredError,
    UsageError,
)
from bus.core.limits import ERROR_CHARS_MAX, NAK_DELAY_S_MAX
from bus.core.message import Message
from bus.core.outcome import Outcome
from bus.core.storelimits import DUE_CHECK_S
from bus.core.subject import INBOX_PREFIX
from bus.core.validation import check_seconds
from bus.outbox import require_none
from bus.parts import Parts
from bus.rows import Desk, NoRows, Rows
from bus.subscription import Delivery, Subscription
from bus.turns import over

IN_FLIGHT: Final = advance(State.READY, Event.DELIVER)
_NS_PER_S: Final = 1_000_000_000
ACKED: Final = advance(IN_FLIGHT, Event.ACK)


class Settling:
    """The `Settler` of all subscriptions."""

    def __init__(self, parts: Parts, desk: Desk) -> None:
        self._record = parts.audit.append
        self._clock = parts.clock
        self._check = parts.validator.check
        self.desk = desk
        self.rows: Rows = NoRows()

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
        if delivery.subscription.spec.once:
            raise UsageError(
                f"{delivery.subscription.name} handles once: that it returns is its ack"
            )
        self.settle(delivery, Event.ACK)
        if delivery.number:
            self.rows.over(delivery)
        self.done(delivery)

    def done(self, delivery: Delivery) -> None:
        """Count and record a delivery that was acked."""
        delivery.subscription.stats.delivered += 1
        over(delivery)
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
        delivery.subscription.missed += 1
        if delivery.number:
            self.rows.over(delivery)
        over(delivery)
        self.desk.fault(delivery)
        self._tell(delivery, "evicted", delivery.subscription.name)

    async def reply(self, delivery: Delivery, body: object) -> Outcome:
        """Publish an answer to the request that is being handled."""
        state = delivery.state
        if (state is not IN_FLIGHT and state is not ACKED) or not _at_work(delivery):
            raise AlreadySettledError(_place(delivery))
        self._check(delivery.message, self._clock.now_ns())  # it says where replies go
        if (delivery.message.reply_to or "").startswith(INBOX_PREFIX):
            require_none("answer before it is done; return the answer instead")
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
        """Redeliver later, or give up at the last attempt or if nobody takes it.

        What a store keeps for somebody who is gone stays there.
        """
        sub = delivery.subscription
        if delivery.attempt >= sub.spec.max_deliver or (
            sub.closed and not delivery.number
        ):
            self.give_up(delivery, f"{reason} (attempt {delivery.attempt})")
            return
        if delay_s is None:
            delay_s = sub.spec.wait_s(delivery.attempt)
        following = next_attempt(delivery)
        sub.stats.redelivered += 1
        if delivery.number:
            self.rows.again(following, delay_s)
        if sub.consumer is None and delivery.number:
            return
        sub.succeed(delivery, following)  # later ones of its key wait behind it
        self.postpone(following, delay_s)

    def postpone(self, delivery: Delivery, delay_s: float, until_ns: int = 0) -> None:
        """Queue a delivery in so many seconds; it keeps its room until then.

        With `until_ns`, a time of an earlier run, it is queued as soon as that has come,
        also where the clock is set meanwhile.
        """
        sub, clock = delivery.subscription, self._clock
        sub.hold(1)

        def due() -> None:
            left_s = (until_ns - clock.now_ns()) / _NS_PER_S if until_ns else 0.0
            if left_s > 0:
                wait_s = min(left_s, DUE_CHECK_S)
                sub.delayed[delivery] = clock.call_after(wait_s, due)
                return
            del sub.delayed[delivery]
            sub.hold(-1)
            sub.put_back(delivery)

        first_s = min(delay_s, DUE_CHECK_S) if until_ns else delay_s
        sub.delayed[delivery] = clock.call_after(first_s, due)
        sub.line_up(delivery)
        sub.heed()

    def give_up(self, delivery: Delivery, reason: str) -> None:
        """End a delivery that no attempt can help: it goes to the dead letters."""
        delivery.state = advance(delivery.state, Event.EXHAUST)
        self._dead(delivery, reason)

    def refuse(self, delivery: Delivery, error: ConstitutionalError) -> None:
        """End a delivery that does not stand under the constitution any more."""
        stats = delivery.subscription.stats
        self.desk.fault(delivery)
        over(delivery)
        if isinstance(error, MessageExpiredError):
            delivery.state = advance(delivery.state, Event.LAPSE)
            stats.expired += 1
            if delivery.number:
                self.rows.over(delivery)
            self._tell(delivery, "expired", str(error))
            return
        delivery.state = advance(delivery.state, Event.REFUSE)
        stats.refused += 1
        if delivery.number:  # what was changed is kept for whoever looks into it
            self.rows.bury(delivery, f"{error.code}: {error}")
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

    def leave(self, subscription: Subscription) -> list[Delivery]:
        """End a subscription whose messages stay kept; return what is to be done anew.

        Its handlers settle no more: what they had is another's from here on.
        """
        subscription.ended = True
        anew = []
        for worker in subscription.workers:
            running = worker.delivery
            if running is None or not running.number:
                continue
            if running.state is IN_FLIGHT:
                self.settle(running, Event.NAK)
                anew.append(next_attempt(running))
            elif running.state is State.READY:  # it had not begun
                anew.append(next_attempt(running, 0))
        return anew

    def _dead(self, delivery: Delivery, reason: str) -> None:
        delivery.subscription.stats.dead += 1
        if delivery.number:
            self.rows.bury(delivery, reason[:ERROR_CHARS_MAX])
        over(delivery)
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


def next_attempt(delivery: Delivery, step: int = 1) -> Delivery:
    """Return the attempt after a delivery: another object, which an old handler has not."""
    following = Delivery(
        delivery.message,
        delivery.decision,
        delivery.subscription,
        delivery.attempt + step,
        delivery.turn,
    )
    following.number, following.key = delivery.number, delivery.key
    following.begun = delivery.begun
    return following


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
