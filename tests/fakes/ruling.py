"""An authorizer that a test rules: by functions, under a revision, now or later."""

import asyncio
from collections.abc import Callable
from typing import Any

from bus.core.decision import Decision, Principal
from bus.core.message import Message
from bus.core.stats import DecisionStats
from bus.ports import Access, Action


def yes(revision: str = "r1", **changes: Any) -> Decision:
    """Return an allow."""
    return Decision(
        **{
            "allow": True,
            "reasons": (),
            "revision": revision,
            "digest": "d",
            **changes,
        }
    )


def no(reason: str, revision: str = "r1", **changes: Any) -> Decision:
    """Return a deny."""
    return yes(revision, allow=False, reasons=(reason,), **changes)


class Ruling:
    """Answers with what `message` and `access` return; `later`: only when waited for."""

    def __init__(self, *, later: bool = False) -> None:
        self.revision = "r1"
        self.message: Callable[[Action, Message], Decision] = lambda *_: yes(
            self.revision
        )
        self.access: Callable[[Access], Decision] = lambda _: yes(self.revision)
        self.asked: list[tuple[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._later = later

    def principal(self, agent: str) -> Principal:
        """Know everybody, in one tenant."""
        return Principal(agent, "globex" if agent == "spy" else "acme")

    def decide_now(self, action: Action, message: Message) -> Decision | None:
        """Answer, unless it is to be waited for."""
        if self._later:
            return None
        return self._decide(action, message)

    async def decide(self, action: Action, message: Message) -> Decision:
        """Answer once the gate is open."""
        await self.gate.wait()
        return self._decide(action, message)

    def admit_now(self, access: Access) -> Decision | None:
        """Answer, unless it is to be waited for."""
        return None if self._later else self.access(access)

    async def admit(self, access: Access) -> Decision:
        """Answer once the gate is open."""
        await self.gate.wait()
        return self.access(access)

    def stats(self) -> DecisionStats:
        """Nothing is cached."""
        return DecisionStats()

    def _decide(self, action: Action, message: Message) -> Decision:
        self.asked.append((action, message.subject))
        return self.message(action, message)
