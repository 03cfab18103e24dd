"""Frames from anywhere: decoded or refused by name, and accepted only as stamped."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from bus.core import codec
from bus.core.errors import BodyTypeError, ConstitutionalError, ProtocolError
from bus.core.message import MSGPACK, Message
from policy import constitution, keys
from policy.compliance import ComplianceValidator
from tests.fakes.messages import NOW_NS, full, messages

VALIDATOR = ComplianceValidator(constitution.BUILT_IN.hash, keys.generate())
MANY = settings(max_examples=300, deadline=None)


def sealed(**changes: Any) -> Message:
    """Return a message that passes: every field set, stamped, not expired."""
    message = full(
        constitution=VALIDATOR.constitution, expires_ns=NOW_NS + 10**9, **changes
    )
    VALIDATOR.seal(message)
    return message


GOOD = sealed()
FRAME = codec.encode(GOOD)


def accepted(frame: bytes) -> Message | None:
    """Return the message of a frame that passes, or None if it is refused properly."""
    try:
        message = codec.decode(frame)
        VALIDATOR.check(message, NOW_NS)
    except ProtocolError:
        return None
    return message


def test_the_good_frame_passes() -> None:
    """Without it nothing below would mean anything."""
    assert accepted(FRAME) == GOOD


@MANY
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(frame: bytes) -> None:
    """No accident makes a stamped message."""
    assert accepted(frame) is None


@MANY
@given(st.integers(0, len(FRAME) - 1), st.integers(1, 255))
def test_a_frame_with_a_changed_byte_is_refused(place: int, change: int) -> None:
    """Each byte counts: the stamp covers the encoding."""
    broken = bytearray(FRAME)
    broken[place] ^= change
    assert accepted(bytes(broken)) is None


@MANY
@given(st.integers(0, len(FRAME) - 1), st.binary(min_size=1, max_size=8))
def test_a_frame_with_bytes_put_in_is_refused(place: int, extra: bytes) -> None:
    """Nor can anything be put in or added."""
    assert accepted(FRAME[:place] + extra + FRAME[place:]) is None
    assert accepted(FRAME + extra) is None


@MANY
@given(st.integers(0, len(FRAME) - 1), st.integers(1, 40))
def test_a_frame_with_bytes_taken_out_is_refused(place: int, count: int) -> None:
    """Nor can anything be left out."""
    assert accepted(FRAME[:place] + FRAME[place + count :]) is None


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=24),
    lambda inner: (
        st.lists(inner, max_size=22) | st.dictionaries(st.text(max_size=5), inner)
    ),
    max_leaves=25,
)


@MANY
@given(values)
def test_any_value_on_the_wire_is_refused(value: object) -> None:
    """Well-formed MessagePack that is no message, or is not stamped."""
    assert accepted(msgspec.msgpack.encode(value)) is None


@MANY
@given(st.integers(0, 19), values)
def test_a_field_of_any_other_value_is_refused(place: int, value: object) -> None:
    """A good frame with one field replaced, whatever its type."""
    fields: list[Any] = msgspec.msgpack.decode(FRAME)
    if fields[place] == value and type(fields[place]) is type(value):
        return
    fields[place] = value
    assert accepted(msgspec.msgpack.encode(fields)) is None


@MANY
@given(messages)
def test_a_message_nobody_stamped_is_refused(message: Message) -> None:
    """It decodes, and does not pass."""
    decoded = codec.decode(codec.encode(message))
    assert decoded == message
    with pytest.raises(ConstitutionalError):
        VALIDATOR.check(decoded, NOW_NS)


@MANY
@given(messages)
def test_a_stamp_of_another_key_is_refused(message: Message) -> None:
    """Even under the right constitution."""
    other = ComplianceValidator(VALIDATOR.constitution, keys.generate())
    forged = msgspec.structs.replace(
        message, constitution=VALIDATOR.constitution, expires_ns=None
    )
    other.seal(forged)
    with pytest.raises(ConstitutionalError):
        VALIDATOR.check(forged, NOW_NS)


@MANY
@given(st.binary(max_size=100), st.sampled_from(["msgpack", "json", "octet-stream"]))
def test_any_body_decodes_or_is_refused_by_name(body: bytes, kind: str) -> None:
    """Whatever bytes, whatever content type, whatever type is wanted."""
    message = sealed(body=body, content_type=f"application/{kind}")
    for wanted in (int, str, dict[str, int], list[float], Any, Message):
        decode = codec.decoder(wanted)
        try:
            decode(message)
        except BodyTypeError:
            continue


@pytest.mark.parametrize("depth", [100, 10_000, 200_000])
def test_deep_nesting_is_refused_and_does_not_crash(depth: int) -> None:
    """As a frame and as a body."""
    assert accepted(b"\x91" * depth) is None
    assert accepted(b"\x81\xa1a" * depth) is None
    message = sealed(body=b"\x91" * depth + b"\x01", content_type=MSGPACK)
    if depth > 1_000:
        with pytest.raises(BodyTypeError):
            codec.decoder(Any)(message)


def test_a_frame_past_the_bound_is_refused_unread() -> None:
    """Its length is looked at first."""
    assert accepted(bytes(codec.FRAME_BYTES_MAX + 1)) is None
