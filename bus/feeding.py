"""Brings a consumer's deliveries from the store into memory, a page at a time.

Rule: what is brought is opened and checked first. What cannot be what was kept is not
delivered: it becomes a dead letter, and is recorded as refused.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from bus.consumers import Consumer
from bus.core import subject as grammar
from bus.core.changes import Change, DeliveryRow
from bus.core.entries import Entry, Sealer
from bus.core.errors import StoreBrokenError, StoreUnavailableError
from bus.core.storelimits import FEED_MESSAGES_MAX, FEED_RETRY_S
from bus.ports import Clock
from bus.storing import MessageStore, Store
from bus.subscription import Delivery

_log: Final = logging.getLogger("assent.store")
_NS_PER_S: Final = 1_000_000_000

StartTask = Callable[[Coroutine[Any, Any, None], str], None]


class Refusals(Protocol):
    """Told of rows that are not what was kept."""

    def unreadable(
        self, consumer: Consumer, row: DeliveryRow, error: StoreBrokenError
    ) -> None:
        """End one such delivery."""

    def broken(self, error: StoreBrokenError) -> None:
        """Be told that a part of the store cannot be read at all."""


class Feeder:
    """Reads for all consumers; for each, one page at a time."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        start: StartTask,
        refusals: Refusals,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._start = start
        self._refusals = refusals
        self.stopped = False

    def feed(self, consumer: Consumer) -> None:
        """Begin to read for a consumer if it needs more; never waits."""
        if consumer.loading or self.stopped or not consumer.hungry:
            return
        consumer.loading = True
        self._start(self._load(consumer), f"assent feed of {consumer.row.name}")

    async def _load(self, consumer: Consumer) -> None:
        sure = False
        try:
            while consumer.hungry and not self.stopped:
                if consumer.unsettled:
                    before = consumer.rewound
                    await committed(self._store)  # what had ended is gone then
                    consumer.unsettled = consumer.rewound != before
                    continue
                known = consumer.behind
                found = await self._page(consumer)
                if found is None or (not found and consumer.replaying):
                    break
                if not found and sure:
                    self._read_out(consumer, known)
                elif not found:
                    await committed(self._store)  # what was cut away is told then
                sure = not found
        except StoreUnavailableError as error:
            _log.warning("reading for %s: %s", consumer.row.name, error)
            self._clock.call_after(FEED_RETRY_S, lambda: self.feed(consumer))
        except StoreBrokenError as error:
            self._refusals.broken(error)
        finally:
            consumer.loading = False

    async def _page(self, consumer: Consumer) -> bool | None:
        """Bring one page; tell whether there was any, None if nobody is there to take it."""
        rows = await self._store.deliveries(
            consumer.row.id, consumer.read_to, FEED_MESSAGES_MAX
        )
        if consumer.unsettled:
            return True  # its last member went meanwhile, and it begins anew
        # What is read back comes before what came since; and what is there and was not
        # told of yet is not accepted yet.
        last = -1 if consumer.replaying else consumer.entered
        for row in rows:
            if row.number > last:
                return row is not rows[0]
            if consumer.least_loaded() is None:
                return None
            if row.number in consumer.aloft:  # it was never counted as behind
                consumer.read_to = row.number
                continue
            self._bring(consumer, row)
        for member in consumer.members:
            member.grant()  # what another took in its place
        return bool(rows)

    @staticmethod
    def _read_out(consumer: Consumer, known: int) -> None:
        lacking = consumer.read_out(known)
        if lacking:
            raise StoreBrokenError(
                f"{lacking} deliveries of {consumer.row.name} are missing after number "
                f"{consumer.read_to}"
            )

    def _bring(self, consumer: Consumer, row: DeliveryRow) -> None:
        consumer.brought(row.number)
        try:
            entry = self.opened(consumer, row)
        except StoreBrokenError as error:
            self._refusals.unreadable(consumer, row, error)
            return
        member = consumer.taker(entry.message)
        if member is None:  # somebody is there: the caller has made sure
            raise StoreBrokenError(f"nobody takes delivery {row.number}")
        delivery = Delivery(entry.message, entry.decision, member, row.attempt + 1)
        delivery.number, delivery.key = row.number, row.key
        delivery.begun = row.number <= consumer.begun_to
        wait_ns = row.due_ns - self._clock.now_ns()
        if wait_ns > 0:
            member.settler.postpone(delivery, wait_ns / _NS_PER_S, row.due_ns)
        else:
            member.take(delivery)

    def opened(self, consumer: Consumer, row: DeliveryRow) -> Entry:
        """Return the entry of a row; raises `StoreBrokenError` if it is not this one's."""
        entry = self._sealer.open(row.key, row.entry)
        message = entry.message
        planned = row.number < 0 or consumer.row.id in entry.plan
        theirs = message.tenant == consumer.row.tenant and grammar.matches(
            consumer.tokens, tuple(message.subject.split("."))
        )
        if not (planned and theirs):
            raise StoreBrokenError(
                f"delivery {row.number} of {consumer.row.name} brings a message that "
                "was never planned for it"
            )
        return entry


async def committed(store: MessageStore, changes: Sequence[Change] = ()) -> None:
    """Submit, and return when that and everything before it is done; raise its error."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    store.submit(changes, done)
    await future
