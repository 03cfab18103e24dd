"""What a client publishes, one after the other, and what is told of it.

Rule: each is on its way before the next begins, in one task for the connection: a publish
that waits for room holds up the ones behind it, and nothing else. Every one that was
taken is told an outcome, unless the client has gone.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from bus.agent import Agent
from bus.awaiting import Coming
from bus.core import clientframes as client, serverframes as server
from bus.core.edgelimits import WS_PUBLISHES_PER_TURN, WS_QUEUED_PUBLISHES
from bus.core.errors import (
    BusError,
    MalformedMessageError,
    OverloadedError,
    ProtocolError,
)
from bus.core.framebodies import told
from bus.core.limits import RETRY_AFTER_S
from bus.core.message import JSON, Message
from bus.core.outcome import Outcome
from bus.draft import Options
from bus.edge.session.allowance import Allowance, Bucket
from bus.edge.session.desk import Desk
from bus.edge.session.feed import moment
from bus.edge.session.telling import outcome_frame

_PLAIN_JSON: Final = Options(content_type=JSON)
_RATE: Final = "what this connection sends a second"


class Publishing:
    """The publishes of one connection. `run` carries them out."""

    __slots__ = (
        "_agent",
        "_bucket",
        "_desk",
        "_idle",
        "_max",
        "_queue",
        "_settled",
        "lane",
        "under_way",
    )

    def __init__(self, desk: Desk, agent: Agent, allowance: Allowance) -> None:
        self._desk = desk
        self._agent = agent
        self.lane = agent.lane()
        self._max = allowance.publishes_in_flight
        self._bucket = Bucket(allowance.messages_per_second, desk.now_ns)
        self._queue: deque[client.Publish] = deque()
        self._idle: asyncio.Future[None] | None = None
        self._settled: asyncio.Future[None] | None = None
        self.under_way = 0

    def pace(self) -> None:
        """Count one of the messages that a second has; raises `OverloadedError`."""
        wait_s = self._bucket.take()
        if wait_s:
            raise OverloadedError(_RATE, retry_after_s=wait_s)

    def take(self, frame: client.Publish) -> None:
        """Have a message published; what is too much is told so at once."""
        wait_s = self._bucket.take()
        if wait_s or self.under_way >= self._max:
            self._refuse(frame.id, wait_s)
            return
        self.under_way += 1
        self._queue.append(frame)
        idle, self._idle = self._idle, None
        if idle is not None and not idle.done():
            idle.set_result(None)

    async def run(self) -> None:
        """Publish what is taken, in order, until cancelled."""
        queue, begin = self._queue, self._begin
        while True:
            if not queue:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
            try:
                await self._agent.connected()
            except BusError as error:
                self._turn_away(error)
                continue
            for _ in range(WS_PUBLISHES_PER_TURN):
                if not queue:
                    break
                frame = queue.popleft()
                coming = await begin(frame)
                if isinstance(coming, asyncio.Future):
                    coming.add_done_callback(partial(self._later, frame.id))
                else:
                    self._told(frame.id, coming)
            else:
                await asyncio.sleep(0)

    @property
    def much(self) -> bool:
        """Whether so much was taken and not begun that no more should be read."""
        return len(self._queue) > WS_QUEUED_PUBLISHES

    async def progress(self) -> None:
        """Wait while much is queued and it goes on; no longer where it is held up."""
        queued = len(self._queue) + 1
        while WS_QUEUED_PUBLISHES < len(self._queue) < queued:
            queued = len(self._queue)
            await asyncio.sleep(0)

    async def settled(self) -> None:
        """Return once everything that was taken has an outcome."""
        while self.under_way:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled

    def _begin(self, frame: client.Publish) -> Coroutine[Any, Any, Coming]:
        lane, kind = self.lane, self._desk.outbound.kind
        try:
            body, content_type = told(
                kind, frame.body, frame.content_type, frame.encoding
            )
            plain = (
                frame.headers is None
                and frame.ttl is frame.delay is None
                and frame.reply_to is frame.correlation is frame.causation is None
                and frame.ordering_key is frame.dedup is None
            )
            if plain and frame.content_type is frame.encoding is None:
                # A Raw is MessagePack as it is: no options, so the shortest way.
                given: object = frame.body if kind.binary else body
                options = None if kind.binary else _PLAIN_JSON
            else:
                given, options = body, _options(frame, content_type)
            parent = None if frame.did is None else self.parent(frame.did)
        except ProtocolError as error:
            return lane.reject(frame.subject, error)
        message = (
            frame.subject,
            given,
            frame.type,
            frame.priority,
            options,
            frame.wait,
        )
        if parent is not None:
            return lane.publish_from(parent, *message)
        return lane.publish(*message)

    def parent(self, did: int) -> Message:
        """Return what comes of a delivery that the client handles.

        Raises `MalformedMessageError` where it is not in its hands.
        """
        hold = self._desk.holds.get(did)
        if hold is None:
            raise MalformedMessageError(
                f"did {did} is not in your hands: subscribe with explicit acks to "
                "publish what comes of a delivery, and ack it afterwards"
            )
        return hold.lineage

    def _later(self, call: int, coming: "asyncio.Future[Outcome]") -> None:
        if coming.cancelled():
            self._over()
        else:
            self._told(call, coming.result())

    def _told(self, call: int, outcome: Outcome) -> None:
        self._desk.outbound.add(outcome_frame(call, outcome))
        self._over()

    def _over(self) -> None:
        self.under_way -= 1
        if not self.under_way and self._settled is not None:
            if not self._settled.done():
                self._settled.set_result(None)
            self._settled = None

    def _turn_away(self, error: BusError) -> None:
        """Tell all that waits that the agent may not connect any more, or not now."""
        while self._queue:
            call = self._queue.popleft().id
            status: server.Status = "denied" if error.code == "denied" else "failed"
            self._desk.outbound.add(
                server.Outcome(call, status, "", code=error.code, reason=str(error))
            )
            self._over()

    def _refuse(self, call: int, wait_s: float) -> None:
        what = _RATE if wait_s else "what this connection publishes at once"
        error = OverloadedError(what, retry_after_s=wait_s or RETRY_AFTER_S)
        self._desk.outbound.add(
            server.Outcome(
                call,
                "failed",
                "",
                code=error.code,
                reason=str(error),
                retry_after=error.retry_after_s,
            )
        )


def _options(frame: client.Publish, content_type: str) -> Options:
    delay = moment(frame.delay) if isinstance(frame.delay, str) else frame.delay
    return Options(
        frame.headers,
        frame.ttl,
        frame.reply_to,
        frame.correlation,
        frame.causation,
        content_type,
        frame.ordering_key,
        frame.dedup,
        delay,
    )
