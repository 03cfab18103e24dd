"""Requests and replies of one connection: each in a task of its own, in bounded number.

Rule: they wait for others, so they hold nothing up; whatever ends one is told.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from bus.agent import Agent
from bus.core import clientframes as client
from bus.core.edgelimits import WS_REQUESTS_MAX
from bus.core.errors import (
    AlreadySettledError,
    BodyTypeError,
    BusError,
    OverloadedError,
)
from bus.core.framebodies import is_json, told
from bus.core.frames import Kind
from bus.core.limits import REQUEST_TIMEOUT_S, RETRY_AFTER_S
from bus.core.message import MSGPACK, OCTETS, Message
from bus.core.outcome import Accepted, Held, Outcome
from bus.draft import Options
from bus.edge.session.desk import Desk, Hold
from bus.edge.session.publishing import Publishing
from bus.edge.session.telling import answer_frame, error_frame, outcome_frame
from bus.inquiries import MalformedRequestError
from bus.subscription import handled

Start = Callable[[Coroutine[Any, Any, None]], object]


class Asking:
    """What waits for an answer, or is one. `start` runs a coroutine to its end."""

    __slots__ = ("_agent", "_desk", "_publishing", "_start", "_under_way")

    def __init__(
        self, desk: Desk, agent: Agent, publishing: Publishing, start: Start
    ) -> None:
        self._desk = desk
        self._agent = agent
        self._publishing = publishing
        self._start = start
        self._under_way = 0

    def take(self, frame: client.Request | client.Reply) -> None:
        """Have a request asked, or a reply sent; raises `OverloadedError`."""
        if self._under_way >= WS_REQUESTS_MAX:
            raise OverloadedError(
                "what this connection asks and answers at once",
                retry_after_s=RETRY_AFTER_S,
            )
        self._publishing.pace()
        self._under_way += 1
        self._start(self._carry_out(frame))

    async def _carry_out(self, frame: client.Request | client.Reply) -> None:
        try:
            if isinstance(frame, client.Request):
                await self._ask(frame)
            else:
                await self._reply(frame)
        except BusError as error:
            self._desk.outbound.add(error_frame(error, frame.id))
        finally:
            self._under_way -= 1

    async def _ask(self, frame: client.Request) -> None:
        desk = self._desk
        hold = None if frame.did is None else desk.holds.get(frame.did)
        if frame.did is not None:
            handled.set(self._publishing.parent(frame.did))
        try:
            self._publishing.lane.require_open()
            await self._agent.connected()
            reply = await self._asked(frame)
        except MalformedRequestError as malformed:
            await self._publishing.lane.reject(frame.subject, malformed.cause)
            raise malformed.cause from None
        if hold is not None:
            # What the client publishes from here on may come of the reply as well.
            hold.lineage = handled.get() or hold.lineage
        kind = desk.outbound.kind
        desk.outbound.add(answer_frame(kind, frame.id, reply), len(reply.body))

    async def _asked(self, frame: client.Request) -> Message:
        try:
            body, content_type = told(
                self._desk.outbound.kind,
                frame.body,
                frame.content_type,
                frame.encoding,
            )
        except BodyTypeError as error:
            raise MalformedRequestError(error) from error
        options = Options(
            headers=frame.headers,
            ttl=frame.ttl,
            correlation=frame.correlation,
            causation=frame.causation,
            content_type=content_type,
            ordering_key=frame.ordering_key,
        )
        wait_s = REQUEST_TIMEOUT_S if frame.timeout is None else frame.timeout
        return await self._agent.inquiries.ask(frame.subject, body, wait_s, options)

    async def _reply(self, frame: client.Reply) -> None:
        hold = held(self._desk, frame.sid, frame.did)
        body = _answer(self._desk.outbound.kind, frame)
        outcome = await hold.delivery.reply(body)
        self._desk.outbound.add(outcome_frame(frame.id, outcome))
        if hold.by_reply and _answered(outcome):
            hold.release()


def held(desk: Desk, sid: int, did: int) -> Hold:
    """Return a delivery in the client's hands, or raise `AlreadySettledError`."""
    hold = desk.holds.get(did)
    if hold is None or hold.sid != sid:
        raise AlreadySettledError(
            f"delivery {did} of subscription {sid} is not in your hands: settled, "
            "taken back, or never sent"
        )
    return hold


def _answer(kind: Kind, frame: client.Reply) -> object:
    """Return what a reply's body is: octets, or a value as MessagePack."""
    given = frame.content_type
    if given is None or given == MSGPACK or is_json(given):
        if frame.encoding is None:
            return msgspec.Raw(told(kind, frame.body, MSGPACK, None)[0])
        given = given or OCTETS
    if given != OCTETS:
        raise BodyTypeError(f"a reply is a value, or {OCTETS}, not {given}")
    return told(kind, frame.body, OCTETS, frame.encoding)[0]


def _answered(outcome: Outcome) -> bool:
    """Tell whether a reply is on its way, or nobody waits for it any more."""
    return isinstance(outcome, Accepted | Held) or outcome.code == "no_responders"
