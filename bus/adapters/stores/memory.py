"""In-memory store: keeps messages in the queues of their takers, until the process ends."""

from collections.abc import Sequence
from typing import Any

import msgspec

from bus.core.decision import Decision
from bus.core.message import Message
from bus.ports import Taker


class MemoryStore:
    """Hands each message straight to the queues of its plan."""

    def append(
        self, message: Message, decision: Decision, plan: Sequence[Taker]
    ) -> None:
        """Queue one delivery per taker; several share what they decode."""
        if len(plan) == 1:
            plan[0].put(message, decision)
            return
        bodies: dict[Any, Any] = {}
        for taker in plan:
            taker.put(_own(message), decision, bodies)


def _own(message: Message) -> Message:
    """Return the message with headers that no other taker can change."""
    if not message.headers:
        return message
    return msgspec.structs.replace(message, headers=dict(message.headers))
