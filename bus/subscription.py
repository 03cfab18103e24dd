"""A subscription's queue and the deliveries in it.

Rule: room is counted, never guessed. What waits, what a publisher was granted and
what is due for redelivery all take room; publishers that wait are served in order.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol

import msgspec

from bus.admission import Admission
from bus.capacity import Capacity
from bus.core.backlog import NORMAL
from bus.core.decision import Decision
from bus.core.delivery import State
from bus.core.message import ORDERING_KEY, Message
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

    def postpone(self, delivery: "Delivery", delay_s: float, until_ns: int = 0) -> None:
        """Queue it in so many seconds, or once that time has come."""

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
    decoded already; `replied` tells that an answer was sent. With a store `number` and `key`
    are the row and the entry it comes from, `token` is its fencing token, which rises with
    every hand-over, over restarts too, and `begun` tells that a process may have died on
    it: then each attempt is noted before it is made. A handler that returns without settling has acked.
    """

    message: Message
    decision: Decision
    subscription: "Subscription"
    attempt: int = 1
    turn: int = 0
    state: State = State.READY
    bodies: dict[Any, Any] | None = None
    replied: bool = False
    number: int = 0
    key: int = 0
    token: int = 0
    begun: bool = False

    @property
    def consumer(self) -> str:
        """The durable name of who takes the message: inboxes go by it."""
        kept = self.subscription.consumer
        return self.subscription.name if kept is None else str(kept.row.name)

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


class Subscription(Capacity["Delivery"]):
    """One agent's interest in a pattern, with its bounded queue."""

    # fmt: off
    __slots__ = (
        "_staff", "admission", "admitted", "agent", "careful", "consumer", "delayed",
        "ended", "idle", "missed", "queue", "settler", "spec", "stats", "tokens", "unstaffed",
        "workers",
    )
    # fmt: on

    def __init__(
        self,
        spec: Spec,
        settler: Settler,
        stats: SubjectStats,
        staff: "Callable[[Subscription], None]",
    ) -> None:
        super().__init__(
            f"{spec.agent}/{spec.pattern}" + (f"/{spec.queue}" if spec.queue else ""),
            spec.capacity,
        )
        self.spec = spec
        self._staff = staff
        self.settler = settler
        self.stats = stats
        self.agent = spec.agent
        self.queue = spec.queue
        self.tokens = spec.tokens
        self.admitted = ""  # the revision that let it in
        self.admission = Admission()
        self.careful = False  # not all that is queued may go; see `bus.turns`
        self.delayed: dict[Delivery, Any] = {}
        self.consumer: Any = None  # of the store: `bus.consumers.Consumer`
        self.ended = False  # and delivers no more
        self.missed = 0  # deliveries that gave way to newer ones
        self.unstaffed = True  # fewer workers than it may have
        self.workers: list[Worker] = []
        self.idle: list[asyncio.Future[None]] = []
        self.heed()

    async def ready(self) -> None:
        """Wait until policy has let it in; raises `DeniedError` if it does not."""
        await self.admission.first()

    @property
    def away(self) -> bool:
        """Whether it only stands for somebody who is not there."""
        return False

    @property
    def load(self) -> int:
        """Messages waiting and in flight."""
        return self.size + self.aside + len(self.delayed) + self.in_flight

    @property
    def in_flight(self) -> int:
        """Messages in the hands of a handler."""
        return sum(worker.delivery is not None for worker in self.workers)

    @property
    def busy(self) -> bool:
        """Whether anything is waiting, in flight or about to arrive.

        What is kept for a subscription that has ended waits for nobody.
        """
        if self.ended and self.consumer is not None:
            return bool(self.in_flight)
        return bool(self.size or self.extra or self.waiting or self.in_flight)

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
        if message.headers and ORDERING_KEY in message.headers:
            self.line_up(delivery)
        if self.idle:
            self.wake()
        elif self.unstaffed:
            self._staff(self)

    def take(self, delivery: Delivery) -> None:
        """Queue a delivery that a store keeps, and wake a worker."""
        self.push(delivery, delivery.message.priority)
        self.line_up(delivery)
        self.call()

    def arrived(self) -> None:
        """Be told, after the record, that something was put."""

    def put_back(self, delivery: Delivery) -> None:
        """Queue a redelivery at the head of its priority."""
        self.push_front(delivery, delivery.message.priority)
        self.heed()
        self.call()

    def heed(self) -> None:
        """Be careful, if as many may be out as may be out at most."""
        out = len(self.delayed) + self.returned + self.spec.max_in_flight
        if out > self.spec.max_ack_pending:
            self.careful = True

    def line_up(self, delivery: Delivery) -> None:
        """Note what a delivery must not overtake, if it has an ordering key."""
        key = delivery.message.headers.get(ORDERING_KEY)
        if key is not None:
            self.enter(delivery, key, delivery.message.priority)
            self.careful = True

    def call(self) -> None:
        """Have a worker look at the queue: one that is idle, or one more."""
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

    def make_room(self) -> None:
        """Give up the oldest messages of the lowest priority until there is room."""
        while self.full and (self.size or self.aside or self.delayed):
            if self.size or self.aside:
                before = self.aside
                evicted = self.pop_oldest_of_lowest()
                self.hold(self.aside - before)
                self.settler.evict(evicted)
                continue
            oldest = next(iter(self.delayed))
            self.delayed.pop(oldest).cancel()
            self.hold(-1)
            self.settler.evict(oldest)

    def clear(self) -> list[Delivery]:
        """Take everything out that waits to be handed over."""
        self.hold(-self.aside)
        return super().clear()

    def close(self) -> None:
        """Turn away everybody who waits for room."""
        self.closed = True
        self.unstaffed = False
        self.admission.answered()
        self.turn_away()

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
