"""One consumer that a node holds: what waits for a pull, and what was handed out.

Rule: a delivery stays in the hands of its worker until the client has settled it, so that
leases, attempts and the record are the bus's own. What was not handed out keeps its lease.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from bus.core.edgelimits import STREAM_PAGE_BYTES_MAX
from bus.core.errors import AlreadySettledError
from bus.edge.connections import Ending, Place
from bus.edge.messaging.pullasked import Verdict
from bus.settling import IN_FLIGHT
from bus.subscription import Delivery, Subscription


class Held:
    """One consumer: what waits for a pull, and what was handed out."""

    def __init__(
        self, subscription: Subscription, now_ns: int, let_go: Callable[[], None]
    ) -> None:
        self.subscription = subscription
        self._let_go = let_go
        self.waiting: deque[Delivery] = deque()
        self.out: dict[str, Delivery] = {}
        self.touched_ns = now_ns
        self.pulls = 0  # that wait now
        self.place: Place | None = None
        self._ends: dict[int, asyncio.Future[None]] = {}
        self._news = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether the bus has ended its subscription."""
        return self.subscription.ended or self.subscription.closed

    def draining(self, seconds: float) -> None:
        """Be told that the node stops: what is here is for whoever comes later."""
        del seconds
        self._let_go()

    def end(self, ending: Ending) -> None:
        """Be told that its caller may not have it any more."""
        del ending
        self._let_go()

    async def take(self, delivery: Delivery) -> None:
        """Hold a delivery in its worker's hands until it is settled, or its time is over."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends[id(delivery)] = future
        self.waiting.append(delivery)
        self.call()
        try:
            await future
        finally:
            del self._ends[id(delivery)]
            self.out.pop(receipt_of(delivery), None)
            if delivery in self.waiting:
                self.waiting.remove(delivery)

    def call(self) -> None:
        """Tell those who wait to look again."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def news(self) -> None:
        """Wait until there is something to look at."""
        await self._news.wait()

    def hand_out(self, limit: int) -> list[Delivery]:
        """Return what waits, oldest first, up to a page: its lease begins now."""
        made: list[Delivery] = []
        size = 0
        while self.waiting and len(made) < limit and size < STREAM_PAGE_BYTES_MAX:
            delivery = self.waiting.popleft()
            if delivery.state is not IN_FLIGHT:
                continue  # its time is over, and its worker is about to say so
            delivery.in_progress()
            self.out[receipt_of(delivery)] = delivery
            made.append(delivery)
            size += len(delivery.message.body)
        return made

    def settle(self, given: Verdict) -> None:
        """Carry out a verdict; raises `AlreadySettledError`, or what the bus raises."""
        delivery = self.out.get(given.receipt)
        if delivery is None:
            raise AlreadySettledError(
                f"{given.receipt!r} is not out: it was settled, or its time was over"
            )
        if given.verdict == "in_progress":
            delivery.in_progress()
            return
        if given.verdict == "ack":
            delivery.ack()
        elif given.verdict == "nak":
            delivery.nak(given.delay)
        else:
            delivery.term(given.reason or "terminated by the client")
        del self.out[given.receipt]
        future = self._ends.get(id(delivery))
        if future is not None and not future.done():
            future.set_result(None)

    def beat(self) -> None:
        """Keep the leases of what was not handed out yet."""
        for delivery in self.waiting:
            if delivery.state is IN_FLIGHT:
                delivery.in_progress()


def receipt_of(delivery: Delivery) -> str:
    """Return what names a hand-over: no later one of the same message has it."""
    return f"{delivery.token:x}"
