"""Effects once: what a handler publishes, and its ack, in one transaction of the store.

Rule: from the moment a commit is submitted its delivery is nobody else's until it is
known how the commit ended, whoever is cancelled meanwhile.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from bus.consumers import Consumer
from bus.core.changes import Change, Settle
from bus.core.delivery import Event
from bus.core.errors import StoreUnavailableError
from bus.core.subject import INBOX_PREFIX
from bus.ledger import Ledger
from bus.outbox import Outbox, outbox
from bus.settling import IN_FLIGHT, Settling, next_attempt
from bus.subscription import Delivery
from bus.wants import Handler


class Once:
    """Runs handlers whose effects happen once."""

    def __init__(self, ledger: Ledger, settling: Settling) -> None:
        self._ledger = ledger
        self._settling = settling

    def around(self, handler: Handler) -> Handler:
        """Return a handler that runs another one in a transaction."""
        call, both = handler.call, handler.wants_delivery

        async def with_body(body: Any, delivery: Delivery) -> object:
            work = call(body, delivery) if both else call(body)
            return await self._run(delivery, work)

        async def alone(delivery: Delivery) -> object:
            return await self._run(delivery, call(delivery))

        if handler.decode is None:
            return Handler(alone, None, wants_delivery=handler.wants_delivery)
        return Handler(
            with_body, handler.decode, wants_delivery=True, shareable=handler.shareable
        )

    async def _run(
        self, delivery: Delivery, work: Coroutine[Any, Any, object]
    ) -> object:
        box = Outbox()
        token = outbox.set(box)
        try:
            result = await work
            if box.undone is not None:
                raise box.undone  # noqa: TRY301 - as if the handler had let it through
            reply_to = delivery.message.reply_to
            if result is not None and not (reply_to or INBOX_PREFIX).startswith(
                INBOX_PREFIX
            ):
                (await delivery.reply(result)).unwrap()  # a publish like any other
                result = None
        except BaseException:
            box.drop()
            raise
        finally:
            outbox.reset(token)
        if delivery.state is not IN_FLIGHT:
            box.drop()  # it has given the message back, or up
            return None
        await self._commit(delivery, box)
        return result

    async def _commit(self, delivery: Delivery, box: Outbox) -> None:
        """Keep what was published and the ack, or neither.

        Raises:
            StoreUnavailableError: neither; the delivery is tried again.
        """
        box.closed = True
        try:
            changes: list[Change] = [c for kept in box.kept for c in kept.changes()]
            self._settling.settle(delivery, Event.ACK)
        except BaseException:
            box.drop()
            raise
        consumer: Consumer = delivery.subscription.consumer
        changes.append(Settle(consumer.row.id, delivery.number))
        done: asyncio.Future[Exception | None]
        done = asyncio.get_running_loop().create_future()

        def ended(error: Exception | None) -> None:
            if error is None:
                self._kept(delivery, box)
            else:
                self._not_kept(consumer, delivery, box)
            if not done.done():
                done.set_result(error)

        self._ledger.store.submit(changes, ended)
        error = await done  # cancelling this leaves the commit to itself
        if error is not None:
            raise StoreUnavailableError(f"its transaction was not kept: {error}")

    def _kept(self, delivery: Delivery, box: Outbox) -> None:
        for kept in box.kept:
            kept(None)
        self._settling.done(delivery)
        self._ledger.fed(delivery)

    def _not_kept(self, consumer: Consumer, delivery: Delivery, box: Outbox) -> None:
        box.drop()
        sub = delivery.subscription
        following = next_attempt(delivery, 0)
        if sub.consumer is not consumer:  # gone meanwhile: it is for whoever is there
            heir = None if consumer.unsettled else consumer.taker(delivery.message)
            if heir is None:
                consumer.behind += 1
                self._ledger.feeder.feed(consumer)
                return
            sub = following.subscription = heir
        sub.stats.redelivered += 1
        self._settling.postpone(following, sub.spec.wait_s(delivery.attempt))
        sub.succeed(delivery, following)
