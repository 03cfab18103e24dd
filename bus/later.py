"""Messages that wait for their time: made pending when it has come.

Rule: one timer, for the earliest; what is due becomes an ordinary delivery in the store
before it is handed to anybody.
"""

import logging
from collections.abc import Callable
from typing import Final

from bus.consumers import Consumer
from bus.core.changes import DueRow, Forget, Wake
from bus.core.entries import Sealer
from bus.core.errors import StoreBrokenError, StoreUnavailableError
from bus.core.storelimits import DUE_CHECK_S, DUE_MESSAGES_MAX, FEED_RETRY_S
from bus.feeding import StartTask, committed
from bus.kept import Numbers
from bus.membership import Consumers
from bus.ports import Clock, Timer
from bus.storing import Store
from bus.subscription import Delivery

_log: Final = logging.getLogger("assent.store")
_NS_PER_S: Final = 1_000_000_000


class Later:
    """The timer of a bus's scheduled messages."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        start: StartTask,
        consumers: Consumers,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._start = start
        self._consumers = consumers
        self._numbers: Numbers
        self._fed: Callable[[Consumer], None]
        self._broken: Callable[[StoreBrokenError], None]
        self._timer: Timer | None = None
        self._next_ns = 0
        self._at_work = False
        self._missed = False
        self._stopped = False
        self._refused: StoreUnavailableError | None = None

    def begin(
        self,
        numbers: Numbers,
        fed: Callable[[Consumer], None],
        broken: Callable[[StoreBrokenError], None],
        next_ns: int,
    ) -> None:
        """Start; `next_ns` is when the first that the store holds is due, or 0."""
        self._numbers, self._fed, self._broken = numbers, fed, broken
        if next_ns:
            self.woken(next_ns)

    def woken(self, due_ns: int) -> None:
        """Be told that something is due then."""
        if self._stopped or (self._next_ns and self._next_ns <= due_ns):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._next_ns = due_ns
        wait_s = max(due_ns - self._clock.now_ns(), 0) / _NS_PER_S
        wait_s = min(wait_s, DUE_CHECK_S)  # the clock may be set meanwhile
        self._timer = self._clock.call_after(wait_s, self._due)

    def stop(self) -> None:
        """Wake nothing more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer, self._next_ns = None, 0
        if self._at_work:
            self._missed = True  # it may have looked already
            return
        self._at_work = True
        self._start(self._wake(), "assent scheduled messages")

    async def _wake(self) -> None:
        try:
            rows = await self._store.due(self._clock.now_ns(), DUE_MESSAGES_MAX)
            while rows and not self._stopped:
                self._refused = None
                for row in rows:
                    self._pend(row)
                await committed(self._store)
                if self._refused is not None:
                    raise self._refused
                rows = await self._store.due(self._clock.now_ns(), DUE_MESSAGES_MAX)
            next_ns = await self._store.next_due_ns()
        except StoreUnavailableError as error:
            _log.warning("scheduled messages: %s", error)
            next_ns = self._clock.now_ns() + int(FEED_RETRY_S * _NS_PER_S)
        except StoreBrokenError as error:
            self._broken(error)
            next_ns = 0
        finally:
            self._at_work = False
        if self._missed:
            self._missed = False
            next_ns = next_ns or self._clock.now_ns()
        if next_ns:
            self.woken(next_ns)

    def _noted(self, error: Exception | None) -> None:
        if error is not None:
            self._refused = StoreUnavailableError(str(error))

    def _pend(self, row: DueRow) -> None:
        consumer = self._consumers.by_id.get(row.consumer)
        if consumer is None:
            self._store.submit((Forget(row.consumer),), self._noted)
            return
        fresh = self._numbers.next()
        change = Wake(row.consumer, row.number, row.due_ns, fresh)

        def done(error: Exception | None) -> None:
            self._noted(error)
            if error is None:
                self._enter(consumer, row, fresh)

        self._store.submit((change,), done)

    def _enter(self, consumer: Consumer, row: DueRow, number: int) -> None:
        taker = consumer.least_loaded() or consumer.stand_in
        if taker is None:  # it was forgotten
            return
        try:
            entry = self._sealer.open(row.key, row.entry)
        except StoreBrokenError:  # told when its page is read, like any other
            consumer.entered = number
            consumer.behind += 1
            self._fed(consumer)
            return
        delivery = Delivery(entry.message, entry.decision, taker)
        delivery.number, delivery.key = number, row.key
        if not consumer.enter(delivery):
            self._fed(consumer)
