"""What the subscriptions of one connection share: the line out, and what is in flight."""

import asyncio
from typing import Protocol

from bus.core.message import Message
from bus.edge.session.outbound import Outbound
from bus.ports import Clock
from bus.subscription import Delivery


class Hold:
    """A delivery that was sent and is not settled.

    `lineage` is what comes of it; `by_reply` tells that its reply settles it.
    """

    __slots__ = ("by_reply", "delivery", "done", "lineage", "sid")

    def __init__(self, sid: int, delivery: Delivery, *, by_reply: bool) -> None:
        self.sid = sid
        self.by_reply = by_reply
        self.delivery = delivery
        self.lineage: Message = delivery.message
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def release(self) -> None:
        """Let the handler return: the delivery was settled, or is by that."""
        if not self.done.done():
            self.done.set_result(None)


class Waits(Protocol):
    """What may wait for room: a subscription."""

    def stir(self) -> None:
        """Look again."""


class Desk:
    """One for each connection. `dids` counts what was sent."""

    __slots__ = (
        "clock",
        "dids",
        "feeds",
        "holds",
        "in_flight_max",
        "now_ns",
        "outbound",
    )

    def __init__(self, outbound: Outbound, clock: Clock, in_flight_max: int) -> None:
        self.outbound = outbound
        self.clock = clock
        self.now_ns = clock.now_ns
        self.in_flight_max = in_flight_max
        self.dids = 0
        self.holds: dict[int, Hold] = {}
        self.feeds: dict[int, Waits] = {}
        outbound.relieved = self.stir

    def may_send(self, credit: int) -> bool:
        """Tell whether a subscription with so much credit may send."""
        return (
            credit > 0
            and not self.outbound.full
            and len(self.holds) < self.in_flight_max
        )

    def release(self, did: int) -> None:
        """Be told that a delivery is not in flight any more."""
        full = len(self.holds) >= self.in_flight_max
        del self.holds[did]
        if full:
            self.stir()

    def stir(self) -> None:
        """Let all subscriptions look again whether they may send."""
        for feed in self.feeds.values():
            feed.stir()
