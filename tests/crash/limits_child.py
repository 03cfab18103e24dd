"""A bus in a process whose limits, or whose file system, leave its store no way on.

Run with what is to happen and a folder; for `full` and `read-only` the folder is a small
file system of its own. Tells what came of it as one JSON document.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from bus import Bus
from bus.core.errors import ConfigurationError
from tests.crash.claims import Trial
from tests.crash.outage import Outage, looked_after_often, new_bus

ROOM_BYTES: Final = 100_000
BLOCK: Final = bytes(4096)


class SizeLimit:
    """No file may grow past a size: `RLIMIT_FSIZE`."""

    def __init__(self, path: Path) -> None:
        self._log = path.with_name(path.name + "-wal")
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def begin(self) -> None:
        """Leave the log some room."""
        most = self._log.stat().st_size + ROOM_BYTES
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, self._before[1]))

    def end(self) -> None:
        """Lift it."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


class FullDisk:
    """A small file system with a large file."""

    def __init__(self, path: Path) -> None:
        self._filler = path.with_name("filler")

    def begin(self) -> None:
        """Fill it, but for a little."""
        found = os.statvfs(self._filler.parent)
        size = found.f_bavail * found.f_frsize - ROOM_BYTES
        with self._filler.open("wb") as file:
            for _ in range(max(0, size) // len(BLOCK)):
                file.write(BLOCK)

    def end(self) -> None:
        """Make room."""
        self._filler.unlink()


class Handles:
    """No file handle is left: `RLIMIT_NOFILE`."""

    def __init__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def begin(self) -> None:
        """Let no file be opened."""
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, self._before[1]))

    def end(self) -> None:
        """Lift it."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self._before)


class ReadOnly:
    """A file system that nobody may write to."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent

    def begin(self) -> None:
        """Mount it anew, for reading."""
        self._mount("ro")

    def end(self) -> None:
        """Mount it anew, for writing."""
        self._mount("rw")

    def _mount(self, how: str) -> None:
        command = ["mount", "-o", f"remount,{how}", str(self._folder)]
        subprocess.run(command, check=True)


async def _outage(case: Outage, limit: SizeLimit | FullDisk) -> None:
    await case.run(limit.begin, limit.end)


async def _start_refused(bus: Bus, name: str, trial: Trial) -> None:
    """See that a start ends as it should where nothing can be opened or written."""
    try:
        async with bus:
            trial.broken.append(f"{name}: it started")
    except ConfigurationError as error:
        trial.count("starts refused")
        trial.notes.append(f"{name}: a start is refused, {error}")


def interrupted(path: Path, name: str, trial: Trial) -> None:
    """Let a running bus meet a limit."""
    limit = SizeLimit(path) if name == "size" else FullDisk(path)
    case = Outage(path, name, trial)
    asyncio.run(_outage(case, limit))
    asyncio.run(case.restart(new_bus(path)))


def kept_out(path: Path, name: str, trial: Trial) -> None:
    """Let a start meet a limit, after a run in which much was accepted."""
    limit = ReadOnly(path) if name == "read-only" else Handles()
    case = Outage(path, name, trial)
    asyncio.run(case.undisturbed())
    bus = new_bus(path)
    runner = asyncio.Runner()
    runner.run(asyncio.sleep(0))  # what a loop opens is open
    limit.begin()
    try:
        runner.run(_start_refused(bus, name, trial))
    finally:
        limit.end()
        runner.close()
    asyncio.run(case.restart(new_bus(path)))


def out_of_handles(path: Path, name: str, trial: Trial) -> None:
    """Let a running bus be without handles: it needs none to go on; then a start."""
    limit = Handles()
    case = Outage(path, name, trial)
    asyncio.run(case.undisturbed(limit.begin, limit.end))
    kept_out(path.with_name("second.db"), name, trial)


WAYS: Final[dict[str, Callable[[Path, str, Trial], None]]] = {
    "size": interrupted,
    "full": interrupted,
    "handles": out_of_handles,
    "read-only": kept_out,
}


def main(way: str, folder: Path) -> None:
    """Let it happen, and tell."""
    trial = Trial(way)
    with pytest.MonkeyPatch.context() as patch:
        looked_after_often(patch)
        run = partial(WAYS[way], folder / "store.db", way, trial)
        run()
    told = {"counts": trial.counts, "broken": trial.broken, "notes": trial.notes}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
