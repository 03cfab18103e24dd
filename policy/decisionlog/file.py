"""The decision log in a file turned over by size: `NAME`, then `NAME.1` and so on.

Rule: a line is in exactly one of the files, whole. The newest `keep` files that were
turned over stay; the one after that is deleted and counted. Runs in the log's thread.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from policy.decisionlog.appending import MODE, LineFile, fitting, sync_folder


class RotatedFile:
    """Lines in the file at `path`, at most `rotate_bytes` in one unless a line is longer."""

    def __init__(self, path: Path, rotate_bytes: int, keep: int) -> None:
        self.deleted = 0  # files
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._file: LineFile | None = None
        self._lock = -1

    def open(self) -> str:
        """Return what was repaired, or the empty string.

        Raises:
            OSError: no access, not a regular file, or another process writes it.
        """
        lock = self._path.with_name(f"{self._path.name}.lock")
        self._lock = lock_file(lock)
        self._file = LineFile(self._path)
        return f"cut {self._file.cut} bytes of half a line" if self._file.cut else ""

    def write(self, lines: Sequence[bytes]) -> int:
        """Add the first of `lines`; return how many, at least one."""
        file = self._ready()
        count = fitting(lines, self._rotate_bytes - file.end)
        if not count and file.end:
            file = self._rotate(file)
            count = fitting(lines, self._rotate_bytes)
        count = max(count, 1)
        file.append(b"".join(lines[:count]))
        return count

    def sync(self) -> None:
        """Bring what was written to disk."""
        self._ready().sync()

    def close(self) -> None:
        """Let go of the file and the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _rotate(self, file: LineFile) -> LineFile:
        """Turn over. Each step can be repeated, should the next one fail."""
        file.sync()
        free = next((n for n in self._numbers() if not self._turned(n).exists()), 0)
        if not free:
            self._turned(self._keep).unlink()
            self.deleted += 1
            free = self._keep
        for number in range(free, 1, -1):
            self._turned(number - 1).rename(self._turned(number))
        self._path.rename(self._turned(1))
        try:
            self._file = LineFile(self._path, new=True)
        except OSError:
            # Back, so that there is always one to write to.
            self._turned(1).rename(self._path)
            raise
        file.close()
        sync_folder(self._path.parent)
        return self._file

    def _numbers(self) -> range:
        return range(1, self._keep + 1)

    def _turned(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _ready(self) -> LineFile:
        if self._file is None:
            raise OSError(f"{self._path} is not open")
        return self._file


def lock_file(path: Path) -> int:
    """Return a descriptor that holds the lock at `path` until it is closed.

    Raises:
        OSError: another process holds it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise OSError(
            error.errno, "another process writes the decision log", str(path)
        ) from error
    return fd
