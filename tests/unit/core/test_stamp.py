"""The stamp: what it covers, what it refuses, and that it tells nobody a key."""

import gc
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bus.core import codec
from bus.core.errors import (
    KeyRingError,
    MalformedMessageError,
    ProtocolError,
    StampMismatchError,
    UnknownKeyError,
)
from bus.core.limits import KEYS_MAX
from bus.core.message import Message
from bus.core.stamp import KEY_BYTES_MAX, KEY_BYTES_MIN, STAMP_BYTES, KeyRing
from tests.fakes.messages import COVERED, FULL, changed, full, messages

KEY = bytes(range(32))
OTHER = bytes(range(1, 65))
RING = KeyRing({1: KEY}, active=1)
TURNED = KeyRing({1: KEY, 2: OTHER}, active=2)
OVERSIZED_INT = 1 << 64


def sealed(ring: KeyRing = RING, **changes: Any) -> Message:
    """Return a new stamped message."""
    message = full(**changes)
    ring.seal(message)
    return message


def bit_flips(value: object) -> list[object]:
    """Return every value one bit away from a field's value, and None where it can be."""
    if isinstance(value, bytes):
        number = int.from_bytes(value, "big")
        bits = range(8 * len(value))
        return [(number ^ 1 << bit).to_bytes(len(value), "big") for bit in bits]
    if isinstance(value, int):
        return [value ^ 1 << bit for bit in range(63)]
    if isinstance(value, str):
        flipped = (v for v in bit_flips(value.encode()) if isinstance(v, bytes))
        return [v.decode() for v in flipped if _is_text(v)]
    if isinstance(value, tuple):
        (text,) = value
        return [*((other,) for other in bit_flips(text)), (), (text, text)]
    assert isinstance(value, dict)
    ((name, text),) = value.items()
    return [
        *({name: other} for other in bit_flips(text)),
        *({other: text} for other in bit_flips(name)),
        {},
    ]


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(messages)
def test_a_sealed_message_verifies(message: Message) -> None:
    """Whatever the fields hold, a stamp made here holds here."""
    RING.seal(message)
    RING.verify(message)
    assert len(message.stamp) == STAMP_BYTES


@pytest.mark.parametrize("field", COVERED)
def test_any_bit_flipped_in_a_covered_field_is_seen(field: str) -> None:
    """There is no bit of any field that the stamp leaves out."""
    message = sealed()
    others = bit_flips(getattr(message, field))
    assert len(others) > 1
    for other in others:
        with pytest.raises(StampMismatchError):
            RING.verify(changed(message, **{field: other}))


def test_any_bit_flipped_in_the_stamp_is_seen() -> None:
    """A changed digest does not match, a changed key id names no key."""
    message = sealed()
    flips = bit_flips(message.stamp)
    for bit, other in enumerate(reversed(flips)):
        expected = UnknownKeyError if bit < 32 else StampMismatchError
        with pytest.raises(expected):
            RING.verify(changed(message, stamp=other))
    assert len(flips) == 8 * STAMP_BYTES


@given(messages, messages)
def test_a_stamp_fits_one_message_only(one: Message, two: Message) -> None:
    """A stamp moved to another message does not hold."""
    if one == two:
        return
    RING.seal(one)
    with pytest.raises(StampMismatchError):
        RING.verify(changed(two, stamp=one.stamp))


@given(st.text(max_size=8), st.text(min_size=1, max_size=8))
def test_bytes_moved_between_fields_are_seen(left: str, right: str) -> None:
    """Fields are framed: (`ab`, `c`) and (`a`, `bc`) have different stamps."""
    message = sealed(tenant=left, sender=right)
    moved = changed(message, tenant=left + right[0], sender=right[1:])
    with pytest.raises(StampMismatchError):
        RING.verify(moved)


