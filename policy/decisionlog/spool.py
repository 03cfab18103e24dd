"""Events on their way to the collector, in segment files, until it has taken them.

Rule: what `write` took is on disk, and leaves it only when the collector has it. A
segment is sent only once nothing more is added to it, so that it is sent the same each
time, by whichever process. Past `bytes_max` nothing more is taken.
"""

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bus.core.policylimits import DECISION_CHUNK_BYTES
from policy.decisionlog.appending import FOLDER_MODE, LineFile, fitting, sync_folder
from policy.decisionlog.file import lock_file

ASIDE: Final = "refused"
_SUFFIX: Final = ".jsonl"


class SpoolFullError(OSError):
    """There is no room until the collector takes something."""


class Segment(msgspec.Struct, frozen=True):
    """A file that nothing is added to any more."""

    number: int
    bytes: int


class Spool:
    """Segments in a folder of their own. `write` and the rest may run on two threads."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self.used = 0  # bytes, of what was refused as well
        self.refused = 0  # segments set aside
        self._folder = folder
        self._bytes_max = bytes_max
        self._guard = threading.Lock()
        self._sealed: list[Segment] = []
        self._open: LineFile | None = None
        self._next = 1
        self._lock = -1

    @property
    def waiting(self) -> int:
        """Segments that the collector has not taken."""
        return len(self._sealed) + (self._open is not None)

    def open(self) -> str:
        """Find what an earlier run left; return what was repaired.

        Raises:
            OSError: no access, or another process uses the folder.
        """
        (self._folder / ASIDE).mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        self._folder.chmod(FOLDER_MODE)
        self._lock = lock_file(self._folder / "lock")
        cut = sum(self._adopt(path) for path in _segments(self._folder))
        for path in _segments(self._folder / ASIDE):
            self.used += path.stat().st_size
            self.refused += 1
            self._next = max(self._next, _number(path) + 1)
        return f"cut {cut} bytes of half an event" if cut else ""

    def write(self, lines: Sequence[bytes]) -> int:
        """Bring the first of `lines` to disk; return how many, at least one.

        Raises:
            SpoolFullError: there is no room for even one.
            OSError: the disk does not take it.
        """
        with self._guard:
            room = self._bytes_max - self.used
            taken = 0 if self._open is None else self._open.end
            count = fitting(lines, min(room, DECISION_CHUNK_BYTES - taken))
            if not count and taken and fitting(lines[:1], room):
                self._seal()
                count = fitting(lines, min(room, DECISION_CHUNK_BYTES))
            # One that is longer than all the room there can be must not block for ever.
            count = count or int(not self.used or fitting(lines[:1], room))
            if not count:
                raise SpoolFullError(errno.ENOSPC, self._full())
            self._append(b"".join(lines[:count]))
            return count

    def sync(self) -> None:
        """There is nothing that is not on disk."""

    def close(self) -> None:
        """Add nothing more; what is there may still be sent."""
        with self._guard:
            self._seal()

    def release(self) -> None:
        """Let go of the folder; what is in it stays."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def oldest(self, *, seal: bool) -> Segment | None:
        """Return the segment to send next; `seal` says that a small one will do."""
        with self._guard:
            if seal and not self._sealed:
                self._seal()
            return self._sealed[0] if self._sealed else None

    def read(self, segment: Segment) -> bytes:
        """Return its lines."""
        return self._path(segment.number).read_bytes()

    def done(self, segment: Segment) -> None:
        """Let go of a segment that the collector has."""
        with self._guard:
            self._path(segment.number).unlink(missing_ok=True)
            sync_folder(self._folder)
            self._sealed.remove(segment)
            self.used -= segment.bytes

    def set_aside(self, segment: Segment, status: int) -> None:
        """Keep a segment that the collector will never take; it still takes room."""
        with self._guard:
            path = self._path(segment.number)
            path.rename(self._folder / ASIDE / f"{path.stem}.{status}{_SUFFIX}")
            sync_folder(self._folder / ASIDE)
            sync_folder(self._folder)
            self._sealed.remove(segment)
            self.refused += 1

    def _append(self, data: bytes) -> None:
        if self._open is None:
            self._open = LineFile(self._path(self._next), new=True)
            self._next += 1
        self._open.append(data)
        try:
            self._open.sync()
        except OSError:
            self._open.take_back(len(data))
            raise
        self.used += len(data)
        if self._open.end >= DECISION_CHUNK_BYTES:
            self._seal()

    def _seal(self) -> None:
        if self._open is None:
            return
        number, size = _number(self._open.path), self._open.end
        self._open.close()
        self._open = None
        if size:
            self._sealed.append(Segment(number, size))
        else:
            self._path(number).unlink()

    def _adopt(self, path: Path) -> int:
        """Take over a segment of an earlier run; return the bytes cut off."""
        self._next = max(self._next, _number(path) + 1)
        file = LineFile(path)
        if file.cut:
            file.sync()
        file.close()
        if file.end:
            self._sealed.append(Segment(_number(path), file.end))
            self.used += file.end
        else:
            path.unlink()
        return file.cut

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:016d}{_SUFFIX}"

    def _full(self) -> str:
        aside = f", {self.refused} segments of it refused" if self.refused else ""
        return (
            f"the spool {self._folder} is full: {self.used} bytes of "
            f"{self._bytes_max}{aside}"
        )


def _segments(folder: Path) -> list[Path]:
    """Return the segments in a folder, oldest first."""
    return sorted(
        path for path in folder.glob(f"*{_SUFFIX}") if path.name[:16].isdecimal()
    )


def _number(path: Path) -> int:
    return int(path.name[:16])
