"""A clock that jumps."""

from collections.abc import Callable

from bus.ports import Clock, Timer


class ChaosClock:
    """The bus's clock where chaos is enabled. `offset_ns` is how far it is off.

    Only the time of day jumps. What waits waits as long as it would have.
    """

    def __init__(self, true: Clock) -> None:
        self.true = true
        self.offset_ns = 0
        self._now_ns = true.now_ns

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch, as far off as the fault says."""
        return self._now_ns() + self.offset_ns

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back in the running loop after `delay_s` true seconds."""
        return self.true.call_after(delay_s, callback)
