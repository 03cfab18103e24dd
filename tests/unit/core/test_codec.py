"""Frames and bodies: what is written reads the same, what is not fails typed."""

import asyncio
import re
from typing import Any, Generic, TypeVar

import msgspec
import pytest
from hypothesis import given, strategies as st

from bus.core import codec
from bus.core.errors import (
    BodyTypeError,
    HandlerError,
    LimitExceededError,
    MalformedMessageError,
    ProtocolError,
    StampMismatchError,
)
from bus.core.message import JSON, MSGPACK, OCTETS, Message
from bus.core.stamp import KeyRing
from tests.fakes.messages import FIELDS, FULL, full, messages

T = TypeVar("T")
RING = KeyRing({1: bytes(32)}, active=1)
ARRAY_16 = b"\xdc"
DEEP = 100_000


class Order(msgspec.Struct):
    """A body type."""

    item: str
    count: int = 1


class RingLike:
    """A class of the program's own, which is no body."""


def sealed_frame() -> bytes:
    """Return the frame of a stamped message."""
    message = full()
    RING.seal(message)
    return codec.encode(message)


def with_fields(frame: bytes, count: int, more: bytes = b"") -> bytes:
    """Return a frame that says it has `count` fields."""
    assert frame[:1] == ARRAY_16
    return ARRAY_16 + count.to_bytes(2, "big") + frame[3:] + more


@given(messages)
def test_a_message_reads_as_it_was_written(message: Message) -> None:
    """Encoding and decoding changes nothing, the stamp included."""
    RING.seal(message)
    received = codec.decode(codec.encode(message))
    assert received == message
    RING.verify(received)


def test_a_frame_cut_anywhere_is_malformed() -> None:
    """There is no length at which a part of a frame passes for a message."""
    frame = sealed_frame()
    for length in range(len(frame)):
        with pytest.raises(MalformedMessageError):
            codec.decode(frame[:length])


@given(st.binary(min_size=1, max_size=40))
def test_a_frame_with_anything_after_it_is_malformed(more: bytes) -> None:
    """A frame ends where its message ends."""
    with pytest.raises(MalformedMessageError):
        codec.decode(sealed_frame() + more)


def test_a_frame_with_a_field_too_many_is_malformed() -> None:
    """Nothing rides along beside the covered fields."""
    with pytest.raises(MalformedMessageError):
        codec.decode(with_fields(sealed_frame(), len(FIELDS) + 1, b"\xc0"))


def test_a_field_too_many_nested_without_end_is_malformed() -> None:
    """Depth in a frame does not end in a RecursionError."""
    deep = b"\x91" * DEEP + b"\xc0"
    with pytest.raises(MalformedMessageError):
        codec.decode(with_fields(sealed_frame(), len(FIELDS) + 1, deep))


def test_a_frame_without_its_stamp_decodes_but_does_not_verify() -> None:
    """Leaving the last field out gives a message with no stamp."""
    frame = codec.encode(full())
    bare = codec.decode(with_fields(frame[:-2], len(FIELDS) - 1))
    assert bare == FULL
    with pytest.raises(StampMismatchError, match="no stamp"):
        RING.verify(bare)


@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: b"\xdc\0\x14" + b)
)
def test_any_bytes_are_a_message_or_a_protocol_error(frame: bytes) -> None:
    """Fuzzed frames raise nothing else, and none verifies."""
    with pytest.raises(ProtocolError):
        RING.verify(codec.decode(frame))


def test_a_frame_longer_than_any_message_is_not_decoded() -> None:
    """The bound is checked before a byte is read."""
    with pytest.raises(LimitExceededError, match="frame bytes"):
        codec.decode(bytes(codec.FRAME_BYTES_MAX + 1))
    with pytest.raises(MalformedMessageError):
        codec.decode(bytes(codec.FRAME_BYTES_MAX))


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_another_type_is_malformed(field: str) -> None:
    """Each field is decoded to its type or not at all."""
    values = list(msgspec.to_builtins(FULL, builtin_types=(bytes,)))
    values[FIELDS.index(field)] = 1.5
    with pytest.raises(MalformedMessageError, match="not a message"):
        codec.decode(msgspec.msgpack.encode(values))


def test_text_that_is_not_utf8_is_malformed() -> None:
    """A string field is text."""
    frame = codec.encode(full()).replace(b"planner", b"plann\xff\xff")
    with pytest.raises(MalformedMessageError):
        codec.decode(frame)


