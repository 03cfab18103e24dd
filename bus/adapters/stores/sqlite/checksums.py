"""The checksum of a row: CRC-32 over the kind of row and all its values as MessagePack.

Entries carry the seal of the bus; all else that is kept carries one of these.
"""

import zlib
from typing import Final

import msgspec

MESSAGE: Final = 1
DELIVERY: Final = 2
AGAIN: Final = 3
LATER: Final = 4
LETTER: Final = 5
CONSUMER: Final = 6
STREAM: Final = 7
DEDUP: Final = 8
FIGURES: Final = 9

encode: Final = msgspec.msgpack.Encoder().encode
crc: Final = zlib.crc32


def checksum(*values: object) -> int:
    """Return the checksum of a row: its kind, then its values."""
    return crc(encode(values))
