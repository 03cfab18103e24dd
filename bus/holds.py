"""What a decision obliges beyond the message itself: rates, and messages that are held.

Rule: a held message is stamped, and bounded in number, bytes and time. It leaves once:
taken to be released or refused, or denied when its time is over or the bus closes.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from bus.core.decision import Decision, Rate
from bus.core.errors import NotHeldError, OverloadedError, ProcessingError
from bus.core.limits import (
    ERROR_CHARS_MAX,
    HELD_BYTES_MAX,
    HELD_MAX,
    HELD_TENANT_SHARES,
    RATE_OBLIGATIONS_MAX,
    RETRY_AFTER_S,
)
from bus.core.message import Message
from bus.core.outcome import Held
from bus.parts import Parts
from bus.ports import Action, Processor, Timer
from bus.routes import INVALID, Origin
from bus.steps import EndedEarly

CLOSED: Final = "held, and the bus was closed"
_NS_PER_S: Final = 1_000_000_000


class HeldMessage(msgspec.Struct, frozen=True, eq=False):
    """A message that waits to be released, until `until_ns`, and why."""

    message: Message
    reason: str
    until_ns: int
    decision: Decision
    origin: Origin
    action: Action


class Holds:
    """Carries out rates and holds. `refused` is told of each that will never go on."""

    def __init__(
        self, parts: Parts, refused: Callable[[Message, tuple[str, ...]], None]
    ) -> None:
        self._parts = parts
        self._refused = refused
        self._limits: dict[Rate, Processor] = {}
        self._limits_before: dict[Rate, Processor] = {}
        self._closed = False
        self._held: dict[bytes, tuple[HeldMessage, Timer]] = {}
        self._bytes = 0
        self._theirs: dict[str, tuple[int, int]] = {}  # number and bytes by tenant
        self._released: dict[bytes, HeldMessage] = {}

    @property
    def kept(self) -> tuple[HeldMessage, ...]:
        """Everything that is held, oldest first."""
        return tuple(held for held, _ in self._held.values())

    def carry(
        self, message: Message, decision: Decision, origin: Origin, action: Action
    ) -> None:
        """Return if the message may go on now.

        Raises:
            OverloadedError: past a rate, or too much is held already.
            EndedEarly: it is held.
        """
        if origin.released == message.id:
            return  # it has waited, and was counted, before
        now_ns = self._parts.clock.now_ns()
        for rate in decision.rates:
            self._limit(rate).process(message, now_ns)
        if decision.hold is None:
            return
        known = self._held.get(message.id)
        if known is not None or message.id in self._released:
            held = self._released[message.id] if known is None else known[0]
            told = Held(message.id, held.reason, message.revision, held.until_ns)
            raise EndedEarly(told)  # brought back by its sender: it is here already
        self._parts.validator.seal(message)
        until_ns = now_ns + decision.hold.wait_ns
        reason = decision.hold.reason
        self._keep(HeldMessage(message, reason, until_ns, decision, origin, action))
        raise EndedEarly(Held(message.id, reason, message.revision, until_ns))

    def find(self, tenant: str, message_id: bytes) -> HeldMessage:
        """Return what is held under an id in a tenant; raises `NotHeldError`."""
        found = self._held.get(message_id)
        if found is None or found[0].message.tenant != tenant:
            raise NotHeldError(f"no message {message_id.hex()} is held")
        return found[0]

    def take(self, held: HeldMessage, *, release: bool) -> None:
        """Let go of a message that is about to be released or refused.

        Raises `NotHeldError` if somebody else was faster, or its time is over.
        """
        message_id = held.message.id
        found = self._held.pop(message_id, None)
        if found is None:
            raise NotHeldError(f"message {message_id.hex()} is not held any more")
        found[1].cancel()
        if release:
            self._released[message_id] = held  # its room is kept until `done`
        else:
            self._count(held, -1)

    def done(self, held: HeldMessage, *, again: bool) -> None:
        """Be told that a release is over; `again` keeps the message for another try."""
        del self._released[held.message.id]
        if again and self._closed:
            self._count(held, -1)
            self.refuse(held, (CLOSED,))
        elif again:
            self._put(held)
        else:
            self._count(held, -1)

    def tell(self, message: Message, reasons: tuple[str, ...]) -> None:
        """Tell whoever waits for a reply that a message did not get through."""
        self._refused(message, reasons)

    def renewed(self) -> None:
        """Forget the rates that were not obliged under the revision that goes."""
        self._limits_before, self._limits = self._limits, {}

    def refuse(self, held: HeldMessage, reasons: tuple[str, ...]) -> None:
        """End a message that was taken, or whose time is over, as denied."""
        message = held.message
        route = held.origin.find(message.subject)
        stats = route.stats if route else self._parts.counters.named(INVALID)
        stats.denied += 1
        self._parts.audit.append(
            (
                "denied",
                self._parts.clock.now_ns(),
                message.id,
                message.tenant,
                message.sender,
                message.subject,
                message.revision,
                "; ".join(reasons)[:ERROR_CHARS_MAX],
                message.stamp,
            )
        )
        self._refused(message, reasons)

    def end(self) -> int:
        """Deny everything that is held: the bus closes. Return how many that were."""
        self._closed = True
        kept = self.kept
        for held in kept:
            self.take(held, release=False)
            self.refuse(held, (CLOSED,))
        return len(kept)

    def _keep(self, held: HeldMessage) -> None:
        size = len(held.message.body)
        tenant = held.message.tenant
        number, used = self._theirs.get(tenant, (0, 0))
        for what, count, total, share in (
            ("what is held", len(self._held) + len(self._released), self._bytes, 1),
            (f"what is held of tenant {tenant}", number, used, HELD_TENANT_SHARES),
        ):
            room = count < max(HELD_MAX // share, 1)
            if self._closed or not room or total + size > HELD_BYTES_MAX // share:
                raise OverloadedError(what, retry_after_s=RETRY_AFTER_S)
        self._count(held, 1)
        self._put(held)

    def _count(self, held: HeldMessage, step: int) -> None:
        """Count a message that is held from now on (1), or no longer (-1)."""
        size = len(held.message.body) * step
        number, used = self._theirs.get(held.message.tenant, (0, 0))
        self._bytes += size
        self._theirs[held.message.tenant] = (number + step, used + size)
        if number + step == 0:
            del self._theirs[held.message.tenant]

    def _put(self, held: HeldMessage) -> None:
        clock = self._parts.clock
        left_ns = max(held.until_ns - clock.now_ns(), 0)
        timer = clock.call_after(left_ns / _NS_PER_S, lambda: self._over(held))
        self._held[held.message.id] = (held, timer)

    def _over(self, held: HeldMessage) -> None:
        self.take(held, release=False)
        self.refuse(held, (f"held, and not released in time: {held.reason}",))

    def _limit(self, rate: Rate) -> Processor:
        known = self._limits.get(rate)
        if known is None:
            if len(self._limits) >= RATE_OBLIGATIONS_MAX:
                raise ProcessingError(
                    f"policy obliges more than {RATE_OBLIGATIONS_MAX} different rates"
                )
            known = self._limits_before.pop(rate, None) or self._parts.limiter(rate)
            self._limits[rate] = known
        return known
