"""Time that never goes back, made of a clock that may be set."""

from bus.ports import Clock


class Steady:
    """Nanoseconds that only grow, at the clock's pace.

    A clock that is set back stands for a moment here and then goes on; one that is set
    forward makes what is planned due sooner.
    """

    __slots__ = ("_clock", "_last_ns", "_offset_ns")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ns = clock.now_ns()
        self._offset_ns = 0

    def now_ns(self) -> int:
        """Return the time, never less than it was."""
        return self.reach(self._last_ns)

    def reach(self, least_ns: int) -> int:
        """Return the time, which is `least_ns` at the least.

        For a timer that went off: its time has come, whatever the clock says.
        """
        now_ns = self._clock.now_ns() + self._offset_ns
        short_ns = max(least_ns, self._last_ns) - now_ns
        if short_ns > 0:
            self._offset_ns += short_ns
            now_ns += short_ns
        self._last_ns = now_ns
        return now_ns
