"""What one connection may do, and how fast.

Rule: past a bound a call is refused and the connection lives; only what cannot be
answered any more ends it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from bus.core import edgelimits as limits, serverframes as server

_NS_PER_S: Final = 1_000_000_000


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one connection, none above those of `bus.core.edgelimits`."""

    frame_bytes: int = limits.FRAME_BYTES_MAX
    frame_items: int = limits.FRAME_ITEMS_MAX
    in_flight: int = limits.WS_IN_FLIGHT_MAX
    subscriptions: int = limits.WS_SUBSCRIPTIONS_MAX
    publishes_in_flight: int = limits.WS_PUBLISHES_MAX
    messages_per_second: int = limits.WS_MESSAGES_PER_SECOND
    connect_s: float = limits.WS_CONNECT_S
    slow_s: float = limits.WS_SLOW_S
    outbound_bytes: int = limits.WS_OUTBOUND_BYTES

    def told(self) -> server.Limits:
        """Return what the client is told."""
        return server.Limits(
            frame_bytes=self.frame_bytes,
            frame_items=self.frame_items,
            in_flight=self.in_flight,
            subscriptions=self.subscriptions,
            publishes_in_flight=self.publishes_in_flight,
            messages_per_second=self.messages_per_second,
        )


class Bucket:
    """A token bucket: `per_second` in the long run, `WS_BURST_S` of it at once."""

    __slots__ = ("_full_ns", "_now_ns", "_spent_ns", "_step_ns")

    def __init__(self, per_second: int, now_ns: Callable[[], int]) -> None:
        self._step_ns = max(_NS_PER_S // per_second, 1)
        self._full_ns = max(int(limits.WS_BURST_S * _NS_PER_S), self._step_ns)
        self._now_ns = now_ns
        self._spent_ns = 0  # until when what was taken is paid for

    def take(self) -> float:
        """Take one; return 0, or in how many seconds there is one: then none was taken."""
        now = self._now_ns()
        spent = max(self._spent_ns, now) + self._step_ns
        if spent - now > self._full_ns:
            if self._spent_ns - now > 2 * self._full_ns:
                self._spent_ns = now  # the clock was set back
            return (spent - now - self._full_ns) / _NS_PER_S
        self._spent_ns = spent
        return 0.0
