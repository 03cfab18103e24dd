"""`python -m benchmarks.policy`: what a decision costs on every engine, as ratios.

Rule: a ratio is of two things asked in turns of one run, and the median of its rounds.
A question that was not answered as it should be is a failure, and failures are counted.
It ends non-zero if there is one, or a target was missed; --quick judges no target.
"""

import argparse
import asyncio
import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks import test_isolated, test_remote, test_swap
from benchmarks.__main__ import Row, show_rows
from benchmarks.test_policy import (
    HIT_NS_MAX,
    MISS_RATIO_MAX,
    NOW_NS,
    bare_engine,
    hit_round_ns,
    miss_round,
    policy_data,
    published,
)
from bus.cli.measures.machine import here
from bus.cli.recordings import choice, reading
from bus.cli.recordings.replay import Plan, replay
from bus.core.stats import DecisionStats
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.bundle import Origin
from policy.engine import Engine
from policy.governance import InLoop
from policy.isolation.engine import IsolatedEngine
from policy.loading import PolicyFiles
from tests.fakes.awaited import awaiting
from tests.fakes.policies import message

ROUNDS: Final = 15
SWAP_ROUNDS_MAX: Final = 9  # each reads 20,000 agents
REMOTE_ROUNDS: Final = (
    4  # of the remote measurement, short as they are, for one of ours
)
DATA: Final = Path("../shared/data")
SETS: Final = {
    "AgentDojo": "agentdojo/*/calls.jsonl",
    "SWE-agent": "swe-agent/*.jsonl",
}
KINDS: Final = ("tcp", "unix")


class Size(msgspec.Struct, frozen=True):
    """How much of everything a round asks, and whether targets are judged."""

    rounds: int
    hits: int = 1_000
    misses: int = 60
    crowd: int = 10_000
    judged: bool = True


