"""Files replaced together: each whole, and all of them or none.

Rule: everything is on disk beside them before the first is replaced; what fails then is
put back. A crash in between leaves each file whole. All of it blocks.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_MODE: Final = 0o600
_PERMISSIONS: Final = 0o777

Texts = dict[Path, bytes | None]
"""What files hold, or shall hold; None is no file."""


def replace(wanted: Mapping[Path, bytes | None]) -> Texts:
    """Give files what they shall hold; return what they held.

    Raises:
        OSError: they cannot be written; they hold what they held.
    """
    there = {path.resolve(): text for path, text in wanted.items()}
    held: Texts = {path: path.read_bytes() if path.exists() else None for path in there}
    fresh: dict[Path, Path] = {}
    try:
        for path, text in there.items():
            if text is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                fresh[path] = _beside(path, text)
        _exchange(held, fresh)
    finally:
        for left in fresh.values():
            left.unlink(missing_ok=True)
    return held


def _exchange(held: Texts, fresh: Mapping[Path, Path]) -> None:
    """Put what is beside files in their place; remove those that have nothing there."""
    changed: Texts = {}
    try:
        for path, before in held.items():
            changed[path] = before
            if path in fresh:
                fresh[path].replace(path)
            else:
                path.unlink(missing_ok=True)
    except OSError:
        for path, before in changed.items():
            if before is None:
                path.unlink(missing_ok=True)
            else:
                _beside(path, before).replace(path)
        raise


def _beside(path: Path, text: bytes) -> Path:
    """Write a text to disk beside a file, with the rights of that file."""
    mode = path.stat().st_mode & _PERMISSIONS if path.exists() else _MODE
    fresh = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(fresh, flags, mode), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return fresh
