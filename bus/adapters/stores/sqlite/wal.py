"""The write-ahead log after a fault: as it is on disk, and without its last transaction.

SQLite reads a log up to the last frame that holds. After a failed fsync the kernel may
show pages that never reached the disk, and forget that they did not. Format:
https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import os
import struct
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct(">IIIIIIII")
_FRAME: Final = struct.Struct(">IIIIII")
_MAGICS: Final = (0x377F0682, 0x377F0683)
_BLOCK: Final = 1 << 20


def beside(path: Path) -> Path:
    """Return where SQLite keeps the log of a file."""
    return path.with_name(path.name + "-wal")


def rewrite(path: Path) -> None:
    """Write all of a log once more in its place, and bring it to disk.

    So pages that the kernel took for written are written. Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        place = 0
        while block := os.pread(fd, _BLOCK, place):
            place += os.pwrite(fd, block, place)
        os.fsync(fd)
    finally:
        os.close(fd)


def drop_last(path: Path) -> bool:
    """Cut the last transaction off a log; False if there is none. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        ends = _ends(fd)
        if not ends:
            return False
        os.ftruncate(fd, ends[-2] if len(ends) > 1 else _HEADER.size)
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _ends(fd: int) -> list[int]:
    """Return where each transaction of a log ends."""
    header = os.pread(fd, _HEADER.size, 0)
    if len(header) < _HEADER.size:
        return []
    magic, _, page, _, *salts = _HEADER.unpack(header)[:6]
    if magic not in _MAGICS:
        return []
    ends: list[int] = []
    place = _HEADER.size
    while len(frame := os.pread(fd, _FRAME.size, place)) == _FRAME.size:
        _, pages, *own = _FRAME.unpack(frame)[:4]
        if own != salts:
            break
        place += _FRAME.size + page
        if pages:
            ends.append(place)
    return ends
