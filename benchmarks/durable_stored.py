"""What it costs that much is stored: opening it, the memory of that, and publishing on.

Rule: a store is filled through the store's own writer with entries sealed as the bus
seals them. It is opened in a process of its own, after its pages have left the memory.
"""

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks import durable_bus
from benchmarks.contest import BrokenContestError, Took, rate_ratio
from benchmarks.durable_bus import STREAM, SUBJECT, running, settings
from benchmarks.durable_table import Table
from benchmarks.figures import BODY
from bus import composing
from bus.adapters.clock import SystemClock
from bus.cli.measures.load import COLLECTOR, TENANT
from bus.config import Settings
from bus.core.changes import Append, PutStream
from bus.core.decision import Decision
from bus.core.entries import Sealer, key_of
from bus.core.ids import IdSource
from bus.core.message import Message

STREAM_ID: Final = 1
SUBMISSION: Final = 1_000  # rows of one transaction while filling
OPEN_LIMIT_S: Final = 600
SIZES: Final = (1_000, 100_000, 1_000_000, 10_000_000)
FRESH_MAX: Final = 100_000  # smaller stores are made anew each round: they would grow
FLAT: Final = 0.15
OPEN_S_MAX: Final = 2.0
OPEN_MB_MAX: Final = 150
WARM: Final = 2_000  # messages before the clock starts: a bus that was just opened


class Opened(msgspec.Struct, frozen=True):
    """How a store was opened: seconds, and the most memory of that process ever in RAM."""

    seconds: float
    rss_bytes: int
    stored: int


async def stored(table: Table, folder: Path) -> None:
    """Open the largest store, and publish on stores of all sizes."""
    most = table.size.stored
    sizes = sorted({*(size for size in SIZES if size < most), most})
    files = {size: folder / f"stored-{size}.db" for size in sizes}
    for size in sizes:
        if size > FRESH_MAX or size == most:
            await fill(files[size], size)
    await _opening(table, files[most])
    await _flat(table, files)


async def _opening(table: Table, file: Path) -> None:
    most, found = table.size.stored, []
    for _ in range(table.size.rounds):
        found.append(await asyncio.to_thread(opened, file))
        table.failures += found[-1].stored != most
    what = f"opening {most:,} messages"
    table.at_most(what, median(one.seconds for one in found), OPEN_S_MAX, "s")
    memory_mb = max(one.rss_bytes for one in found) / 1e6
    table.at_most(f"{what}, memory at most", memory_mb, OPEN_MB_MAX, "MB")


async def _flat(table: Table, files: dict[int, Path]) -> None:
    took: dict[int, list[Took]] = {size: [] for size in files}
    for number in range(table.size.rounds):
        for size in list(files)[:: -1 if number % 2 else 1]:
            gc.collect()
            file = files[size]
            if size <= FRESH_MAX:
                file = file.with_stem(f"{file.stem}-{number}")
                await fill(file, size)
            took[size].append(await publishing(file, table.size.messages))
    least = min(files)
    for size, found in took.items():
        table.failures += sum(one.failures for one in found)
        table.told(f"publish, {size:,} stored", median(o.us_each for o in found), "us")
        if size != least:
            dearer = rate_ratio(took[least], found)
            what = f"publish at {size:,} stored / at {least:,}"
            table.at_most(what, dearer, 1 + FLAT)


class Filling:
    """Makes the entries of a store in turn."""

    def __init__(self, made: Settings) -> None:
        ring = composing.key_ring(made)
        self._validator = composing.validator(made, ring)
        self._sealer = Sealer(ring)
        self._ids = IdSource(os.urandom(8))
        self._decision = Decision(True, (), "0" * 16, "0" * 16)

    def append(self, sequence: int) -> Append:
        """Return the change that keeps one more message."""
        now_ns = time.time_ns()
        message = Message(
            id=self._ids.next(now_ns),
            subject=SUBJECT,
            type="event",
            priority=1,
            tenant=TENANT,
            sender=COLLECTOR,
            content_type="application/octet-stream",
            body=BODY,
            created_ns=now_ns,
            constitution=self._validator.constitution,
            revision=self._decision.revision,
        )
        self._validator.seal(message)
        key = key_of(STREAM_ID, sequence)
        return Append(key, now_ns, self._sealer.close(key, message, self._decision, ()))


async def fill(file: Path, stored: int) -> None:
    """Make a store of so many messages that nobody waits for."""
    made = await asyncio.to_thread(settings, file)
    filling = Filling(made)
    kept = composing.kept(made, composing.key_ring(made), SystemClock())
    if kept is None:
        raise BrokenContestError("these settings keep nothing")
    store = kept.store
    await store.open()
    faults: list[Exception] = []

    def done(fault: Exception | None) -> None:
        if fault is not None:
            faults.append(fault)

    store.submit([PutStream(STREAM_ID, TENANT, STREAM)], done)
    for first in range(1, stored + 1, SUBMISSION):
        if store.full:
            await store.room()
        last = min(first + SUBMISSION, stored + 1)
        store.submit([filling.append(number) for number in range(first, last)], done)
        await asyncio.sleep(0)
        if faults:
            raise faults[0]
    await store.close()
    if faults:
        raise faults[0]


def opened(file: Path) -> Opened:
    """Open a store in a new process, its pages not in memory.

    Raises:
        CalledProcessError: it could not be opened.
    """
    leave_memory(file)
    ended = subprocess.run(  # noqa: S603 - our interpreter, our module
        [sys.executable, "-m", "benchmarks.durable_stored", str(file)],
        stdout=subprocess.PIPE,
        timeout=OPEN_LIMIT_S,
        check=True,
    )
    return msgspec.json.decode(ended.stdout, type=Opened)


def leave_memory(file: Path) -> None:
    """Ask the system to drop a file's pages, so that opening has to read it."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


async def publishing(file: Path, messages: int) -> Took:
    """Open a store and publish on it, many at once."""
    async with running(file) as durable:
        before = await asyncio.to_thread(durable_bus.last, file)
        warm = await durable.together(WARM)
        took = await durable.together(messages)
        kept = await asyncio.to_thread(durable_bus.keys, file, before)
    wrong = abs(kept - WARM - messages) + warm.failures
    return msgspec.structs.replace(took, failures=took.failures + wrong)


async def _open(file: Path) -> Opened:
    """Open a store as a bus does when it starts."""
    start = time.perf_counter()
    async with running(file):
        seconds = time.perf_counter() - start
        rss = await asyncio.to_thread(peak_rss_bytes)
        stored = await asyncio.to_thread(durable_bus.keys, file)
    return Opened(seconds, rss, stored)


def peak_rss_bytes() -> int:
    """Return the most memory that this process ever had in RAM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) << 10
    raise OSError("/proc/self/status has no VmHWM")


def main() -> None:
    """Open one store and print how that went."""
    parser = argparse.ArgumentParser(description="One store, in this process.")
    parser.add_argument("file", type=Path)
    opening = asyncio.run(_open(parser.parse_args().file))
    print(msgspec.json.encode(opening).decode())


if __name__ == "__main__":
    main()
