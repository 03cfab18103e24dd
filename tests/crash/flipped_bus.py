"""A bus starts on a store in which one bit is flipped: nothing changed is delivered.

It does not start and says why, or whatever it hands over is what was published; and what
it does not hand over is a dead letter, or the store says that it is broken.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from bus import Bus
from bus.core.errors import BusError, ConfigurationError, StoreBrokenError
from bus.core.outcome import Accepted
from tests.crash.claims import Trial
from tests.crash.flips import BLOCK_BYTES, NAMES, trust_at_opening
from tests.crash.workload import Bench
from tests.fakes.buses import DATA
from tests.fakes.crashdisk import Files, put, scratch, taken
from tests.fakes.durable import eventually

MESSAGES: Final = 60
BODY_BYTES: Final = (40, 900, 6_000)
SUBJECT: Final = "work.a"
FILES: Final = ("", "-wal", "-head", "-keys")
WAIT_S: Final = 20.0


class Told(Bus):
    """A bus that tells what it knows of its store."""

    def ended(self, handed: int) -> bool:
        """Tell whether everything is handed over or given up, or the store is broken."""
        ledger = self._host.require_ledger()
        well, _ = ledger.store.health()
        broken = ledger.rewinding.failure is not None or not well
        return broken or handed + ledger.store.stats().letters >= MESSAGES


async def _nobody(body: bytes) -> None:
    raise AssertionError(f"handled: {body[:20]!r}")


async def _left_behind(bus: Bus, path: Path, dice: Random) -> tuple[Files, Files]:
    """Publish to a consumer that is away; return what a kill leaves, and what a close."""
    worker, planner = bus.agent("worker"), bus.agent("planner")
    taker = worker.subscribe(SUBJECT, _nobody)
    async with bus:
        await worker.unsubscribe(taker)
        for number in range(MESSAGES):
            outcome = await planner.publish(SUBJECT, _body(number, dice))
            assert isinstance(outcome, Accepted), outcome
        killed = await asyncio.to_thread(taken, path, FILES)
    return killed, await asyncio.to_thread(taken, path, FILES)


async def _deliver(bus: Told) -> list[bytes]:
    """Hand over everything that the bus still takes for what it was."""
    handed: list[bytes] = []

    async def take(body: bytes) -> None:
        handed.append(bytes(body))

    bus.agent("worker").subscribe(SUBJECT, take, max_in_flight=4)
    async with bus:
        await eventually(lambda: bus.ended(len(handed)), WAIT_S)
    return handed


def flipped_bus(seed: int, each: int) -> Trial:
    """Flip a bit in each so many blocks of a store, and start a bus on it."""
    trial = Trial("Bit flips under a bus")
    dice = Random(seed)  # noqa: S311 - repeatable, not secret
    with Bench() as bench, pytest.MonkeyPatch.context() as patch:
        trust_at_opening(patch)
        with scratch() as folder:
            path = Path(folder, "store.db")
            left = bench.run(_left_behind(Bus(DATA, store=path), path, dice))
        for files in left:
            whole = _started(bench, files, trial, "unharmed")
            trial.claim(len(whole) == MESSAGES, "unharmed, but not all is handed over")
            for where, damaged in _flipped(files, dice, each):
                trial.count("bits flipped")
                _started(bench, damaged, trial, where)
    trial.require("bits flipped", "starts refused", "buses started")
    trial.require("not handed over, and said so")
    return trial


def _flipped(files: Files, dice: Random, each: int) -> Iterator[tuple[str, Files]]:
    for file, name in NAMES.items():
        data = files.get(file, b"")
        for first in range(0, len(data), BLOCK_BYTES * each):
            place = dice.randrange(first, min(first + BLOCK_BYTES, len(data)))
            changed = bytearray(data)
            changed[place] ^= 1 << dice.randrange(8)
            yield f"{name}, a bit at {place}", {**files, file: bytes(changed)}


def _started(bench: Bench, files: Files, trial: Trial, where: str) -> list[bytes]:
    with scratch() as folder:
        path = Path(folder, "store.db")
        put(files, path)
        try:
            handed = bench.run(_deliver(Told(DATA, store=path)))
        except (StoreBrokenError, ConfigurationError):
            trial.count("starts refused")
            return []
        except TimeoutError:
            trial.broken.append(f"{where}: neither handed over nor said to be broken")
            return []
        except BusError as error:
            trial.count("buses that said the store is broken as they closed")
            trial.claim("store" in str(error), f"{where}: {error}")
            return []
    trial.count("buses started")
    trial.count("handed over", len(handed))
    for body in handed:
        trial.claim(_is_whole(body), f"{where}: handed over changed")
    trial.claim(len(handed) == len(set(handed)), f"{where}: handed over twice")
    trial.count("not handed over, and said so", MESSAGES - len(handed))
    return handed


def _body(number: int, dice: Random) -> bytes:
    text = b"%d " % number + dice.randbytes(dice.choice(BODY_BYTES))
    return text + hashlib.sha256(text).digest()


def _is_whole(body: bytes) -> bool:
    return hashlib.sha256(body[:-32]).digest() == body[-32:]
