"""The validator: hash, stamp and expiry, in that order, each with its own error."""

import ast
import hmac
import inspect
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bus.core import codec
from bus.core.errors import (
    ConstitutionalError,
    ConstitutionError,
    HashMismatchError,
    MalformedMessageError,
    MessageExpiredError,
    ProtocolError,
    StampMismatchError,
    UnknownKeyError,
)
from bus.core.message import Message
from bus.core.stamp import KeyRing
from bus.ports import Validator
from policy import compliance, keys
from policy.compliance import ComplianceValidator
from tests.fakes.messages import COVERED, FIELDS, HASH, NOW_NS, changed, full, messages

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
OLD_RING = KeyRing({1: OLD}, active=1)
RING = KeyRing({1: OLD, 2: NEW}, active=2)
VALIDATOR = ComplianceValidator(HASH, RING)
OTHER_HASH = HASH[::-1]


def sealed(by: Validator = VALIDATOR, **changes: Any) -> Message:
    """Return a new message with a stamp."""
    message = full(**changes)
    by.seal(message)
    return message


@given(messages)
def test_what_was_sealed_here_checks_here(message: Message) -> None:
    """Any message of this constitution passes until it expires."""
    message = changed(message, constitution=HASH, expires_ns=None)
    VALIDATOR.seal(message)
    VALIDATOR.check(message, NOW_NS)
    VALIDATOR.check(codec.decode(codec.encode(message)), NOW_NS)


@given(
    st.sampled_from(COVERED),
    st.integers(min_value=0),
    st.binary(max_size=40),
    st.data(),
)
def test_a_flipped_bit_in_any_covered_field_fails_the_check(
    field: str, bit: int, body: bytes, data: st.DataObject
) -> None:
    """For random messages too: the hash is refused by name, all else by the stamp."""
    message = changed(data.draw(messages), constitution=HASH, body=body + b"!")
    VALIDATOR.seal(message)
    value = getattr(message, field)
    expected = HashMismatchError if field == "constitution" else StampMismatchError
    with pytest.raises(expected):
        VALIDATOR.check(changed(message, **{field: _flip(value, bit)}), NOW_NS)


def _flip(value: object, bit: int) -> object:
    """Return a value of the same type that differs in one bit, or in being there."""
    if isinstance(value, bytes) and value:
        bit %= 8 * len(value)
        return (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")
    if isinstance(value, int):
        return value ^ 1 << bit % 63
    if isinstance(value, str) and value:
        at = bit % len(value)
        return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    if isinstance(value, dict) and value:
        name = list(value)[bit % len(value)]
        return {**value, name: value[name] + "\x01"}
    return _something(value)


def _something(nothing: object) -> object:
    """Return a value of the type of an empty one; of a None, a string."""
    if isinstance(nothing, dict):
        return {"a": ""}
    return b"\0" if isinstance(nothing, bytes) else "\0"


def test_the_wrong_hash_has_an_error_of_its_own() -> None:
    """A message of another constitution says which one it names."""
    other = ComplianceValidator(OTHER_HASH, RING)
    with pytest.raises(HashMismatchError) as caught:
        VALIDATOR.check(sealed(other, constitution=OTHER_HASH), NOW_NS)
    assert caught.value.actual == OTHER_HASH
    assert caught.value.expected == VALIDATOR.constitution == HASH


def test_an_unknown_key_has_an_error_of_its_own() -> None:
    """A key that is not in the ring is told from a changed message."""
    with pytest.raises(UnknownKeyError, match="stamp key 2"):
        ComplianceValidator(HASH, OLD_RING).check(sealed(), NOW_NS)


def test_a_stamp_under_an_older_key_of_the_ring_holds() -> None:
    """Rotation leaves no message behind."""
    VALIDATOR.check(sealed(ComplianceValidator(HASH, OLD_RING)), NOW_NS)


def test_a_changed_message_under_an_older_key_is_refused() -> None:
    """The slower path is no weaker than the fast one."""
    message = sealed(ComplianceValidator(HASH, OLD_RING))
    with pytest.raises(StampMismatchError):
        VALIDATOR.check(changed(message, body=b"other"), NOW_NS)


@pytest.mark.parametrize("expires_ns", [0, 1, NOW_NS])
def test_an_expired_message_has_an_error_of_its_own(expires_ns: int) -> None:
    """At its expiry, not only after it, a message's time is over."""
    message = sealed(expires_ns=expires_ns)
    with pytest.raises(MessageExpiredError, match=message.id.hex()):
        VALIDATOR.check(message, NOW_NS)
    if expires_ns:
        VALIDATOR.check(message, expires_ns - 1)


def test_a_message_without_expiry_does_not_expire() -> None:
    """None means never."""
    VALIDATOR.check(sealed(expires_ns=None), 1 << 62)


def test_hash_comes_before_stamp_and_stamp_before_expiry() -> None:
    """A message with every fault is refused for the first."""
    faulty = full(constitution=OTHER_HASH, expires_ns=1, stamp=bytes(20))
    with pytest.raises(HashMismatchError):
        VALIDATOR.check(faulty, NOW_NS)
    with pytest.raises(UnknownKeyError):
        VALIDATOR.check(changed(faulty, constitution=HASH), NOW_NS)
    with pytest.raises(StampMismatchError):
        VALIDATOR.check(changed(sealed(), expires_ns=1), NOW_NS)


@pytest.mark.parametrize("odd", ["soon", 1.5e300, float("nan"), True, b"", [], {}])
def test_an_expiry_that_is_no_integer_never_passes(odd: Any) -> None:
    """Not even a NaN, to which no time compares, and not even if it was stamped."""
    with pytest.raises(StampMismatchError, match="expiry is"):
        VALIDATOR.check(sealed(expires_ns=odd), NOW_NS)


ODD = [None, 7, 1 << 64, 1.5, "x", "\ud800", b"x", [1], {"a": object()}, object()]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_a_wrong_type_in_any_field_is_a_constitutional_error(
    field: str, odd: Any
) -> None:
    """No field can make the check raise anything else, or pass."""
    message = sealed(expires_ns=None)
    if getattr(message, field) == odd:
        VALIDATOR.check(message, NOW_NS)
        return
    with pytest.raises(ConstitutionalError):
        VALIDATOR.check(changed(message, **{field: odd}), NOW_NS)


@pytest.mark.parametrize("field", COVERED)
def test_a_field_that_cannot_be_encoded_is_not_sealed(field: str) -> None:
    """A message that cannot be stamped gets a typed error and no stamp."""
    message = full(**{field: object()})
    with pytest.raises(MalformedMessageError):
        VALIDATOR.seal(message)
    assert message.stamp == b""


def test_a_frame_cut_or_extended_never_passes() -> None:
    """From decoding to checking there is no way through for a changed frame."""
    frame = codec.encode(sealed())
    frames = [frame[:n] for n in range(len(frame))]
    frames += [frame + bytes(n) for n in range(1, 40)]
    for other in frames:
        with pytest.raises(ProtocolError):
            VALIDATOR.check(codec.decode(other), NOW_NS)


@pytest.mark.parametrize(
    "bad", ["", "0" * 15, "0" * 17, "A" * 16, HASH + "\n", "g" * 16]
)
def test_a_hash_that_is_none_is_refused_at_construction(bad: str) -> None:
    """A validator that nothing could satisfy does not start."""
    with pytest.raises(ConstitutionError, match="16 digits"):
        ComplianceValidator(bad, RING)


def test_the_stamp_is_compared_in_constant_time() -> None:
    """The digest meets the stamp in `hmac.compare_digest` and in no `==`."""
    tree = ast.parse(inspect.getsource(compliance))
    compared = [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Compare)]
    assert not [text for text in compared if "digest" in text or "stamp" in text]
    assert vars(compliance)["same"] is hmac.compare_digest


