"""Ingest: the one place that orders the stages.

Rule: a message is authorised, processed and planned; only then is it stamped for
good and kept, and from there on nothing waits. Only this module turns exceptions
into outcomes.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec

from bus import steps
from bus.core.decision import PASSING, Decision
from bus.core.errors import (
    AuditStalledError,
    BusError,
    ForgedSenderError,
    PolicyUnavailableError,
    ProtocolError,
)
from bus.core.message import RESPONSE, Message
from bus.core.outcome import Accepted, Denied, Failed, Outcome, Rejected
from bus.holds import Holds
from bus.keeping import Keeping
from bus.parts import Parts
from bus.ports import Action
from bus.rooms import take_rooms
from bus.routes import INVALID, Origin, Route
from bus.subscription import Subscription

Takers = tuple[Subscription, ...]


class Pipeline:
    """Takes a message made for an authenticated principal to its outcome."""

    def __init__(
        self, parts: Parts, holds: Holds, keeping: Keeping | None = None
    ) -> None:
        self._parts = parts
        self._keeping = keeping
        if keeping is not None:
            keeping.ended = self._ended
        self._carry = holds.carry
        self._audit = parts.audit
        self._authorizer = parts.authorizer
        # Bound once: an attribute chain costs more than the call on this path.
        self._decide_now = parts.authorizer.decide_now
        self._seal = parts.validator.seal
        self._check = parts.validator.check
        self._hand = parts.hand
        self._record = parts.audit.append
        self.seen: Callable[[Message, Action], None] | None = None  # who looks on

    async def ingest(  # noqa: C901, PLR0912, PLR0915 - plain on purpose, see below
        self,
        message: Message,
        origin: Origin,
        action: Action,
        wait_s: float,
        now_ns: int = 0,
    ) -> Outcome:
        """Return what became of `message`; it waits for room at most `wait_s` seconds.

        `now_ns` is the time where it is not the one the message was made at.

        Cancelling it before it returns leaves nothing behind; a message is accepted
        only in the last steps, which do not wait.
        """
        # One function: calls are what this path pays for most (docs/decisions/0005).
        if self.seen is not None:
            self.seen(message, action)
        try:
            if self._audit.full:
                await self._audit.room()
            keeping = self._keeping
            if keeping is not None and keeping.store.full:
                await keeping.store.room()
            find = origin.find
            route = find(message.subject)
            if route is None:
                route = origin.routes.resolve(message.subject)
            if route.guarded:
                steps.guard(message, action, route, now_ns or message.created_ns)
            decide_now = self._decide_now
            decision = None if now_ns else decide_now(action, message)
            if decision is None:
                decision = await self._authorizer.decide(action, message)
                route = self._route(message, action, origin)
            if not decision.plain or decision.revision is not message.revision:
                message = steps.oblige(message, decision)
            if message.reply_to is not None:
                await self.may_answer_to(message)
            if (
                len(message.body) > decision.body_bytes_max
                or message.depth > decision.depth_max
            ):
                steps.bound(message, decision)
            if not decision.plain:
                steps.require_no_hold(decision)
                self._carry(message, decision, origin, action)
            for stage in route.stages:
                try:
                    result = stage(message, now_ns or message.created_ns)
                except BusError as error:
                    raise steps.stage_fault(error) from error
                if result is not message:
                    message = await steps.changed(message, result, decision)
                    message, decision = await self._still(
                        message, action, decision, origin
                    )
            if message.reply_to is not None or route.stages:  # it may have waited
                route = self._route(message, action, origin)
            takers = route.fixed
            if takers is None or origin.strategy is not None:
                takers = self._takers(message, action, route, origin)
            for taker in takers:
                if taker.size >= taker.limit:
                    message, decision, route, takers = await self._wait_for_room(
                        (message, action, decision), origin, (route, takers), wait_s
                    )
                    break
            seal = self._seal
            seal(message)
            if keeping is not None and not route.inbox:
                if action == "request":
                    steps.require_somebody(message, takers)
                kept = keeping.keep(message, decision, takers, (route, origin))
                if origin.early and isinstance(kept, asyncio.Future):
                    return cast("Outcome", kept)  # to whoever asked for it so
                return await kept
            if message.headers:
                steps.require_no_store(message)
            self._hand(message, decision, takers)
        except steps.EndedEarly as ended:
            return self._ended(message, origin, ended.outcome)
        except Exception as error:  # noqa: BLE001 - the one place that ends them all
            return self._ended(message, origin, steps.outcome_of(message, error))
        record = self._record
        record(
            (
                "accepted",
                message.created_ns,
                message.id,
                message.tenant,
                message.sender,
                message.subject,
                message.revision,
                decision.digest
                if decision.plain
                else steps.full_detail(message, decision),
                message.stamp,
            )
        )
        if route.reserved:
            for taker in takers:
                taker.arrived()
        route.stats.accepted += 1
        usage = origin.usage
        usage.events += 1
        usage.body_bytes += len(message.body)
        return Accepted(message.id, decision, len(takers))

    async def readmit(
        self, message: Message, presenter: Message, origin: Origin, wait_s: float
    ) -> Outcome:
        """Ingest a message that comes with a stamp, which must hold.

        `presenter` stands for who presents it: an empty message of theirs, also what
        is recorded if the stamp does not hold.
        """
        try:
            self._check(message, presenter.created_ns)
            if (message.sender, message.tenant) != (presenter.sender, presenter.tenant):
                raise ForgedSenderError(
                    f"message {message.id.hex()} is from {message.sender} of "
                    f"{message.tenant}, not from {presenter.sender} of "
                    f"{presenter.tenant}"
                )
        except ProtocolError as error:
            return await self.reject(presenter, origin, error)
        now_ns = presenter.created_ns
        # It is stamped anew, and dated: policy judges it by the time it comes in at.
        copy = msgspec.structs.replace(message, created_ns=now_ns)
        return await self.ingest(copy, origin, "publish", wait_s, now_ns)

    async def reject(
        self, message: Message, origin: Origin, error: ProtocolError
    ) -> Outcome:
        """Return the ending of a message that could not even be made."""
        try:
            if self._audit.full:
                await self._audit.room()
        except AuditStalledError as stalled:
            return self._ended(message, origin, Failed(message.id, stalled))
        return self._ended(message, origin, Rejected(message.id, error))

    async def may_answer_to(self, message: Message) -> None:
        """End a message whose replies would go where its sender may not publish.

        Whoever answers does so with rights of its own, which nobody may borrow. An
        inbox is the sender's own: `bus.draft` has made sure.
        """
        if message.reply_to is None or message.reply_to.startswith("$"):
            return
        asked = msgspec.structs.replace(
            message, subject=message.reply_to, type=RESPONSE, reply_to=None
        )
        decision = await self._authorizer.decide("publish", asked)
        if decision.fault in PASSING:
            raise PolicyUnavailableError("; ".join(decision.reasons))
        if decision.allow and (decision.hold is not None or decision.rates):
            told = f"policy does not let replies go to {message.reply_to} at once"
            denied = Denied(message.id, (told,), decision.revision, decision.id)
            raise steps.EndedEarly(denied)
        steps.bound(message, decision)
        if not decision.allow:
            raise steps.EndedEarly(
                Denied(message.id, decision.reasons, decision.revision, decision.id)
            )

    async def _still(
        self, message: Message, action: Action, decision: Decision, origin: Origin
    ) -> tuple[Message, Decision]:
        """Hold what a stage has changed to the decision, or to a newer one."""
        overtaken = decision.revision != self._authorizer.revision
        if overtaken:
            decision = await self._authorizer.decide(action, message)
            await self.may_answer_to(message)
        if not decision.plain or decision.revision != message.revision:
            message = steps.oblige(message, decision)
        if overtaken:
            steps.bound(message, decision)
            self._carry(message, decision, origin, action)
        return message, decision

    async def _wait_for_room(
        self,
        asked: tuple[Message, Action, Decision],
        origin: Origin,
        place: tuple[Route, Takers],
        wait_s: float,
    ) -> tuple[Message, Decision, Route, Takers]:
        """Wait; what has been overtaken meanwhile, decision or plan, is made again."""
        message, action, decision = asked
        route, takers = place
        until_ns = self._parts.clock.now_ns() + int(wait_s * 1e9)
        known = decision.revision
        while True:
            left_s = max(until_ns - self._parts.clock.now_ns(), 0) / 1e9
            await take_rooms(takers, min(left_s, wait_s), self._parts.clock)
            found = self._route(message, action, origin)
            if found.takers == route.takers and known == self._authorizer.revision:
                return message, decision, found, takers
            for taker in takers:
                taker.grant()
            if found.takers != route.takers:
                takers = self._takers(message, action, found, origin)
            route = found
            if known == self._authorizer.revision:
                continue
            known = self._authorizer.revision
            decision = await self._authorizer.decide(action, message)
            await self.may_answer_to(message)
            message = steps.oblige(message, decision)
            steps.bound(message, decision)
            self._carry(message, decision, origin, action)

    def _route(self, message: Message, action: Action, origin: Origin) -> Route:
        """Look once more: who subscribes, or what is quiet, may have changed meanwhile."""
        route = origin.find(message.subject) or origin.routes.resolve(message.subject)
        if route.guarded:
            steps.guard(message, action, route, self._parts.clock.now_ns())
        return route

    def _takers(
        self, message: Message, action: Action, route: Route, origin: Origin
    ) -> Takers:
        """Return whom a message is planned for; nobody, where it may be kept for later."""
        if route.fixed is not None and origin.strategy is None:
            return route.fixed
        if self._keeping is not None and steps.nobody_yet(action, route):
            return ()
        return steps.planned(message, route, origin.strategy or route.strategy)

    def _ended(self, message: Message, origin: Origin, outcome: Outcome) -> Outcome:
        """Count and record an ending other than Accepted."""
        given: object = message.subject
        subject = given if isinstance(given, str) else ""
        route = origin.find(subject)
        stats = route.stats if route else self._parts.counters.named(INVALID)
        for taker in route.takers if route else ():
            taker.grant()  # room it was promised and did not use
        event, detail = steps.tell(stats, outcome)
        if isinstance(outcome, Failed) and isinstance(outcome.error, AuditStalledError):
            return outcome  # what cannot be recorded was not let in either
        self._record(steps.record_of(message, event, subject, detail))
        return outcome
