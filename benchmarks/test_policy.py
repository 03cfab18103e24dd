"""What a decision costs: kept, evaluated, and evaluated by the bare engine.

Run: taskset -c 1 .venv/bin/pytest benchmarks/test_policy.py --benchmark-columns=min,median
"""

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import regorus  # type: ignore[import-untyped]  # it ships no type information
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.targets import reach
from bus.core.message import Message
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.bundle import BUILT_IN, Origin, read_folder
from policy.fields import InputPlan
from policy.loading import ENTRY, PolicyFiles, build

NOW_NS = 1_700_000_000_000_000_000
AGENTS = 200
ROLES = 50
TENANTS = 8
ROLES_OF_AN_AGENT = 3
KEPT = 1_000
MISS_RATIO_MAX = 1.25
HIT_NS_MAX = 1_000  # the promise of the project; the aim is 450
ROUNDS = 15
MISSES = 60


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Fail the run if what it measured was not what it meant to measure."""
    if not holds:
        pytest.fail(otherwise)


def policy_data() -> dict[str, Any]:
    """Return 200 agents of 8 tenants with 3 of 50 roles each, 4 grants to a role."""
    return {
        "agents": {
            f"agent-{a:03d}": {
                "tenant": f"tenant-{a % TENANTS}",
                "roles": [
                    f"role-{(7 * a + 11 * k) % ROLES}" for k in range(ROLES_OF_AN_AGENT)
                ],
            }
            for a in range(AGENTS)
        },
        "roles": {
            f"role-{r}": {
                "publish": [
                    {"subject": f"orders.*.event-{r}"},
                    {"subject": f"agents.{r}.>", "types": ["event", "command"]},
                ],
                "request": [{"subject": "health.ping"}],
                "subscribe": [f"tasks.{r}.*"],
                "limits": {"body_bytes": 4096 + r},
            }
            for r in range(ROLES)
        },
        "tenants": {f"tenant-{t}": {} for t in range(TENANTS)},
        "limits": {"depth": 16},
    }


def published(number: int) -> Message:
    """Return a message that agent 42's first role grants."""
    return Message(
        id=number.to_bytes(16, "big"),
        subject=f"agents.44.task.{number}",
        type="event",
        priority=1,
        tenant="tenant-2",
        sender="agent-042",
        content_type="application/msgpack",
        body=bytes(220),
        created_ns=NOW_NS,
        constitution="0123456789abcdef",
        revision="0123456789abcdef",
    )


@pytest.fixture(scope="module")
def authorizer() -> EmbeddedAuthorizer:
    return load_authorizer(data=policy_data(), now_ns=lambda: NOW_NS)


@pytest.fixture(scope="module")
def bare() -> Callable[[str], str]:
    return bare_engine()


def bare_engine() -> Callable[[str], str]:
    """Return the engine with nothing of ours around it."""
    engine = regorus.Engine()
    for file in read_folder(BUILT_IN):
        engine.add_policy(file.name, file.text)
    engine.add_data_json(msgspec.json.encode(policy_data()).decode())

    def evaluate(document: str) -> str:
        engine.set_input_json(document)
        answer: str = engine.eval_rule_as_json(ENTRY)
        return answer

    return evaluate


def documents(messages: list[Message]) -> list[str]:
    """Return the inputs that the authorizer makes of messages."""
    files = PolicyFiles(Origin(policy_data()))
    read = build(files.read()).dependencies
    plan = InputPlan(read.input)
    return [plan.document("publish", message, ()) for message in messages]


def hit_round_ns(authorizer: EmbeddedAuthorizer, messages: list[Message]) -> float:
    """Return what a kept decision costs, each of `messages` asked about once."""
    decide = authorizer.decide_now
    start = time.perf_counter_ns()
    for message in messages:
        decide("publish", message)
    return (time.perf_counter_ns() - start) / len(messages)


def miss_round(
    authorizer: EmbeddedAuthorizer, bare: Callable[[str], str], numbers: range
) -> float:
    """Return what questions that are new cost, divided by what the bare engine takes."""
    messages = [published(n) for n in numbers]
    inputs = documents(messages)
    start = time.perf_counter_ns()
    for document in inputs:
        bare(document)
    middle = time.perf_counter_ns()
    for message in messages:
        authorizer.decide_now("publish", message)
    end = time.perf_counter_ns()
    return (end - middle) / (middle - start)


def test_a_kept_decision(
    benchmark: BenchmarkFixture, authorizer: EmbeddedAuthorizer
) -> None:
    messages = [published(n) for n in range(KEPT)]
    decide = authorizer.decide_now
    refused = sum(not decide("publish", message).allow for message in messages)
    expect(refused == 0, f"{refused} refused")

    def ask() -> None:
        for message in messages:
            decide("publish", message)

    benchmark(ask)
    hit_ns = statistics.median(
        hit_round_ns(authorizer, messages) for _ in range(ROUNDS)
    )
    print(f"\nhit: {hit_ns:.0f} ns")
    expect(authorizer.stats().misses == KEPT, "evaluated again")
    reach(hit_ns <= HIT_NS_MAX, f"a hit costs {hit_ns:.0f} ns")


def test_the_bare_engine(
    benchmark: BenchmarkFixture, bare: Callable[[str], str]
) -> None:
    document = documents([published(0)])[0]
    expect('"allow": true' in bare(document), "refused")
    benchmark(bare, document)


def test_a_decision_evaluated(benchmark: BenchmarkFixture) -> None:
    authorizer = load_authorizer(data=policy_data(), now_ns=lambda: NOW_NS)
    fresh = map(published, itertools.count())
    benchmark(lambda: authorizer.decide_now("publish", next(fresh)))
    expect(authorizer.stats().hits == 0, "kept")


def test_a_miss_costs_little_more_than_the_bare_engine(
    bare: Callable[[str], str],
) -> None:
    """Taken in turns, so that a machine that slows down slows both."""
    authorizer = load_authorizer(data=policy_data(), now_ns=lambda: NOW_NS)
    ratios = [
        miss_round(authorizer, bare, range(turn * MISSES, (turn + 1) * MISSES))
        for turn in range(ROUNDS)
    ]
    expect(authorizer.stats().misses == ROUNDS * MISSES, "kept")
    ratio = statistics.median(ratios)
    print(f"\nmiss / bare engine: {ratio:.2f}")
    reach(ratio <= MISS_RATIO_MAX, f"a miss costs {ratio:.2f} of the bare engine")


def test_a_load(benchmark: BenchmarkFixture) -> None:
    files = PolicyFiles(Origin(policy_data()))
    benchmark(lambda: build(files.read()))
