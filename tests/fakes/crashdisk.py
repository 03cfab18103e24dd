"""What may be found on a disk after the power went, given what was written and synced.

Rule: what was synced is there. Of the rest any part may be, in any order, down to the
sectors of one write; a file that was never synced may be missing.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from tests.fakes.vfs import (
    Cut,
    Event,
    FolderSynced,
    Lost,
    Removed,
    Renamed,
    Synced,
    Wrote,
)

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - nothing is kept there
SECTOR_BYTES: Final = 512
MADE_WITH_FOLDER: Final = ("-wal", "-journal")
"""With the first sync of a new one SQLite brings its folder to disk as well."""
Files = dict[str, bytes]
"""What each file holds, by what its name adds to the store's."""


class Platter:
    """The disk as it is after some events."""

    def __init__(self) -> None:
        self._synced: dict[str, bytearray] = {}
        self._pending: list[Event] = []

    @property
    def unsure(self) -> int:
        """How many events may have reached the disk or not."""
        return len(self._pending)

    def take(self, event: Event) -> None:
        """Go on by one event."""
        if isinstance(event, Synced):
            self._sync(event.file)
        elif isinstance(event, Removed) and event.synced:
            self._synced.pop(event.file, None)
            self._pending = [e for e in self._pending if e.file != event.file]
        elif isinstance(event, FolderSynced):
            self._sync_folder()
        elif isinstance(event, Lost):
            self._pending = [e for e in self._pending if e.file != event.file]
        else:
            self._pending.append(event)

    def images(self, dice: Random, torn: int) -> Iterator[tuple[str, Files]]:
        """Yield what may be found: nothing more, all, a prefix, and `torn` at random."""
        pending = self._pending
        yield "only what was synced", self._image([])
        if not pending:
            return
        yield "all that was written", self._image(pending)
        if len(pending) > 1:
            prefix = pending[: dice.randrange(1, len(pending))]
            yield "the first part of it", self._image(prefix)
        for _ in range(torn):
            kept = [part for event in pending for part in _torn(event, dice)]
            yield "some sectors of it", self._image(kept)

    def _sync(self, file: str) -> None:
        own = [event for event in self._pending if event.file == file]
        self._pending = [event for event in self._pending if event.file != file]
        renamed = any(isinstance(e, Renamed) and e.to == file for e in self._pending)
        if renamed or (file in MADE_WITH_FOLDER and file not in self._synced):
            self._sync_folder()
        for event in own:
            _apply(self._synced, event)
        self._synced.setdefault(file, bytearray())

    def _sync_folder(self) -> None:
        """Bring to disk which files there are."""
        for event in self._pending:
            if isinstance(event, Removed | Renamed):
                _apply(self._synced, event)
            else:
                self._synced.setdefault(event.file, bytearray())
        self._pending = [
            e for e in self._pending if not isinstance(e, Removed | Renamed)
        ]

    def _image(self, events: list[Event]) -> Files:
        touched = {name for event in events for name in event if isinstance(name, str)}
        found = {
            file: bytearray(data) if file in touched else data
            for file, data in self._synced.items()
        }
        for event in events:
            _apply(found, event)
        return {file: bytes(data) for file, data in found.items()}


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder for images, in memory where that can be had.

    What is on disk of an image was decided when it was made; its syncs only take time.
    """
    usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    return tempfile.TemporaryDirectory(dir=MEMORY if usable else None)


def put(files: Files, store: Path) -> None:
    """Write an image where a store is to be opened."""
    for file, data in files.items():
        path = store.with_name(store.name + file)
        path.touch(0o600)  # keys that others can read are refused
        path.write_bytes(data)


def taken(store: Path, files: tuple[str, ...] = ("", "-wal", "-head")) -> Files:
    """Return what the files of a store hold, as a process leaves them that is killed."""
    found = {file: store.with_name(store.name + file) for file in files}
    return {file: path.read_bytes() for file, path in found.items() if path.exists()}


def _apply(files: dict[str, bytearray], event: Event) -> None:
    match event:
        case Wrote(file, place, data):
            held = files.setdefault(file, bytearray())
            if len(held) < place:
                held.extend(bytes(place - len(held)))
            held[place : place + len(data)] = data
        case Cut(file, size):
            held = files.setdefault(file, bytearray())
            del held[size:]
            held.extend(bytes(size - len(held)))
        case Removed(file, _):
            files.pop(file, None)
        case Renamed(file, to):
            if file in files:
                files[to] = files.pop(file)
        case Synced() | FolderSynced() | Lost():
            raise AssertionError("a sync is no write")


def _torn(event: Event, dice: Random) -> Iterator[Event]:
    """Yield the sectors of a write that reached the disk; of all else: it, or nothing."""
    if not isinstance(event, Wrote):
        if dice.random() < 0.5:
            yield event
        return
    first = event.place
    end = event.place + len(event.data)
    share = dice.random()
    while first < end:
        last = min((first // SECTOR_BYTES + 1) * SECTOR_BYTES, end)
        if dice.random() < share:
            yield Wrote(
                event.file, first, event.data[first - event.place : last - event.place]
            )
        first = last
