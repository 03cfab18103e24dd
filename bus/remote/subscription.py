"""A subscription as its agent has it: what the node sent, and who handles it.

Rule: a node sends as much as it has credit for, so what waits here is bounded by that.
What a line delivered is settled over that line or not at all.
"""

import asyncio
from collections import deque
from typing import Any

import msgspec

from bus.core import clientframes as out
from bus.core.delivery import Event, State, advance
from bus.core.edgelimits import FRAME_ACKS_MAX
from bus.core.errors import AlreadySettledError, BusError
from bus.remote.writing import encode
from bus.subscription import Delivery
from bus.wants import Spec


class RemoteDelivery(Delivery, gc=False, eq=False):
    """A `Delivery` that a node made: `did` is its number on the line it came over."""

    did: int = 0

    @property
    def consumer(self) -> str:
        """The durable name of who takes the message: inboxes go by it."""
        return self.subscription.consumer or self.subscription.name


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What came between these times may have been lost: nothing kept it.

    Nanoseconds since the epoch: when the line was lost, and when the subscription stood
    again. `count` is how many gave way to newer ones at the node, where it tells: then
    both times are when it did.
    """

    pattern: str
    queue: str
    since_ns: int
    until_ns: int
    count: int | None = None


class Worker:
    """One of a subscription's tasks, and the delivery in its hands."""

    __slots__ = ("delivery", "lapsed", "seen", "seen_ns", "subscription", "task")

    def __init__(self, subscription: "RemoteSubscription") -> None:
        self.subscription = subscription
        self.task: asyncio.Task[None] | None = None
        self.delivery: RemoteDelivery | None = None
        self.seen: RemoteDelivery | None = None  # by the check of leases
        self.seen_ns = 0
        self.lapsed = False


class RemoteSubscription:
    """One agent's interest in a pattern. Get it from `RemoteAgent.subscribe`.

    `gaps` counts how often something may have been lost, `stale` the settlings that came
    too late for the node.
    """

    def __init__(self, sid: int, spec: Spec, options: Any, settler: Any) -> None:
        self.sid = sid
        self.spec = spec
        self.options = options
        self.settler = settler
        self.name = f"{spec.agent}/{spec.pattern}" + (
            f"/{spec.queue}" if spec.queue else ""
        )
        self.consumer = ""  # the durable name; empty where nothing is kept
        self.kept = False
        self.gaps = 0
        self.stale = 0
        self.ended = False
        self.failure: BusError | None = None
        self.queue: deque[RemoteDelivery] = deque()
        self.workers: list[Worker] = []
        self.idle: list[asyncio.Future[None]] = []
        self.asked: asyncio.Future[Any] | None = None
        self.admitted = False
        self.gone_ns = 0
        self._standing = asyncio.Event()
        self._ended = asyncio.Event()
        self._acks: list[int] = []
        self._others: list[bytes] = []
        self._credit = 0

    @property
    def size(self) -> int:
        """Messages that have arrived and wait for a handler."""
        return len(self.queue)

    @property
    def in_flight(self) -> int:
        """Messages in the hands of a handler."""
        return sum(worker.delivery is not None for worker in self.workers)

    @property
    def busy(self) -> bool:
        """Whether anything is waiting or in flight here."""
        return bool(self.queue or self.in_flight)

    async def ready(self) -> None:
        """Wait until the node has let it in; raises `DeniedError` if it does not."""
        await self._standing.wait()
        if self.failure is not None:
            raise self.failure

    async def finished(self) -> None:
        """Wait until it delivers nothing more; `failure` is why, if nobody asked for it."""
        await self._ended.wait()

    def stands(self) -> None:
        """Be told that it is in force."""
        self.admitted = True
        self._standing.set()

    def end(self, failure: BusError | None) -> None:
        """Deliver nothing more; `failure` is why, where nobody asked for it."""
        self.ended, self.failure = True, failure
        self._standing.set()
        self._ended.set()
        for future in self.idle:
            if not future.done():
                future.set_result(None)
        self.idle.clear()

    def lose(self, now_ns: int) -> None:
        """Let go of what the line delivered: the node has it again."""
        self.asked = None
        self.gone_ns = now_ns
        self.queue.clear()
        self._acks.clear()
        self._others.clear()
        self._credit = 0
        for worker in self.workers:
            delivery = worker.delivery
            if delivery is not None:
                delivery.did = 0
                if delivery.state is State.IN_FLIGHT:
                    delivery.state = advance(delivery.state, Event.NAK)

    def settle(self, delivery: RemoteDelivery, event: Event) -> None:
        """Take a delivery in flight where `event` leads; raises `AlreadySettledError`."""
        if delivery.state is not State.IN_FLIGHT:
            raise AlreadySettledError(
                f"{delivery.message.id.hex()} at {self.name} is {delivery.state.value}; "
                "it is settled once, while its handler runs and its line is there"
            )
        delivery.state = advance(delivery.state, event)

    def tell(self, frame: out.Settles) -> None:
        """Have a settling sent."""
        self._others.append(encode(frame))

    def over(self, delivery: RemoteDelivery) -> None:
        """Be told that a handler is done: the node may send one more for it."""
        if delivery.did:
            if delivery.state is State.ACKED:
                self._acks.append(delivery.did)
            self._credit += 1

    def settled(self) -> list[bytes]:
        """Return what was settled since, encoded."""
        told, self._others = self._others, []
        acks, self._acks = self._acks, []
        for at in range(0, len(acks), FRAME_ACKS_MAX):
            told.append(encode(out.Ack(self.sid, acks[at : at + FRAME_ACKS_MAX])))
        if self._credit and not self.ended:
            told.append(encode(out.Credits(self.sid, self._credit)))
            self._credit = 0
        return told

    async def arrival(self) -> None:
        """Wait until something has arrived, or it has ended."""
        future = asyncio.get_running_loop().create_future()
        self.idle.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future in self.idle:
                self.idle.remove(future)
            elif self.queue and self.idle:
                self.wake()  # it was woken for something that another must take now
            raise

    def wake(self) -> None:
        """Wake one idle worker."""
        future = self.idle.pop()
        if not future.done():
            future.set_result(None)
