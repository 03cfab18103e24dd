"""`python -m benchmarks.edge`: what the edge of a node costs, as ratios.

Rule: servers and clients are processes of their own. A ratio is of two things measured in
turns of one run, and the median of its rounds. What was not accepted, did not arrive, or
was not recorded by the end is a failure, and failures are counted. It ends non-zero if
there is one, or a target was missed; --quick judges none.
"""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks import edge_crowd, edge_hook, edge_servers
from benchmarks.__main__ import show_rows
from benchmarks.contest import Tally, rate_ratio
from benchmarks.durable_table import Size as Judged, Table
from benchmarks.edge_console import console
from benchmarks.edge_files import soft_limit_raised
from benchmarks.edge_http import CONNECTIONS, requests
from benchmarks.edge_node import HEARD
from benchmarks.edge_size import Size, counted
from benchmarks.edge_socket import kept, websocket
from bus.cli.loops import ASYNCIO, UVLOOP, available
from bus.cli.measures.machine import here

ROUNDS: Final = 9
MESSAGES: Final = 50_000
IDLE: Final = 5_000
ACTIVE: Final = 1_000
HOOKS: Final = 20
FAIR_S: Final = 10.0
FAIR_QUICK_S: Final = 1.0
MINUTES: Final = 10.0
QUICK: Final = 100  # --quick asks so many times less of what no option says
HTTP_SHARE: Final = 10  # over HTTP a round has so many times fewer messages
HTTP_SHARE_MIN: Final = 0.6
IDLE_KB_MAX: Final = 30
FAIR_RATIO_MAX: Final = 2
HOOK_MS_MAX: Final = 60
HOOK_HTTP_MS_MAX: Final = 5
HOOKS_HTTP: Final = 25  # over HTTP so many times more verdicts
KB: Final = 1_000


