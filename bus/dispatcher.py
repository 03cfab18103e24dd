"""Deliver: queued messages to handlers.

Rule: nothing is handed over without an allow and a stamp that holds. One task per
worker, none per message; a worker never stops because a handler failed.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable
from typing import Any, Final

from bus.beginning import begins
from bus.core.delivery import Event, State, advance
from bus.core.errors import (
    AuditStalledError,
    BodyTypeError,
    ConstitutionalError,
    ProtocolError,
    StampMismatchError,
    StoreUnavailableError,
)
from bus.core.limits import DELIVERIES_PER_TURN, ERROR_CHARS_MAX
from bus.core.message import Message
from bus.core.outcome import Accepted, Failed, Held
from bus.core.subject import INBOX_PREFIX
from bus.parts import Latency, Parts
from bus.recall import Recall
from bus.settling import ACKED, IN_FLIGHT, Settling
from bus.subscription import Delivery, Subscription, Worker, handled
from bus.turns import draw, over, stuck

_log: Final = logging.getLogger("assent.dispatcher")
_READY: Final = State.READY


class Dispatcher:
    """Runs the workers of all subscriptions."""

    def __init__(self, parts: Parts, settling: Settling, recall: Recall) -> None:
        self._audit = parts.audit
        self._record = parts.audit.append
        self._clock = parts.clock
        self._now_ns = parts.clock.now_ns
        self._check = parts.validator.check
        self.settling = settling
        self._stands = recall.stands
        self.latency = Latency()

    async def work(self, worker: Worker) -> None:  # noqa: C901, PLR0912, PLR0915 - see below
        """Take, deliver and settle until cancelled."""
        # Plain on purpose: calls are what this path pays for most (docs/decisions/0005).
        sub = worker.subscription
        waiting, pop = sub.waiting, sub.pop
        stats, agent, name = sub.stats, sub.agent, sub.name
        call, decode, both = (
            sub.spec.handler.call,
            sub.spec.handler.decode,
            sub.spec.handler.wants_delivery,
        )
        now_ns, check, record = self._now_ns, self._check, self._record
        latency, log2_ns = self.latency, self.latency.log2_ns
        begin = handled.set
        settled, handed = self.settling.rows.over, self.settling.rows.handed
        while True:
            if self._audit.full:
                await self._audit_room()
            if sub.ended:
                return  # also where a handler swallowed its cancellation
            if not sub.size or (sub.careful and stuck(sub)):
                await sub.arrival()
            now = now_ns()
            for _ in range(DELIVERIES_PER_TURN):
                if not sub.size:
                    break
                if sub.careful:
                    drawn = draw(sub)
                    if drawn is None:
                        await asyncio.sleep(0)  # others have their turn
                        break
                    delivery = drawn
                else:
                    delivery = pop()
                worker.delivery = delivery
                if waiting:
                    sub.grant()
                message = delivery.message
                begin(message)
                try:
                    check(message, now)
                    decision = delivery.decision
                    if not decision.allow:
                        raise StampMismatchError("no allow receipt")  # noqa: TRY301 - one handler
                    if decision.revision is not sub.admitted:
                        if not await self._stands(delivery):
                            worker.delivery = None
                            continue
                        message = delivery.message
                        check(
                            message, now_ns()
                        )  # it may have waited, or have less time
                        begin(message)
                    if delivery.number:
                        handed(delivery)
                        if delivery.begun and not await begins(
                            delivery, self.settling, self._clock
                        ):
                            worker.delivery = None
                            continue
                    if decode is None:
                        delivery.state = IN_FLIGHT
                        result = await call(delivery)
                    else:
                        body = (
                            decode(message)
                            if delivery.bodies is None
                            else _shared(delivery, decode)
                        )
                        delivery.state = IN_FLIGHT
                        result = await (call(body, delivery) if both else call(body))
                    if message.reply_to is not None:
                        await self._answer(delivery, result)
                except BaseException as error:  # noqa: BLE001 - sorted in _faulted
                    self._faulted(worker, delivery, error)
                    now = now_ns()
                    continue
                worker.delivery = None
                now = now_ns()
                if delivery.state is not IN_FLIGHT:
                    continue
                delivery.state = ACKED
                if delivery.number:
                    settled(delivery)
                if sub.careful:
                    over(delivery)
                record(
                    (
                        "delivered",
                        now,
                        message.id,
                        message.tenant,
                        agent,
                        "",  # the accepted record of the same id has the rest
                        "",
                        name,
                        b"",
                    )
                )
                stats.delivered += 1
                took = now - message.created_ns
                log2_ns[took.bit_length()] += 1
                latency.sum_ns += took
            else:
                await asyncio.sleep(0)

    def expire_leases(self, subscription: Subscription) -> None:
        """Interrupt each handler that has run for `ack_wait` without a sign of life."""
        now = self._now_ns()
        wait_ns = int(subscription.spec.ack_wait_s * 1e9)
        for worker in subscription.workers:
            if worker.seen is not worker.delivery or worker.delivery is None:
                worker.seen, worker.seen_ns = worker.delivery, now
                if worker.lapsed and worker.task is not None:
                    worker.lapsed = False  # its handler swallowed the interruption
                    worker.task.uncancel()
            elif worker.lapsed:
                continue
            elif now - worker.seen_ns >= wait_ns and worker.task is not None:
                worker.lapsed = True
                worker.task.cancel()

    async def _answer(self, delivery: Delivery, result: object) -> None:
        """Send what a handler returned; None answers a request that has no answer yet."""
        asked = (delivery.message.reply_to or "").startswith(INBOX_PREFIX)
        settled = delivery.state is not IN_FLIGHT and delivery.state is not ACKED
        if result is None and (delivery.replied or settled or not asked):
            return
        try:
            outcome = await self.settling.reply(delivery, result)
        except ProtocolError as error:
            self.settling.term(delivery, f"its reply cannot be sent: {error}")
            return
        if isinstance(outcome, Accepted | Held):
            return  # held: the work is done, and its answer may yet be released
        if isinstance(outcome, Failed):
            if outcome.code == "no_responders":
                return  # whoever asked is gone; the work is done all the same
            raise outcome.error
        self.settling.term(delivery, f"its reply was refused: {outcome}")

    def _faulted(
        self, worker: Worker, delivery: Delivery, error: BaseException
    ) -> None:
        """Settle a delivery whose check or handler raised; re-raise what ends us."""
        worker.delivery = None
        cancelled = isinstance(error, asyncio.CancelledError)
        if cancelled and worker.lapsed:
            worker.lapsed = False
            self._back(delivery, Event.EXPIRE, "no answer within ack_wait", None)
            if _still_cancelled(worker):
                raise error
        elif isinstance(error, Exception) or not _ended(worker, error):
            self._fault(delivery, error)
        else:
            self._back(delivery, Event.NAK, "interrupted", 0.0)
            raise error

    def _fault(self, delivery: Delivery, error: BaseException) -> None:
        """Settle a delivery by what went wrong with it."""
        if delivery.state is _READY and isinstance(error, BodyTypeError):
            self.settling.give_up(delivery, f"{error.code}: {error}")
        elif delivery.state is _READY:
            if not isinstance(error, ConstitutionalError):
                error = StampMismatchError(f"cannot be checked: {_last_line(error)}")
            self.settling.refuse(delivery, error)
        elif delivery.subscription.spec.once and isinstance(
            error, StoreUnavailableError
        ):
            pass  # its transaction was not kept; it has been put back
        elif delivery.state is not IN_FLIGHT:
            _log.warning(
                "%s raised after it had settled %s: %s",
                delivery.subscription.name,
                delivery.message.id.hex(),
                _last_line(error),
            )
        else:
            self._back(delivery, Event.NAK, _last_line(error), None)

    def _back(
        self, delivery: Delivery, event: Event, reason: str, delay_s: float | None
    ) -> None:
        """Put a delivery back that is still in flight."""
        if delivery.state is IN_FLIGHT:
            delivery.state = advance(delivery.state, event)
            self.settling.again(delivery, reason, delay_s)

    async def _audit_room(self) -> None:
        """Wait until the record can be kept: nothing is delivered unrecorded."""
        while self._audit.full:
            try:
                await self._audit.room()
            except AuditStalledError:
                continue  # publishing fails meanwhile and says so; delivery waits


def _ended(worker: Worker, error: BaseException) -> bool:
    """Tell whether the worker must end: the process does, or the bus told it to.

    A handler that cancels its own task, or raises what no handler should, only fails.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return True
    cancelled = isinstance(error, asyncio.CancelledError)
    if cancelled and worker.subscription.ended:
        return True
    while cancelled and worker.task is not None and worker.task.uncancel():
        pass
    return False


def _still_cancelled(worker: Worker) -> bool:
    """Take back the lease's cancellation; tell whether the bus cancelled as well."""
    return worker.task is not None and worker.task.uncancel() > 0


def _shared(delivery: Delivery, decode: Callable[[Message], Any]) -> Any:
    """Return the body, decoded once for all takers whose type cannot be changed."""
    bodies = delivery.bodies
    if bodies is None or not delivery.subscription.spec.handler.shareable:
        return decode(delivery.message)
    if decode not in bodies:
        bodies[decode] = decode(delivery.message)
    return bodies[decode]


def _last_line(error: BaseException) -> str:
    """Return what a traceback ends with; where the error cannot even say, its type."""
    try:
        lines = traceback.format_exception_only(error)
    except Exception:  # noqa: BLE001 - a handler's error may raise anything when asked
        return type(error).__name__
    return lines[-1].strip()[:ERROR_CHARS_MAX]
