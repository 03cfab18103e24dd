"""The room of a queue, and the publishers that wait for it.

Rule: room is counted, never guessed. What waits, what a publisher was granted and what is
due for redelivery all take room; publishers that wait are served in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from bus.core.backlog import Queued
from bus.core.errors import NoRespondersError, OverloadedError
from bus.core.limits import PUBLISHERS_WAITING_MAX, RETRY_AFTER_S
from bus.core.ordering import Ordered

T = TypeVar("T", bound=Queued)


class Capacity(Ordered[T]):
    """A queue of at most `capacity`; a publisher waits once `size` is `limit`."""

    __slots__ = ("capacity", "closed", "extra", "limit", "name", "waiting")

    def __init__(self, name: str, capacity: int) -> None:
        super().__init__()
        self.name = name
        self.capacity = capacity
        self.limit = capacity
        self.extra = 0  # room taken by grants and by what waits for its redelivery
        self.closed = False  # takes no more
        self.waiting: deque[asyncio.Future[None]] = deque()

    @property
    def full(self) -> bool:
        """Whether a publisher must wait: no room, or others were here first."""
        return self.size >= self.limit

    def hold(self, rooms: int) -> None:
        """Take room for what is not in the queue yet, or give it back."""
        self.extra += rooms
        self._reckon()

    async def room(self, watch: Callable[[asyncio.Future[None]], None]) -> None:
        """Wait for room and keep it: the caller must `put` or `give_up_room`.

        `watch` is told of the wait, and may end it through its future.

        Raises:
            OverloadedError: too many publishers wait already, or the wait was ended.
            NoRespondersError: the subscription was closed meanwhile.
        """
        if self.closed:
            raise NoRespondersError(f"{self.name} was closed")
        if not self.full:
            self.hold(1)
            return
        if len(self.waiting) >= PUBLISHERS_WAITING_MAX:
            raise OverloadedError(self.name, retry_after_s=RETRY_AFTER_S)
        future = asyncio.get_running_loop().create_future()
        watch(future)
        self.waiting.append(future)
        self._reckon()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
                self.give_up_room()  # granted, but the publisher is gone
            self.forget(future)
            raise

    def forget(self, future: asyncio.Future[None]) -> None:
        """Take a publisher out of the queue for room."""
        if future in self.waiting:
            self.waiting.remove(future)
            self._reckon()

    def give_up_room(self) -> None:
        """Return what `room` granted, to whoever waits next."""
        self.hold(-1)
        self.grant()

    def grant(self) -> None:
        """Hand free room to the publishers that wait, first come first served."""
        waiting = self.waiting
        while waiting and self.size + self.extra < self.capacity:
            future = waiting.popleft()
            if not future.done():
                self.extra += 1
                future.set_result(None)
        self._reckon()

    def turn_away(self) -> None:
        """Tell everybody who waits for room that there will be none."""
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_exception(NoRespondersError(f"{self.name} was closed"))
        self._reckon()

    def _reckon(self) -> None:
        """Work out at which size a publisher waits: at any, if others do or it ended."""
        stop = self.closed or self.waiting
        self.limit = 0 if stop else self.capacity - self.extra
