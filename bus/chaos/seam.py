"""Where faults come in: one seam for each component that can be hit.

Rule: a seam asks the plan about each question that goes through it, by the true clock,
and does nothing else where nothing is injected.
"""

import asyncio
from collections.abc import Callable

from bus.core.chaosplan import Plan
from bus.core.faults import Strike
from bus.pauses import pause
from bus.ports import Clock


class Seam:
    """A component's seam. `clock` is the true one, which no fault moves."""

    def __init__(self, plan: Plan, component: str, clock: Clock) -> None:
        self._plan = plan
        self._component = component
        self._clock = clock

    def strike(self) -> Strike | None:
        """Return what hits this question, or None; to be asked once a question."""
        if not self._plan.active:
            return None
        return self._plan.strike(self._component, self._clock.now_ns())

    async def suffer(
        self,
        strike: Strike | None,
        refusal: Callable[[str], Exception],
        stall_s: float = 0.0,
    ) -> None:
        """Wait, and raise what `refusal` makes of the reason, as the strike says.

        A strike that was drawn before, under a fault that is over by now, does nothing.
        Who is refused has waited for a turn of the loop, or for `stall_s`: it may ask
        again at once, and for ever, and must not keep everybody else from running.
        """
        if strike is None or not self.hit:
            return
        if strike.delay_s:
            await pause(self._clock, strike.delay_s)
        if strike.refused:
            await pause(self._clock, stall_s) if stall_s else await asyncio.sleep(0)
            raise refusal(strike.refused)

    @property
    def hit(self) -> bool:
        """Whether a fault is on at this component."""
        return self._plan.hits(self._component, self._clock.now_ns())

    async def cross(self, refusal: Callable[[str], Exception]) -> None:
        """Draw, and suffer what was drawn: for a question that may wait."""
        await self.suffer(self.strike(), refusal)
