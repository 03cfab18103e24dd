"""Messages and subscriptions as stages and strategies see them."""

from typing import Any

import msgspec

from bus.core.message import MSGPACK, Message


class Taker(msgspec.Struct, frozen=True):
    """A candidate with everything given."""

    name: str
    agent: str = "worker"
    queue: str = ""
    load: int = 0
    keys: frozenset[str] = frozenset()

    def holds(self, key: str) -> bool:
        """Tell whether the key is one of `keys`."""
        return key in self.keys


def message(**fields: Any) -> Message:
    """Return a message of the planner in tenant acme, with `fields` instead."""
    given: dict[str, Any] = {
        "id": bytes(16),
        "subject": "tasks.new",
        "type": "event",
        "priority": 1,
        "tenant": "acme",
        "sender": "planner",
        "content_type": MSGPACK,
        "body": b"\x80",
        "created_ns": 1_000,
        "constitution": "cdd01ef066bc6cf2",
        "revision": "r1",
    }
    return Message(**{**given, **fields})
