"""Hands what has arrived to handlers, and settles it by what they do.

Rule: as on the embedded bus. One task per worker and none per message, and a worker does
not stop because a handler failed. An ack is sent when the handler is done, so that what
it publishes until then descends from what it handles.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from bus.core import clientframes as out
from bus.core.delivery import Event, State, advance
from bus.core.errors import (
    AlreadySettledError,
    BodyTypeError,
    MalformedMessageError,
    ProtocolError,
)
from bus.core.limits import ERROR_CHARS_MAX, NAK_DELAY_S_MAX
from bus.core.outcome import Accepted, Failed, Held, Outcome
from bus.core.subject import INBOX_PREFIX
from bus.core.validation import check_seconds
from bus.crew import Crew
from bus.remote.link import Link
from bus.remote.reading import ending
from bus.remote.subscription import RemoteDelivery, RemoteSubscription, Worker
from bus.remote.writing import body_of, checked

_log: Final = logging.getLogger("assent.remote")
_FLYING: Final = frozenset({State.IN_FLIGHT, State.ACKED})

handling: Final[ContextVar[RemoteDelivery | None]] = ContextVar(
    "handling", default=None
)
"""The delivery whose handler is running: what a publish from there descends from."""


class Hands:
    """The workers of all subscriptions of a connection, and their `Settler`."""

    def __init__(self, link: Link, crew: Crew) -> None:
        self._link = link
        self._crew = crew

    def take(self, sub: RemoteSubscription, delivery: RemoteDelivery) -> None:
        """Queue what has arrived, and see that somebody looks."""
        sub.queue.append(delivery)
        if sub.idle:
            sub.wake()
        elif len(sub.workers) < sub.spec.max_in_flight:
            worker = Worker(sub)
            sub.workers.append(worker)
            worker.task = self._crew.employ(self._work(worker), f"assent {sub.name}")

    # What a handler may say of its delivery.

    def ack(self, delivery: Any) -> None:
        """Settle it as done."""
        delivery.subscription.settle(delivery, Event.ACK)

    def nak(self, delivery: Any, delay_s: float | None) -> None:
        """Put it back."""
        if delay_s is not None:
            check_seconds("nak delay", delay_s, NAK_DELAY_S_MAX)
        sub, did = delivery.subscription, delivery.did
        sub.settle(delivery, Event.NAK)
        self._tell(sub, out.Nak(sub.sid, did, delay_s))

    def term(self, delivery: Any, reason: str) -> None:
        """Give it up."""
        if type(reason) is not str:
            raise MalformedMessageError(
                f"a reason is text, not {type(reason).__name__}"
            )
        sub, did = delivery.subscription, delivery.did
        sub.settle(delivery, Event.TERM)
        self._tell(sub, out.Term(sub.sid, did, _clean(reason)))

    def in_progress(self, delivery: Any) -> None:
        """Start its lease anew."""
        sub = delivery.subscription
        if delivery.state is not State.IN_FLIGHT:
            raise AlreadySettledError(f"{delivery.message.id.hex()} at {sub.name}")
        for worker in sub.workers:
            if worker.delivery is delivery:
                worker.seen = None
        self._tell(sub, out.InProgress(sub.sid, delivery.did))

    async def reply(self, delivery: Any, body: object) -> Outcome:
        """Answer the request that is being handled."""
        sub = delivery.subscription
        at_work = any(worker.delivery is delivery for worker in sub.workers)
        if delivery.state not in _FLYING or not delivery.did or not at_work:
            raise AlreadySettledError(f"{delivery.message.id.hex()} at {sub.name}")
        raw, content_type, encoding = body_of(body)
        number = self._link.next()
        frame = out.Reply(number, sub.sid, delivery.did, raw, content_type, encoding)
        delivery.replied = True
        item = checked(frame, plain=True)
        return ending(await self._link.ask(number, item, bound=True))

    # The work.

    async def _work(self, worker: Worker) -> None:
        sub = worker.subscription
        try:
            while not sub.ended or sub.queue:
                if not sub.queue:
                    await sub.arrival()
                    continue
                delivery = worker.delivery = sub.queue.popleft()
                try:
                    await self._handle(sub, delivery)
                except BaseException as error:  # noqa: BLE001 - sorted in _faulted
                    self._faulted(worker, delivery, error)
                finally:
                    worker.delivery = None
                    sub.over(delivery)
                    self._link.touch()
        finally:
            sub.workers.remove(worker)

    async def _handle(self, sub: RemoteSubscription, delivery: RemoteDelivery) -> None:
        handling.set(delivery)
        message, handler = delivery.message, sub.spec.handler
        call: Callable[..., Awaitable[object]] = handler.call
        if handler.decode is None:
            result = await call(delivery)
        else:
            try:
                body = handler.decode(message)
            except BodyTypeError as error:
                self.term(delivery, f"{error.code}: {error}")
                return
            result = await (
                call(body, delivery) if handler.wants_delivery else call(body)
            )
        if message.reply_to is not None:
            await self._answer(delivery, result)
        if delivery.state is State.IN_FLIGHT:
            delivery.state = advance(delivery.state, Event.ACK)

    async def _answer(self, delivery: RemoteDelivery, result: object) -> None:
        """Send what a handler returned; None answers a request that has no answer yet."""
        asked = (delivery.message.reply_to or "").startswith(INBOX_PREFIX)
        if not delivery.did or delivery.state not in _FLYING:
            return
        if result is None and (delivery.replied or not asked):
            return
        try:
            outcome = await self.reply(delivery, result)
        except ProtocolError as error:
            self.term(delivery, f"its reply cannot be sent: {error}")
            return
        if isinstance(outcome, Accepted | Held):
            return
        if isinstance(outcome, Failed):
            if outcome.code == "no_responders":
                return  # whoever asked is gone; the work is done all the same
            raise outcome.error
        self.term(delivery, f"its reply was refused: {outcome}")

    def _faulted(
        self, worker: Worker, delivery: RemoteDelivery, error: BaseException
    ) -> None:
        """Settle a delivery whose handler raised; re-raise what ends us."""
        if isinstance(error, asyncio.CancelledError) and worker.lapsed:
            worker.lapsed = False
            if delivery.state is State.IN_FLIGHT:  # the node has let it lapse as well
                delivery.state = advance(delivery.state, Event.EXPIRE)
            if worker.task is not None and worker.task.uncancel() > 0:
                raise error
        elif isinstance(error, Exception) or not _ended(worker, error):
            if delivery.state is State.IN_FLIGHT:
                self.nak(delivery, None)
            _log.warning(
                "%s failed on %s (attempt %d): %s",
                worker.subscription.name,
                delivery.message.id.hex(),
                delivery.attempt,
                _last_line(error),
            )
        else:
            if delivery.state is State.IN_FLIGHT:
                self.nak(delivery, 0.0)
            raise error

    def _tell(self, sub: RemoteSubscription, frame: Any) -> None:
        sub.tell(frame)
        self._link.touch()


def expire_leases(sub: RemoteSubscription, now_ns: int) -> list[RemoteDelivery]:
    """Interrupt handlers that ran for `ack_wait`; return what is acked and still at work.

    Only where the subscriber has said how long that is: a node's own default is its own.
    """
    wait_ns = int(sub.options.get("ack_wait", 0) * 1e9)
    for worker in sub.workers if wait_ns else ():
        if worker.seen is not worker.delivery or worker.delivery is None:
            worker.seen, worker.seen_ns = worker.delivery, now_ns
            if worker.lapsed and worker.task is not None:
                worker.lapsed = False  # its handler swallowed the interruption
                worker.task.uncancel()
        elif not worker.lapsed and now_ns - worker.seen_ns >= wait_ns:
            worker.lapsed = True
            if worker.task is not None:
                worker.task.cancel()
    return [
        worker.delivery
        for worker in sub.workers
        if worker.delivery is not None and worker.delivery.state is State.ACKED
    ]


def _ended(worker: Worker, error: BaseException) -> bool:
    """Tell whether the worker must end: the process does, or the connection."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return True
    cancelled = isinstance(error, asyncio.CancelledError)
    if cancelled and worker.subscription.ended:
        return True
    while cancelled and worker.task is not None and worker.task.uncancel():
        pass
    return False


def _clean(text: str) -> str:
    """Return a text that a frame can carry."""
    return text[:ERROR_CHARS_MAX].encode("utf-8", "replace").decode()


def _last_line(error: BaseException) -> str:
    """Return what a traceback ends with; where the error cannot even say, its type."""
    try:
        lines = traceback.format_exception_only(error)
    except Exception:  # noqa: BLE001 - a handler's error may raise anything when asked
        return type(error).__name__
    return lines[-1].strip()[:ERROR_CHARS_MAX]
