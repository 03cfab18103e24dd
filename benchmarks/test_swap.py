"""How long the loop stands still while data of 20,000 agents is put in force.

Run: .venv/bin/pytest benchmarks/test_swap.py -s (not bound to one processor: a thread
reads while the loop goes on). What a heartbeat of 1 ms waits for is printed beside what
it waits for when nothing happens; what is asserted is processor time, which other
programs on the machine do not add to: of the longest step on the loop's thread, and of
the longest time the reading thread works without a pause.
"""

import asyncio
import gc
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.targets import reach
from benchmarks.test_policy import expect, policy_data
from policy import pacing
from policy.authorizer import EmbeddedAuthorizer
from policy.bundle import Origin
from policy.governance import Governance, InLoop
from policy.isolation.governance import InWorker
from policy.isolation.terms import Terms
from policy.keeping import Keeping
from policy.loading import PolicyFiles

AGENTS = 20_000
ROLES = 50
ROUNDS = 9
BEAT_S = 0.001
IDLE_S = 0.4
BLOCKED_MS_MAX = 5.0
MS_PER_S = 1e3
NS_PER_MS = 1e6
NOW_NS = 1_700_000_000_000_000_000


def data(version: int) -> str:
    """Return 20,000 agents, the roles of each others in each version."""
    agents = {
        f"agent-{a:05d}": {
            "tenant": f"tenant-{a % 8}",
            "roles": [f"role-{(7 * a + 11 * k + version) % ROLES}" for k in range(3)],
        }
        for a in range(AGENTS)
    }
    return json.dumps({**policy_data(), "agents": agents})


class Heartbeat:
    """Wakes up every millisecond and notes by how much it was late, in ms.

    And how much of that the loop's thread was at work: the rest is other threads, and
    other programs.
    """

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.at_work_ms: list[float] = []

    async def beat(self) -> None:
        loop = asyncio.get_running_loop()
        last, worked = loop.time(), time.thread_time_ns()
        while True:
            await asyncio.sleep(BEAT_S)
            now, work = loop.time(), time.thread_time_ns()
            self.late_ms.append((now - last - BEAT_S) * MS_PER_S)
            self.at_work_ms.append((work - worked) / NS_PER_MS)
            last, worked = now, work

    async def worst_ms(self, work: Awaitable[object]) -> float:
        """Return by how much it was late at most while `work` was done."""
        self.late_ms.clear()
        self.at_work_ms.clear()
        await work
        await asyncio.sleep(10 * BEAT_S)
        return max(self.late_ms)


@asynccontextmanager
async def beating() -> AsyncIterator[Heartbeat]:
    heart = Heartbeat()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(heart.beat())
        yield heart
        task.cancel()


def told(name: str, values: list[float]) -> str:
    return f"{name} median {statistics.median(values):.1f}, max {max(values):.1f} ms"


def test_a_swap_lets_the_embedded_engine_s_loop_go_on(tmp_path: Path) -> None:
    def embedded(source: PolicyFiles) -> Governance:
        made = EmbeddedAuthorizer(source, now_ns=lambda: NOW_NS)
        return InLoop(source, made)

    run("embedded", tmp_path, embedded)


def test_a_swap_lets_the_isolated_engine_s_loop_go_on(tmp_path: Path) -> None:
    def isolated(source: PolicyFiles) -> Governance:
        return InWorker(source, Terms(), now_ns=lambda: NOW_NS, keeping=Keeping())

    run("isolated", tmp_path, isolated)


def run(name: str, place: Path, governed: Callable[[PolicyFiles], Governance]) -> None:
    file = place / "data.json"
    write(file, 0)
    asyncio.run(swaps(name, file, governed))


def write(file: Path, version: int) -> None:
    """Write a version, and collect what that left: the swap is not to do it."""
    file.write_text(data(version))
    gc.collect()


async def swaps(
    name: str, file: Path, governed: Callable[[PolicyFiles], Governance]
) -> None:
    governance = governed(PolicyFiles(Origin(file)))
    async with asyncio.TaskGroup() as crew, beating() as heart:

        def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
            crew.create_task(work, name=name)

        await governance.open(spawn, logged=False)
        idle, swap, spent, at_work = [], [], [], []
        for version in range(1, ROUNDS + 1):
            await asyncio.to_thread(write, file, version)
            before = governance.authorizer.revision
            idle.append(await heart.worst_ms(asyncio.sleep(IDLE_S)))
            start = time.perf_counter()
            swap.append(await heart.worst_ms(governance.renew()))
            spent.append((time.perf_counter() - start) * MS_PER_S)
            at_work.append(max(heart.at_work_ms))
            expect(governance.authorizer.revision != before, "nothing was swapped")
        await governance.close()
    print(f"\n{name}: {told('late in a swap', swap)}; {told('when idle', idle)};")
    print(f"{told('at work between two beats', at_work)}; {told('a swap', spent)}")


def test_no_step_of_a_swap_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "data.json"
    write(file, 0)
    source = PolicyFiles(Origin(file))
    policy = pacing.exhaust(source.building(source.read()))
    reading, building = [], []
    for version in range(1, ROUNDS + 1):
        write(file, version)
        held = Held()
        with monkeypatch.context() as patch:
            patch.setattr(pacing, "time", held)
            bundle = asyncio.run(pacing.beside(held.all_of, source.read))
        reading.append(held.longest_ms)
        held = Held()
        policy = held.steps(source.building(bundle, policy))
        building.append(held.longest_ms)
    print(f"\n{told('longest hold: reading', reading)}; {told('loading', building)}")
    for values in (reading, building):
        longest_ms = statistics.median(values)
        reach(longest_ms <= BLOCKED_MS_MAX, f"held for {longest_ms:.1f} ms")


class Held:
    """Processor time between pauses; stands in for `time` where work pauses."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._since = 0

    def sleep(self, seconds: float) -> None:
        self._note()
        time.sleep(seconds)
        self._since = time.thread_time_ns()

    def all_of(self, read: Callable[[], Any]) -> Any:
        self._since = time.thread_time_ns()
        made = read()
        _ = made.revision
        self._note()
        return made

    def steps(self, steps: pacing.Steps[Any]) -> Any:
        while True:
            self._since = time.thread_time_ns()
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            finally:
                self._note()

    def _note(self) -> None:
        spent_ms = (time.thread_time_ns() - self._since) / NS_PER_MS
        self.longest_ms = max(self.longest_ms, spent_ms)
