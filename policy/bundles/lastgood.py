"""The last bundle that was in force, kept for a start without its server.

Rule: what is read back is checked as if it had just come: with the keys of today. A
file is replaced in one step, so it is the old bundle or the new one.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from bus.core.errors import PolicyLoadError
from bus.core.policylimits import BUNDLE_BYTES_MAX
from policy.bundles import opening
from policy.bundles.opening import Opened
from policy.bundles.signatures import Keys

_NAMED: Final = "last good bundle"
_MODE: Final = 0o600


class LastGood:
    """One file. Made by whoever puts bundles in force; two must not share one."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, content: bytes) -> None:
        """Keep a bundle's bytes; it is on disk when this returns. Mode 0600.

        Raises:
            OSError: it cannot be written; what was kept before stays.
        """
        replace(self._path, content, mode=_MODE)

    def load(self, keys: Keys) -> Opened | None:
        """Return the bundle that was kept, or None where there is none.

        Raises:
            PolicyLoadError: it is damaged, or would be refused today.
            ConfigurationError: a key is not one, or a package for it is missing.
        """
        content = read_file(self._path, _NAMED)
        if content is None:
            return None
        return opening.read_archive(content, keys, name=f"{_NAMED}, {self._path}")


def replace(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file in one step and to disk; raises `OSError` and changes nothing then."""
    folder = path.parent
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(folder)


def read_file(path: Path, named: str) -> bytes | None:
    """Return the bytes of a bundle on disk, or None where there is no file.

    Raises:
        PolicyLoadError: it cannot be read, or is longer than a bundle may be.
    """
    try:
        if path.exists() and not path.is_file():
            raise PolicyLoadError("is no file", file=str(path))
        with path.open("rb") as file:
            content = file.read(BUNDLE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PolicyLoadError(
            f"{named}: cannot be read: {error.strerror}", file=str(path)
        ) from None
    if len(content) > BUNDLE_BYTES_MAX:
        raise PolicyLoadError(
            f"{named}: more than {BUNDLE_BYTES_MAX} bytes", file=str(path)
        )
    return content


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder last; raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
