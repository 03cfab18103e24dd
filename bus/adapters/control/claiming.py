"""The place of a control socket: claimed by one process, and given back.

Rule: a lock says whether the process that made the socket lives, because the socket
file of a dead one stays. Nothing is removed that is not a socket nobody answers at.
"""

import fcntl
import os
import socket
import stat
from pathlib import Path
from typing import Final

from bus.core.errors import ConfigurationError
from bus.core.operatinglimits import (
    CONTROL_BACKLOG,
    CONTROL_PATH_BYTES_MAX,
    CONTROL_READ_S,
)

_OWNER_ONLY: Final = 0o600
LOCK_SUFFIX: Final = "-lock"


class Claim:
    """A listening socket at `path`, of which this process is the owner. It blocks.

    Raises:
        ConfigurationError: another process serves there, or the place cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_length(path)
        self._lock = _locked(path)
        try:
            self.listener = _bound(path)
            self._file = _identity(path)
        except OSError as error:
            os.close(self._lock)
            raise ConfigurationError(
                f"{_told(path)}: {error.strerror or error}"
            ) from error
        except BaseException:
            os.close(self._lock)
            raise

    def release(self) -> None:
        """Stop listening; the socket file goes, unless another has taken its place."""
        self.listener.close()
        try:
            if _identity(self.path) == self._file:
                self.path.unlink()
        except FileNotFoundError:
            pass  # somebody has removed it: it is gone, as it should be
        finally:
            os.close(self._lock)


def _check_length(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > CONTROL_PATH_BYTES_MAX:
        raise ConfigurationError(
            f"{_told(path)}: {length} bytes; the path of a socket has "
            f"{CONTROL_PATH_BYTES_MAX} at most"
        )


def _locked(path: Path) -> int:
    """Return the descriptor of the lock, which the system frees when the process ends."""
    try:
        lock = os.open(
            f"{path}{LOCK_SUFFIX}",
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
            _OWNER_ONLY,
        )
    except OSError as error:
        raise ConfigurationError(f"{_told(path)}: {error.strerror or error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise _taken(path) from None
    return lock


def _bound(path: Path) -> socket.socket:
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Nobody can connect before `listen`, so the mode is right from the start.
        listener.bind(os.fspath(path))
        path.chmod(_OWNER_ONLY)
        listener.setblocking(False)
        listener.listen(CONTROL_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _clear(path: Path) -> None:
    """Remove the socket file of a process that is dead."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"{_told(path)}: something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONTROL_READ_S)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise _taken(path)


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _told(path: Path) -> str:
    return f"control.socket: {path}"


def _taken(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{_told(path)}: another process serves there; stop it, or name another path"
    )
