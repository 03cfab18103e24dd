"""What an agent's connection does: each frame of a client, in order."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from bus.agent import Agent
from bus.core import clientframes as client, serverframes as server
from bus.core.errors import BusError, UnavailableError
from bus.edge.session.allowance import Allowance
from bus.edge.session.asking import Asking
from bus.edge.session.desk import Desk
from bus.edge.session.publishing import Publishing
from bus.edge.session.subscribing import Subscribing
from bus.edge.session.telling import error_frame

Start = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Runs a coroutine in a task of the session's own."""


class Work:
    """The publishes, requests and subscriptions of one connection."""

    __slots__ = (
        "_outbound",
        "_publish",
        "_start",
        "asking",
        "draining",
        "lane",
        "publishing",
        "subscribing",
    )

    def __init__(
        self,
        desk: Desk,
        agent: Agent,
        allowance: Allowance,
        start: Start,
        *,
        durable: bool,
    ) -> None:
        self._outbound = desk.outbound
        self._start = start
        self.publishing = Publishing(desk, agent, allowance)
        self.asking = Asking(desk, agent, self.publishing, start)
        self.subscribing = Subscribing(
            desk, agent, allowance.subscriptions, start, durable=durable
        )
        self.lane: asyncio.Task[None] | None = None
        self.draining = False
        self._publish = self._publish_first

    def carry_out(self, items: list[client.FromClient]) -> None:
        """Do what a client asks, in order; what cannot be done is told."""
        for item in items:
            try:
                if type(item) is client.Publish:
                    self._publish(item)
                else:
                    _OPS[type(item)](self, item)
            except BusError as error:
                call, sid, did = (
                    getattr(item, name, None) for name in ("id", "sid", "did")
                )
                self._outbound.add(error_frame(error, call, sid, did))

    async def room(self) -> None:
        """Wait while the client is sent more than it reads, or sends more than is done."""
        if self._outbound.full:
            await self._outbound.room()
        await self.publishing.progress()

    async def give_back(self) -> None:
        """End the subscriptions: what is in flight is free at once."""
        await self.subscribing.end()

    def _publish_first(self, frame: client.Publish) -> None:
        if self.lane is None:
            self.lane = self._start(self.publishing.run())
            self._publish = self.publishing.take
        self.publishing.take(frame)

    def subscribe(self, frame: client.Subscribe) -> None:
        """Subscribe, unless the node stops."""
        if self.draining:
            raise UnavailableError("the node stops: subscribe elsewhere, or later")
        self.subscribing.subscribe(frame)

    def ping(self, frame: client.Ping) -> None:
        """Answer."""
        self._outbound.add(server.Pong(frame.id))


# One table for all connections: of its own each would weigh more than a kilobyte.
_OPS: Final[dict[type, Callable[[Work, Any], None]]] = {
    client.Request: lambda work, frame: work.asking.take(frame),
    client.Reply: lambda work, frame: work.asking.take(frame),
    client.Subscribe: Work.subscribe,
    client.Unsubscribe: lambda work, frame: work.subscribing.unsubscribe(frame),
    client.Credits: lambda work, frame: work.subscribing.credit(frame),
    client.Ack: lambda work, frame: work.subscribing.ack(frame),
    client.Nak: lambda work, frame: work.subscribing.nak(frame),
    client.Term: lambda work, frame: work.subscribing.term(frame),
    client.InProgress: lambda work, frame: work.subscribing.in_progress(frame),
    client.Ping: Work.ping,
}
