"""The subscriptions of one connection, and how their deliveries are settled.

Rule: a subscription is the agent's own, on the bus; it ends with the connection, and what
it held is given back at once.
"""

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from bus.agent import Agent
from bus.core import clientframes as client, serverframes as server
from bus.core.edgeerrors import NotFoundError
from bus.core.errors import (
    AlreadySettledError,
    BusError,
    LimitExceededError,
    MalformedMessageError,
    UsageError,
)
from bus.edge.session.asking import held
from bus.edge.session.desk import Desk
from bus.edge.session.feed import Feed, options
from bus.edge.session.states import Move, Stage
from bus.edge.session.telling import error_frame

Start = Callable[[Coroutine[Any, Any, None]], object]

_NONE: Final = -(1 << 53)
_DRAIN_S: Final = 5.0  # as for an agent of the host program
_ENDED: Final = (
    "the node ended it: policy does not allow it any more, or the node stops"
)


class Subscribing:
    """Carries out what a client asks for its subscriptions."""

    __slots__ = ("_agent", "_desk", "_durable", "_most", "_start", "feeds")

    def __init__(
        self, desk: Desk, agent: Agent, most: int, start: Start, *, durable: bool
    ) -> None:
        self._desk = desk
        self._agent = agent
        self._most = most
        self._start = start
        self._durable = durable
        self.feeds: dict[int, Feed] = {}

    def subscribe(self, frame: client.Subscribe) -> None:
        """Subscribe; raises what keeps it from being done."""
        if frame.sid in self.feeds:
            raise MalformedMessageError(f"sid {frame.sid} is in use on this connection")
        if len(self.feeds) >= self._most:
            raise LimitExceededError(
                "subscriptions of a connection",
                actual=len(self.feeds) + 1,
                allowed=self._most,
            )
        kept = self._durable and frame.durable is not False
        feed = Feed(self._desk, frame)
        feed.subscription = self._agent.subscribe(
            frame.pattern,
            feed.handler,
            **options(frame, self._desk.in_flight_max, kept=kept),
        )
        self.feeds[frame.sid] = self._desk.feeds[frame.sid] = feed
        answer = feed.subscription.ready()
        try:
            answer.send(None)
        except StopIteration:  # policy has answered: what is delivered comes after this
            self._joined(feed)
        except BusError:
            self._forget(feed)
            raise
        else:
            answer.close()
            self._start(self._join(feed))

    def unsubscribe(self, frame: client.Unsubscribe) -> None:
        """End a subscription, once it is drained."""
        feed = self._known(frame.sid)
        if feed.stage is not Stage.ACTIVE:
            raise UsageError(f"subscription {frame.sid} is {feed.stage.value}")
        feed.advance(Move.LEAVE)
        self._start(self._leave(feed, frame))

    def credit(self, frame: client.Credits) -> None:
        """Let more be sent."""
        self._known(frame.sid).grant(frame.n)

    def ack(self, frame: client.Ack) -> None:
        """Settle deliveries as done; each that cannot be is told."""
        desk = self._desk
        for did in frame.dids:
            try:
                hold = held(desk, frame.sid, did)
                hold.delivery.ack()
            except BusError as error:
                desk.outbound.add(error_frame(error, None, frame.sid, did))
            else:
                hold.release()

    def nak(self, frame: client.Nak) -> None:
        """Put a delivery back."""
        hold = held(self._desk, frame.sid, frame.did)
        hold.delivery.nak(frame.delay)
        hold.release()

    def term(self, frame: client.Term) -> None:
        """Give a delivery up."""
        hold = held(self._desk, frame.sid, frame.did)
        if frame.reason is None:
            hold.delivery.term()
        else:
            hold.delivery.term(frame.reason)
        hold.release()

    def in_progress(self, frame: client.InProgress) -> None:
        """Start a delivery's lease anew."""
        held(self._desk, frame.sid, frame.did).delivery.in_progress()

    def look(self) -> None:
        """Tell the client what it missed, and of subscriptions that the bus has ended."""
        for feed in list(self.feeds.values()):
            feed.look()
            if feed.stage is Stage.ACTIVE and feed.subscription.closed:
                feed.advance(Move.OVER)
                self._forget(feed)
                self._desk.outbound.add(server.Ended(feed.sid, "denied", _ENDED))

    async def end(self) -> None:
        """End all of them at once: what is in flight goes back, and was an attempt."""
        for feed in self.feeds.values():
            feed.credit = _NONE  # nobody is there to be sent anything
        for hold in list(self._desk.holds.values()):
            with contextlib.suppress(AlreadySettledError):  # in this very turn
                hold.delivery.nak(0.0)
            hold.release()
        for feed in list(self.feeds.values()):
            feed.advance(Move.OVER)
            self._forget(feed)
            await self._agent.unsubscribe(feed.subscription, drain=0.0)

    def _known(self, sid: int) -> Feed:
        feed = self.feeds.get(sid)
        if feed is None:
            raise NotFoundError(f"no subscription {sid} on this connection")
        return feed

    async def _join(self, feed: Feed) -> None:
        """Wait for policy's word on a subscription."""
        try:
            await feed.subscription.ready()
        except BusError as error:
            self._desk.outbound.add(error_frame(error, feed.asked.id, feed.sid))
            feed.advance(Move.OVER)
            self._forget(feed)
        else:
            self._joined(feed)

    def _joined(self, feed: Feed) -> None:
        feed.advance(Move.JOIN)
        consumer = feed.subscription.consumer
        name = "" if consumer is None else str(consumer.row.name)
        self._desk.outbound.add(
            server.Subscribed(feed.asked.id, feed.sid, consumer is not None, name)
        )

    async def _leave(self, feed: Feed, frame: client.Unsubscribe) -> None:
        drain_s = _DRAIN_S if frame.drain is None else frame.drain
        try:
            left = await self._agent.unsubscribe(
                feed.subscription, drain=drain_s, forget=frame.forget
            )
        except BusError as error:
            feed.advance(Move.STAY)
            self._desk.outbound.add(error_frame(error, frame.id, frame.sid))
            return
        feed.advance(Move.OVER)
        self._forget(feed)
        self._desk.outbound.add(server.Unsubscribed(frame.id, frame.sid, left))

    def _forget(self, feed: Feed) -> None:
        del self.feeds[feed.sid], self._desk.feeds[feed.sid]
