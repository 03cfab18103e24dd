"""Publishing for clients: one message, a batch, a request that waits for its reply.

Rule: an agent publishes; what it is told is what became of the message, and nothing is
tried twice.
"""

import asyncio

from bus.agent import Agent
from bus.core.errors import ProtocolError
from bus.core.message import Message
from bus.core.outcome import Accepted, Held, Outcome, Rejected
from bus.draft import Options
from bus.edge.caller import Caller
from bus.edge.gate import Gate
from bus.edge.messaging import asked, told
from bus.inquiries import MalformedRequestError


class Publishing:
    """Publishes as the callers that a gate knows."""

    def __init__(self, gate: Gate, *, durable: bool) -> None:
        self._gate = gate
        self._durable = durable

    async def publish(self, caller: Caller, given: asked.Publish) -> asked.Outcome:
        """Publish one message; raises the fault of one that was not let in."""
        agent = self._gate.agent(caller)
        dedup = given.dedup
        if dedup is None and self._durable:
            dedup = given.idempotency_key
        outcome = await _published(agent, given, dedup, given.wait)
        return told.outcome_of(outcome)

    async def batch(self, caller: Caller, given: asked.Batch) -> asked.Outcomes:
        """Publish messages in order; they are on their way to a store together."""
        agent = self._gate.agent(caller)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_item(agent, item, given.wait))
                for item in given.items
            ]
        ended = [task.result() for task in tasks]
        return asked.Outcomes(
            items=tuple(told.item_of(outcome) for outcome in ended),
            accepted=sum(isinstance(outcome, Accepted | Held) for outcome in ended),
        )

    async def request(self, caller: Caller, given: asked.Request) -> asked.Content:
        """Publish a query and return the first reply; raises as `Agent.request`."""
        agent = self._gate.agent(caller)
        body, content_type = told.body_of(
            given.body, given.body_base64, given.content_type
        )
        options = Options(
            headers=given.headers,
            ttl=given.ttl,
            causation=given.causation,
            content_type=content_type,
            ordering_key=given.ordering_key,
        )
        reply = await _reply(agent, given, body, options)
        return told.content_of(reply)


async def _item(agent: Agent, item: asked.Item, wait: float | None) -> Outcome:
    try:
        return await _published(agent, item, item.dedup, wait)
    except ProtocolError as error:
        return Rejected(b"", error)


async def _published(
    agent: Agent,
    given: asked.Item | asked.Publish,
    dedup: str | None,
    wait: float | None,
) -> Outcome:
    body, content_type = told.body_of(given.body, given.body_base64, given.content_type)
    return await agent.publish(
        given.subject,
        body,
        given.type,
        given.priority,
        given.headers,
        given.ttl,
        given.reply_to,
        given.correlation,
        given.causation,
        content_type,
        wait,
        given.ordering_key,
        dedup,
        given.delay,
    )


async def _reply(
    agent: Agent, given: asked.Request, body: bytes, options: Options
) -> Message:
    """Return the reply itself: `Agent.request` returns a body without its type."""
    await agent.connected()
    try:
        return await agent.inquiries.ask(given.subject, body, given.timeout, options)
    except MalformedRequestError as malformed:
        raise malformed.cause from None
