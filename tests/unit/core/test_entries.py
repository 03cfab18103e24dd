"""Entries: what is opened is what was sealed, or nothing is."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from bus.core.decision import Decision, Hold, Rate
from bus.core.entries import (
    SEQUENCE_BITS,
    SEQUENCE_MAX,
    STREAMS_IDS_MAX,
    Entry,
    Sealer,
    key_of,
)
from bus.core.errors import StoreBrokenError
from bus.core.message import Message
from bus.core.stamp import STAMP_BYTES, KeyRing
from bus.core.storelimits import DECISIONS_ENCODED_MAX
from tests.fakes.messages import full, messages

KEY = bytes(range(32))
OTHER = bytes(range(1, 65))
RING = KeyRing({1: KEY}, active=1)
TURNED = KeyRing({1: KEY, 2: OTHER}, active=2)
PLAIN = Decision(allow=True, reasons=(), revision="r1", digest="d")
ALL = Decision(
    allow=True,
    reasons=("because", "and so"),
    revision="r2",
    digest="e",
    obligations=({"kind": "redact", "headers": ["a"]},),
    body_bytes_max=17,
    depth_max=3,
    ttl_ns=9,
    redact_headers=frozenset({"secret", "token"}),
    rates=(Rate("agent", 1.5, 7), Rate("tenant", 2.0, 1)),
    hold=Hold("look at it", 60),
    audit_full=True,
    action="request",
    fault="deadline",
    id="decision-1",
)
PLACE = key_of(3, 7)


def sealed(**changes: Any) -> bytes:
    """Return the sealed entry of a message at PLACE."""
    return Sealer(RING).close(PLACE, full(**changes), ALL, (4, 5))


@given(
    messages,
    st.sampled_from([PLAIN, ALL]),
    st.integers(0, STREAMS_IDS_MAX),
    st.integers(0, SEQUENCE_MAX),
    st.lists(st.integers(0, 1 << 60), max_size=3).map(tuple),
)
def test_what_is_opened_is_what_was_sealed(
    message: Message,
    decision: Decision,
    stream: int,
    sequence: int,
    plan: tuple[int, ...],
) -> None:
    """Every field of message, decision and plan, by a sealer that never saw them."""
    key = key_of(stream, sequence)
    data = Sealer(RING).close(key, message, decision, plan)
    entry = Sealer(RING).open(key, data)
    assert entry == Entry(key, message, decision, plan)
    assert (entry.stream, entry.sequence) == (stream, sequence)


def test_keys_are_positive_numbers_of_63_bits_in_the_order_of_their_places() -> None:
    """A store may keep them as its own kind of integer."""
    highest = key_of(STREAMS_IDS_MAX, SEQUENCE_MAX)
    assert highest == (1 << 63) - 1
    assert key_of(1, SEQUENCE_MAX) < key_of(2, 0)
    assert key_of(0, 1) == 1
    assert key_of(1, 0) == 1 << SEQUENCE_BITS


def test_the_full_decision_has_no_field_at_its_default() -> None:
    """The test above would pass over a field that is left out."""
    for field in msgspec.structs.fields(Decision):
        if field.name not in {"allow", "cached"}:
            assert getattr(ALL, field.name) != field.default, field.name


def test_whether_a_decision_was_cached_is_not_kept() -> None:
    """It says how it was had, not what it is; two such entries share what is kept."""
    cached = msgspec.structs.replace(ALL, cached=True)
    sealer = Sealer(RING)
    data = sealer.close(PLACE, full(), cached, ())
    assert data == sealer.close(PLACE, full(), ALL, ())
    assert sealer.open(PLACE, data).decision == ALL


def test_a_decision_that_denied_is_told_apart() -> None:
    """`plain` is made anew, not read: what denied never comes back as plain."""
    denied = Decision(allow=False, reasons=("no",), revision="r", digest="d")
    data = Sealer(RING).close(PLACE, full(), denied, ())
    opened = Sealer(RING).open(PLACE, data).decision
    assert (opened.allow, opened.plain) == (False, False)


def test_any_bit_flipped_is_seen() -> None:
    """There is no bit of an entry that its seal leaves out."""
    data = sealed()
    sealer = Sealer(RING)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoreBrokenError, match="entry 3/7"):
            sealer.open(PLACE, bytes(flipped))


def test_any_cut_is_seen() -> None:
    """At the end or at the beginning, down to nothing at all."""
    data = sealed()
    sealer = Sealer(RING)
    for length in range(len(data)):
        with pytest.raises(StoreBrokenError, match="entry 3/7"):
            sealer.open(PLACE, data[:length])
        with pytest.raises(StoreBrokenError, match="entry 3/7"):
            sealer.open(PLACE, data[len(data) - length :])
    with pytest.raises(StoreBrokenError):
        sealer.open(PLACE, data + b"\0")


def test_an_entry_that_was_moved_is_seen() -> None:
    """It names the key that it was kept under."""
    with pytest.raises(StoreBrokenError, match="entry 3/8 is the one of 3/7"):
        Sealer(RING).open(PLACE + 1, sealed())


def test_parts_of_two_entries_make_none() -> None:
    """The seal is over the whole: a body cannot come under another's decision."""
    one, two = sealed(body=b"1" * 9), sealed(body=b"2" * 9)
    assert len(one) == len(two)
    with pytest.raises(StoreBrokenError, match="was changed"):
        Sealer(RING).open(PLACE, one[:-STAMP_BYTES] + two[-STAMP_BYTES:])


