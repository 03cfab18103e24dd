"""What a store keeps of one acceptance: the message, the decision that let it in, the plan.

Rule: an entry is sealed as a whole with the stamp key ring, together with the key it is
kept under, so that no part of it can be changed, swapped or moved unnoticed. It begins
with the message's frame, whose own stamp is on the way to the seal: what was just
stamped is neither encoded nor hashed twice.
"""

from typing import Final

import msgspec

from bus.core.decision import Decision
from bus.core.errors import StoreBrokenError, UnknownKeyError
from bus.core.message import Message
from bus.core.stamp import STAMP_BYTES, KeyRing, same
from bus.core.storelimits import DECISIONS_ENCODED_MAX

SEQUENCE_BITS: Final = 40
SEQUENCE_MAX: Final = (1 << SEQUENCE_BITS) - 1
STREAMS_IDS_MAX: Final = (1 << (63 - SEQUENCE_BITS)) - 1

# Kept as slices: building one for each entry costs as much as a comparison.
_DATA: Final = slice(None, -STAMP_BYTES)
_SEAL: Final = slice(-STAMP_BYTES, None)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_decision: Final = msgspec.msgpack.Decoder(Decision).decode
_DEFAULTS: Final = {
    field.name: field.default
    for field in msgspec.structs.fields(Decision)
    if field.default is not msgspec.NODEFAULT
}


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One stored message. `key` is the stream's id and its sequence there in one.

    `plan` names the consumers it was for when it was accepted, by id.
    """

    key: int
    message: Message
    decision: Decision
    plan: tuple[int, ...] = ()

    @property
    def stream(self) -> int:
        """The id of its stream."""
        return self.key >> SEQUENCE_BITS

    @property
    def sequence(self) -> int:
        """Its place in the stream, from 1."""
        return self.key & SEQUENCE_MAX


class _Rest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: int
    decision: msgspec.Raw
    plan: tuple[int, ...]


class _Sealed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    message: Message
    rest: _Rest


class _Sealed1(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """As the first version of a store's file has it."""

    key: int
    message: Message
    decision: msgspec.Raw
    plan: tuple[int, ...]


_FIRST_1: Final = b"\x94"  # an array of four; a frame is one of a message's fields
_PAIR: Final = b"\x92"  # the array of two that frame and rest are together
_STAMPED: Final = b"\xc4\x14"  # what comes before a stamp's bytes in a frame
_decode: Final = msgspec.msgpack.Decoder(_Sealed).decode
_decode_1: Final = msgspec.msgpack.Decoder(_Sealed1).decode


def key_of(stream: int, sequence: int) -> int:
    """Return the key of a place in a stream."""
    return (stream << SEQUENCE_BITS) | sequence


class Sealer:
    """Turns entries into bytes and back, under one key ring.

    Decisions are few and shared, so each is encoded and decoded once while it is kept.
    """

    __slots__ = (
        "_decoded",
        "_encoded",
        "_fresh",
        "_prefix",
        "_ring",
        "sign",
        "signed",
    )

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self.sign, self.signed = ring.sign, ring.signed
        self._fresh, self._prefix = ring.fresh, ring.prefix
        self._encoded: dict[int, tuple[Decision, msgspec.Raw]] = {}
        self._decoded: dict[bytes, Decision] = {}

    def close(
        self, key: int, message: Message, decision: Decision, plan: tuple[int, ...]
    ) -> bytes:
        """Return the sealed entry."""
        known = self._encoded.get(id(decision))
        if known is None or known[0] is not decision:
            known = self._remember(decision)
        rest = _encode((key, known[1], plan))
        ring = self._ring
        latest = ring.latest
        if latest is not None and latest[0] is message:
            ring.latest = None
            _, begin, state = latest
            rest = _STAMPED + message.stamp + rest
        else:
            begin, state = _encode(message), self._fresh()
            state.update(begin)
        state.update(rest)
        return b"".join((begin, rest, self._prefix, state.digest()))

    def open(self, key: int, sealed: bytes) -> Entry:
        """Return the entry that was sealed under `key`.

        Raises:
            StoreBrokenError: it was changed, cut, or stood under another key.
        """
        data, seal = sealed[_DATA], sealed[_SEAL]
        # The common case, inlined: sealed under the active key, unchanged. It can only
        # say yes; all else goes to `_check`.
        state = self._fresh()
        state.update(data)
        if not same(self._prefix + state.digest(), seal):
            self._check(key, data, seal)
        try:
            if data[:1] == _FIRST_1:
                rest: _Sealed1 | _Rest = (first := _decode_1(data))
                message = first.message
            else:
                inner = _decode(_PAIR + data)
                message, rest = inner.message, inner.rest
        except msgspec.MsgspecError as error:  # signed, and yet no entry
            raise StoreBrokenError(f"entry {_place(key)}: {error}") from error
        if rest.key != key:
            raise StoreBrokenError(
                f"entry {_place(key)} is the one of {_place(rest.key)}"
            )
        raw = bytes(rest.decision)
        decision = self._decoded.get(raw)
        if decision is None:
            decision = _decode_decision(raw)
            if len(self._decoded) >= DECISIONS_ENCODED_MAX:
                self._decoded.clear()
            self._decoded[raw] = decision
        return Entry(key, message, decision, rest.plan)

    def _check(self, key: int, data: bytes, seal: bytes) -> None:
        try:
            whole = self._ring.signed(data, seal)
        except UnknownKeyError as error:
            raise StoreBrokenError(f"entry {_place(key)}: {error}") from error
        if not whole:
            raise StoreBrokenError(f"entry {_place(key)} was changed after it was kept")

    def _remember(self, decision: Decision) -> tuple[Decision, msgspec.Raw]:
        if len(self._encoded) >= DECISIONS_ENCODED_MAX:
            self._encoded.clear()
        told = {
            name: value
            for name, value in msgspec.structs.asdict(decision).items()
            if name not in {"plain", "cached"}
            and (name not in _DEFAULTS or value != _DEFAULTS[name])
        }
        known = (decision, msgspec.Raw(_encode(told)))
        self._encoded[id(decision)] = known
        return known


def _place(key: int) -> str:
    return f"{key >> SEQUENCE_BITS}/{key & SEQUENCE_MAX}"
