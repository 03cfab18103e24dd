"""The record in a file: one writer, whole blocks, and the head beside it.

Rule: bytes are added at the end of the last whole block and nowhere else; what a
crash or a full disk left half written is cut off first, and said. Runs in the
writer's thread; every method may block and raises OSError when it cannot write.
"""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from bus.adapters.audit import heads, reading
from bus.core.auditchain import GENESIS_BYTES, Head, Mark, Verifier, header_line, start
from bus.core.errors import AuditBrokenError, ConfigurationError


class FileRecord:
    """Keeps blocks in the file at `path`, mode 0600, and its head at `head`."""

    def __init__(self, path: Path, head: Path | None = None) -> None:
        self._path = path
        self._head = head or heads.beside(path)
        self._file: BinaryIO | None = None
        self._doubt: OSError | None = None
        self._end = 0
        self._half_written = False

    def open(self) -> tuple[Head, str]:
        """Return where the record ends, and what had to be repaired, or the empty string.

        Raises:
            ConfigurationError: not a regular file, no access, another writer, or
                the record or its head is not as it was written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._file = os.fdopen(os.open(self._path, flags, heads.MODE), "r+b", 0)
            self._lock(self._file)
            return self._resume(self._file)
        except OSError as error:
            self.close()
            raise ConfigurationError(f"audit record {self._path}: {error}") from error
        except AuditBrokenError as error:
            self.close()
            raise ConfigurationError(
                f"audit record {self._path}: {error}; move it and its head away to "
                "start another"
            ) from error
        except ConfigurationError:
            self.close()
            raise

    def write(self, blocks: Sequence[bytes | memoryview]) -> None:
        """Add whole blocks, or leave nothing that counts."""
        fd = self._ready()
        if self._half_written:
            os.ftruncate(fd, self._end)
        self._half_written = True
        written = os.pwritev(fd, blocks, self._end)
        end = self._end + sum(map(len, blocks))
        if self._end + written < end:
            self._finish(fd, b"".join(blocks)[written:], end)
        self._end = end
        self._half_written = False

    def sync(self, head: Head) -> None:
        """Bring the file to disk, then its head."""
        fd = self._ready()
        try:
            os.fdatasync(fd)
        except OSError as error:
            # The kernel may have dropped the pages: a later success proves nothing.
            self._doubt = error
            raise
        self._still_ours(fd)
        heads.replace(self._head, head)

    def close(self) -> None:
        """Let the file go; the lock goes with it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _finish(self, fd: int, rest: bytes, end: int) -> None:
        """Write what a short write left; the next error says why it was short."""
        while rest:
            rest = rest[os.pwrite(fd, rest, end - len(rest)) :]

    def _ready(self) -> int:
        if self._doubt is not None:
            raise OSError(
                errno.EIO,
                f"fsync failed ({self._doubt}): open the record anew to check it",
            )
        if self._file is None:
            raise OSError(errno.EBADF, "the audit record is not open")
        return self._file.fileno()

    def _lock(self, file: BinaryIO) -> None:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ConfigurationError(f"audit record {self._path}: not a regular file")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"audit record {self._path}: another process writes it"
            ) from error
        os.fchmod(file.fileno(), heads.MODE)

    def _still_ours(self, fd: int) -> None:
        """Notice that the file was moved, deleted or cut while it is written."""
        ours, there = os.fstat(fd), self._path.stat()
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise OSError(errno.ESTALE, "another file stands in its place")
        if ours.st_size != self._end:
            raise OSError(errno.ESTALE, f"{ours.st_size} bytes, {self._end} written")

    def _resume(self, file: BinaryIO) -> tuple[Head, str]:
        head = heads.read(self._head)
        size = os.fstat(file.fileno()).st_size
        with self._path.open("rb") as buffered:
            if head is None and _is_new(buffered, size):
                return self._begin(file.fileno(), size)
            found = _check(buffered, head, size)
            repaired = _torn(buffered, found.at, size)
        if head is None:
            repaired = "; ".join(filter(None, [repaired, "there was no head"]))
        if repaired:
            os.ftruncate(file.fileno(), found.at.bytes)
        self._end = found.at.bytes
        if repaired:
            self.sync(found)
        return found, repaired

    def _begin(self, fd: int, size: int) -> tuple[Head, str]:
        os.ftruncate(fd, 0)
        header = header_line(os.urandom(GENESIS_BYTES))
        self.write([header])
        mark = start(header)
        self.sync(Head(at=mark, before=mark))
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        repaired = f"cut {size} bytes of half a header" if size else ""
        return Head(at=mark, before=mark), repaired


def _is_new(file: BinaryIO, size: int) -> bool:
    """Tell whether a file is empty, or ends within the header of a crashed start."""
    whole = header_line(bytes(GENESIS_BYTES))
    begin = next(reading.lines(file, 0, min(size, len(whole))), b"")
    return size < len(whole) and whole.startswith(begin[: whole.index(b"00")])


def _check(file: BinaryIO, head: Head | None, size: int) -> Head:
    """Return where the record ends, checked from the head's block on, or from the start.

    Raises:
        AuditBrokenError: anything but half a block after the last seal is wrong.
    """
    if head is not None and size < head.at.bytes:
        raise AuditBrokenError(
            f"the file has {size} bytes, its head names block {head.at.block} at "
            f"byte {head.at.bytes}",
            line=1 + sum(1 for _ in reading.lines(file, 0, size)),
        )
    if head is None or head.at.block == 0:
        verifier = Verifier(head=None if head is None else head.at)
    else:
        verifier = Verifier(head=head.at, after=head.before)
    begin = 0 if verifier.mark is None else verifier.mark.bytes
    try:
        for line in reading.lines(file, begin, size):
            verifier.feed(line)
        verifier.end()
    except AuditBrokenError:
        # A crash leaves no seal after the last right one; else it was changed.
        mark = verifier.mark
        if mark is None or verifier.head_checked != (head is not None):
            raise
        if reading.has_seal(file, mark.bytes, size):
            raise
    return verifier.reached()


def _torn(file: BinaryIO, mark: Mark, size: int) -> str:
    if size == mark.bytes:
        return ""
    digest = hashlib.sha256()
    for line in reading.lines(file, mark.bytes, size):
        digest.update(line)
    return (
        f"cut {size - mark.bytes} bytes that were never sealed after block "
        f"{mark.block} (SHA-256 {digest.hexdigest()})"
    )
