"""A message of a bus by its id, with the decision on it, wherever it is.

Rule: joins what the doors know of messages to what operators ask, so that neither knows
the other.
"""

from collections.abc import Awaitable, Callable

from bus.core.decision import Decision
from bus.core.message import Message
from bus.edge.caller import Caller
from bus.edge.gate import Gate
from bus.edge.messaging.kept import Kept

Found = tuple[Message, Decision, str]
"""A message, the decision on it, and whether it is `held` or `accepted`."""


def finder(gate: Gate) -> Callable[[Caller, bytes], Awaitable[Found | None]]:
    """Return what finds a message of a tenant that a caller sees; None if it cannot."""
    kept = Kept(gate)

    async def find(caller: Caller, message_id: bytes) -> Found | None:
        held = kept.held(caller, message_id)
        if held is not None:
            return held.message, held.decision, "held"
        entry = await kept.find(caller, message_id)
        if entry is None:
            return None
        return entry.message, entry.decision, "accepted"

    return find