@pytest.mark.parametrize("body", [b"raw", bytearray(b"raw"), memoryview(b"raw")])
def test_bytes_stay_as_they_are(body: object) -> None:
    """A body of bytes is sent as it is, and can no longer be changed."""
    encoded = codec.encode_any(body)
    assert encoded == (b"raw", OCTETS)
    assert type(encoded[0]) is bytes


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_a_body_reads_as_it_was_written(body: Any) -> None:
    """What MessagePack can carry comes back equal."""
    data, content_type = codec.encode_any(body)
    assert content_type == MSGPACK
    read = codec.decoder(Any)
    assert read(full(body=data, content_type=content_type)) == body


@pytest.mark.parametrize("body", [object(), 1 << 64, "\ud800", 1j])
def test_a_body_that_cannot_be_encoded_is_a_typed_error(body: object) -> None:
    """The publisher learns which type it was."""
    with pytest.raises(BodyTypeError, match=f"body of type {type(body).__name__}"):
        codec.encode_any(body)


def test_a_body_that_contains_itself_is_a_typed_error() -> None:
    """Depth in a body does not end in a RecursionError."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(BodyTypeError):
        codec.encode_any(loop)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [(MSGPACK, msgspec.msgpack.encode({"item": "x"})), (JSON, b'{"item": "x"}')],
)
def test_a_body_decodes_to_the_handlers_type(content_type: str, body: bytes) -> None:
    """MessagePack and JSON both decode to a typed body."""
    read = codec.decoder(Order)
    assert read(full(body=body, content_type=content_type)) == Order("x", 1)


def test_a_handler_of_bytes_gets_the_body_as_it_is() -> None:
    """`bytes` asks for no decoding, whatever the content type says."""
    assert codec.decoder(bytes)(full(body=b"\xff", content_type="x/y")) == b"\xff"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (MSGPACK, b"\xc1"),
        (MSGPACK, b"\x91" * DEEP + b"\xc0"),
        (MSGPACK, b"\xdd\xff\xff\xff\xff"),
        (MSGPACK, b"\xa2\xff\xff"),
        (JSON, b"["),
        (JSON, b"[" * DEEP + b"]" * DEEP),
        (JSON, b'"\xff"'),
        (JSON, b"9" * 5_000),
    ],
)
def test_a_body_that_does_not_decode_is_a_typed_error(
    content_type: str, body: bytes
) -> None:
    """Broken, endless and oversized bodies are the sender's fault, and named."""
    read = codec.decoder(Any)
    message = full(body=body, content_type=content_type)
    with pytest.raises(BodyTypeError, match=message.id.hex()):
        read(message)


@given(st.binary(max_size=80), st.sampled_from([MSGPACK, JSON]))
def test_any_bytes_are_a_body_or_a_typed_error(body: bytes, content_type: str) -> None:
    """Fuzzed bodies raise nothing else."""
    read = codec.decoder(Order)
    try:
        made = read(full(body=body, content_type=content_type))
    except BodyTypeError:
        return
    assert type(made) is Order


def test_another_content_type_does_not_decode_to_a_type() -> None:
    """Octets are handed only to a handler of bytes."""
    read = codec.decoder(Order)
    with pytest.raises(BodyTypeError, match=f"is {re.escape(OCTETS)}; only"):
        read(full(content_type=OCTETS))


class Endless(msgspec.Struct, Generic[T]):
    """Each level is another type."""

    inner: "Endless[list[T]] | None" = None


class Dangling(msgspec.Struct):
    """A field of a type that is not there."""

    field: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    "body_type",
    [
        object(),
        list[int] | list[str],
        RingLike,
        list[RingLike] | None,
        asyncio.Future,
        Endless[int],
        Dangling,
    ],
    ids=["no type", "ambiguous", "own", "own inside", "future", "endless", "dangling"],
)
def test_a_type_that_nothing_decodes_to_is_refused_at_once(body_type: Any) -> None:
    """The subscriber is refused, not its first message."""
    with pytest.raises(HandlerError, match="body type"):
        codec.decoder(body_type)


@pytest.mark.parametrize("body_type", [Order | None, object, Any, dict[str, Order]])
def test_a_type_that_something_decodes_to_is_served(body_type: Any) -> None:
    """What is optional, and what may be anything, is no mistake."""
    data, content_type = codec.encode_any({"o": Order("x", 2)})
    if body_type == Order | None:
        data, content_type = codec.encode_any(None)
    read = codec.decoder(body_type)(full(body=data, content_type=content_type))
    assert msgspec.to_builtins(read) in (None, {"o": {"item": "x", "count": 2}})
