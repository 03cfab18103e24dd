"""A subscription's queue and the deliveries in it.

Rule: room is counted, never guessed. What waits, what a publisher was granted and
what is due for redelivery all take room; publishers that wait are served in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol

import msgspec

from bus.admission import Admission
from bus.core.backlog import NORMAL, Backlog
from bus.core.decision import Decision
from bus.core.delivery import State
from bus.core.errors import NoRespondersError, OverloadedError
from bus.core.limits import PUBLISHERS_WAITING_MAX, RETRY_AFTER_S
from bus.core.message import Message
from bus.core.outcome import Outcome
from bus.core.stats import SubjectStats
from bus.wants import Spec

handled: Final[ContextVar[Message | None]] = ContextVar("handled", default=None)
"""The message whose handler is running: what a publish from there descends from."""


class Settler(Protocol):
    """Carries out what a handler says of its delivery; see `Delivery`."""

    def ack(self, delivery: "Delivery") -> None:
        """Settle it as done."""

    def nak(self, delivery: "Delivery", delay_s: float | None) -> None:
        """Put it back."""

    def term(self, delivery: "Delivery", reason: str) -> None:
        """Give it up."""

    def in_progress(self, delivery: "Delivery") -> None:
        """Start its lease anew."""

    def evict(self, delivery: "Delivery") -> None:
        """End it in favour of newer ones."""

    async def reply(self, delivery: "Delivery", body: object) -> Outcome:
        """Publish an answer to it."""


class Delivery(msgspec.Struct, gc=False, eq=False):
    """One message on its way to one subscription; a handler may ask for it.

    `attempt` counts from 1; each attempt is a delivery of its own. `decision` is the
    one under which it is delivered: what let it in, or a later revision's. `bodies` is what several takers of one message have
    decoded already; `replied` tells that an answer was sent. A handler that returns without settling has acked.
    """

    message: Message
    decision: Decision
    subscription: "Subscription"
    attempt: int = 1
    turn: int = 0
    state: State = State.READY
    bodies: dict[Any, Any] | None = None
    replied: bool = False

    def ack(self) -> None:
        """Say that the message is done with; raises `AlreadySettledError`."""
        self.subscription.settler.ack(self)

    def nak(self, delay: float | None = None) -> None:
        """Ask for redelivery after `delay` seconds, or after the usual backoff."""
        self.subscription.settler.nak(self, delay)

    def term(self, reason: str = "terminated by the handler") -> None:
        """Give the message up: it goes to the dead letters."""
        self.subscription.settler.term(self, reason)

    def in_progress(self) -> None:
        """Start `ack_wait` anew: the handler is still at it."""
        self.subscription.settler.in_progress(self)

    async def reply(self, body: object) -> Outcome:
        """Answer a request before the handler returns."""
        return await self.subscription.settler.reply(self, body)


class Subscription(Backlog["Delivery"]):
    """One agent's interest in a pattern, with its bounded queue."""

    # fmt: off
    __slots__ = (
        "_staff", "admission", "admitted", "agent", "capacity", "closed", "delayed",
        "ended", "extra", "idle", "limit", "name", "queue", "settler", "spec", "stats",
        "tokens", "unstaffed", "waiting", "workers",
    )
    # fmt: on

    def __init__(
        self,
        spec: Spec,
        settler: Settler,
        stats: SubjectStats,
        staff: "Callable[[Subscription], None]",
    ) -> None:
        super().__init__()
        self.spec = spec
        self._staff = staff
        self.settler = settler
        self.stats = stats
        self.agent = spec.agent
        self.queue = spec.queue
        self.tokens = spec.tokens
        self.name = f"{spec.agent}/{spec.pattern}" + (
            f"/{spec.queue}" if spec.queue else ""
        )
        self.admitted = ""  # the revision that let it in
        self.admission = Admission()
        self.capacity = spec.capacity
        self.extra = 0  # room taken by grants and by what waits for its redelivery
        self.delayed: dict[Delivery, Any] = {}
        self.closed = False  # takes no more
        self.ended = False  # and delivers no more
        self.limit = spec.capacity
        self.unstaffed = True  # fewer workers than it may have
        self.workers: list[Worker] = []
        self.idle: list[asyncio.Future[None]] = []
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def ready(self) -> None:
        """Wait until policy has let it in; raises `DeniedError` if it does not."""
        await self.admission.first()

    @property
    def load(self) -> int:
        """Messages waiting and in flight."""
        return self.size + len(self.delayed) + self.in_flight

    @property
    def in_flight(self) -> int:
        """Messages in the hands of a handler."""
        return sum(worker.delivery is not None for worker in self.workers)

    @property
    def busy(self) -> bool:
        """Whether anything is waiting, in flight or about to arrive."""
        return bool(self.size or self.extra or self.waiting or self.in_flight)

    @property
    def full(self) -> bool:
        """Whether a publisher must wait: no room, or others were here first."""
        return self.size >= self.limit

    def hold(self, rooms: int) -> None:
        """Take room for what is not in the queue yet, or give it back."""
        self.extra += rooms
        self._reckon()

    def put(
        self, message: Message, decision: Decision, bodies: dict[Any, Any] | None = None
    ) -> None:
        """Queue a message there is room for, and wake a worker."""
        delivery = Delivery(message, decision, self)
        if bodies is not None:
            delivery.bodies = bodies
        above = self._queued_above
        if message.priority == NORMAL and not above[NORMAL]:
            # What `push` does for the usual message: the call measured 60 ns.
            self._normal.append(delivery)
            self.size += 1
            above[0] += 1
        else:
            self.push(delivery, message.priority)
        if self.idle:
            self.wake()
        elif self.unstaffed:
            self._staff(self)

    def arrived(self) -> None:
        """Be told, after the record, that something was put."""

    def put_back(self, delivery: Delivery) -> None:
        """Queue a redelivery at the head of its priority."""
        self.push_front(delivery, delivery.message.priority)
        if self.idle:
            self.wake()
        elif self.unstaffed:
            self._staff(self)

    async def arrival(self) -> None:
        """Wait until something is queued."""
        future = asyncio.get_running_loop().create_future()
        self.idle.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future in self.idle:
                self.idle.remove(future)
            elif self.size and self.idle:
                self.wake()  # it was woken for something that another must take now
            raise

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

    def make_room(self) -> None:
        """Give up the oldest messages of the lowest priority until there is room."""
        while self.full and (self.size or self.delayed):
            if self.size:
                self.settler.evict(self.pop_oldest_of_lowest())
                continue
            oldest = next(iter(self.delayed))
            self.delayed.pop(oldest).cancel()
            self.hold(-1)
            self.settler.evict(oldest)

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

    def close(self) -> None:
        """Turn away everybody who waits for room."""
        self.closed = True
        self.unstaffed = False
        self.admission.answered()
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_exception(NoRespondersError(f"{self.name} was closed"))
        self._reckon()

    def _reckon(self) -> None:
        """Work out at which size a publisher waits: at any, if others do or it ended."""
        stop = self.closed or self.waiting
        self.limit = 0 if stop else self.capacity - self.extra

    def wake(self) -> None:
        """Wake one idle worker."""
        future = self.idle.pop()
        if not future.done():
            future.set_result(None)


class Worker:
    """One of a subscription's tasks, and the delivery in its hands."""

    __slots__ = ("delivery", "lapsed", "seen", "seen_ns", "subscription", "task")

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.task: asyncio.Task[None] | None = None
        self.delivery: Delivery | None = None
        self.seen: Delivery | None = None  # by the check of leases, since `seen_ns`
        self.seen_ns = 0
        self.lapsed = False  # the check of leases has interrupted the handler
