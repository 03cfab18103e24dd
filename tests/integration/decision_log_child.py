"""A process that logs decisions while the disk is full, or until it is killed."""

import asyncio
import itertools
import resource
import sys
from pathlib import Path

from bus.adapters.clock import SystemClock
from policy.decisionlog import (
    CollectorSettings,
    DecisionLog,
    DecisionLogStalledError,
    FileSettings,
    LogSettings,
)
from tests.fakes.decisionentries import entry


def _limit(size: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _log(folder: Path, url: str, wait_s: float = 10.0) -> DecisionLog:
    collector = CollectorSettings(
        url=url,
        spool=folder / "spool",
        timeout_s=20.0,
        delay_s=0.01,
        backoff_s_base=0.01,
        backoff_s_max=0.05,
    )
    file = FileSettings(path=folder / "decisions.jsonl", rotate_bytes=1 << 20, keep=99)
    settings = LogSettings(
        labels={"id": "child"}, file=file, collector=collector, wait_s=wait_s
    )
    return DecisionLog(settings, lambda: None, SystemClock())


async def endless(folder: Path, url: str, prefix: str) -> None:
    """Say after each flush how many decisions are written, until killed."""
    log = _log(folder, url)
    await log.open()
    for number in itertools.count():
        log.append(entry(f"{prefix}-{number}"))
        if number % 100 == 99:
            await log.flush()
            _say(str(number + 1))


async def drain(folder: Path, url: str, prefix: str) -> None:
    """Log one decision, send everything, and say what remains."""
    log = _log(folder, url)
    await log.open()
    log.append(entry(prefix))
    remains = await log.close()
    _say(str(remains.segments))


async def fill(folder: Path, url: str, prefix: str) -> None:
    """Log past a limit on file size, wait out the stall, then be given room."""
    log = _log(folder, url, wait_s=0.3)
    await log.open()
    _limit(20_000)
    number = 0
    while not log.full:
        log.append(entry(f"{prefix}-{number}"))
        number += 1
        await asyncio.sleep(0)
    try:
        await log.room()
    except DecisionLogStalledError as error:
        _say(f"stalled: {error}")
    for _ in range(500):  # what was under way is still recorded
        log.append(entry(f"{prefix}-{number}"))
        number += 1
    _limit(resource.RLIM_INFINITY)
    while log.stats().pending:  # noqa: ASYNC110 - a thread tells
        await asyncio.sleep(0.05)
    await log.room()
    _say(f"well: {log.health()[0]}")
    await log.close()
    _say(f"appended: {number}")


if __name__ == "__main__":
    run = {"endless": endless, "drain": drain, "fill": fill}[sys.argv[1]]
    asyncio.run(run(Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
