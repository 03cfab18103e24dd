"""The agents that try what they may not, each attempt through the real bus.

Rule: an attempt counts as refused only when the bus refused it: the outcome, the error
or the audit record says so. Whatever gets through is reported as it is.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.adapters import audit
from bus.adapters.clock import SystemClock
from bus.agent import Agent
from bus.app import Bus
from bus.cli.survey.work import NOTICE, RESULTS, TASKS
from bus.core import auditrecord
from bus.core.decision import Decision
from bus.core.errors import BusError, DeniedError
from bus.core.limits import AUDIT_TAIL_MAX
from bus.core.message import OCTETS, Message
from bus.core.outcome import Accepted, Denied, Dropped, Failed, Held, Outcome, Rejected
from bus.core.stamp import KEY_BYTES_MIN, KeyRing
from bus.subscription import Delivery, Subscription

_ID_BYTES: Final = 16
_OWN_KEY: Final = 7
_TOO_LARGE_BYTES: Final = 2_048
_LEAVE_S: Final = 5.0


class Attempt(msgspec.Struct, frozen=True):
    """What was tried and what came of it. `by` is the code of what refused it."""

    agent: str
    tried: str
    refused: bool
    by: str
    reason: str


class Intruder:
    """Tries everything once. `access_denied` and `planted` are for the reconciling."""

    def __init__(self, bus: Bus, aggregator: Agent, audit_file: Path) -> None:
        self._bus = bus
        self._aggregator = aggregator
        self._audit_file = audit_file
        self.access_denied = 0
        self.planted: list[str] = []
        self._read: list[bytes] = []

    async def attempts(self) -> AsyncIterator[Attempt]:
        """Yield each attempt when it is over."""
        bus = self._bus
        intruder, trainee = bus.agent("intruder"), bus.agent("trainee")
        task, result = TASKS + "py", RESULTS + "py"
        yield self._unknown_name("root")
        said = f"publish on {task}, a subject of another tenant"
        yield _told(intruder, said, await intruder.publish(task, {}))
        said = f"publish on {result}: its role may, but in its own tenant"
        yield _told(intruder, said, await intruder.publish(result, {}))
        said = f"give out a task on {task}, with a role that only reads results"
        sent = await trainee.publish(task, {}, type="task_request")
        yield _told(trainee, said, sent)
        worker = bus.agent("worker-1")
        said = f"publish a command on {result}, where it may only respond"
        yield _told(worker, said, await worker.publish(result, {}, type="command"))
        said = f"publish {_TOO_LARGE_BYTES:,} bytes, over its role's limit"
        sent = await intruder.publish("guest.note", bytes(_TOO_LARGE_BYTES))
        yield _told(intruder, said, sent)
        said = f"publish on $DEAD.{task}, which only the bus does"
        yield _told(intruder, said, await intruder.publish(f"$DEAD.{task}", {}))
        yield self._listen(intruder, RESULTS + "*", "another tenant's results")
        yield self._listen(trainee, "$INBOX.>", "answers meant for others")
        yield self._name_a_sender(intruder)
        yield await self._forge()
        yield await self._change()

    def _unknown_name(self, name: str) -> Attempt:
        said = f"act as {name!r}, whom the policy data does not know"
        try:
            self._bus.agent(name)
        except BusError as error:
            return Attempt("intruder", said, True, error.code, str(error))
        return Attempt("intruder", said, False, "", "it was let in")

    def _listen(self, agent: Agent, pattern: str, what: str) -> Attempt:
        said = f"subscribe to {pattern}, {what}"
        try:
            agent.subscribe(pattern, self._overhear)
        except DeniedError as error:
            self.access_denied += 1
            return Attempt(agent.name, said, True, error.code, str(error))
        return Attempt(agent.name, said, False, "", "it may listen")

    def _name_a_sender(self, agent: Agent) -> Attempt:
        said = "publish with sender='planner'"
        claim: dict[str, Any] = {"sender": "planner"}
        try:
            agent.publish("guest.note", {}, **claim).close()
        except TypeError as error:
            return Attempt(agent.name, said, True, "no_such_parameter", str(error))
        return Attempt(agent.name, said, False, "", "it could name a sender")

    async def _forge(self) -> Attempt:
        """Put a message of the planner's, stamped with a key of its own, in a queue."""
        said = "forge the planner's notice, stamped with a key of its own"
        forged = Message(
            id=os.urandom(_ID_BYTES),
            subject=NOTICE,
            type="notification",
            priority=1,
            tenant=self._aggregator.tenant,
            sender="planner",
            content_type=OCTETS,
            body=b"The survey is over.",
            created_ns=SystemClock().now_ns(),
            constitution=self._bus.constitution,
            revision=self._bus.revision,
        )
        KeyRing({_OWN_KEY: os.urandom(KEY_BYTES_MIN)}, _OWN_KEY).seal(forged)
        allow = Decision(True, (), self._bus.revision, digest="")
        queue = self._aggregator.subscribe(NOTICE, self._overhear)
        queue.put(forged, allow)
        self.planted.append(forged.id.hex())
        return await self._ended(said, queue, forged)

    async def _change(self) -> Attempt:
        """Change one byte of a stamped message that waits in a queue."""
        said = "change a byte of the planner's notice while it waits"
        queue = self._aggregator.subscribe(NOTICE, self._overhear)
        planner = self._bus.agent("planner")
        sent = await planner.publish(NOTICE, b"Stop at 9.", type="notification")
        sent.unwrap()
        waiting = queue.pop()  # it runs before the aggregator's worker does
        changed = msgspec.structs.replace(waiting.message, body=b"Stop at 8.")
        queue.put(changed, waiting.decision)
        return await self._ended(said, queue, changed)

    async def _ended(self, said: str, queue: Subscription, message: Message) -> Attempt:
        """Return what became of a message that was put into a queue behind the bus."""
        await self._aggregator.unsubscribe(queue, drain=_LEAVE_S)
        record = await self._refusal(message.id.hex())
        if record is None or message.body in self._read:
            return Attempt("intruder", said, False, "", "it was delivered")
        code, _, reason = record.detail.partition(": ")
        return Attempt("intruder", said, True, code, reason)

    async def _overhear(self, delivery: Delivery) -> None:
        self._read.append(delivery.message.body)

    async def _refusal(self, message_id: str) -> auditrecord.Entry | None:
        """Return the record that says that a message was refused, if there is one."""
        await self._bus.audit.flush()
        records = await asyncio.to_thread(audit.tail, self._audit_file, AUDIT_TAIL_MAX)
        for record in records:
            if record.id == message_id and record.event == "refused":
                return record
        return None


def _told(agent: Agent, tried: str, outcome: Outcome) -> Attempt:
    """Return what an outcome says of an attempt."""
    match outcome:
        case Accepted():
            return Attempt(agent.name, tried, False, "", "it was accepted")
        case Denied():
            reason = "; ".join(outcome.reasons)
            return Attempt(agent.name, tried, True, "denied", reason)
        case Held():
            return Attempt(agent.name, tried, True, "held", outcome.reason)
        case Dropped():
            return Attempt(agent.name, tried, True, "dropped", outcome.reason)
        case Rejected() | Failed():
            return Attempt(agent.name, tried, True, outcome.code, outcome.reason)