async def http(table: Table, size: Size, folder: Path) -> None:
    """Publish one message a request."""
    async with counted(table) as (stack, enter):
        node = await enter(edge_servers.node(folder / "node", size.loop, HEARD))
        relay = await enter(edge_servers.relay(size.loop))
        both = [await requests(stack, one) for one in (node, relay)]
        field = [Tally(one) for one in both]
        for number in range(size.rounds + 1):
            gc.collect()
            for tally in field[:: -1 if number % 2 else 1]:
                await tally.together(max(CONNECTIONS, size.messages // HTTP_SHARE))
            if number == 0:
                for tally in field:
                    tally.warmed_up()
    table.failures += sum(tally.failures for tally in field)
    ours, theirs = field
    what = f"http, {CONNECTIONS} connections{size.said}"
    table.told(f"{what}: assent", ours.per_second(), "msgs/s")
    table.told(f"{what}: bare handler", theirs.per_second(), "msgs/s")
    share = rate_ratio(ours.many, theirs.many)
    table.at_least(f"{what}: assent / bare", share, HTTP_SHARE_MIN)
    for name, one in zip(("assent", "bare handler"), both, strict=True):
        table.told(f"{what}, processor: {name}", median(one.processor_us[1:]), "us")


async def idle(table: Table, size: Size, folder: Path) -> None:
    """Connect many that then say nothing, and weigh the node."""
    async with counted(table) as (_, enter):
        node = await enter(edge_servers.node(folder / "node", size.loop))
        each = await edge_crowd.idle_bytes(node, size.idle)
        relay = await enter(edge_servers.relay(size.loop))
        bare = await edge_crowd.idle_bytes(relay, size.idle)
    what = f"an idle connection of {size.idle:,}{size.said}"
    table.at_most(what, each / KB, IDLE_KB_MAX, "KB")
    table.told(f"{what}: relay", bare / KB, "KB")


async def fair(table: Table, size: Size, folder: Path) -> None:
    """Have many publish as fast as they can."""
    async with counted(table) as (_, enter):
        node = await enter(edge_servers.node(folder / "node", size.loop))
        found = await edge_crowd.fair(node, size.active, size.fair_s)
    table.failures += found.failures
    what = f"{size.active:,} active connections{size.said}"
    table.told(what, found.per_second, "msgs/s")
    ratio = found.most / max(found.least, 1)
    table.at_most(f"{what}: most / least", ratio, FAIR_RATIO_MAX)


async def hook(table: Table, size: Size, folder: Path) -> None:
    """Ask for verdicts on a tool's call."""
    async with counted(table) as (_, enter):
        node = await enter(edge_servers.node(folder / "node", size.loop))
        direct = await edge_hook.over_http(node, size.hooks * HOOKS_HTTP)
        verdicts, nothing = await asyncio.to_thread(
            edge_hook.processes, node, folder, size.hooks
        )
    table.failures += direct.failures + verdicts.failures
    what = f"hook{size.said}"
    table.at_most(
        f"{what}: a process, p50", median(verdicts.took_ms), HOOK_MS_MAX, "ms"
    )
    table.told(f"{what}: a process that does nothing, p50", nothing.p50_ms, "ms")
    table.at_most(f"{what}: over HTTP, p50", direct.p50_ms, HOOK_HTTP_MS_MAX, "ms")


Measure = Callable[[Table, Size, Path], Coroutine[Any, Any, None]]
MEASURES: Final[dict[str, Measure]] = {
    "websocket": websocket,
    "kept": kept,
    "http": http,
    "idle": idle,
    "fair": fair,
    "hook": hook,
    "console": console,
}
NAMED_ONLY: Final = frozenset({"console"})  # as it takes minutes, and a browser


def options_of(words: list[str]) -> argparse.Namespace:
    """Return what the command line says; ends the process where that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge")
    parser.add_argument("measures", nargs="*", help=f"of: {' '.join(MEASURES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--idle", type=int, default=IDLE, help="idle connections")
    parser.add_argument("--active", type=int, default=ACTIVE, help="active ones")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the console")
    parser.add_argument(
        "--loop", choices=(ASYNCIO, UVLOOP), help="of the servers; else each there is"
    )
    parser.add_argument("--quick", action="store_true", help="judges no target")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(words)
    if unknown := set(options.measures) - MEASURES.keys():
        parser.error(f"unknown measures: {', '.join(sorted(unknown))}")
    if min(options.rounds, options.messages, options.idle, options.active) < 1:
        parser.error("--rounds, --messages, --idle, --active: at least one")
    if options.loop not in {None, *available()}:
        parser.error(f"{options.loop} is not installed")
    return options


def main() -> int:
    """Measure, print, and return the exit code."""
    options = options_of(sys.argv[1:])
    soft_limit_raised()
    share = QUICK if options.quick else 1
    size = Size(
        rounds=options.rounds,
        messages=options.messages,
        idle=options.idle,
        active=options.active,
        hooks=max(1, HOOKS // share),
        fair_s=FAIR_QUICK_S if options.quick else FAIR_S,
        minutes=options.minutes,
    )
    table = Table(Judged(size.rounds, size.messages, 0, not options.quick))
    chosen = options.measures or [name for name in MEASURES if name not in NAMED_ONLY]
    there = (options.loop,) if options.loop else available()
    if not options.loop and UVLOOP not in there:
        table.absent[UVLOOP] = "not installed: figures are of asyncio's own loop"
    for loop in there:
        for name in chosen:
            if name in NAMED_ONLY and loop != there[-1]:
                continue
            on_loop = msgspec.structs.replace(size, loop=loop)
            with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
                asyncio.run(MEASURES[name](table, on_loop, Path(folder)))
    command = " ".join(["python -m benchmarks.edge", *sys.argv[1:]])
    if options.json:
        document = {"machine": here(), "command": command, "rows": table.rows}
        document |= {"absent": table.absent, "failures": table.failures}
        print(json.dumps(msgspec.to_builtins(document)))
    else:
        show_rows(table.rows, command, table.absent)
        print(f"failures: {table.failures}")
    missed = any(row.met is False for row in table.rows)
    return 1 if table.failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())
