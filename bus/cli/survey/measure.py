"""What a worker measures of one file. Blocks: call it in a thread.

Rule: never more than a bounded part of a file in memory, and whatever is in it, only
the system's refusal to read it is an error.
"""

import ast
import errno
import os
import re
import stat
from pathlib import Path, PurePath
from typing import Final

import msgspec

from bus.core.limits import SURVEY_FILE_BYTES_MAX, SURVEY_SYNTAX_BYTES_MAX

_HEAD_BYTES: Final = 8_192
_SUFFIX: Final = re.compile(r"[A-Za-z0-9_+-]{1,12}")
NO_SUFFIX: Final = "plain"
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Measure(msgspec.Struct, frozen=True):
    """One file. None stands for what such a file does not have, or was not measured.

    `size` is in bytes, `longest` in characters; `binary` files have a NUL byte near their beginning.
    """

    size: int
    binary: bool = False
    lines: int | None = None
    longest: int | None = None
    functions: int | None = None
    classes: int | None = None


def kind_of(path: str) -> str:
    """Return a file's type by its suffix, as a token that a subject can have."""
    suffix = PurePath(path).suffix[1:]
    return suffix.lower() if _SUFFIX.fullmatch(suffix) else NO_SUFFIX


def measure(folder: Path, path: str) -> Measure:
    """Measure the file at `path` below `folder`.

    Raises:
        OSError: it cannot be read, or is no regular file any more.
    """
    fd = os.open(folder / path, _FLAGS)
    with os.fdopen(fd, "rb") as file:
        told = os.fstat(fd)
        if not stat.S_ISREG(told.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        text = file.read(SURVEY_FILE_BYTES_MAX + 1)
    if len(text) > SURVEY_FILE_BYTES_MAX:
        return Measure(told.st_size)
    if b"\0" in text[:_HEAD_BYTES]:
        return Measure(len(text), binary=True)
    return _of_text(text, python=kind_of(path) in {"py", "pyi"})


def _of_text(text: bytes, *, python: bool) -> Measure:
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()  # what follows the last newline is no line
    longest = max((len(line.decode("utf-8", "replace")) for line in lines), default=0)
    functions, classes = _definitions(text) if python else (None, None)
    return Measure(
        len(text),
        lines=len(lines),
        longest=longest,
        functions=functions,
        classes=classes,
    )


def _definitions(text: bytes) -> tuple[int | None, int | None]:
    """Count functions and classes; (None, None) for what Python cannot parse."""
    if len(text) > SURVEY_SYNTAX_BYTES_MAX:
        return None, None
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None, None
    functions = classes = 0
    for node in ast.walk(tree):
        functions += isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        classes += isinstance(node, ast.ClassDef)
    return functions, classes
