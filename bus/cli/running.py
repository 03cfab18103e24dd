"""Runs a command's coroutine, and prepares stdout for whatever it prints."""

import asyncio
import sys
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TextIO, TypeVar

from rich.console import Console

T = TypeVar("T")

WIDTH: Final = 80


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` and return its result; a fault of one of its tasks is raised bare.

    What a task group wraps, a person should not have to unwrap.
    """
    with warnings.catch_warnings():
        # What the compiler thinks of a surveyed file's escapes is not our news.
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return asyncio.run(work)
        except BaseExceptionGroup as group:
            raise first_of(group) from group


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception of a group, however deep it is."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


@contextmanager
def audit_place(kept: Path | None) -> Iterator[Path]:
    """Give the file to write the record to; one that nobody asked to keep is removed."""
    if kept is not None:
        yield kept
        return
    with TemporaryDirectory(prefix="assent-") as folder:
        yield Path(folder) / "audit.log"


def console_on(stream: TextIO) -> Console:
    """Return a console of 80 columns at least where `stream` is no terminal.

    A character that the stream's encoding lacks is escaped: no name of a file may end
    a command.
    """
    if stream is sys.stdout and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    console = Console(file=stream)
    return console if console.is_terminal else Console(file=stream, width=WIDTH)
