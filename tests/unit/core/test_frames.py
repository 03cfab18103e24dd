"""Frames: exactly the protocol's objects, one or several, in either kind."""

from typing import Any

import msgspec
import pytest

from bus.core import clientframes as client, frames, serverframes as server
from bus.core.edgelimits import FRAME_ACKS_MAX, FRAME_BYTES_MAX, FRAME_ITEMS_MAX
from bus.core.errors import LimitExceededError, MalformedMessageError

KINDS = [frames.TEXT, frames.BINARY]
PING = client.Ping(1)
PONG = server.Pong(1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_object_is_itself_and_more_are_an_array(kind: frames.Kind) -> None:
    """Both are read back as they were."""
    assert frames.from_client(kind, frames.encode(kind, [PING])) == [PING]
    both = [client.Connect("t"), PING]
    assert frames.from_client(kind, frames.encode(kind, both)) == both
    assert frames.from_server(kind, frames.encode(kind, [PONG, PONG])) == [PONG, PONG]


def test_what_is_not_set_is_not_sent() -> None:
    """Byte for byte, in the order of the fields."""
    frame = client.Publish(1, "a.b", msgspec.Raw(b'{"x":1}'), ttl=2.5)
    assert frames.encode(frames.TEXT, [frame]) == (
        b'{"op":"publish","id":1,"subject":"a.b","body":{"x":1},"ttl":2.5}'
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"1",
        b"[]",
        b"{}",
        b"[[]]",
        b'{"op":"ping"}',
        b'{"op":"ping","id":0}',
        b'{"op":"ping","id":-1}',
        b'{"op":"ping","id":9007199254740992}',
        b'{"op":"ping","id":"1"}',
        b'{"op":"ping","id":1.5}',
        b'{"op":"ping","id":true}',
        b'{"op":"ping","id":1,"x":1}',
        b'{"op":"PING","id":1}',
        b'{"op":1,"id":1}',
        b'{"op":"pong","id":1}',
        b'{"op":"ping","id":1}{}',
        b'{"op":"ping","op":"publish","id":1}',
        b'[{"op":"ping","id":1},]',
        b'{"op":"publish","id":1,"subject":"a","body":"\xff"}',
        b'{"op":"publish","id":1,"subject":"a","body":01}',
        b'{"op":"publish","id":1,"subject":"a","body":'
        + b"[" * 5_000
        + b"]" * 5_000
        + b"}",
        b'{"op":"publish","id":1,"subject":"a","body":1,"encoding":"hex"}',
        b'{"op":"ack","sid":1,"dids":[]}',
        b'{"op":"credit","sid":1,"n":0}',
        b'{"op":"subscribe","id":1,"sid":1,"pattern":"a","credit":-1}',
        b'{"op":"connect","client":"' + b"x" * 129 + b'"}',
    ],
)
def test_what_is_not_exactly_a_frame_is_refused(data: bytes) -> None:
    """As a whole, with words on where."""
    with pytest.raises(MalformedMessageError, match="not a frame"):
        frames.from_client(frames.TEXT, data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_has_bounds(kind: frames.Kind) -> None:
    """In objects, and in bytes before anything is looked at."""
    many: list[Any] = [PING] * FRAME_ITEMS_MAX
    assert len(frames.from_client(kind, frames.encode(kind, many))) == FRAME_ITEMS_MAX
    with pytest.raises(MalformedMessageError):
        frames.from_client(kind, frames.encode(kind, [*many, PING]))
    with pytest.raises(LimitExceededError):
        frames.from_client(kind, b" " * (FRAME_BYTES_MAX + 1))


def test_text_beyond_ascii_is_read() -> None:
    """It is valid UTF-8, so it is nothing special."""
    data = '{"op":"term","sid":1,"did":1,"reason":"größer"}'.encode()
    (term,) = frames.from_client(frames.TEXT, data)
    assert term == client.Term(1, 1, "größer")


@pytest.mark.parametrize("kind", KINDS)
def test_the_acks_of_a_frame_are_bounded_together(kind: frames.Kind) -> None:
    """Each that fails is answered, so a few octets must not ask for a million answers."""
    half = client.Ack(1, [1] * (FRAME_ACKS_MAX // 2))
    assert frames.from_client(kind, frames.encode(kind, [half, half])) == [half, half]
    with pytest.raises(MalformedMessageError, match="deliveries acked in one frame"):
        frames.from_client(kind, frames.encode(kind, [half, half, client.Ack(2, [1])]))
