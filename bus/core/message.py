"""The message: the one value that flows through the bus. Immutable once stamped.

Field order is the wire order, and `stamp` stays last: a stamp covers the encoding
of everything before it (see `bus.core.stamp`).
"""

import enum
from typing import Final

import msgspec

MESSAGE_TYPES: Final = frozenset(
    {
        "command",
        "query",
        "response",
        "event",
        "notification",
        "heartbeat",
        "governance_request",
        "governance_response",
        "constitutional_validation",
        "task_request",
        "task_response",
        "audit_log",
    }
)
EVENT: Final = "event"
QUERY: Final = "query"
RESPONSE: Final = "response"
MSGPACK: Final = "application/msgpack"
JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
ORDERING_KEY: Final = "assent-ordering-key"
"""The header with the key whose messages go one at a time; see `bus.core.ordering`."""

DEDUP_HEADER: Final = "assent-dedup"
DUE_HEADER: Final = "assent-deliver-at"
ASKED_HEADERS: Final = frozenset({DEDUP_HEADER, DUE_HEADER})
"""Headers of the bus, for a store; they take none of the room of a publisher."""


class Priority(enum.IntEnum):
    """Higher goes first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


class Message(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """A stamped message.

    `id`, `root` and `parent` are 16 bytes, time-ordered; `root` and `parent` are
    None for a message that nothing caused; `authors` are the agents whose messages led
    to this one, each once, by its latest message, oldest first; the sender only if it is
    one of them. Times are nanoseconds since the epoch.
    `stamp` is 4 bytes of key id and 16 of keyed BLAKE2b over all fields before it.
    """

    id: bytes
    subject: str
    type: str
    priority: int
    tenant: str
    sender: str
    content_type: str
    body: bytes
    created_ns: int
    constitution: str
    revision: str
    headers: dict[str, str] = {}
    reply_to: str | None = None
    correlation: str | None = None
    causation: str | None = None
    root: bytes | None = None
    parent: bytes | None = None
    depth: int = 0
    authors: tuple[str, ...] = ()
    expires_ns: int | None = None
    stamp: bytes = b""
