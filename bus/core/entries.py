"""What a store keeps of one acceptance: the message, the decision that let it in, the plan.

Rule: an entry is sealed as a whole with the stamp key ring, together with the key it is
kept under, so that no part of it can be changed, swapped or moved unnoticed.
"""

from typing import Final

import msgspec

from bus.core.decision import Decision
from bus.core.errors import StoreBrokenError, UnknownKeyError
from bus.core.message import Message
from bus.core.stamp import STAMP_BYTES, KeyRing
from bus.core.storelimits import DECISIONS_ENCODED_MAX

SEQUENCE_BITS: Final = 40
SEQUENCE_MAX: Final = (1 << SEQUENCE_BITS) - 1
STREAMS_IDS_MAX: Final = (1 << (63 - SEQUENCE_BITS)) - 1

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


class _Sealed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: int
    message: Message
    decision: msgspec.Raw
    plan: tuple[int, ...]


_decode: Final = msgspec.msgpack.Decoder(_Sealed).decode


def key_of(stream: int, sequence: int) -> int:
    """Return the key of a place in a stream."""
    return (stream << SEQUENCE_BITS) | sequence


class Sealer:
    """Turns entries into bytes and back, under one key ring.

    Decisions are few and shared, so each is encoded and decoded once while it is kept.
    """

    __slots__ = ("_decoded", "_encoded", "_ring", "sign", "signed")

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self.sign, self.signed = ring.sign, ring.signed
        self._encoded: dict[int, tuple[Decision, msgspec.Raw]] = {}
        self._decoded: dict[bytes, Decision] = {}

    def close(
        self, key: int, message: Message, decision: Decision, plan: tuple[int, ...]
    ) -> bytes:
        """Return the sealed entry."""
        known = self._encoded.get(id(decision))
        if known is None or known[0] is not decision:
            known = self._remember(decision)
        data = _encode((key, message, known[1], plan))
        return data + self._ring.sign(data)

    def open(self, key: int, sealed: bytes) -> Entry:
        """Return the entry that was sealed under `key`.

        Raises:
            StoreBrokenError: it was changed, cut, or stood under another key.
        """
        data, seal = sealed[:-STAMP_BYTES], sealed[-STAMP_BYTES:]
        try:
            whole = self._ring.signed(data, seal)
        except UnknownKeyError as error:
            raise StoreBrokenError(f"entry {_place(key)}: {error}") from error
        if not whole:
            raise StoreBrokenError(f"entry {_place(key)} was changed after it was kept")
        try:
            inner = _decode(data)
        except msgspec.MsgspecError as error:  # signed, and yet no entry
            raise StoreBrokenError(f"entry {_place(key)}: {error}") from error
        if inner.key != key:
            raise StoreBrokenError(
                f"entry {_place(key)} is the one of {_place(inner.key)}"
            )
        raw = bytes(inner.decision)
        decision = self._decoded.get(raw)
        if decision is None:
            decision = _decode_decision(raw)
            if len(self._decoded) >= DECISIONS_ENCODED_MAX:
                self._decoded.clear()
            self._decoded[raw] = decision
        return Entry(key, inner.message, decision, inner.plan)

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
