"""The authorizer over an engine that is waited for: kept, shared, and never open."""

import asyncio
from typing import Any

import pytest

from bus.core.decision import Decision
from bus.core.limits import UNKNOWN_REVISION_TTL_S
from bus.ports import Access
from policy.awaiting import AwaitingAuthorizer
from policy.evaluation import KINDS, EvaluationError, Kind
from policy.keeping import Keeping
from tests.fakes import policies
from tests.fakes.awaited import LateEngine, Tasks, awaiting
from tests.fakes.messages import NOW_NS, changed
from tests.fakes.policies import message

NS = 1_000_000_000


async def settle() -> None:
    """Let what is under way go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_ten_thousand_misses_of_one_question_are_one_evaluation() -> None:
    """Everybody gets the answer; the next one has it at once."""
    asked, engine, _ = awaiting()
    engine.gate.clear()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(asked.decide("publish", message())) for _ in range(10_000)
        ]
        await settle()
        engine.gate.set()
    assert engine.asked == 1
    assert {task.result().allow for task in tasks} == {True}
    kept = asked.decide_now("publish", message())
    assert kept is not None
    assert kept.cached
    stats = asked.stats()
    assert (stats.misses, stats.hits) == (10_000, 1)


async def test_one_callers_cancellation_fails_nobody_else() -> None:
    """Not even of the one that asked first."""
    asked, engine, _ = awaiting()
    engine.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(asked.decide("publish", message()))
        second = group.create_task(asked.decide("publish", message()))
        await settle()
        first.cancel()
        await settle()
        engine.gate.set()
    assert first.cancelled()
    assert second.result().allow
    assert engine.asked == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_denies_with_its_kind_and_is_not_kept(kind: Kind) -> None:
    """And is counted."""
    asked, engine, _ = awaiting()
    engine.error = EvaluationError("no", kind=kind)
    made = await asked.decide("publish", message())
    assert not made.allow
    assert made.fault == kind
    assert made.reasons[0].startswith(
        kind if kind != "evaluation" else "policy could not be evaluated"
    )
    assert asked.decide_now("publish", message()) is None
    assert asked.stats().faults[kind] == 1


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (None, "undefined"),
        ("true", "unusable"),
        ('{"allow": "true"}', "unusable"),
        ('{"allow": 1}', "unusable"),
        ('{"allow": true, "obligations": [{"type": "nosuch"}]}', "unusable"),
        ('"<undefined>"', "unusable"),
        ("[", "unusable"),
    ],
)
async def test_what_is_no_decision_denies(result: str | None, fault: str) -> None:
    """Undefined and wrong types alike; none is kept."""
    asked, engine, _ = awaiting()
    engine.result = result
    made = await asked.decide("publish", message())
    assert (made.allow, made.fault) == (False, fault)
    assert asked.stats().faults[fault] == 1
    assert asked.decide_now("publish", message()) is None


async def test_before_a_policy_is_there_everything_is_denied() -> None:
    """Agents may be known already."""
    agents = awaiting()[1].policy.agents
    asked = AwaitingAuthorizer(agents, now_ns=lambda: NOW_NS, spawn=Tasks().spawn)
    assert asked.principal("planner").tenant == "acme"
    assert asked.decide_now("publish", message()) is None
    assert asked.admit_now(Access("connect", "planner", "acme")) is None
    made = await asked.decide("publish", message())
    assert (made.allow, made.fault) == (False, "unavailable")
    assert not (await asked.admit(Access("connect", "planner", "acme"))).allow


async def test_another_revision_forgets_everything_kept() -> None:
    """An answer of the old engine that comes too late is not kept either."""
    asked, engine, _ = awaiting()
    await asked.decide("publish", message())
    engine.gate.clear()
    late = asyncio.get_running_loop().create_task(
        asked.decide("publish", message(subject="plans.other"))
    )
    await settle()
    data = policies.data()
    data["agents"]["planner"]["roles"] = []
    other = LateEngine(data)
    assert asked.put(other.ready()).engine is engine
    engine.gate.set()
    assert (await late).revision == engine.policy.revision
    assert asked.revision == other.policy.revision
    for subject in ("plans.a", "plans.other"):
        assert asked.decide_now("publish", message(subject=subject)) is None
    assert not (await asked.decide("publish", message())).allow


async def test_an_answer_under_another_revision_says_so_and_is_not_kept() -> None:
    """Whoever watches the engine is told that it was overtaken."""
    told: list[bool] = []
    engine, tasks = LateEngine(policies.data()), Tasks()
    asked = AwaitingAuthorizer(
        now_ns=lambda: NOW_NS,
        spawn=tasks.spawn,
        overtaken=lambda: told.append(True),
    )
    asked.put(engine.ready())
    engine.revision = "newer"
    made = await asked.decide("publish", message())
    assert made.revision == "newer"
    assert told == [True]
    assert asked.decide_now("publish", message()) is None


async def test_an_engine_that_does_not_tell_its_revision_is_hardly_trusted() -> None:
    """A second at most, whatever the settings say."""
    now = [NOW_NS]
    engine, tasks = LateEngine(policies.data()), Tasks()
    asked = AwaitingAuthorizer(now_ns=lambda: now[0], spawn=tasks.spawn)
    asked.put(engine.ready(told=False))
    await asked.decide("publish", message())
    soon = NOW_NS + int(UNKNOWN_REVISION_TTL_S * NS) - 1
    later = soon + 2
    assert asked.decide_now("publish", changed(message(), created_ns=soon)) is not None
    assert asked.decide_now("publish", changed(message(), created_ns=later)) is None


async def test_answers_that_may_differ_are_asked_for_each_time() -> None:
    """Nothing is shared and nothing kept."""
    asked, engine, _ = awaiting(cacheable=False)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(asked.decide("publish", message()))
    assert engine.asked == 3
    assert asked.decide_now("publish", message()) is None


async def test_too_many_open_questions_are_denied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As unavailable; the others are answered."""
    monkeypatch.setattr("policy.awaiting.EVALUATIONS_WAITING_MAX", 2)
    asked, engine, _ = awaiting()
    engine.gate.clear()

    async def ask(number: int) -> Decision:
        return await asked.decide("publish", message(subject=f"plans.{number}"))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(number)) for number in range(3)]
        await settle()
        engine.gate.set()
    faults = [task.result().fault for task in tasks]
    assert faults == ["", "", "unavailable"]