def test_a_key_that_was_taken_out_opens_nothing() -> None:
    """It is said which; with it in the ring, old and new entries open."""
    data = Sealer(TURNED).close(PLACE, full(), PLAIN, ())
    with pytest.raises(StoreBrokenError, match="stamp key 2 is not in the ring"):
        Sealer(RING).open(PLACE, data)
    turned = Sealer(TURNED)
    assert turned.open(PLACE, sealed()) == Sealer(RING).open(PLACE, sealed())
    assert turned.open(PLACE, data).message == full()


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x94\x01\x02\x03\x04", b"\x90", b"x"])
def test_what_is_signed_and_no_entry_is_seen(data: bytes) -> None:
    """Other bytes of the bus's own, put in the place of an entry."""
    with pytest.raises(StoreBrokenError, match="entry 3/7"):
        Sealer(RING).open(PLACE, data + RING.sign(data))


def test_what_was_just_stamped_is_sealed_like_any_other() -> None:
    """The seal goes on from the stamp's hash, once; the bytes are the same."""
    ring = KeyRing({1: KEY}, active=1)
    sealer, message = Sealer(ring), msgspec.structs.replace(full(), stamp=b"")
    ring.seal(message)
    other = msgspec.structs.replace(full(), stamp=b"", body=b"another")
    plain = Sealer(RING).close(PLACE, message, ALL, (4,))
    assert sealer.close(PLACE, message, ALL, (4,)) == plain
    assert sealer.close(PLACE, message, ALL, (4,)) == plain
    ring.seal(message)
    ring.seal(other)
    assert sealer.close(PLACE, message, ALL, (4,)) == plain
    assert sealer.open(PLACE, plain) == Entry(PLACE, message, ALL, (4,))
    ring.verify(message)


def test_an_entry_of_the_first_version_is_opened() -> None:
    """It is one array that begins with its key."""
    decision = {"allow": True, "reasons": (), "revision": "r1", "digest": "d"}
    data = msgspec.msgpack.encode((PLACE, full(), decision, (4, 5)))
    opened = Sealer(RING).open(PLACE, data + RING.sign(data))
    assert opened == Entry(PLACE, full(), opened.decision, (4, 5))
    assert opened.decision.digest == "d"
    with pytest.raises(StoreBrokenError, match="entry 3/8 is the one of 3/7"):
        Sealer(RING).open(PLACE + 1, data + RING.sign(data))


def test_a_decision_is_encoded_and_decoded_once() -> None:
    """Messages under one decision share it when they are read back."""
    sealer = Sealer(RING)
    data = [sealer.close(PLACE + n, full(), ALL, ()) for n in range(3)]
    again = msgspec.structs.replace(ALL)
    data.append(sealer.close(PLACE + 3, full(), again, ()))
    opened = [sealer.open(PLACE + n, one).decision for n, one in enumerate(data)]
    assert all(decision is opened[0] for decision in opened)


def test_decisions_that_are_kept_are_bounded() -> None:
    """More of them than are kept are sealed and opened all the same."""
    sealer = Sealer(RING)
    decisions = [
        msgspec.structs.replace(PLAIN, revision=f"r{n}")
        for n in range(DECISIONS_ENCODED_MAX + 2)
    ]
    data = [sealer.close(n, full(), d, ()) for n, d in enumerate(decisions)]
    for n, decision in enumerate(decisions):
        assert sealer.open(n, data[n]).decision == decision
    assert sealer.close(0, full(), decisions[0], ()) == data[0]
    assert sealer.open(0, data[0]).decision == decisions[0]