# Defects reproduced in an existing system of this kind, one test each.


def test_seen_the_hash_is_no_default_of_its_own_field() -> None:
    """There the public hash was the field's default; here a hash alone lets nobody in."""
    with pytest.raises(TypeError, match="constitution"):
        Message(bytes(16), "a", "event", 1, "t", "s", "c", b"", 1)  # type: ignore[call-arg]  # the test is that it fails
    with pytest.raises(StampMismatchError, match="no stamp"):
        VALIDATOR.check(full(), NOW_NS)


def test_seen_the_body_is_covered_by_the_stamp() -> None:
    """There a body could be changed on its way; here it cannot."""
    with pytest.raises(StampMismatchError):
        VALIDATOR.check(changed(sealed(), body=b'{"a":2}'), NOW_NS)


def test_seen_the_incoming_hash_is_not_ignored() -> None:
    """There decoding put the expected hash in; here the sender's is what is checked."""
    other = ComplianceValidator(OTHER_HASH, RING)
    frame = codec.encode(sealed(other, constitution=OTHER_HASH))
    received = codec.decode(frame)
    assert received.constitution == OTHER_HASH
    with pytest.raises(HashMismatchError):
        VALIDATOR.check(received, NOW_NS)


def test_seen_a_spoofed_sender_does_not_pass() -> None:
    """There a sender could be spoofed; here sender and tenant are under the stamp."""
    for field, value in (("sender", "admin"), ("tenant", "rival")):
        with pytest.raises(StampMismatchError):
            VALIDATOR.check(changed(sealed(), **{field: value}), NOW_NS)


def test_seen_expiry_is_read() -> None:
    """There expiry was never read; here it ends a message, and cannot be moved."""
    message = sealed(expires_ns=NOW_NS)
    with pytest.raises(MessageExpiredError):
        VALIDATOR.check(message, NOW_NS)
    with pytest.raises(StampMismatchError):
        VALIDATOR.check(changed(message, expires_ns=NOW_NS + 10), NOW_NS)


def test_seen_a_public_constant_is_no_key() -> None:
    """There knowing the constant was enough; here a foreign key with a known id fails."""
    stranger = ComplianceValidator(HASH, KeyRing({2: OLD}, active=2))
    with pytest.raises(StampMismatchError):
        VALIDATOR.check(sealed(stranger), NOW_NS)
    with pytest.raises(StampMismatchError):
        ComplianceValidator(HASH, keys.generate()).check(
            sealed(ComplianceValidator(HASH, keys.generate())), NOW_NS
        )
