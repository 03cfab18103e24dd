"""A file to which whole lines are added, or none.

Rule: bytes go after the last whole line and nowhere else; what a crash or a full disk
left half written is cut off first. Every method may block, and raises OSError when it
cannot write.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
_STEP_BYTES: Final = 64 << 10


class LineFile:
    """The file at `path`, made if it is not there; `cut` bytes were half a line."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        self._fd = os.open(path, flags | (os.O_EXCL if new else 0), MODE)
        try:
            size = _size(self._fd, path)
            self.end = _whole(self._fd, size)
            self.cut = size - self.end
            if self.cut:
                os.ftruncate(self._fd, self.end)
            sync_folder(path.parent)
        except BaseException:
            os.close(self._fd)
            raise
        self._half_written = False
        self._doubt: OSError | None = None
        self._unsynced = bool(self.cut)

    def append(self, data: bytes) -> None:
        """Add whole lines, or leave nothing that counts."""
        self._check()
        if self._half_written:
            os.ftruncate(self._fd, self.end)
        self._half_written = self._unsynced = True
        written = 0
        while written < len(data):
            written += os.pwrite(self._fd, data[written:], self.end + written)
        self.end += len(data)
        self._half_written = False

    def sync(self) -> None:
        """Bring what was added to disk, and make sure that it can be found there."""
        self._check()
        if not self._unsynced:
            return
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # The kernel may have dropped the pages: a later success proves nothing.
            self._doubt = error
            raise
        ours, there = os.fstat(self._fd), self.path.stat()
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise OSError(errno.ESTALE, "another file stands in its place", str(there))
        self._unsynced = False

    def take_back(self, size: int) -> None:
        """Forget the last `size` bytes added, because they could not be synced."""
        self.end -= size
        self._half_written = True

    def close(self) -> None:
        """Let go of the file, and leave nothing half written in it."""
        if self._half_written:
            os.ftruncate(self._fd, self.end)
            self._half_written = False
        os.close(self._fd)

    def _check(self) -> None:
        if self._doubt is not None:
            reason = f"fsync failed ({self._doubt}): restart to check the file"
            raise OSError(errno.EIO, reason, str(self.path))


def fitting(lines: Sequence[bytes], room: int) -> int:
    """Return how many of `lines`, each with its newline, fit into `room` bytes."""
    for count, line in enumerate(lines):
        room -= len(line)
        if room < 0:
            return count
    return len(lines)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _size(fd: int, path: Path) -> int:
    told = os.fstat(fd)
    if not stat.S_ISREG(told.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return told.st_size


def _whole(fd: int, size: int) -> int:
    """Return where the last whole line ends."""
    end = size
    while end:
        start = max(0, end - _STEP_BYTES)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
