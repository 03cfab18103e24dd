"""The head: how far the store had got, kept beside it so that a cut shows.

Rule: a transaction is in the head only after it is on disk, and before anybody is told.
Two slots take turns, so half a write of one leaves the other.
"""

import contextlib
import errno
import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from bus.core.errors import StoreBrokenError

MODE: Final = 0o600
_MAGIC: Final = b"ASNTHEAD"
_PLACES: Final = (0, 4096)
_BYTES: Final = 8192
_FORM: Final = struct.Struct("<8sIIqqI")
_DOUBT: Final = 1


class Head(NamedTuple):
    """The last transaction that is surely kept.

    With `doubt` one more was begun and its end is not known; it was refused.
    """

    txn: int
    next_number: int
    version: int
    doubt: bool = False


class HeadFile:
    """The head of the store at `store`. Every method may block; raises OSError."""

    def __init__(self, store: Path) -> None:
        self.path: Final = store.with_name(store.name + "-head")
        self._fd = -1

    def read(self) -> Head | None:
        """Open it and return the head; None if there is no file.

        Raises:
            StoreBrokenError: neither slot holds.
        """
        self.close()
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        slots = [os.pread(self._fd, _FORM.size, place) for place in _PLACES]
        heads = [head for head in map(_decode, slots) if head is not None]
        if not heads:
            raise StoreBrokenError(f"{self.path}: neither slot of the head holds")
        return max(heads, key=lambda head: (head.txn, head.doubt))

    def create(self, head: Head) -> None:
        """Make the file anew, whole or not at all, and bring it to disk."""
        self.close()
        fresh = self.path.with_name(self.path.name + ".new")
        slots = {_PLACES[txn & 1]: txn for txn in (head.txn - 1, head.txn)}
        data = bytearray(_BYTES)
        for place, txn in slots.items():
            data[place : place + _FORM.size] = _encode(head._replace(txn=txn))
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._fd = os.open(fresh, flags, MODE)
        if os.pwrite(self._fd, data, 0) != len(data):
            raise OSError(errno.ENOSPC, f"{fresh}: half a head was written")
        self.sync()
        fresh.replace(self.path)

    def write(self, head: Head) -> None:
        """Write one slot; the other keeps the transaction before."""
        slot = _encode(head)
        if os.pwrite(self._fd, slot, _PLACES[head.txn & 1]) != len(slot):
            raise OSError(errno.ENOSPC, f"{self.path}: half a head was written")

    def sync(self) -> None:
        """Bring it to disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Let it go."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


def _encode(head: Head) -> bytes:
    flags = _DOUBT if head.doubt else 0
    body = _FORM.pack(_MAGIC, head.version, flags, head.txn, head.next_number, 0)[:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def _decode(slot: bytes) -> Head | None:
    if len(slot) != _FORM.size:
        return None
    magic, version, flags, txn, number, total = _FORM.unpack(slot)
    if magic != _MAGIC or zlib.crc32(slot[:-4]) != total:
        return None
    return Head(txn, number, version, bool(flags & _DOUBT))
