"""Hands a message straight to the queues of its takers: what a bus without a store does."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bus.core.decision import Decision
from bus.core.message import Message
from bus.subscription import Subscription

Hand = Callable[[Message, Decision, Sequence[Subscription]], None]


def hand_over(
    message: Message, decision: Decision, takers: Sequence[Subscription]
) -> None:
    """Queue one delivery per taker; several share what they decode.

    There is room with every taker: the caller has made sure.
    """
    if len(takers) == 1:
        takers[0].put(message, decision)
        return
    bodies: dict[Any, Any] = {}
    for taker in takers:
        taker.put(own(message), decision, bodies)


def own(message: Message) -> Message:
    """Return the message with headers that no other taker can change."""
    if not message.headers:
        return message
    return msgspec.structs.replace(message, headers=dict(message.headers))
