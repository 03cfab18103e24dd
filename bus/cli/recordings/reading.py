"""Recordings from files: every line checked before anything is sent.

Rule: the first fault ends the reading with file and line; nothing of a broken file is
replayed. Sizes are bounded. All of it blocks.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from bus.cli.recordings.formats import Action, Format, tell
from bus.core.errors import MalformedMessageError, ProtocolError
from bus.core.limits import REPLAY_ACTIONS_MAX, REPLAY_BYTES_MAX, REPLAY_LINE_BYTES_MAX


class Source(msgspec.Struct):
    """A file that was read: its format, lines with a record, and those with no action."""

    file: str
    format: str
    lines: int = 0
    actions: int = 0
    without_action: int = 0
    complete: bool = True


class Recording(msgspec.Struct, frozen=True):
    """All actions of all files, in order."""

    actions: list[Action]
    sources: list[Source]


def read(files: Sequence[Path], limit: int | None = None) -> Recording:
    """Read `files` in order; with a `limit`, no further than that many actions.

    Raises:
        MalformedMessageError: names file and line: a line that is no record of the
            file's format, is too long or is not UTF-8; an empty file; too much.
        OSError: a file cannot be read.
    """
    most = REPLAY_ACTIONS_MAX if limit is None else min(limit, REPLAY_ACTIONS_MAX)
    actions: list[Action] = []
    sources: list[Source] = []
    room = REPLAY_BYTES_MAX
    for path in files:
        source = Source(str(path), "")
        sources.append(source)
        with path.open("rb") as file:
            room -= _read(file, source, actions, (most, room))
        if limit is None and not source.complete:
            raise MalformedMessageError(
                f"{path}: more than {REPLAY_ACTIONS_MAX} actions; "
                "--limit replays the first of them"
            )
    return Recording(actions, sources)


def _read(
    file: BinaryIO, source: Source, actions: list[Action], bounds: tuple[int, int]
) -> int:
    """Add the actions of one file; return how many bytes were read."""
    most, room = bounds
    format_: Format | None = None
    size = 0
    for number, line in _lines(file, source.file):
        size += len(line)
        if size > room:
            raise MalformedMessageError(
                f"{source.file}:{number}: over {REPLAY_BYTES_MAX} bytes in all"
            )
        if not line.strip():
            continue
        if len(actions) >= most:
            source.complete = False
            break
        try:
            format_ = format_ or tell(line)
            found = list(format_.actions(line))
        except ProtocolError as error:
            raise MalformedMessageError(f"{source.file}:{number}: {error}") from error
        source.format = format_.name
        source.lines += 1
        source.without_action += not found
        taken = found[: most - len(actions)]
        source.complete = len(taken) == len(found)
        source.actions += len(taken)
        actions += taken
    if format_ is None and source.complete:
        raise MalformedMessageError(f"{source.file}: no record in it")
    return size


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(REPLAY_LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > REPLAY_LINE_BYTES_MAX:
            raise MalformedMessageError(
                f"{name}:{number}: a line of more than {REPLAY_LINE_BYTES_MAX} bytes"
            )
        yield number, line
