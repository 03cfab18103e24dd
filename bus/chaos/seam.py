"""Where faults come in: one seam for each component that can be hit.

Rule: a seam asks the plan about each question that goes through it, by the true clock,
and does nothing else where nothing is injected.
"""

import asyncio
from collections.abc import Callable

from bus.core.chaosplan import Plan
from bus.core.faults import Strike
from bus.core.operatinglimits import CHAOS_CHECK_S, CHAOS_TIMEOUT_S
from bus.pauses import pause
from bus.ports import Clock

_NS_PER_S = 1_000_000_000


class Seam:
    """A component's seam. `clock` is the true one, which no fault moves.

    `deadline_s` is how long who asks the component waits for an answer.
    """

    def __init__(
        self,
        plan: Plan,
        component: str,
        clock: Clock,
        deadline_s: float = CHAOS_TIMEOUT_S,
    ) -> None:
        self._plan = plan
        self._component = component
        self._clock = clock
        self.deadline_s = deadline_s

    def strike(self, tokens: tuple[str, ...] = ()) -> Strike | None:
        """Return what hits this question, or None; to be asked once a question.

        `tokens` are those of the subject it is about, if any.
        """
        if not self._plan.active:
            return None
        return self._plan.strike(self._component, self._clock.now_ns(), tokens)

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
        if strike.hangs:
            await self._hang()
        elif strike.delay_s:
            await pause(self._clock, strike.delay_s)
        if strike.refused:
            await pause(self._clock, stall_s) if stall_s else await asyncio.sleep(0)
            raise refusal(strike.refused)

    async def _hang(self) -> None:
        """Wait until the deadline, or until the fault is over: what hung is lost then."""
        until_ns = self._clock.now_ns() + int(self.deadline_s * _NS_PER_S)
        while self.hit and (left_ns := until_ns - self._clock.now_ns()) > 0:
            await pause(self._clock, min(left_ns / _NS_PER_S, CHAOS_CHECK_S))

    @property
    def hit(self) -> bool:
        """Whether a fault is on at this component."""
        return self._plan.hits(self._component, self._clock.now_ns())

    async def cross(self, refusal: Callable[[str], Exception]) -> None:
        """Draw, and suffer what was drawn: for a question that may wait."""
        await self.suffer(self.strike(), refusal)
