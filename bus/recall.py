"""What waits in a queue when the revision changes: policy is asked about it again.

Rule: nothing is handed over under a revision that is no longer in force. A policy that
cannot be asked keeps the message waiting; a policy that says no ends it as denied.
"""

import asyncio
from typing import Final

from bus.core.decision import PASSING, Decision
from bus.core.delivery import Event, advance
from bus.core.errors import (
    IllegalTransitionError,
    LimitExceededError,
    PolicyUnavailableError,
)
from bus.core.limits import ERROR_CHARS_MAX, POLICY_RETRIES_MAX, READMIT_S
from bus.core.message import Message
from bus.core.outcome import Denied
from bus.parts import Parts
from bus.pauses import pause
from bus.pipeline import Pipeline
from bus.ports import Action
from bus.settling import Settling
from bus.steps import EndedEarly, bound, oblige
from bus.subscription import Delivery
from bus.turns import over

_ACTIONS: Final[dict[str, Action]] = {
    "publish": "publish",
    "request": "request",
    "reply": "reply",
    "dead_letter": "dead_letter",
    "system_event": "system_event",
}


class Recall:
    """Brings deliveries under the revision in force, or ends them."""

    def __init__(self, parts: Parts, pipeline: Pipeline, settling: Settling) -> None:
        self._parts = parts
        self._pipeline = pipeline
        self._settling = settling

    async def stands(self, delivery: Delivery) -> bool:
        """Tell whether a delivery may be handed over; if not, it has ended.

        Its stamp has been checked. Who is cancelled meanwhile puts it back.
        """
        sub = delivery.subscription
        try:
            found = await self._answered(delivery)
        except asyncio.CancelledError:
            if sub.ended:
                if not delivery.number:  # what a store keeps stays there
                    self._settling.give_up(delivery, "its subscription ended")
            else:
                sub.put_back(delivery)
            raise
        if found is None:
            return True
        decision, refusal = found
        if refusal is None:
            self._oblige(delivery, decision)
            return True
        self._end(delivery, decision.revision, refusal)
        return False

    async def _answered(self, delivery: Delivery) -> tuple[Decision, str | None] | None:
        """Return the decision under the revision in force, and why it refuses, if so.

        None says that the delivery's own decision is that.
        """
        sub = delivery.subscription
        while True:
            while not sub.admitted and not sub.ended:
                await sub.admission.next()
            if delivery.decision.revision == sub.admitted:
                return None
            try:
                decision = await self._decided(delivery)
                refusal = await self._refusal(delivery, decision)
            except PolicyUnavailableError:
                await pause(self._parts.clock)  # the log of decisions may be stalled
                continue
            if refusal is not None or decision.revision == sub.admitted:
                return decision, refusal
            await pause(self._parts.clock, READMIT_S)  # another reload meanwhile

    async def _decided(self, delivery: Delivery) -> Decision:
        """Return what policy says now; wait for as long as it cannot be asked.

        A question that the engine is there for and fails again and again is denied.
        """
        action = _action_of(delivery.decision)
        failures = 0
        while True:
            decision = await self._parts.authorizer.decide(action, delivery.message)
            if decision.fault not in PASSING:
                return decision
            failures += decision.fault != "unavailable"
            if failures > POLICY_RETRIES_MAX:
                return decision
            await pause(self._parts.clock)

    async def _refusal(self, delivery: Delivery, decision: Decision) -> str | None:
        """Return why the message may not be delivered, or None."""
        message = delivery.message
        if not decision.allow:
            return "; ".join(decision.reasons)
        if decision.hold is not None:
            return f"it would be held: {decision.hold.reason}"
        try:
            bound(message, decision)
            await self._pipeline.may_answer_to(message)
        except LimitExceededError as error:
            return str(error)
        except EndedEarly as ended:
            return _reason(ended)
        return None

    def _oblige(self, delivery: Delivery, decision: Decision) -> None:
        """Put a delivery under a decision: what it obliges is stamped anew."""
        if decision.ttl_ns is not None or decision.redact_headers:
            message = oblige(delivery.message, decision)
            self._parts.validator.seal(message)
            delivery.message = message
        delivery.decision = decision

    def _end(self, delivery: Delivery, revision: str, refusal: str) -> None:
        delivery.state = advance(delivery.state, Event.RECALL)
        message, sub = delivery.message, delivery.subscription
        sub.stats.recalled += 1
        if delivery.number:
            self._settling.rows.over(delivery)
        over(delivery)
        self._settling.desk.fault(delivery)
        detail = (
            f"{sub.name}: denied under revision {revision}, accepted under "
            f"{delivery.decision.revision}: {refusal}"
        )
        self._parts.audit.append(
            (
                "recalled",
                self._parts.clock.now_ns(),
                message.id,
                message.tenant,
                message.sender,
                message.subject,
                revision,
                detail[:ERROR_CHARS_MAX],
                message.stamp,
            )
        )


async def as_now(parts: Parts, message: Message, decision: Decision) -> Message | None:
    """Return a kept message as policy lets it be seen now; None if it does not.

    Raises:
        PolicyUnavailableError: policy cannot be asked now.
    """
    if decision.revision == parts.authorizer.revision:
        return message
    now = await parts.authorizer.decide(_action_of(decision), message)
    if now.fault in PASSING:
        raise PolicyUnavailableError("; ".join(now.reasons))
    if not now.allow or now.hold is not None:
        return None
    return oblige(message, now) if now.redact_headers else message


def _action_of(decision: Decision) -> Action:
    if decision.action not in _ACTIONS:
        raise IllegalTransitionError(f"{decision.action!r} let no message in")
    return _ACTIONS[decision.action]


def _reason(ended: EndedEarly) -> str:
    if not isinstance(ended.outcome, Denied):
        raise IllegalTransitionError(f"{ended.outcome!r} is not a denial")
    return f"its replies: {ended.outcome.reason}"