class Table:
    """The rows so far, what was absent and why, and the failures."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.rows: list[Row] = []
        self.absent: dict[str, str] = {}
        self.failures = 0

    def at_most(self, what: str, figure: float, most: float, unit: str = "x") -> None:
        """Add a figure that has an upper target."""
        self._add(what, figure, unit, f"<= {most:g}", met=figure <= most)

    def at_least(self, what: str, figure: float, least: float) -> None:
        """Add a ratio that has a lower target."""
        self._add(what, figure, "x", f">= {least:g}", met=figure >= least)

    def told(self, what: str, figure: float, unit: str) -> None:
        """Add a figure that has no target."""
        self.rows.append(Row(what, round(figure, 3), unit))

    def _add(
        self, what: str, figure: float, unit: str, target: str, *, met: bool
    ) -> None:
        judged = met if self.size.judged else None
        self.rows.append(Row(what, round(figure, 3), unit, target, judged))


def hits(table: Table) -> None:
    """Ask again what is kept."""
    size = table.size
    authorizer = _authorizer()
    messages = [published(n) for n in range(size.hits)]
    decide = authorizer.decide_now
    table.failures += sum(not decide("publish", m).allow for m in messages)
    spent = [hit_round_ns(authorizer, messages) for _ in range(size.rounds)]
    table.failures += authorizer.stats().misses - size.hits
    table.at_most("decision cache hit", median(spent), HIT_NS_MAX, "ns")


def misses(table: Table) -> None:
    """Ask what is new, beside the engine with nothing around it."""
    size, bare = table.size, bare_engine()
    authorizer = _authorizer()
    ratios = [
        miss_round(authorizer, bare, range(n * size.misses, (n + 1) * size.misses))
        for n in range(size.rounds)
    ]
    stats = authorizer.stats()
    table.failures += size.rounds * size.misses - stats.misses
    table.failures += sum(stats.faults.values())
    table.at_most("embedded miss / bare engine", median(ratios), MISS_RATIO_MAX)


def isolated(table: Table) -> None:
    """Ask a worker process, beside the engine in the loop."""
    bundle = Origin(policy_data()).read()
    embedded = Engine(bundle.sources, bundle.data_json)
    ratios = []

    async def measure(engine: IsolatedEngine) -> None:
        for number in range(table.size.rounds):
            asked = test_isolated.inputs(number * test_isolated.QUESTIONS)
            in_loop, apart, allowed = await test_isolated.both(embedded, engine, asked)
            table.failures += len(asked) - allowed
            ratios.append(median(apart) / median(in_loop))

    asyncio.run(test_isolated.with_engine(measure))
    table.at_most("isolated / embedded", median(ratios), test_isolated.RATIO_MAX)


def remote(table: Table) -> None:
    """Ask an OPA server, beside the barest client that could."""
    if shutil.which("opa") is None:
        table.absent["remote / raw client"] = (
            "opa is not in PATH; `assent doctor` helps"
        )
        return
    rounds = table.size.rounds * (REMOTE_ROUNDS if table.size.judged else 1)
    for kind in KINDS if table.size.judged else KINDS[:1]:
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            (place / "data.json").write_text(json.dumps(policy_data()))
            found = asyncio.run(test_remote.measure(place, kind, rounds))
        most, least = test_remote.P50_RATIO_MAX, test_remote.THROUGHPUT_RATIO_MIN
        in_flight = f"{test_remote.IN_FLIGHT} in flight / raw client, {kind}"
        table.at_most(f"remote p50 / raw client, {kind}", found.p50_ratio, most)
        table.at_least(f"remote, {in_flight}", found.rate_ratio, least)


def one_flight(table: Table) -> None:
    """Ask one question many times before the engine has answered it once."""
    asyncio.run(_one_flight(table))


async def _one_flight(table: Table) -> None:
    authorizer, engine, tasks = awaiting()
    engine.gate.clear()
    count = table.size.crowd
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(authorizer.decide("publish", message()))
            for _ in range(count)
        ]
        await asyncio.sleep(0)  # all have begun
        table.failures += count - authorizer.stats().misses
        engine.gate.set()
    spent_us = (time.perf_counter() - start) / count * 1e6
    await tasks.cancel()
    table.failures += sum(not task.result().allow for task in asked)
    what = f"evaluations for {count:,} misses of one key"
    table.at_most(what, engine.asked, 1, "")
    table.told("each of them", spent_us, "us")


def swap(table: Table) -> None:
    """Put other data of 20,000 agents in force while a heartbeat goes on."""
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(_swap(table, Path(name) / "data.json"))


async def _swap(table: Table, file: Path) -> None:
    test_swap.write(file, 0)
    source = PolicyFiles(Origin(file))
    governance = InLoop(source, EmbeddedAuthorizer(source, now_ns=lambda: NOW_NS))
    idle_ms, swap_ms = [], []
    async with asyncio.TaskGroup() as crew, test_swap.beating() as heart:

        def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
            crew.create_task(work, name=name)

        await governance.open(spawn, logged=False)
        for version in range(1, min(table.size.rounds, SWAP_ROUNDS_MAX) + 1):
            await asyncio.to_thread(test_swap.write, file, version)
            before = governance.authorizer.revision
            idle = asyncio.sleep(test_swap.IDLE_S)
            idle_ms.append(await heart.worst_ms(idle))
            swap_ms.append(await heart.worst_ms(governance.renew()))
            table.failures += governance.authorizer.revision == before
        await governance.close()
    most = test_swap.BLOCKED_MS_MAX
    what = f"heartbeat late in a swap of {test_swap.AGENTS:,} agents"
    table.at_most(what, median(swap_ms), most, "ms")
    table.told("heartbeat late in an idle loop", median(idle_ms), "ms")


def recorded(table: Table, place: Path) -> None:
    """Replay real actions of agents twice: with an empty cache, and with a full one."""
    for name, pattern in SETS.items():
        files = sorted(place.glob(pattern))
        if not files:
            table.absent[f"hit ratio, {name}"] = f"no {pattern} in {place}"
            continue
        recording = reading.read(files)
        chosen = choice.choose(choice.Asked(None, None, None), recording.actions)
        made = []
        for times in (1, 2):
            actions = recording.actions * times
            with tempfile.TemporaryDirectory() as record:
                plan = Plan(actions, chosen.data, None, Path(record) / "audit.log")
                account = replay(plan)
            table.failures += not account.ok
            made.append(account.snapshot.decisions)
        cold, both = made
        count = len(recording.actions)
        table.told(f"hit ratio, {name}, {count} actions, cold", _ratio(cold), "")
        table.told(f"hit ratio, {name}, again, warm", _ratio(both, cold), "")


def _ratio(stats: DecisionStats, before: DecisionStats | None = None) -> float:
    """Return the share of hits, of those after `before`."""
    hit = stats.hits - (before.hits if before else 0)
    missed = stats.misses - (before.misses if before else 0)
    return hit / (hit + missed)


def _authorizer() -> EmbeddedAuthorizer:
    return load_authorizer(data=policy_data(), now_ns=lambda: NOW_NS)


def measures(data: Path) -> Iterator[Callable[[Table], None]]:
    """Yield all measurements in the order of the table."""
    yield from (hits, misses, isolated, remote, one_flight, swap)
    yield lambda table: recorded(table, data)


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--data", type=Path, default=DATA, help="recorded actions")
    parser.add_argument("--quick", action="store_true", help="small; judges no target")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least one")
    size = Size(options.rounds)
    if options.quick:
        size = Size(options.rounds, misses=20, judged=False)
    table = Table(size)
    for measure in measures(options.data):
        measure(table)
        gc.collect()
    command = " ".join(["python -m benchmarks.policy", *sys.argv[1:]])
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
