"""Policy that is slow, fails, or cannot be reached.

Rule: a fault never allows anything. What cannot be asked raises, so nothing is let in.
"""

from typing import Final

from bus.chaos.seam import Seam
from bus.core.decision import Decision, Principal
from bus.core.errors import PolicyUnavailableError
from bus.core.faults import Strike
from bus.core.message import Message
from bus.core.operatinglimits import CHAOS_DRAWN_MAX
from bus.core.stats import DecisionStats
from bus.ports import Access, Action, Authorizer

COMPONENT: Final = "policy"


class ChaosAuthorizer:
    """An `Authorizer` around another; kept decisions are hit like any other answer."""

    def __init__(self, inner: Authorizer, seam: Seam) -> None:
        self._inner = inner
        self._seam = seam
        # What was drawn where nothing may wait, for the question that is then awaited.
        self._drawn: dict[bytes | Access, Strike] = {}

    @property
    def revision(self) -> str:
        """The revision in force."""
        return self._inner.revision

    def principal(self, agent: str) -> Principal:
        """Return who `agent` is."""
        return self._inner.principal(agent)

    def decide_now(self, action: Action, message: Message) -> Decision | None:
        """Decide, or leave a question that is hit to `decide`."""
        if self._hit(message.id):
            return None
        return self._inner.decide_now(action, message)

    async def decide(self, action: Action, message: Message) -> Decision:
        """Decide, late or not at all where the question is hit."""
        await self._suffer(message.id)
        return await self._inner.decide(action, message)

    def admit_now(self, access: Access) -> Decision | None:
        """Decide on access, or leave a question that is hit to `admit`."""
        if self._hit(access):
            return None
        return self._inner.admit_now(access)

    async def admit(self, access: Access) -> Decision:
        """Decide on access, late or not at all where the question is hit."""
        await self._suffer(access)
        return await self._inner.admit(access)

    def stats(self) -> DecisionStats:
        """Return the counts of the decision cache."""
        return self._inner.stats()

    def _hit(self, question: bytes | Access) -> bool:
        strike = self._seam.strike()
        if strike is None:
            return False
        if len(self._drawn) >= CHAOS_DRAWN_MAX:
            self._drawn.clear()
        self._drawn[question] = strike
        return True

    async def _suffer(self, question: bytes | Access) -> None:
        strike = self._drawn.pop(question, None)
        if strike is None:
            await self._seam.cross(PolicyUnavailableError)
        else:
            await self._seam.suffer(strike, PolicyUnavailableError)
