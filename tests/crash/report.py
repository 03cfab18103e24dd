"""Breaks the durable bus in every way there is, and writes down what came of it.

`python -m tests.crash.report [--quick] [--seeds N]` writes `build/crash-report.md` and ends
with 1 if a claim did not hold. Nothing that a trial found is left out.
"""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bus.adapters.clock import SystemClock
from tests.crash.claims import Trial
from tests.crash.faults import outages
from tests.crash.flipped_bus import flipped_bus
from tests.crash.flips import bit_flips
from tests.crash.kills import kill_rounds
from tests.crash.limits import limits
from tests.crash.power import Depth, power_loss

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "build" / "crash-report.md"
LANES: Final = 8
ROUNDS: Final = 25  # of each lane
SEEDS: Final = 10_000
SIMULATE_S: Final = 7_200
CLAIMS: Final = {
    "kill -9": (
        "Processes with a bus over one store are killed at random moments, in the "
        "middle of starts too, with 24 publishers and five consumers at work: plain, a "
        "queue group, one with `once=True` and what it publishes, and one that always "
        "fails. Whatever was accepted is delivered or a dead letter at the end; whatever "
        "was handed over stands in the store under its seal with the decision that let "
        "it in; nothing comes again whose ack is on disk; effects of `once=True` are "
        "there once."
    ),
    "Power loss": (
        "A recorded workload is cut off at each write and each sync. The disk then holds "
        "what was synced, and of the rest nothing, all, the first part, or some sectors "
        "of 512 bytes. The store that is opened from it is exactly in a state that it "
        "was in: no older than what it had told as kept, no newer than what it was asked."
    ),
    "Power loss in the very first start": (
        "The same before anything was kept: the next start begins anew."
    ),
    "Bit flips and cuts": (
        "At each 4 KiB of database, log and head a bit is flipped, and the file is cut. "
        "Whoever opens that and reads everything is told what is wrong and where, or "
        "reads exactly what was kept."
    ),
    "Bit flips under a bus": (
        "A bus is started on such a store. What it hands over is what was published; the "
        "rest is a dead letter, or the bus says that its store is broken."
    ),
    "Outages of the disk": (
        "Under a running bus the disk is full, a sync or a write fails, it is read-only, "
        "or no file can be opened. Publishers are refused with `store_unavailable`; what "
        "was accepted is delivered and found after a restart and after a power loss, what "
        "was refused is not; no sync follows a failed one on its connection; once the "
        "cause is gone the bus accepts again, and the history says how."
    ),
    "Limits of the process and the file system": (
        "The same, as the operating system does it; and starts that it does not allow."
    ),
    "Simulation": (
        "Bus, store and recovery in virtual time, with faults that a seed decides; "
        "`assent simulate --seed N` repeats one."
    ),
}


def trials(*, quick: bool, seeds: int) -> Iterator[Trial]:
    """Run one trial after the other."""
    yield kill_rounds(100, 2 if quick else LANES, 5 if quick else ROUNDS)
    for seed in (1,) if quick else (1, 2, 3):
        yield from power_loss(seed, Depth(20, 9, 1) if quick else Depth(60, 1, 2))
    yield bit_flips(1, 8 if quick else 60, 1 if quick else 4)
    yield flipped_bus(1, 9 if quick else 1)
    yield outages()
    yield limits()
    yield simulation(seeds)


def simulation(seeds: int) -> Trial:
    """Run the simulation of so many seeds."""
    trial = Trial("Simulation")
    code = "import sys; from bus.cli import main; sys.exit(main())"
    told = ("--seeds", str(seeds), "--processes", str(os.cpu_count() or 1), "--json")
    done = subprocess.run(
        [sys.executable, "-c", code, "simulate", *told],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SIMULATE_S,
        check=False,
    )
    if not done.stdout:
        trial.broken.append(f"it did not run: {done.stderr[-500:]}")
        return trial
    document = json.loads(done.stdout)
    for name in ("seeds", "accepted", "handled", "lives", "faults"):
        trial.count(name, document[name])
    for failed in document["failed"]:
        trial.broken.append(f"seed {failed['seed']}: {failed['reason']}")
    trial.claim(document["seeds"] == seeds, "not every seed was run")
    trial.require("accepted", "handled", "faults")
    return trial


def merged(found: Sequence[Trial]) -> list[Trial]:
    """Return one trial for each title, in the order they came in."""
    whole: dict[str, Trial] = {}
    for trial in found:
        into = whole.setdefault(trial.title, Trial(trial.title))
        into.counts.update(trial.counts)
        into.broken.extend(trial.broken)
        into.notes.extend(trial.notes)
    return list(whole.values())


def page(found: Sequence[Trial], began_ns: int, ended_ns: int) -> str:
    """Return the page that says what came of it."""
    broken = sum(len(trial.broken) for trial in found)
    day = datetime.fromtimestamp(began_ns / 1e9, tz=UTC)
    verdict = (
        "Every claim held." if not broken else f"**{broken} claims did not hold.**"
    )
    took = f"Run on {day:%Y-%m-%d} in {(ended_ns - began_ns) / 60e9:.0f} minutes"
    lines = ["# Crash report", "", verdict, "", f"{took}: {machine()}."]
    for trial in found:
        lines += ["", f"## {trial.title}", "", CLAIMS[trial.title], ""]
        lines += ["| counted | |", "|-|-:|"]
        lines += [f"| {name} | {number:,} |" for name, number in trial.counts.items()]
        lines.append(f"| claims that did not hold | {len(trial.broken):,} |")
        if trial.notes:
            lines += ["", *(f"- {note}" for note in trial.notes)]
        if trial.broken:
            lines += ["", "```text", trial.told, "```"]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Return what it ran on, as far as figures depend on it."""
    return (
        f"{platform.system()} {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} processors, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}"
    )


def main(
    arguments: Sequence[str], now_ns: Callable[[], int] = SystemClock.now_ns
) -> int:
    """Run everything; return 1 if a claim did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.report")
    parser.add_argument("--quick", action="store_true", help="a little of each")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="to simulate")
    parser.add_argument("--page", type=Path, default=PAGE, help="what to write")
    chosen = parser.parse_args(arguments)
    began_ns = now_ns()
    found: list[Trial] = []
    for trial in trials(quick=chosen.quick, seeds=chosen.seeds):
        found.append(trial)
        sys.stdout.write(f"{trial.title}: {len(trial.broken)} claims did not hold\n")
        sys.stdout.flush()
    told = merged(found)
    chosen.page.parent.mkdir(exist_ok=True)
    chosen.page.write_text(page(told, began_ns, now_ns()), encoding="utf-8")
    sys.stdout.write(f"{chosen.page}\n")
    return int(any(trial.broken for trial in told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
