"""`python -m benchmarks`: Assent beside the floor and its peers, as ratios.

Rule: every figure comes from a process of its own. The rounds alternate between all of
them, so that what else the machine does meets all alike, and a ratio is that of the
medians. It ends non-zero if a message was lost or a target was missed.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

import msgspec

from bus.cli.measures.machine import here

PEERS: Final = ("floor", "autogen", "nats", "bubus", "faststream", "agt")
ASSENT: Final = "import sys; from bus.cli import main; sys.exit(main())"
LIMIT_S: Final = 600
FLOOR_SHARE_MIN: Final = 0.5
AUTOGEN_TIMES_MIN: Final = 15.0
NATS_TIMES_MIN: Final = 1.1
ROUNDTRIP_US_MAX: Final = 40.0
HIT_RATIO_MIN: Final = 0.95
WHOLE: Final = 1_000  # from here on a figure is shown without its fraction


class Row(msgspec.Struct, frozen=True):
    """One line of the table; `met` is None where there is no target."""

    what: str
    figure: float
    unit: str
    target: str = ""
    met: bool | None = None


class Series:
    """The figures of all rounds, by name."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}
        self.absent: dict[str, str] = {}
        self.lost = 0

    def add(self, name: str, figure: float) -> None:
        """Add one round's figure."""
        self.found.setdefault(name, []).append(figure)

    def median(self, name: str) -> float | None:
        """Return the median of the rounds, or None if there was none."""
        return median(self.found[name]) if name in self.found else None


def run(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Run a process of ours and return the JSON lines it printed.

    Raises:
        CalledProcessError: it failed.
    """
    ended = subprocess.run(  # noqa: S603 - our interpreter, our modules
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        timeout=LIMIT_S,
        check=True,
    )
    return [json.loads(line) for line in ended.stdout.splitlines() if line[:1] == b"{"]


def round_of(series: Series, peers: Sequence[str], messages: int) -> None:
    """Measure everything once."""
    size = ["--messages", str(messages), "--json"]
    for name, more in (("assent", []), ("assent cold", ["--cold"])):
        (made,) = run(["-c", ASSENT, "bench", "memory", *size, *more])
        series.add(name, made["per_second"])
        series.add(f"{name} hit ratio", made["cache_hit_ratio"])
        series.add(f"{name} publish_many", made["publish_many_per_second"])
        series.lost += made["accepted"] - made["delivered"]
        series.lost += made["denied"] + made["failed"] + made["unrecorded"]
    (made,) = run(["-c", ASSENT, "bench", "roundtrip", "--json"])
    series.add("round trip p50", made["p50_us"])
    for peer in peers:
        for line in run(["-m", "benchmarks.peers", peer, *size[:2]]):
            if "absent" in line:
                series.absent[peer] = line["absent"]
            else:
                series.add(line["peer"], line["per_second"])


def rows(series: Series) -> list[Row]:
    """Return the table: figures, then ratios with their targets."""
    made = [
        Row(name, round(median(figures)), "messages/s")
        for name, figures in series.found.items()
        if "ratio" not in name and "p50" not in name
    ]
    ours = series.median("assent")
    for peer, least in (
        ("floor", FLOOR_SHARE_MIN),
        ("autogen", AUTOGEN_TIMES_MIN),
        ("nats", NATS_TIMES_MIN),
    ):
        theirs = series.median(peer)
        if ours is not None and theirs is not None:
            times = round(ours / theirs, 3)
            target = f">= {least:g}"
            made.append(Row(f"assent / {peer}", times, "x", target, times >= least))
    trip = series.median("round trip p50")
    if trip is not None:
        target = f"<= {ROUNDTRIP_US_MAX:g}"
        met = trip <= ROUNDTRIP_US_MAX
        made.append(Row("round trip p50", trip, "us", target, met))
    warm = series.median("assent hit ratio")
    if warm is not None:
        target = f">= {HIT_RATIO_MIN:g}"
        met = warm >= HIT_RATIO_MIN
        made.append(Row("cache hit ratio", warm, "", target, met))
    cold = series.median("assent cold hit ratio")
    if cold is not None:
        made.append(Row("cache hit ratio, cold", cold, ""))
    return made


def show(table: Sequence[Row], command: str, series: Series) -> None:
    """Print the table for a person."""
    show_rows(table, command, series.absent)
    print(f"messages lost: {series.lost}")


def show_rows(table: Sequence[Row], command: str, absent: dict[str, str]) -> None:
    """Print the machine, the command, and a line for each row and what is absent."""
    machine = here()
    print(f"{machine.cpu}, {machine.cores} cores, {machine.python}")
    print(f"load average {os.getloadavg()[0]:.2f} at the end; $ {command}")
    width = max(28, *(len(name) + 2 for name in [*absent, *(r.what for r in table)]))
    for row in table:
        verdict = {True: "met", False: "MISSED", None: ""}[row.met]
        figure = f"{row.figure:>14,.0f}" if row.figure >= WHOLE else f"{row.figure:>14}"
        print(f"{row.what:<{width}}{figure} {row.unit:<12}{row.target:<10}{verdict}")
    for name, why in absent.items():
        print(f"{name:<{width}}{'absent':>14} {why}")


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("peers", nargs="*", help=f"which of: {' '.join(PEERS)}")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    peers = options.peers or PEERS
    if unknown := set(peers) - set(PEERS):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    series = Series()
    for _ in range(options.rounds):
        round_of(series, peers, options.messages)
    table = rows(series)
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    if options.json:
        document = {
            "machine": here(),
            "command": command,
            "rows": table,
            "rounds": series.found,
            "absent": series.absent,
            "lost": series.lost,
        }
        print(json.dumps(msgspec.to_builtins(document)))
    else:
        show(table, command, series)
    return 1 if series.lost or any(row.met is False for row in table) else 0


if __name__ == "__main__":
    sys.exit(main())
