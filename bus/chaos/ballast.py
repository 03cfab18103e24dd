"""Resources that are taken for a while: memory, file handles, room on the disk.

Rule: taking blocks, so it is done in a thread, step by step; giving back needs neither
a thread nor a handle nor memory, so that it works when all of them are gone. What a
process held goes with the process.
"""

import abc
import mmap
import os
import resource
import threading
from pathlib import Path
from typing import Final

from bus.core.operatinglimits import (
    CHAOS_DISK_STEP_BYTES,
    CHAOS_HANDLES_SPARE,
    CHAOS_HANDLES_STEP,
    CHAOS_MEMORY_STEP_BYTES,
)

_NAME_BYTES: Final = 16
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_MODE: Final = 0o600
_OPEN_FILES: Final = Path("/dev/fd")


class _Stepwise(abc.ABC):
    """Takes in steps, smaller where there is little left, until it is to give back."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._over = threading.Event()

    def take(self, amount: int) -> int:
        """Take up to `amount`, as `bus.chaos.Ballast` says."""
        got, step = 0, self._step
        while got < amount and step and not self._over.is_set():
            size = min(amount - got, step)
            try:
                self._get(size)
            except (MemoryError, OSError):
                step = size // 2  # until there is nothing left at all
                continue
            got += size
        if self._over.is_set():
            self._drop()
            return 0
        return got

    def give_back(self) -> None:
        """Give everything back, as `bus.chaos.Ballast` says."""
        self._over.set()
        self._drop()

    @abc.abstractmethod
    def _get(self, size: int) -> None:
        """Take so much more; raise where it is not there."""

    @abc.abstractmethod
    def _drop(self) -> None:
        """Let go of what is held; more than once does no harm."""


class Memory(_Stepwise):
    """Pages that are written to, so that they are really there."""

    def __init__(self) -> None:
        super().__init__(CHAOS_MEMORY_STEP_BYTES)
        self._held: list[mmap.mmap] = []

    def free(self) -> int:
        """Return the bytes of memory that nobody uses."""
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def _get(self, size: int) -> None:
        pages = mmap.mmap(-1, size)
        self._held.append(pages)
        pages.write(b"\1" * size)

    def _drop(self) -> None:
        while self._held:
            self._held.pop().close()


class _Files(_Stepwise, abc.ABC):
    """What is held by open files."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self._held: list[int] = []

    def _drop(self) -> None:
        while self._held:
            os.close(self._held.pop())


class Handles(_Files):
    """Open files of nothing."""

    def __init__(self) -> None:
        super().__init__(CHAOS_HANDLES_STEP)

    def free(self) -> int:
        """Return how many handles are left, less a few that stay free in any case."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            used = sum(1 for _ in _OPEN_FILES.iterdir()) - 1  # less the one that looks
        except OSError:
            return 0  # not even one, for looking
        return max(0, soft - used - CHAOS_HANDLES_SPARE)

    def _get(self, size: int) -> None:
        if self.free() < size:
            raise OSError("fewer handles than that are left to take")
        for _ in range(size):
            self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


class Disk(_Files):
    """Files without a name in `folder`: their room is free again when they are closed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(CHAOS_DISK_STEP_BYTES)
        self._folder = folder

    def free(self) -> int:
        """Return the bytes that this user may still write there."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def _get(self, size: int) -> None:
        name = self._folder / f".assent-chaos-{os.urandom(_NAME_BYTES).hex()}"
        handle = os.open(name, _NEW, _MODE)
        try:
            name.unlink()
            os.posix_fallocate(handle, 0, size)
        except OSError:
            os.close(handle)
            raise
        self._held.append(handle)
