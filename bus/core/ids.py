"""Message ids: 128 bits in UUIDv7's layout (RFC 9562), time-ordered, counter-based.

The low half counts up for the life of the source from a random start, so ids of one
source rise even when the clock steps back. No call asks the system for randomness.
"""

import struct
from collections.abc import Iterator
from typing import Final

from bus.core.errors import UsageError

_PACK: Final = struct.Struct(">QQ").pack
_LAST_BYTES: Final = tuple(bytes([number]) for number in range(256))
_VARIANT: Final = 1 << 63
_ENTROPY_BYTES: Final = 8
_MS: Final = 1_000_000


class IdSource:
    """Makes ids. `entropy` is 8 random bytes, given once.

    Raises:
        UsageError: `entropy` is not 8 bytes.
    """

    __slots__ = ("_count", "_head", "_tails", "_until_ns")

    def __init__(self, entropy: bytes) -> None:
        if len(entropy) != _ENTROPY_BYTES:
            raise UsageError(
                f"{len(entropy)} bytes of entropy; {_ENTROPY_BYTES} needed"
            )
        # 61 bits: counting up never reaches the variant's two bits. It counts blocks
        # of 256; within one, an id is the head and a byte: half the cost of packing.
        self._count = _VARIANT | (int.from_bytes(entropy, "big") >> 3 & ~0xFF)
        self._head = b""
        self._tails: Iterator[bytes] = iter(())
        self._until_ns = 0

    def next(self, now_ns: int) -> bytes:
        """Return the next id: 16 bytes, greater than every one before it."""
        if now_ns < self._until_ns:
            for tail in self._tails:  # a third less than next() with a default
                return self._head + tail
        return self._turn(now_ns)

    def _turn(self, now_ns: int) -> bytes:
        """Begin a millisecond, a block of the count, or both."""
        tail = next(self._tails, None)
        if tail is None:
            self._count += len(_LAST_BYTES)
            self._tails = iter(_LAST_BYTES)
            tail = next(self._tails)
        ms = max(now_ns, self._until_ns - _MS) // _MS
        self._until_ns = (ms + 1) * _MS
        self._head = _PACK(ms << 16 | 0x7000, self._count)[:-1]
        return self._head + tail
