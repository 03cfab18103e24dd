"""One subscription of a connection: what the bus delivers, as far as there is credit.

Rule: a delivery is sent only while there is credit, room in what is to be written and
room in what may be in flight; else it stays in the hands of its handler, or queued. What
was sent and is not settled ends with the connection.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, cast

import msgspec

from bus.core import clientframes as client
from bus.core.edgelimits import (
    WS_BACKLOG_MESSAGES,
    WS_FEEDS_FLUSHED,
    WS_RENEW_S_MIN,
)
from bus.core.errors import MalformedMessageError
from bus.core.serverframes import Missed
from bus.core.subject import INBOX_PREFIX
from bus.edge.session.desk import Desk, Hold
from bus.edge.session.states import Move, Stage, move
from bus.edge.session.telling import message_frame
from bus.spec import SubscribeOptions
from bus.subscription import Delivery, Subscription

_RENEWALS: Final = 2.0  # of a lease that waits, in its time


class Feed:
    """A subscription as its connection knows it."""

    # fmt: off
    __slots__ = (
        "_desk", "_told", "_waiting", "asked", "credit", "sid", "stage", "subscription",
    )
    # fmt: on

    def __init__(self, desk: Desk, asked: client.Subscribe) -> None:
        self._desk = desk
        self.asked = asked
        self.sid = asked.sid
        self.credit: int = asked.credit
        self.stage = Stage.JOINING
        self.subscription: Subscription
        self._told = 0  # of what gave way
        self._waiting: list[asyncio.Future[None]] = []  # most never wait

    @property
    def handler(self) -> Callable[[Delivery], Any]:
        """What the bus calls with each delivery."""
        return self.send_once if self.asked.ack == "auto" else self.send_and_wait

    def advance(self, event: Move) -> None:
        """Go where the table says."""
        self.stage = move(self.stage, event)

    def grant(self, more: int) -> None:
        """Take credit, and let go on what waited for it."""
        self.credit += more
        self.stir()

    def stir(self) -> None:
        """Let what waits look again, as far as there is credit."""
        for _ in range(min(self.credit, len(self._waiting))):
            future = self._waiting.pop(0)
            if not future.done():
                future.set_result(None)

    def look(self) -> None:
        """Tell the client what gave way to newer ones since it was last told."""
        missed = self.subscription.missed
        if missed != self._told:
            self._desk.outbound.add(Missed(self.sid, missed - self._told))
            self._told = missed

    async def send_once(self, delivery: Delivery) -> None:
        """Send a delivery; that settles it, but for a request, which its reply does."""
        desk = self._desk
        if (self.credit <= 0 or desk.outbound.full) and not await self._turn(delivery):
            return
        reply_to = delivery.message.reply_to
        if reply_to is not None and reply_to.startswith(INBOX_PREFIX):
            await self._hold(delivery)
            return
        self.credit -= 1
        desk.dids = did = desk.dids + 1
        outbound = desk.outbound
        frame = message_frame(outbound.kind, self.sid, did, delivery)
        outbound.add(frame, len(delivery.message.body))
        if not self.subscription.size and len(desk.feeds) <= WS_FEEDS_FLUSHED:
            outbound.flush()

    async def send_and_wait(self, delivery: Delivery) -> None:
        """Send a delivery and wait until the client has settled it."""
        if not self._desk.may_send(self.credit) and not await self._turn(delivery):
            return
        await self._hold(delivery)

    async def _hold(self, delivery: Delivery) -> None:
        desk = self._desk
        self.credit -= 1
        desk.dids = did = desk.dids + 1
        hold = desk.holds[did] = Hold(
            self.sid, delivery, by_reply=self.asked.ack == "auto"
        )
        delivery.in_progress()  # its lease begins now, however long it waited
        frame = message_frame(desk.outbound.kind, self.sid, did, delivery)
        desk.outbound.add(frame, len(delivery.message.body))
        if not self.subscription.size and len(desk.feeds) <= WS_FEEDS_FLUSHED:
            desk.outbound.flush()
        try:
            await hold.done
        finally:
            desk.release(did)

    async def _turn(self, delivery: Delivery) -> bool:
        """Wait until it may be sent; False if it was put back meanwhile.

        Its lease does not run out by that. What may have changed in the time it took,
        policy or its own time, is looked at again by whoever hands it over next.
        """
        admitted = self.subscription.admitted
        wait_s = self.subscription.spec.ack_wait_s / _RENEWALS
        while not self._desk.may_send(self.credit):
            await self._stirred(max(wait_s, WS_RENEW_S_MIN))
            delivery.in_progress()
        expires_ns = delivery.message.expires_ns
        expired = expires_ns is not None and self._desk.now_ns() >= expires_ns
        if expired or self.subscription.admitted != admitted:
            delivery.nak(0.0)
            return False
        return True

    async def _stirred(self, wait_s: float) -> None:
        """Wait for credit or room, but not longer than a lease can."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def renew() -> None:
            if not future.done():
                future.set_result(None)

        timer = self._desk.clock.call_after(wait_s, renew)
        self._waiting.append(future)
        try:
            await future
        finally:
            timer.cancel()
            if future in self._waiting:
                self._waiting.remove(future)


def options(asked: client.Subscribe, in_flight: int, *, kept: bool) -> SubscribeOptions:
    """Return what the agent is to subscribe with; `kept` tells that a store keeps it.

    Where the client does not say: what is queued for somebody slow gives way, so that
    nobody waits for it; and what is kept for a durable one piles up in the store.

    Raises:
        MalformedMessageError: `start` is no time.
    """
    explicit = asked.ack == "explicit"
    chosen = {
        "queue": asked.queue,
        "durable": asked.durable,
        "start": _start(asked.start),
        "max_deliver": asked.max_deliver,
        "ack_wait": asked.ack_wait,
        "backoff": asked.backoff,
        "max_ack_pending": asked.max_ack_pending,
        "overflow": asked.overflow or ("wait" if kept else "drop_oldest"),
        "capacity": asked.capacity
        if asked.capacity is not None
        else (WS_BACKLOG_MESSAGES if kept else None),
        "max_in_flight": max(min(asked.credit, in_flight), 1) if explicit else 1,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    return cast("SubscribeOptions", given)


def moment(text: str) -> datetime:
    """Return the time that a text says (RFC 3339); raises `MalformedMessageError`."""
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise MalformedMessageError(f"{text[:64]!r} is no RFC 3339 time") from error


def _start(given: int | str | None) -> int | str | datetime | None:
    plain = given is None or isinstance(given, int) or given in {"new", "all"}
    return given if plain else moment(str(given))
