"""Runs seeds, each in a loop and a folder of its own, on as many processes as asked for."""

import logging
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bus.cli.simulation.book import Summary
from bus.cli.simulation.loop import VirtualClock, VirtualLoop
from bus.cli.simulation.parts import LateClock, authorizer
from bus.cli.simulation.world import World
from bus.ports import Authorizer

_CHUNK: Final = 25
_MEMORY: Final = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
_engines: dict[str, tuple[LateClock, Authorizer]] = {}


def run_seed(seed: int) -> Summary:
    """Run one seed from its beginning to its end."""
    return _run(seed)[0]


def trace(seed: int) -> str:
    """Run one seed; return what happened, a line for each step."""
    return "\n".join(_run(seed)[1]) + "\n"


def _run(seed: int) -> tuple[Summary, list[str]]:
    log = logging.getLogger("assent")
    before = log.level
    log.setLevel(logging.ERROR)  # faults are the point of it
    clock, engine = _engine()
    # What a disk would lose is simulated, so the files may be in memory, which is faster.
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="assent-simulation-", dir=memory))
    loop = VirtualLoop()
    try:
        clock.now = VirtualClock(loop)
        world = World(seed, folder, clock.now, engine)
        summary = loop.run_until_complete(world.run())
        return summary, world.book.lines
    finally:
        loop.close()
        shutil.rmtree(folder)
        log.setLevel(before)


def run_seeds(first: int, count: int, processes: int) -> Iterator[Summary]:
    """Yield the summary of each seed, in any order."""
    seeds = range(first, first + count)
    if processes == 1:
        yield from map(run_seed, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        yield from pool.imap_unordered(run_seed, seeds, chunksize=_CHUNK)


def _engine() -> tuple[LateClock, Authorizer]:
    known = _engines.get("engine")
    if known is None:
        clock = LateClock()
        known = _engines["engine"] = (clock, authorizer(clock))
    return known
