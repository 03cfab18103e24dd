"""Who an outbox publishes as, and what its messages descend from.

Rule: lineage is that of the handler in which a message was put, sealed with the row, so
that going through a table of the user's changes nothing about who is an author of what.
"""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import msgspec

from bus.core.message import EVENT, OCTETS, Message
from bus.core.outcome import Outcome
from bus.subscription import handled


class Publisher(Protocol):
    """An agent, as an outbox needs it: `bus.Agent` is one."""

    @property
    def name(self) -> str:
        """The agent's id."""

    @property
    def tenant(self) -> str:
        """The tenant it belongs to."""

    @property
    def publish(self) -> Callable[..., Coroutine[Any, Any, Outcome]]:
        """Publish (subject, body); `dedup` is what the publisher calls the message."""

    def vouch(self, data: bytes) -> bytes:
        """Return a seal over bytes, for this agent and nobody else."""

    def vouched(self, data: bytes, seal: bytes) -> bool:
        """Tell whether `vouch` of this agent made the seal over just these bytes.

        Raises:
            UnknownKeyError: under a key that is not in the ring.
        """


class _Lineage(msgspec.Struct, frozen=True, array_like=True):
    """What a child's lineage is made from."""

    id: bytes
    root: bytes | None
    depth: int
    sender: str
    authors: tuple[str, ...]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Lineage).decode


def lineage() -> bytes:
    """Return what the running handler's message passes on; empty outside of handlers."""
    parent = handled.get()
    if parent is None:
        return b""
    return _encode(
        _Lineage(parent.id, parent.root, parent.depth, parent.sender, parent.authors)
    )


@contextmanager
def descending(noted: bytes) -> Iterator[None]:
    """Have what is published in the block descend from what `lineage` noted."""
    token = handled.set(_stand_in(_decode(noted)) if noted else None)
    try:
        yield
    finally:
        handled.reset(token)


def _stand_in(noted: _Lineage) -> Message:
    """Return a message with the lineage of one that may be long gone, and no more."""
    return Message(
        id=noted.id,
        subject="",
        type=EVENT,
        priority=0,
        tenant="",
        sender=noted.sender,
        content_type=OCTETS,
        body=b"",
        created_ns=0,
        constitution="",
        revision="",
        root=noted.root,
        depth=noted.depth,
        authors=noted.authors,
    )