@given(st.integers(0, 8 * 400))
def test_any_bit_flipped_in_a_frame_is_refused_or_harmless(bit: int) -> None:
    """A frame changed on its way does not decode, or its stamp does not hold.

    Harmless is a frame that decodes to the same message: the stamp is over values.
    """
    message = sealed()
    frame = codec.encode(message)
    bit %= 8 * len(frame)
    number = int.from_bytes(frame, "big") ^ 1 << bit
    try:
        received = codec.decode(number.to_bytes(len(frame), "big"))
        RING.verify(received)
    except ProtocolError:
        return
    assert received == message


def test_a_message_may_be_sealed_again() -> None:
    """A copy that carries the stamp of its original gets one of its own."""
    message = sealed()
    copy = changed(message, body=b"redacted")
    RING.seal(copy)
    RING.verify(copy)
    assert copy.stamp != message.stamp


def test_the_key_id_is_in_the_stamp() -> None:
    """The first four bytes name the key, big-endian."""
    assert sealed(TURNED).stamp[:4] == b"\0\0\0\2"


def test_rotation_has_no_gap() -> None:
    """With the old key still in the ring, old messages verify and new use the new key."""
    TURNED.verify(sealed(RING))
    TURNED.verify(sealed(TURNED))
    assert (RING.active, TURNED.active) == (1, 2)


def test_a_key_taken_out_no_longer_verifies() -> None:
    """A stamp under a key that is not in the ring has an error of its own."""
    with pytest.raises(UnknownKeyError, match="stamp key 2 is not in the ring"):
        RING.verify(sealed(TURNED))


def test_the_same_key_under_another_id_is_another_key() -> None:
    """A stamp cannot be moved to another key id."""
    both = KeyRing({1: KEY, 2: OTHER}, active=1)
    message = sealed(both)
    with pytest.raises(StampMismatchError):
        both.verify(changed(message, stamp=b"\0\0\0\2" + message.stamp[4:]))


@pytest.mark.parametrize(
    "stamp", [b"", bytes(19), bytes(21), None, "x" * 20, [1] * 20, bytearray(20), 7]
)
def test_what_is_no_stamp_is_refused(stamp: Any) -> None:
    """Neither the length nor the type of a stamp leads to another exception."""
    with pytest.raises(StampMismatchError, match="no stamp"):
        RING.verify(full(stamp=stamp))


@pytest.mark.parametrize("field", COVERED)
@pytest.mark.parametrize("odd", [object(), OVERSIZED_INT, "\ud800", 1 + 2j])
def test_a_field_that_cannot_be_encoded_is_a_typed_error(field: str, odd: Any) -> None:
    """Odd values in any field end a seal and a check with the errors of the bus."""
    with pytest.raises(MalformedMessageError):
        RING.seal(full(**{field: odd}))
    with pytest.raises(StampMismatchError):
        RING.verify(changed(sealed(), **{field: odd}))


def test_a_value_nested_without_end_is_a_typed_error() -> None:
    """A header that contains itself does not end in a RecursionError."""
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(MalformedMessageError):
        RING.seal(full(headers=loop))


@pytest.mark.parametrize("length", [KEY_BYTES_MIN, KEY_BYTES_MAX])
def test_keys_at_the_bounds_are_taken(length: int) -> None:
    """32 and 64 bytes make a key, and so do the smallest and the largest id."""
    for key_id in (0, (1 << 32) - 1):
        ring = KeyRing({key_id: bytes(length)}, active=key_id)
        ring.verify(sealed(ring))


def _keys(count: int) -> dict[int, bytes]:
    return {n: n.to_bytes(32, "big") for n in range(count)}


def test_as_many_keys_as_allowed_are_taken() -> None:
    """The bound itself is allowed."""
    ring = KeyRing(_keys(KEYS_MAX), active=KEYS_MAX - 1)
    assert repr(ring) == f"KeyRing({KEYS_MAX} keys, active={KEYS_MAX - 1})"


