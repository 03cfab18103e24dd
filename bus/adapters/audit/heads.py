"""The head: where the record had got to, kept apart from it so that a cut shows.

Rule: it is written after the record is on disk and replaced in one step, so a head
never names more than the record holds.
"""

import errno
import os
from pathlib import Path
from typing import Final

import msgspec

from bus.core.auditchain import Head
from bus.core.errors import ConfigurationError

HEAD_BYTES_MAX: Final = 4_096
MODE: Final = 0o600

_encode: Final = msgspec.json.Encoder().encode


def beside(path: Path) -> Path:
    """Return where the head of the record at `path` is kept unless the caller says."""
    return path.with_name(path.name + ".head")


def read(path: Path) -> Head | None:
    """Return the head kept at `path`, or None if there is none.

    Raises:
        ConfigurationError: it cannot be read, or is not a head.
    """
    try:
        with path.open("rb") as file:
            text = file.read(HEAD_BYTES_MAX + 1)
        return msgspec.json.decode(text, type=Head)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"audit head {path}: {error}") from error


def replace(path: Path, head: Head) -> None:
    """Keep `head` at `path`: the old one or the new one is there, never a part."""
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
    try:
        text = _encode(head) + b"\n"
        if os.write(fd, text) != len(text):
            raise OSError(errno.ENOSPC, f"the audit head {path} does not fit")
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(path)
