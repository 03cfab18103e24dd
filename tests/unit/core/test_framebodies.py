"""Bodies in frames: values where they can be, octets where not, and no way out of a frame."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from bus.core import frames
from bus.core.edgelimits import FRAME_BYTES_MAX
from bus.core.errors import BodyTypeError
from bus.core.framebodies import is_json, shown, told
from bus.core.message import JSON, MSGPACK, OCTETS

KINDS = [frames.TEXT, frames.BINARY]
OTHER = "image/png"
ODD = [
    (MSGPACK, b""),
    (MSGPACK, b"\xc1"),
    (MSGPACK, b"\x01\x01"),
    (MSGPACK, b"\xa1\xff"),
    (MSGPACK, b"\x91" * 5_000 + b"\x01"),
    (JSON, b""),
    (JSON, b"{"),
    (JSON, b"1 2"),
    (JSON, b'1},{"op":"pong","id":1'),
    (JSON, b'"\xff"'),
    (JSON, b"[" * 5_000 + b"]" * 5_000),
    (OCTETS, b"{}"),
    (OTHER, b"\x89PNG"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("content_type", "body"), ODD)
def test_what_is_no_value_is_shown_as_octets(
    kind: frames.Kind, content_type: str, body: bytes
) -> None:
    """And they are the message's own."""
    raw, encoding = shown(kind, body, content_type)
    assert encoding == ("bin" if kind.binary else "base64")
    assert told(kind, raw, content_type, encoding) == (body, content_type)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content_type", [JSON, MSGPACK, "application/x+json"])
def test_a_value_is_shown_as_a_value_of_the_kind(
    kind: frames.Kind, content_type: str
) -> None:
    """Converted where it was published as the other."""
    value = {"a": [1, None, "größer"]}
    encode = msgspec.msgpack.encode if content_type == MSGPACK else msgspec.json.encode
    decode = msgspec.msgpack.decode if kind.binary else msgspec.json.decode
    raw, encoding = shown(kind, encode(value), content_type)
    assert encoding is None
    assert decode(bytes(raw)) == value
    assert told(kind, raw, content_type, None) == (encode(value), content_type)


def test_what_one_kind_has_and_the_other_has_not_is_octets() -> None:
    """An integer of JSON may be longer than MessagePack has."""
    assert shown(frames.BINARY, b"1" * 40, JSON)[1] == "bin"
    extension = msgspec.msgpack.encode(msgspec.msgpack.Ext(5, b"x"))
    assert shown(frames.TEXT, extension, MSGPACK)[1] == "base64"
    with pytest.raises(BodyTypeError):
        told(frames.BINARY, msgspec.Raw(extension), JSON, None)
    with pytest.raises(BodyTypeError):
        told(frames.TEXT, msgspec.Raw(b"1" * 40), MSGPACK, None)


@pytest.mark.parametrize(
    ("kind", "body", "content_type", "encoding"),
    [
        (frames.TEXT, b'"?"', None, "base64"),
        (frames.TEXT, b"1", None, "base64"),
        (frames.TEXT, b'"aGk="', None, "bin"),
        (frames.TEXT, b"1", OTHER, None),
        (frames.BINARY, b"\xa1a", None, "bin"),
        (frames.BINARY, b"\xc4\x01a", None, "base64"),
        (frames.BINARY, b"\xa1a", OTHER, None),
        (frames.BINARY, b"\xa1\xff", None, None),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(
    kind: frames.Kind, body: bytes, content_type: str | None, encoding: str | None
) -> None:
    """With what to send instead."""
    with pytest.raises(BodyTypeError):
        told(kind, msgspec.Raw(body), content_type, encoding)  # type: ignore[arg-type]  # as a peer might


def test_a_bin_of_another_content_type_needs_no_encoding() -> None:
    """In MessagePack it can be nothing else."""
    assert told(frames.BINARY, msgspec.Raw(b"\xc4\x01a"), OTHER, None) == (b"a", OTHER)
    assert told(frames.TEXT, msgspec.Raw(b"1"), None, None) == (b"1", JSON)


def test_content_types_of_json_are_known() -> None:
    """With parameters, and by their suffix."""
    assert is_json(JSON)
    assert is_json("Application/JSON; charset=utf-8")
    assert is_json("application/cloudevents+json")
    assert not is_json(OCTETS)
    assert not is_json(MSGPACK)
    assert not is_json("text/plain")


@given(st.binary(max_size=60), st.sampled_from([JSON, MSGPACK, OCTETS, "a+json"]))
def test_no_body_leaves_its_frame(body: bytes, content_type: str) -> None:
    """Whatever it is, what is sent beside it is read as it was."""
    for kind in KINDS:
        raw, encoding = shown(kind, body, content_type)
        data = kind.encode([{"a": 1, "body": raw, "b": 2}])
        decode = msgspec.msgpack.decode if kind.binary else msgspec.json.decode
        (found,) = decode(data)
        assert (found.pop("a"), found.pop("b")) == (1, 2)
        assert list(found) == ["body"]
        if encoding is not None:
            assert told(kind, raw, content_type, encoding) == (body, content_type)


@pytest.mark.parametrize(
    ("kind", "body", "content_type"),
    [
        (frames.TEXT, msgspec.msgpack.encode([False] * 1_000_000), MSGPACK),
        (frames.BINARY, b"[" + b",".join([b"0.5"] * 250_000) + b"]", JSON),
    ],
)
def test_what_no_frame_could_carry_once_converted_is_octets(
    kind: frames.Kind, body: bytes, content_type: str
) -> None:
    """Else a message as large as any would end each connection that is sent it."""
    shown_as, encoding = shown(kind, body, content_type)
    assert encoding == ("base64" if kind is frames.TEXT else "bin")
    assert len(bytes(shown_as)) < FRAME_BYTES_MAX


@pytest.mark.parametrize("depth", [400, 900])
def test_a_value_leaves_its_reader_room_or_is_octets(depth: int) -> None:
    """Wherever on its stack it decodes."""
    packed = b"\x91" * depth + b"\x01"
    text = b"[" * depth + b"1" + b"]" * depth
    fits = depth == 400
    for kind, body, content_type in (
        (frames.TEXT, text, JSON),
        (frames.TEXT, packed, MSGPACK),
        (frames.BINARY, packed, MSGPACK),
        (frames.BINARY, text, JSON),
    ):
        assert (shown(kind, body, content_type)[1] is None) is fits