@pytest.mark.parametrize(
    ("keys", "active", "reason"),
    [
        ({}, 1, "0 stamp keys"),
        (_keys(KEYS_MAX + 1), 1, "1 to 64 are needed"),
        ({1: KEY}, 2, "active stamp key is not in the ring"),
        ({-1: KEY}, -1, "not a number in 0"),
        ({1 << 32: KEY}, 1 << 32, "not a number in 0"),
        ({"1": KEY}, "1", "not a number in 0"),
        ({True: KEY}, True, "not a number in 0"),
        ({1: KEY.hex()}, 1, "is str; bytes are needed"),
        ({1: KEY[:-1]}, 1, "stamp key 1 has 31 bytes"),
        ({1: bytes(65)}, 1, "stamp key 1 has 65 bytes"),
        ({1: KEY, 2: KEY}, 1, "under two ids"),
    ],
)
def test_a_ring_that_cannot_work_is_refused(
    keys: Any, active: Any, reason: str
) -> None:
    """Every fault of a ring is found when it is made, and said without the key."""
    with pytest.raises(KeyRingError, match=reason) as caught:
        KeyRing(keys, active)
    assert KEY.hex() not in str(caught.value)


@given(st.binary(max_size=300))
def test_what_was_signed_is_known_again(data: bytes) -> None:
    """Bytes of the bus's own carry a stamp like messages do, under the active key."""
    for ring in (RING, TURNED):
        stamp = ring.sign(data)
        assert len(stamp) == STAMP_BYTES
        assert stamp[:4] == ring.active.to_bytes(4, "big")
        assert ring.signed(data, stamp)
    assert TURNED.signed(data, RING.sign(data))


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_a_stamp_over_bytes_fits_no_others(one: bytes, two: bytes) -> None:
    """Neither other bytes nor the same ones under another key."""
    assert RING.signed(two, RING.sign(one)) is (one == two)
    moved = TURNED.prefix + RING.sign(one)[4:]
    assert not TURNED.signed(one, moved)


def test_any_bit_flipped_in_signed_bytes_or_their_stamp_is_seen() -> None:
    """A changed digest does not match, a changed key id names no key."""
    data = b"bytes of the bus's own"
    stamp = RING.sign(data)
    for other in bit_flips(data):
        assert isinstance(other, bytes)
        assert not RING.signed(other, stamp)
    for bit, other in enumerate(reversed(bit_flips(stamp))):
        assert isinstance(other, bytes)
        if bit < 32:
            with pytest.raises(UnknownKeyError, match="not in the ring"):
                RING.signed(data, other)
        else:
            assert not RING.signed(data, other)


@pytest.mark.parametrize("length", range(STAMP_BYTES))
def test_a_stamp_over_bytes_that_was_cut_does_not_hold(length: int) -> None:
    """Without its key id it names none; with it, it does not match."""
    stamp = RING.sign(b"data")[:length]
    if length < 4:
        with pytest.raises(UnknownKeyError):
            RING.signed(b"data", stamp)
    else:
        assert not RING.signed(b"data", stamp)


def test_bytes_under_a_key_taken_out_have_an_error_of_their_own() -> None:
    """The key is named, as for a message."""
    with pytest.raises(UnknownKeyError, match="stamp key 2 is not in the ring"):
        RING.signed(b"data", TURNED.sign(b"data"))


def test_the_stamp_of_a_message_is_none_over_its_encoding() -> None:
    """A stamped message cannot be passed off as bytes that the bus has signed."""
    message = sealed()
    assert not RING.signed(codec.encode(message), message.stamp)
    assert not RING.signed(codec.encode(changed(message, stamp=b"")), message.stamp)


def test_no_object_behind_a_ring_shows_its_key() -> None:
    """The ring keeps hash states only: no repr of what it refers to contains a key."""
    key = b"a key that is easy to find again"
    ring = KeyRing({7: key}, active=7)
    behind = [ring, *gc.get_referents(ring)]
    behind += [inner for outer in behind[1:] for inner in gc.get_referents(outer)]
    shown = " ".join(repr(one) for one in behind)
    assert "easy to find" not in shown
    assert key.hex() not in shown


def test_the_full_message_has_no_field_at_its_default() -> None:
    """The tests above would pass over a field that is empty."""
    defaults = dict(
        zip(reversed(COVERED), reversed(Message.__struct_defaults__[:-1]), strict=False)
    )
    for field in COVERED:
        assert getattr(FULL, field) != defaults.get(field)
