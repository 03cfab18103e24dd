"""One bit is flipped, or a file cut, at every 4 KiB of what a killed process left.

Whoever opens that and reads everything gets exactly what was kept, or is told what is
wrong and where. There is no third way: not fewer, not different.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from bus.core.errors import BusError, ConfigurationError, StoreBrokenError
from tests.crash.claims import Trial
from tests.crash.workload import Bench, State, Workload, new_store
from tests.fakes.buses import lower_bound
from tests.fakes.crashdisk import Files, scratch, taken

BLOCK_BYTES: Final = 4096
LAYOUTS: Final = {
    "all in the log": 1 << 40,
    "part in each": 300_000,  # bytes in the log before they go to the file
    "all in the file": 0,
}
NAMES: Final = {"": "database", "-wal": "log", "-head": "head"}
Damage = tuple[str, str, Files]
"""(file, what was done to it, the files after it)."""


def left_behind(
    bench: Bench, folder: Path, dice: Random, submissions: int, log_bytes: int
) -> Files:
    """Return the files of a process that was killed in the middle of its work."""
    work = Workload(dice)
    store = new_store(folder / "store.db")
    with pytest.MonkeyPatch.context() as patch:
        lower_bound(patch, "STORE_CHECKPOINT_BYTES", log_bytes or 1 << 40)
        bench.run(store.open())
        for number in range(submissions):
            bench.do(store, number, work)
        if not log_bytes:
            bench.run(store.close())
            bench.run(store.open())
        files = taken(folder / "store.db")
        bench.run(store.close())
    return files


def damages(files: Files, dice: Random, flips: int) -> Iterator[Damage]:
    """Yield each file flipped so often in each block, and cut at each block."""
    for file, data in files.items():
        for first in range(0, len(data), BLOCK_BYTES):
            last = min(first + BLOCK_BYTES, len(data))
            for _ in range(flips):
                place, bit = dice.randrange(first, last), dice.randrange(8)
                changed = bytearray(data)
                changed[place] ^= 1 << bit
                yield file, f"bit {bit} at {place}", {**files, file: bytes(changed)}
            yield file, f"cut at {first}", {**files, file: data[:first]}


def bit_flips(seed: int, submissions: int, flips: int) -> Trial:
    """Damage stores everywhere, and read everything."""
    trial = Trial("Bit flips and cuts")
    with Bench() as bench:
        for log_bytes in LAYOUTS.values():
            dice = Random(seed)  # noqa: S311 - repeatable, not secret
            with scratch() as folder:
                place = Path(folder)
                files = left_behind(bench, place, dice, submissions, log_bytes)
                kept = bench.state(files, place / "kept")
            _damage(bench, (files, kept), (dice, flips), trial)
    trial.require(*(f"blocks of the {name}" for name in NAMES.values()))
    trial.require("bits flipped", "files cut", "named", "harmless")
    return trial


def _damage(
    bench: Bench, left: tuple[Files, State], how: tuple[Random, int], trial: Trial
) -> None:
    files, kept = left
    for file, data in files.items():
        trial.count(f"blocks of the {NAMES[file]}", -(-len(data) // BLOCK_BYTES))
    for number, damage in enumerate(damages(files, *how)):
        # Of a large file only samples are checked at opening: then reading must find it.
        with pytest.MonkeyPatch.context() as patch:
            if number % 4 > 1:
                trust_at_opening(patch)
            read_all(bench, damage, kept, trial)


def trust_at_opening(patch: pytest.MonkeyPatch) -> None:
    """Let a store be opened as one is that is too large to be read as a whole."""
    lower_bound(patch, "STORE_CHECK_BYTES_MAX", 0)
    lower_bound(patch, "STORE_SAMPLES", 1)


def read_all(bench: Bench, damage: Damage, kept: State, trial: Trial) -> None:
    """Read everything that files hold, and compare it with what was kept."""
    file, what, files = damage
    where = f"{NAMES[file]}, {what}"
    trial.count("files cut" if what.startswith("cut") else "bits flipped")
    with scratch() as folder:
        try:
            found = bench.state(files, Path(folder, "damaged"))
        except (StoreBrokenError, ConfigurationError) as error:
            trial.count("named")
            placed = "store.db" in str(error) or "entry " in str(error)
            trial.claim(placed, f"{where}: no place in {error}")
            return
        except BusError as error:
            trial.broken.append(f"{where}: {type(error).__name__}: {error}")
            return
    if found == kept:
        trial.count("harmless")
        return
    different = [name for name in kept[0] if found[0][name] != kept[0][name]]
    trial.broken.append(f"{where}: read without a word, different: {different}")
