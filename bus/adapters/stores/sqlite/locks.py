"""One owner: an exclusive lock on a file beside the store, which names the process."""

import fcntl
import os
from pathlib import Path
from typing import Final

from bus.core.errors import ConfigurationError

MODE: Final = 0o600
_PID_BYTES_MAX: Final = 32


class LockFile:
    """The lock of the store at `store`. It goes with the process, however that ends."""

    def __init__(self, store: Path) -> None:
        self.path: Final = store.with_name(store.name + "-lock")
        self._fd = -1

    @property
    def held(self) -> bool:
        """Whether it was taken and not let go."""
        return self._fd >= 0

    def take(self) -> None:
        """Take it; taking it again is no fault.

        Raises:
            ConfigurationError: another process has it.
            OSError: the file cannot be made.
        """
        if self._fd >= 0:
            return
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        except BlockingIOError as error:
            pid = os.pread(fd, _PID_BYTES_MAX, 0).decode("ascii", "replace")
            os.close(fd)
            raise ConfigurationError(
                f"process {pid or 'unknown'} has it open; "
                "stop that one, or name another file"
            ) from error
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def free(self) -> None:
        """Let it go. The file stays: deleting it would let two processes in."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