async def test_ending_the_evaluations_denies_whoever_waits() -> None:
    """Nobody hangs when the bus stops."""
    asked, engine, tasks = awaiting()
    engine.gate.clear()
    waiting = asyncio.get_running_loop().create_task(asked.decide("publish", message()))
    await settle()
    await tasks.cancel()
    made = await waiting
    assert (made.allow, made.fault) == (False, "unavailable")
    await asked.close()
    assert engine.closed


async def test_how_long_decisions_are_kept_is_a_setting() -> None:
    """Allow and deny apart."""
    keeping = Keeping(allow_ttl_s=0, deny_ttl_s=5)
    asked, _, _ = awaiting(keeping=keeping)
    await asked.decide("publish", message())
    await asked.decide("publish", message(sender="intruder"))
    assert asked.decide_now("publish", message()) is None
    assert asked.decide_now("publish", message(sender="intruder")) is not None


@pytest.mark.parametrize("headers", [{"a": "\ud800"}])
async def test_a_question_that_cannot_be_put_is_denied(headers: Any) -> None:
    """By type, and counted."""
    asked, engine, _ = awaiting()
    odd = changed(message(), sender="\ud800", headers=headers)
    made = await asked.decide("publish", odd)
    now = asked.decide_now("publish", odd)
    assert now is not None
    assert (made.allow, made.fault, now.fault) == (False, "input", "input")
    access = Access("subscribe", "\ud800", "acme", "a")
    assert not (await asked.admit(access)).allow
    assert asked.admit_now(access) is not None
    assert engine.asked == 0
