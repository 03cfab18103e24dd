"""What a question costs in a process of its own, beside the same engine in the loop.

Run: .venv/bin/pytest benchmarks/test_isolated.py -s (not bound to one processor:
parent and worker take turns, and a worker that is started needs the other)
"""

import asyncio
import contextlib
import os
import signal
import statistics
import time
from collections.abc import Awaitable, Callable

from benchmarks.targets import reach
from benchmarks.test_policy import documents, expect, policy_data, published
from policy.bundle import Origin
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.isolation.engine import IsolatedEngine
from policy.isolation.loading import load
from policy.isolation.terms import Terms
from policy.loading import ENTRY

RATIO_MAX = 2.0
BACK_MS_MAX = 100.0
ROUNDS = 15
QUESTIONS = 100
DEADLINE_S = 1.0
KILLS = 9
WORKERS = 2  # one answers, one is spare
US_PER_S = 1e6
MS_PER_S = 1e3


async def with_engine(work: Callable[[IsolatedEngine], Awaitable[None]]) -> None:
    """Do `work` with a fresh isolated engine."""
    bundle = await asyncio.to_thread(Origin(policy_data()).read)
    loaded = await load(bundle, Terms(deadline_s=DEADLINE_S))
    try:
        await work(loaded.engine)
    finally:
        await loaded.engine.close()


def inputs(first: int) -> list[str]:
    """Return the documents of messages that nobody asked about before."""
    return documents([published(first + n) for n in range(QUESTIONS)])


async def both(
    embedded: Engine, isolated: IsolatedEngine, asked: list[str]
) -> tuple[list[float], list[float], int]:
    """Ask both in turns; return what each took, in seconds, and how many it allowed."""
    in_loop, apart, allowed = [], [], 0
    for document in asked:
        start = time.perf_counter()
        embedded.evaluate(ENTRY, document)
        middle = time.perf_counter()
        answer = await isolated.evaluate(ENTRY, document)
        apart.append(time.perf_counter() - middle)
        in_loop.append(middle - start)
        allowed += '"allow": true' in (answer.result or "")
    return in_loop, apart, allowed


def test_an_isolated_question_costs_at_most_twice_the_one_in_the_loop() -> None:
    """Taken in turns, one question at a time, so that a slow machine slows both."""
    bundle = Origin(policy_data()).read()
    embedded = Engine(bundle.sources, bundle.data_json)
    ratios: list[float] = []
    isolated_us: list[float] = []

    async def measure(engine: IsolatedEngine) -> None:
        for turn in range(ROUNDS):
            in_loop, apart, allowed = await both(
                embedded, engine, inputs(turn * QUESTIONS)
            )
            expect(allowed == QUESTIONS, f"{allowed} allowed")
            ratios.append(statistics.median(apart) / statistics.median(in_loop))
            isolated_us.extend(one * US_PER_S for one in apart)

    asyncio.run(with_engine(measure))
    ratio = statistics.median(ratios)
    p50_us = statistics.median(isolated_us)
    print(f"\nisolated / embedded: {ratio:.2f}; isolated p50: {p50_us:.0f} us")
    reach(ratio <= RATIO_MAX, f"isolated costs {ratio:.2f} of embedded")


def test_questions_sent_ahead() -> None:
    """Many at once: the worker need not wait for its parent."""
    each_us = []

    async def measure(engine: IsolatedEngine) -> None:
        for turn in range(ROUNDS):
            asked = inputs(turn * QUESTIONS)
            start = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for document in asked:
                    group.create_task(engine.evaluate(ENTRY, document))
            spent_s = time.perf_counter() - start
            each_us.append(spent_s / len(asked) * US_PER_S)

    asyncio.run(with_engine(measure))
    print(f"\nsent ahead, each: {statistics.median(each_us):.0f} us")


def test_an_answer_comes_soon_after_a_worker_was_killed() -> None:
    """From the failure of the question it had to the answer of the next."""
    back_ms = []
    document = inputs(0)[0]

    async def killed(engine: IsolatedEngine) -> None:
        asked = asyncio.get_running_loop().create_task(engine.evaluate(ENTRY, document))
        await asyncio.sleep(0)  # it is begun
        os.kill(engine.pids[0], signal.SIGKILL)
        with contextlib.suppress(EvaluationError):  # or the answer was on its way
            await asked

    async def answered(engine: IsolatedEngine) -> None:
        while True:  # the dead worker may yet take a question with it
            with contextlib.suppress(EvaluationError):
                await engine.evaluate(ENTRY, document)
                return

    async def measure(engine: IsolatedEngine) -> None:
        for _ in range(KILLS):
            await killed(engine)
            start = time.perf_counter()
            await answered(engine)
            back_ms.append((time.perf_counter() - start) * MS_PER_S)
            while engine.stats().ready < WORKERS:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)

    asyncio.run(with_engine(measure))
    print(
        f"\nback after: {statistics.median(back_ms):.2f} ms, at most {max(back_ms):.2f}"
    )
    reach(max(back_ms) <= BACK_MS_MAX, f"back after {max(back_ms):.0f} ms")


def test_a_load() -> None:
    """Until the policy is tried out in one worker and loaded in a spare."""
    spent_ms = []

    async def measure() -> None:
        bundle = await asyncio.to_thread(Origin(policy_data()).read)
        for _ in range(ROUNDS // 3):
            start = time.perf_counter()
            loaded = await load(bundle)
            spent_ms.append((time.perf_counter() - start) * MS_PER_S)
            await loaded.engine.close()

    asyncio.run(measure())
    print(f"\nload: {statistics.median(spent_ms):.0f} ms")
