"""A process that writes a record while the disk is full, or until it is killed."""

import asyncio
import resource
import sys
from pathlib import Path

from bus.adapters.audit import FileAudit
from bus.adapters.clock import SystemClock
from bus.core.errors import AuditStalledError
from tests.fakes.recording import record


def _limit(size: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def fill(path: Path) -> None:
    """Write past a limit on file size, wait out the stall, then be given room."""
    audit = FileAudit(path, SystemClock(), wait_s=0.3)
    await audit.open()
    _limit(20_000)
    number = 0
    while not audit.full:
        audit.append(record(number))
        number += 1
        await asyncio.sleep(0)
    try:
        await audit.room()
    except AuditStalledError as error:
        _say(f"stalled: {error}")
    for _ in range(1_000):  # what was under way is still recorded
        audit.append(record(number))
        number += 1
    _limit(resource.RLIM_INFINITY)
    await audit.room()
    _say(f"health: {audit.health()}")
    audit.append(record(number))
    await audit.close()
    _say(f"appended: {number + 1}")


async def endless(path: Path) -> None:
    """Say after each flush how many records are written, until killed."""
    audit = FileAudit(path, SystemClock())
    await audit.open()
    number = 0
    while True:
        for _ in range(700):
            audit.append(record(number))
            number += 1
        await audit.flush()
        _say(str(number))


async def forgetful(path: Path) -> None:
    """Never close: the writer must not keep the process."""
    audit = FileAudit(path, SystemClock())
    await audit.open()
    audit.append(record(0))
    await audit.flush()


if __name__ == "__main__":
    run = {"fill": fill, "endless": endless, "forgetful": forgetful}[sys.argv[1]]
    asyncio.run(run(Path(sys.argv[2])))
