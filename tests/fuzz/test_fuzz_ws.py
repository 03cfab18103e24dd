"""Frames of the edge from anywhere: each is one of the protocol's objects, or refused.

Frames are made wrong in every way a seed finds: cut, changed, spliced, repeated, nested. What is accepted is written again and must be the same object, so
nothing is accepted for what it is not. For a million of them:
`pytest tests/fuzz/test_fuzz_ws.py --hypothesis-profile=deep --timeout=0`.
"""

import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from bus.core import clientframes as client, frames
from bus.core.errors import ProtocolError
from bus.core.frame import Frame
from bus.testing import TestBus
from tests.fakes.buses import new_bus
from tests.fakes.lines import Bench

DEEP: Final = settings.get_current_profile_name() == "deep"
FRAMES: Final = 1_000_000 if DEEP else 200_000
SESSIONS: Final = 2_000 if DEEP else 60
SEED: Final = 20_261_121

RAW: Final = msgspec.Raw
BODIES: Final = {
    frames.TEXT: RAW(b'{"a":[1,"x"]}'),
    frames.BINARY: RAW(b"\x81\xa1a\x01"),
}
KINDS: Final = [frames.TEXT, frames.BINARY]


def good(kind: frames.Kind) -> list[Frame]:
    """Return one of every frame that a client sends, with all that it may have."""
    body = BODIES[kind]
    return [
        client.Connect("token", "client", "resume"),
        client.Publish(1, "a.b", body),
        client.Publish(
            2,
            "a.b",
            body,
            "command",
            3,
            {"h": "v"},
            1.5,
            "a.c",
            "c",
            "d",
            "application/json",
            None,
            "k",
            "n",
            "2026-11-21T21:00:00Z",
            2.0,
            7,
        ),
        client.Request(3, "a.b", body, 1.0, {"h": "v"}),
        client.Subscribe(4, 1, "a.>", 10, "explicit", "q", "w", 5, 3, 1.0, [1.0, 2.0]),
        client.Credits(1, 5),
        client.Unsubscribe(5, 1, 0.5, forget=True),
        client.Ack(1, [1, 2, 3]),
        client.Nak(1, 1, 0.1),
        client.Term(1, 1, "why"),
        client.InProgress(1, 1),
        client.Reply(6, 1, 1, body),
        client.Ping(7),
    ]


class Damage:
    """Damages frames of a kind, as a seed says."""

    def __init__(self, kind: frames.Kind) -> None:
        self.chance = random.Random(SEED)  # noqa: S311 - the same every time
        self.whole = [frames.encode(kind, [frame]) for frame in good(kind)[1:]]
        self._kind = kind
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self.cut,
            *[self.change] * 3,
            *[self.splice] * 2,
            self.repeat,
            self.nest,
            bytes,  # not at all
        )

    def __call__(self) -> bytes:
        """Return a frame that may be damaged."""
        return self.chance.choice(self._ways)(self.chance.choice(self.whole))

    def cut(self, data: bytes) -> bytes:
        """End it early."""
        return data[: self._place(data)]

    def change(self, data: bytes) -> bytes:
        """Change a few bytes."""
        made = bytearray(data)
        for _ in range(self.chance.randint(1, 4)):
            made[self._place(made)] = self.chance.randrange(256)
        return bytes(made)

    def splice(self, data: bytes) -> bytes:
        """Go on with another one."""
        other = self.chance.choice(self.whole)
        return data[: self._place(data)] + other[self._place(other) :]

    def repeat(self, data: bytes) -> bytes:
        """Say a part of it many times."""
        start = self._place(data)
        part = data[start : start + 9] * self.chance.randint(2, 40)
        return data[:start] + part + data[start:]

    def nest(self, data: bytes) -> bytes:
        """Put it into arrays, deep."""
        depth = self.chance.randint(1, 2_000)
        if self._kind.binary:
            return b"\x91" * depth + data
        return b"[" * depth + data + b"]" * depth

    def _place(self, data: bytes | bytearray) -> int:
        return self.chance.randrange(len(data))


def accepted(kind: frames.Kind, data: bytes) -> list[Any] | None:
    """Return the objects of a frame, or None if it was refused by name."""
    try:
        return frames.from_client(kind, data)
    except ProtocolError:
        return None


def plain(items: list[Any]) -> list[Any]:
    """Return the objects with their bodies as bytes, which can be compared."""
    return [
        tuple(
            bytes(value) if isinstance(value, msgspec.Raw) else value
            for value in msgspec.structs.astuple(item)
        )
        for item in items
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_of_the_protocol_is_accepted_as_it_is(kind: frames.Kind) -> None:
    """Without it nothing below would mean anything."""
    whole = good(kind)
    assert {type(frame) for frame in whole} == set(client.FromClient.__args__)
    found = accepted(kind, frames.encode(kind, whole))
    assert found is not None
    assert plain(found) == plain(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_frames_are_refused_or_are_other_frames(kind: frames.Kind) -> None:
    """Never anything but a refusal by name, and never something that is no frame."""
    damage, refused = Damage(kind), 0
    for _ in range(FRAMES // len(KINDS)):
        found = accepted(kind, damage())
        if found is None:
            refused += 1
            continue
        assert {type(item) for item in found} <= set(client.FromClient.__args__)
        again = accepted(kind, frames.encode(kind, found))
        assert again is not None
        assert repr(plain(again)) == repr(plain(found))  # a NaN is not itself
    assert FRAMES // len(KINDS) // 2 < refused < FRAMES // len(KINDS)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(KINDS))
def test_random_bytes_are_refused_by_name(data: bytes, kind: frames.Kind) -> None:
    """No accident makes a frame."""
    assert accepted(kind, data) is None


JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS: Final = sorted(
    {name for frame in good(frames.TEXT) for name in frame.__struct_fields__}
)
OPS: Final = sorted(str(t.__struct_config__.tag) for t in client.FromClient.__args__)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(OPS),
    st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=6),
    st.sampled_from(KINDS),
)
def test_fields_of_any_value_are_taken_as_declared_or_refused(
    op: str, fields: dict[str, Any], kind: frames.Kind
) -> None:
    """A type that does not fit is never let through."""
    encode = msgspec.msgpack.encode if kind.binary else msgspec.json.encode
    try:
        data = encode({"op": op, **fields})
    except (OverflowError, UnicodeEncodeError):
        return  # not a value of that kind at all
    found = accepted(kind, data)
    if found is not None:
        (item,) = found
        assert item.__struct_config__.tag == op


@pytest.fixture
async def bus() -> AsyncIterator[TestBus]:
    """A bus that runs."""
    made = new_bus()
    async with made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
async def test_a_session_survives_whatever_is_sent_to_it(
    bus: TestBus, kind: frames.Kind
) -> None:
    """It answers or closes with a code for the peer's fault, and nothing is left over."""
    damage = Damage(kind)
    chance = damage.chance
    async with Bench(bus, bus.clock).running() as bench:
        for _ in range(SESSIONS):
            line = bench.line("worker", kind=kind)
            for _ in range(12):
                whole = chance.choice(damage.whole)
                line.say_raw(damage() if chance.random() < 0.2 else whole)
            line.leave()
            for _ in range(20):
                await bus.settle()
                if bench.tasks[-1].done():
                    break
            assert line.closed is not None
            assert line.closed[0] in {1000, 4400}, line.closed
        assert len(bench.connections) == 0
        assert bus.stats().subscriptions <= 1  # the agent's inbox
        assert bus.stats().in_flight == 0
