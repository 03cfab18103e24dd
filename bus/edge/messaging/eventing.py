"""CloudEvents, published: one or several, each as a message of the caller's agent."""

import asyncio

from bus.agent import Agent
from bus.core.outcome import Accepted, Held, Outcome
from bus.edge.caller import Caller, Scope
from bus.edge.gate import Gate
from bus.edge.messaging import asked, told
from bus.edge.messaging.cloudevents import Event
from bus.edge.operations import Asks, Operation

PATH = "/v1/events"


class Given(Asks, frozen=True, kw_only=True):
    """Events that came in; each goes to `subject`, or to the subject that is its type."""

    events: tuple[Event, ...]
    subject: str | None = None


class Eventing:
    """Publishes events as the callers that a gate knows."""

    def __init__(self, gate: Gate, *, durable: bool) -> None:
        self._gate = gate
        self._durable = durable
        self.single = _row(self.one, asked.Outcome, 202, "publishEvent")
        self.batch = _row(self.many, asked.Outcomes, 200, "publishEvents")

    async def one(self, caller: Caller, given: Given) -> asked.Outcome:
        """Publish an event; raises the fault of one that was not let in."""
        agent = self._gate.agent(caller)
        return told.outcome_of(await self._publish(agent, given.events[0], given))

    async def many(self, caller: Caller, given: Given) -> asked.Outcomes:
        """Publish events in order; each has an outcome of its own."""
        agent = self._gate.agent(caller)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._publish(agent, event, given))
                for event in given.events
            ]
        ended = [task.result() for task in tasks]
        return asked.Outcomes(
            items=tuple(told.item_of(outcome) for outcome in ended),
            accepted=sum(isinstance(outcome, Accepted | Held) for outcome in ended),
        )

    async def _publish(self, agent: Agent, event: Event, given: Given) -> Outcome:
        return await agent.publish(
            event.attributes["type"] if given.subject is None else given.subject,
            event.data,
            headers=event.headers,
            content_type=event.content_type,
            ordering_key=event.ordering_key,
            dedup=event.dedup if self._durable else None,
        )


def _row(run: object, answers: object, status: int, name: str) -> Operation:
    return Operation(
        name=name,
        method="POST",
        path=PATH,
        summary="Publish CloudEvents",
        scope=Scope.AGENT,
        asks=Given,
        answers=answers,
        run=run,  # type: ignore[arg-type]  # both are functions of a caller and Given
        status=status,
        writes=True,
    )
