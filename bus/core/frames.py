"""The frames of the protocol `assent.v1`, written and read; no I/O.

Rule: a WebSocket frame carries one object of `bus.core.clientframes` or
`bus.core.serverframes`, or an array of them, in JSON (text) or MessagePack (binary).
What is not exactly that is no frame, and is refused as a whole.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec

from bus.core.clientframes import Ack, FromClient
from bus.core.edgelimits import FRAME_ACKS_MAX, FRAME_BYTES_MAX, FRAME_ITEMS_MAX
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.frame import Frame
from bus.core.message import JSON, MSGPACK
from bus.core.serverframes import FromServer

SUBPROTOCOL: Final = "assent.v1"

_Items = msgspec.Meta(min_length=1, max_length=FRAME_ITEMS_MAX)
_CLIENT: Final[Any] = FromClient | Annotated[list[FromClient], _Items]
_SERVER: Final[Any] = FromServer | Annotated[list[FromServer], _Items]
_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Kind(msgspec.Struct, frozen=True, eq=False):
    """One of the two ways to write a frame."""

    content_type: str
    binary: bool
    encode: Callable[[Any], bytes]
    client: Callable[[bytes], Any]
    server: Callable[[bytes], Any]


TEXT: Final = Kind(
    JSON,
    False,
    msgspec.json.Encoder().encode,
    msgspec.json.Decoder(_CLIENT).decode,
    msgspec.json.Decoder(_SERVER).decode,
)
BINARY: Final = Kind(
    MSGPACK,
    True,
    msgspec.msgpack.Encoder().encode,
    msgspec.msgpack.Decoder(_CLIENT).decode,
    msgspec.msgpack.Decoder(_SERVER).decode,
)


def from_client(kind: Kind, data: bytes) -> list[FromClient]:
    """Return the objects of one WebSocket frame of a client, in order.

    Raises:
        LimitExceededError: longer than a frame may be.
        MalformedMessageError: not a frame of the protocol; the text says where.
    """
    items = _decoded(kind, kind.client, data)
    acks = sum(len(item.dids) for item in items if type(item) is Ack)
    if acks > FRAME_ACKS_MAX:  # each that fails is answered: a frame for a few octets
        raise MalformedMessageError(
            f"{acks} deliveries acked in one frame; {FRAME_ACKS_MAX} at most"
        )
    return items


def from_server(kind: Kind, data: bytes) -> list[FromServer]:
    """Return the objects of one WebSocket frame of a node; raises as `from_client`."""
    return _decoded(kind, kind.server, data)


def encode(kind: Kind, items: Sequence[Frame]) -> bytes:
    """Encode one object as itself, and more as an array."""
    return kind.encode(items[0] if len(items) == 1 else items)


def _decoded(kind: Kind, decode: Callable[[bytes], Any], data: bytes) -> list[Any]:
    if len(data) > FRAME_BYTES_MAX:
        raise LimitExceededError(
            "frame bytes", actual=len(data), allowed=FRAME_BYTES_MAX
        )
    try:
        if not kind.binary and not data.isascii():
            data.decode()  # what is inside a body is not looked at otherwise
        found = decode(data)
    except _UNDECODABLE as error:
        raise MalformedMessageError(f"not a frame: {error}") from error
    return found if type(found) is list else [found]
