"""The stamp: keyed BLAKE2b-128 over a message's encoding, all fields but the stamp.

MessagePack of an array frames every field by type and length, so no two messages
share an encoding. The stamp is 4 bytes of key id and 16 of digest, and is the last
field: what it covers is the encoding without its tail.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bus.core.errors import (
    KeyRingError,
    MalformedMessageError,
    StampMismatchError,
    UnknownKeyError,
)
from bus.core.limits import KEYS_MAX
from bus.core.message import Message

STAMP_BYTES: Final = 20
KEY_BYTES_MIN: Final = 32
KEY_BYTES_MAX: Final = 64
KEY_ID_MAX: Final = (1 << 32) - 1
_ID_BYTES: Final = 4

# Kept as slices: building one for each message costs as much as the comparison.
_UNSTAMPED: Final = slice(None, -2)  # the tail is the bin8 header of an empty stamp
COVERED: Final = slice(None, -2 - STAMP_BYTES)

# What a field of a type that no message has can make the encoder or a comparison raise.
ODD_FIELD: Final = (
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
    msgspec.MsgspecError,
)

encode: Final = msgspec.msgpack.Encoder().encode
same: Final = hmac.compare_digest
_set: Final = msgspec.structs.force_setattr


class KeyRing:
    """Keys by id; new stamps are made under `active`, all keys verify.

    Rotation without a gap: add the new key everywhere, then make it active, and
    take the old one out when its last message has expired. The ring keeps no key,
    only hash states that have taken one in.

    Raises:
        KeyRingError: no key, too many, an id outside 0..2^32-1, a key that is not
            32 to 64 bytes or stands twice, or an active id that is not in the ring.
    """

    __slots__ = ("_states", "active", "fresh", "latest", "prefix")

    def __init__(self, keys: Mapping[int, bytes], active: int) -> None:
        if not 1 <= len(keys) <= KEYS_MAX:
            raise KeyRingError(f"{len(keys)} stamp keys; 1 to {KEYS_MAX} are needed")
        if active not in keys:
            raise KeyRingError("the id of the active stamp key is not in the ring")
        self._states: dict[bytes, Any] = {}
        for key_id, key in keys.items():
            _check_key(key_id, key)
            state = hashlib.blake2b(key=key, digest_size=STAMP_BYTES - _ID_BYTES)
            self._states[key_id.to_bytes(_ID_BYTES, "big")] = state.copy
        if len({bytes(key) for key in keys.values()}) != len(keys):
            raise KeyRingError("one stamp key stands under two ids")
        self.active = active
        self.prefix = active.to_bytes(_ID_BYTES, "big")
        self.fresh = self._states[self.prefix]
        self.latest: tuple[Message, bytes, Any] | None = None
        """What was stamped last, as it was covered, and the state that took it in: who
        seals more over just that message goes on from there. Taken by one at most."""

    def __repr__(self) -> str:
        return f"KeyRing({len(self._states)} keys, active={self.active})"

    def seal(self, message: Message) -> None:
        """Stamp a message that nobody else has seen yet; a stamp it has is replaced.

        Raises:
            MalformedMessageError: a field that cannot be encoded.
        """
        if message.stamp:
            _set(message, "stamp", b"")
        fresh = self.fresh
        state = fresh()
        try:
            covered = encode(message)[_UNSTAMPED]
            state.update(covered)
        except ODD_FIELD as error:
            raise MalformedMessageError(f"{_name(message)}: {error}") from error
        # Frozen for everyone else: this is the one place that completes a message.
        _set(message, "stamp", self.prefix + state.digest())
        self.latest = (message, covered, state)

    def verify(self, message: Message) -> None:
        """Return if the stamp is right, in constant time for a given length.

        Raises:
            UnknownKeyError: made under a key that is not in the ring.
            StampMismatchError: a covered field or the stamp was changed, or a field
                is of a type that nobody could have stamped.
        """
        stamp = message.stamp
        if type(stamp) is not bytes or len(stamp) != STAMP_BYTES:
            raise StampMismatchError(f"{_name(message)} has no stamp")
        key_id = stamp[:_ID_BYTES]
        fresh = self._states.get(key_id)
        if fresh is None:
            raise UnknownKeyError(
                f"{_name(message)}: stamp key "
                f"{int.from_bytes(key_id, 'big')} is not in the ring"
            )
        state = fresh()
        try:
            state.update(encode(message)[COVERED])
        except ODD_FIELD as error:
            raise StampMismatchError(f"{_name(message)}: {error}") from error
        if not same(key_id + state.digest(), stamp):
            raise StampMismatchError(f"{_name(message)} was changed after stamping")

    def sign(self, data: bytes) -> bytes:
        """Return a stamp over bytes of the bus's own, under the active key."""
        state = self.fresh()
        state.update(data)
        stamp: bytes = self.prefix + state.digest()
        return stamp

    def signed(self, data: bytes, stamp: bytes) -> bool:
        """Tell whether `sign` made a stamp over just these bytes.

        Raises:
            UnknownKeyError: made under a key that is not in the ring.
        """
        key_id = stamp[:_ID_BYTES]
        fresh = self._states.get(key_id)
        if fresh is None:
            raise UnknownKeyError(
                f"stamp key {int.from_bytes(key_id, 'big')} is not in the ring"
            )
        state = fresh()
        state.update(data)
        return same(key_id + state.digest(), stamp)


def _check_key(key_id: int, key: bytes) -> None:
    """Raise `KeyRingError` without a word of the key, or of an id that may be one."""
    if type(key_id) is not int or not 0 <= key_id <= KEY_ID_MAX:
        raise KeyRingError("a stamp key id is not a number in 0..2^32-1")
    if not isinstance(key, bytes):
        raise KeyRingError(
            f"stamp key {key_id} is {type(key).__name__}; bytes are needed"
        )
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise KeyRingError(
            f"stamp key {key_id} has {len(key)} bytes; "
            f"{KEY_BYTES_MIN} to {KEY_BYTES_MAX} are needed"
        )


def _name(message: Message) -> str:
    """Name a message in an error, whatever its id is."""
    return f"message {message.id.hex()}" if type(message.id) is bytes else "message"
