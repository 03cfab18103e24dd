"""Calls whoever's turn it is: an agenda, a steady time, and one timer of the clock.

Rule: nothing is polled. The timer is set for what is due next, and a slot that is given
back is given on at once.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from bus.ports import Clock, Timer
from bus.recovery.agenda import Agenda, Lane
from bus.recovery.steady import Steady

_NS_PER_S: Final = 1_000_000_000


class Timetable:
    """Plans by name. `begin` is called for a name whose turn it is.

    It returns whether it keeps the slot; then `free` gives it back.
    """

    def __init__(
        self,
        clock: Clock,
        slots: Mapping[Lane, int],
        begin: Callable[[str, Lane, int], bool],
        rest: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._time = Steady(clock)
        self._agenda = Agenda(slots)
        self._begin = begin
        self._rest = rest
        self._timer: Timer | None = None
        self._armed_ns: int | None = None
        self._running = False
        self.now_ns = self._time.now_ns
        self.free = self._agenda.free
        self.drop = self._agenda.drop
        self.due_ns = self._agenda.due_ns
        self.put = self._agenda.put

    def start(self) -> None:
        """Begin to call."""
        self._running = True
        self.go()

    def stop(self) -> None:
        """Call nobody any more."""
        self._running = False
        self._disarm()

    def go(self) -> None:
        """Call whoever's turn it is now, and set the timer for the next."""
        if self._running:
            now_ns = self._time.now_ns()
            while taken := self._agenda.take(now_ns):
                for name, lane in taken:
                    if not self._begin(name, lane, now_ns):
                        self._agenda.free(lane)
            self._arm(now_ns)
        self._rest()

    def _arm(self, now_ns: int) -> None:
        next_ns = self._agenda.next_ns()
        if next_ns == self._armed_ns:
            return
        self._disarm()
        if next_ns is not None:
            self._armed_ns = next_ns
            wait_s = max(0, next_ns - now_ns) / _NS_PER_S
            self._timer = self._clock.call_after(wait_s, partial(self._due, next_ns))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._armed_ns = None

    def _due(self, due_ns: int) -> None:
        self._timer = self._armed_ns = None
        self._time.reach(due_ns)  # it has come, whatever the clock says
        self.go()
