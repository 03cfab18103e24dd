"""The subscriptions of one connection: made, made again over another line, ended.

Rule: a subscription that could not be kept while no line was there says so: it counts a
gap and the caller is told. None is lost silently.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from bus.core import clientframes as out, serverframes as told
from bus.core.decision import Decision
from bus.core.delivery import State
from bus.core.edgelimits import CLIENT_GAPS_KEPT_MAX
from bus.core.errors import BusError, BusNotStartedError, UnavailableError
from bus.core.limits import GRACE_S, LEASE_CHECK_S
from bus.crew import Crew
from bus.ports import Timer
from bus.remote.faults import Told, fault
from bus.remote.handling import Hands, expire_leases
from bus.remote.link import Link
from bus.remote.parts import Ways
from bus.remote.reading import error_of, message_of
from bus.remote.subscription import Gap, RemoteDelivery, RemoteSubscription
from bus.remote.writing import encode, subscribe
from bus.wants import Spec

_log: Final = logging.getLogger("assent.remote")
_FRESH_TICKS: Final = 4  # between two signs of life of what is acked and still at work


class Takers:
    """Who takes what the node sends. The `Party` of a link."""

    def __init__(self, ways: Ways, crew: Crew, *, prefetch: int) -> None:
        self._clock = ways.clock
        self._prefetch = prefetch
        self._subs: dict[int, RemoteSubscription] = {}
        self._strays: list[bytes] = []
        self._sids = itertools.count(1)
        self._timer: Timer | None = None
        self._ticks = 0
        self.link = Link(ways, self)
        self.hands = Hands(self.link, crew)
        self.gaps: deque[Gap] = deque(maxlen=CLIENT_GAPS_KEPT_MAX)
        self.gap_count = 0
        self.on_gap: Callable[[Gap], None] | None = None

    @property
    def all(self) -> list[RemoteSubscription]:
        """All that stand or are asked for."""
        return list(self._subs.values())

    def add(self, spec: Spec, options: Any) -> RemoteSubscription:
        """Subscribe; `RemoteSubscription.ready` waits for the node."""
        sub = RemoteSubscription(next(self._sids), spec, options, self.hands)
        item = self._item(sub)  # refused before anything is noted
        self._subs[sub.sid] = sub
        if self._timer is None:
            self._check_leases()
        if self.link.connected is not None:
            self._ask(sub, item)
        return sub

    async def remove(
        self, sub: RemoteSubscription, drain_s: float, *, forget: bool
    ) -> int:
        """End one; return how many of its messages became dead letters.

        Raises:
            UnavailableError: it was to be forgotten, and whether it was is not known.
        """
        if self._subs.get(sub.sid) is not sub:
            return 0
        number = self.link.next()
        item = encode(out.Unsubscribe(number, sub.sid, drain_s, forget))
        left = 0
        try:
            async with asyncio.timeout(drain_s + GRACE_S):
                left = (await self.link.ask(number, item, bound=True)).left
        except (UnavailableError, TimeoutError) as error:
            if forget:
                raise UnavailableError(
                    f"whether {sub.name} is forgotten is not known"
                ) from error
        finally:
            self._subs.pop(sub.sid, None)
            self._let_go(sub)
        return left

    def close(self) -> None:
        """End all that is left here."""
        if self._timer is not None:
            self._timer.cancel()
        for sub in self.all:
            sub.end(BusNotStartedError("the connection was closed"))
        self._subs.clear()

    # What the node sends; see `bus.remote.parts.Party`.

    def arrived(self, frame: told.Message) -> None:
        """Take a delivery."""
        sub = self._subs.get(frame.sid)
        if sub is None or sub.ended:
            self._strays.append(encode(out.Nak(frame.sid, frame.did, 0.0)))
            self.link.touch()
            return
        connected = self.link.connected
        constitution = "" if connected is None else connected.constitution
        message = message_of(frame, constitution)
        decision = Decision(True, (), frame.revision, "")
        made = RemoteDelivery(
            message,
            decision,
            _as_any(sub),
            frame.attempt,
            state=State.IN_FLIGHT,
            number=frame.number,
            token=frame.token,
            did=frame.did,
        )
        self.hands.take(sub, made)

    def ended(self, frame: told.Ended) -> None:
        """Be told that the node ended a subscription."""
        sub = self._subs.pop(frame.sid, None)
        if sub is not None:
            failure = fault(Told(code=frame.code, text=frame.reason))
            _log.error("the node ended %s: %s", sub.name, failure)
            sub.end(failure)

    def stale(self, frame: told.Error) -> None:
        """Be told that the node did not take a settling."""
        sub = self._subs.get(frame.sid or 0)
        name = "an ended subscription" if sub is None else sub.name
        if sub is not None:
            sub.stale += 1
        _log.warning("%s settled too late: %s", name, error_of(frame))

    def gone(self) -> None:
        """Let go of what the line delivered."""
        self._strays.clear()
        now_ns = self._clock.now_ns()
        for sub in self.all:
            sub.lose(now_ns)

    def back(self) -> None:
        """Subscribe again, the oldest first."""
        for sub in reversed(self.all):
            self._ask(sub, self._item(sub), first=True)

    def failed(self, failure: BusError) -> None:
        """End all: there will be no other line."""
        for sub in self.all:
            sub.end(failure)
        self._subs.clear()

    def settled(self) -> list[bytes]:
        """Return what was settled since, encoded."""
        told_, self._strays = self._strays, []
        for sub in self._subs.values():
            told_ += sub.settled()
        return told_

    # Asking.

    def _item(self, sub: RemoteSubscription) -> tuple[int, bytes]:
        number = self.link.next()
        credit = sub.spec.max_in_flight + self._prefetch
        return number, subscribe(number, sub.sid, sub.spec, sub.options, credit)

    def _ask(
        self, sub: RemoteSubscription, item: tuple[int, bytes], *, first: bool = False
    ) -> None:
        future = self.link.call(*item, bound=True, first=first)
        sub.asked = future
        future.add_done_callback(lambda done: self._answered(sub, done))

    def _answered(self, sub: RemoteSubscription, future: "asyncio.Future[Any]") -> None:
        if sub.asked is not future or future.cancelled() or sub.ended:
            return  # another line has been asked since
        error = future.exception()
        if error is None:
            self._stands(sub, future.result())
        elif isinstance(error, BusNotStartedError) and self.link.draining:
            return  # the node stops; the next line asks again
        elif isinstance(error, BusError):
            if self._subs.pop(sub.sid, None) is not None:
                _log.error("%s is refused: %s", sub.name, error)
            sub.end(error)

    def _stands(self, sub: RemoteSubscription, frame: told.Subscribed) -> None:
        again = sub.admitted
        sub.kept, sub.consumer = frame.kept, frame.consumer
        sub.stands()
        if again and not frame.kept:
            self._gap(sub, sub.gone_ns)

    def missed(self, frame: told.Missed) -> None:
        """Be told that deliveries gave way to newer ones."""
        sub = self._subs.get(frame.sid)
        if sub is not None:
            self._gap(sub, self._clock.now_ns(), frame.count)

    def _gap(
        self, sub: RemoteSubscription, since_ns: int, count: int | None = None
    ) -> None:
        sub.gaps += 1
        self.gap_count += 1
        gap = Gap(
            pattern=sub.spec.pattern,
            queue=sub.spec.queue,
            since_ns=since_ns,
            until_ns=self._clock.now_ns(),
            count=count,
        )
        self.gaps.append(gap)
        _log.warning("%s may have missed messages: %s", sub.name, gap)
        if self.on_gap is not None:
            try:
                self.on_gap(gap)
            except Exception:  # noqa: BLE001 - the caller's own; it ends no connection
                _log.exception("on_gap failed")

    def _let_go(self, sub: RemoteSubscription) -> None:
        sub.end(None)
        sub.queue.clear()
        for worker in sub.workers:
            if worker.task is not None:
                worker.task.cancel()
        self._strays += sub.settled()

    def _check_leases(self) -> None:
        self._ticks += 1
        now_ns = self._clock.now_ns()
        for sub in self._subs.values():
            at_work = expire_leases(sub, now_ns)
            if self._ticks % _FRESH_TICKS == 0:
                self._keep_alive(sub, [*at_work, *sub.queue])
        self._timer = self._clock.call_after(LEASE_CHECK_S, self._check_leases)

    def _keep_alive(
        self, sub: RemoteSubscription, deliveries: list[RemoteDelivery]
    ) -> None:
        """Keep the leases of what is acked and still at work, and of what waits here."""
        for delivery in deliveries:
            if delivery.did:
                sub.tell(out.InProgress(sub.sid, delivery.did))
        if deliveries:
            self.link.touch()


def _as_any(value: Any) -> Any:
    """Hand over a subscription that is no `bus.subscription.Subscription`."""
    return value
