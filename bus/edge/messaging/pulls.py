"""Consumers that a node holds for clients without a connection of their own: pull, settle.

Rule: a consumer is one durable subscription of the caller's agent. What waits here for a
pull keeps its lease; what was handed out is leased until it is settled or its time is
over. A consumer nobody calls is let go, and the store keeps what it had.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from bus.core.edgeerrors import ConflictError
from bus.core.edgelimits import (
    PULL_BEAT_SHARE,
    PULL_IDLE_S,
    PULLS_MAX,
    PULLS_OF_AGENT_MAX,
)
from bus.core.errors import (
    AlreadySettledError,
    BusError,
    BusNotStartedError,
    OverloadedError,
    UsageError,
)
from bus.edge.caller import Caller
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.messaging import told
from bus.edge.messaging.holding import Held, receipt_of
from bus.edge.messaging.kept import Kept
from bus.edge.messaging.pullasked import (
    Deliveries,
    Pull,
    Pulled,
    Settle,
    SettledItem,
    SettledItems,
    Verdict,
)
from bus.pauses import pause
from bus.subscription import Delivery

_RETRY_S: Final = 1.0

Start = Callable[[Coroutine[Any, Any, None], str], None]


class Pulls:
    """The consumers that one node holds."""

    def __init__(
        self, gate: Gate, kept: Kept, connections: Connections, start: Start
    ) -> None:
        self._gate = gate
        self._connections = connections
        self._kept = kept
        self._start = start
        self._clock = kept.host.parts.clock
        self._held: dict[tuple[str, str, str], Held] = {}
        self.closed = False

    def __len__(self) -> int:
        return len(self._held)

    async def pull(self, caller: Caller, given: Pull) -> Deliveries:
        """Hand out what there is for a consumer, or what comes."""
        held = await self._consumer(caller, given)
        clock = self._clock
        until_ns = clock.now_ns() + int(given.wait * 1e9)
        held.pulls += 1
        timer = clock.call_after(given.wait, held.call)
        try:
            while True:
                found = held.hand_out(given.limit)
                over = clock.now_ns() >= until_ns or held.ended or self.closed
                if found or over:
                    return Deliveries(
                        items=tuple(_pulled(delivery) for delivery in found),
                        waiting=len(held.waiting),
                    )
                await held.news()
        finally:
            timer.cancel()
            held.pulls -= 1
            held.touched_ns = clock.now_ns()

    async def settle(self, caller: Caller, given: Settle) -> SettledItems:
        """Carry out verdicts, each by itself."""
        self._gate.agent(caller)
        held = self._held.get((caller.tenant, caller.agent, given.name))
        if held is not None:
            held.touched_ns = self._clock.now_ns()
        return SettledItems(items=tuple(_settled(held, item) for item in given.items))

    async def close(self) -> None:
        """Let every consumer go: the store keeps what was not settled."""
        self.closed = True
        for key, held in list(self._held.items()):
            await self._end(key, held)

    async def _consumer(self, caller: Caller, given: Pull) -> Held:
        """Return the consumer, made where it is not there.

        Raises:
            ConflictError: it is another agent's, or another pattern's.
            OverloadedError: too many are held.
        """
        await self._kept.connected(caller)
        self._kept.require()
        key = (caller.tenant, caller.agent, given.name)
        held = self._held.get(key)
        while held is not None and held.ended:
            await self._end(key, held)
            held = self._held.get(key)  # another pull may have made it anew meanwhile
        if held is None:
            held = await self._subscribed(key, caller, given)
        elif held.subscription.spec.pattern != given.pattern:
            raise ConflictError(
                f"{given.name} takes {held.subscription.spec.pattern!r}, not "
                f"{given.pattern!r}"
            )
        return held

    async def _subscribed(
        self, key: tuple[str, str, str], caller: Caller, given: Pull
    ) -> Held:
        self._require_room(key)
        options: dict[str, Any] = {
            "durable": given.name,
            "start": given.start,
            "max_in_flight": given.max_in_flight,
        }
        for name in ("ack_wait", "max_deliver"):
            if (value := getattr(given, name)) is not None:
                options[name] = value
        box: list[Held] = []

        async def take(delivery: Delivery) -> None:
            await box[0].take(delivery)

        def let_go() -> None:
            name = f"assent end of consumer {given.name}"
            self._start(self._end(key, box[0]), name)

        try:
            subscription = self._gate.agent(caller).subscribe(
                given.pattern, take, **options
            )
        except UsageError as error:
            raise ConflictError(str(error)) from error
        held = Held(subscription, self._clock.now_ns(), let_go)
        box.append(held)
        self._held[key] = held
        try:
            held.place = self._connections.enter(caller, held)
            await subscription.ready()
        except BusError:
            await self._end(key, held)
            raise
        self._start(self._look_after(key, held), f"assent consumer {given.name}")
        return held

    def _require_room(self, key: tuple[str, str, str]) -> None:
        if self.closed:
            raise BusNotStartedError("the node stops; pull elsewhere or later")
        theirs = sum(known[:2] == key[:2] for known in self._held)
        if len(self._held) >= PULLS_MAX or theirs >= PULLS_OF_AGENT_MAX:
            raise OverloadedError("the table of consumers", retry_after_s=_RETRY_S)

    async def _look_after(self, key: tuple[str, str, str], held: Held) -> None:
        """Keep leases while somebody may pull; let the consumer go when nobody does."""
        wait_s = min(held.subscription.spec.ack_wait_s, PULL_IDLE_S) / PULL_BEAT_SHARE
        while self._held.get(key) is held and not held.ended:
            held.beat()
            await pause(self._clock, wait_s)
            idle_ns = self._clock.now_ns() - held.touched_ns
            unused = not held.pulls and not held.out
            if unused and idle_ns >= int(PULL_IDLE_S * 1e9):
                break
        await self._end(key, held)

    async def _end(self, key: tuple[str, str, str], held: Held) -> None:
        """End a subscription; what it did not settle is read again by the next one."""
        if self._held.get(key) is not held:
            return
        del self._held[key]
        if held.place is not None:
            self._connections.leave(held.place)
        held.call()
        if not held.subscription.ended:
            await self._kept.host.detach(held.subscription, 0.0)


def _pulled(delivery: Delivery) -> Pulled:
    return Pulled(
        **told.fields_of(delivery.message),
        receipt=receipt_of(delivery),
        attempt=delivery.attempt,
    )


def _settled(held: Held | None, given: Verdict) -> SettledItem:
    try:
        if held is None:
            raise AlreadySettledError(
                "nothing of this consumer is out: pull before you settle"
            )
        held.settle(given)
    except BusError as error:
        return SettledItem(
            receipt=given.receipt, ok=False, code=error.code, detail=str(error)
        )
    return SettledItem(receipt=given.receipt, ok=True)
