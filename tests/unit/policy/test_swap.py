"""Other data is put in force in slices: the loop goes on, and the switch is one step."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from bus.core.errors import PolicyLoadError
from bus.core.policylimits import POLICY_SLICE_BYTES, POLICY_SLICE_ENTRIES
from policy import pacing
from policy.authorizer import EmbeddedAuthorizer
from policy.bundle import Bundle, Origin
from policy.cache import DecisionCache
from policy.engine import Engine
from policy.loading import ENTRY, Policy, building
from policy.source import Source
from tests.fakes import policies
from tests.fakes.engines import Given
from tests.fakes.messages import NOW_NS
from tests.fakes.policies import message

AGENTS = 3_000
LAST = f"agent-{AGENTS - 1:04d}"


def data(role: str) -> dict[str, Any]:
    """Return many agents of one role; only the planner's publishes `tasks.a`."""
    many = {
        f"agent-{n:04d}": {"tenant": "acme", "roles": [role]} for n in range(AGENTS)
    }
    return {**policies.data(), "agents": many}


def read(role: str) -> Bundle:
    """Return the built-in policy with that data."""
    return Origin(data(role)).read()


PLANNERS, WORKERS = read("planner"), read("worker")


def authorizer() -> EmbeddedAuthorizer:
    """Return one under which every agent is a planner."""
    return EmbeddedAuthorizer(Given(PLANNERS), now_ns=lambda: NOW_NS)


def asked(by: EmbeddedAuthorizer) -> list[tuple[bool, str]]:
    """Return what is decided for the first agent and for the last, and under what."""
    made = [
        by.decide_now("publish", message(sender=sender, subject=f"tasks.a{number}"))
        for number, sender in enumerate(("agent-0000", LAST))
    ]
    return [(one.allow, one.revision) for one in made]


def with_last(value: Any) -> Bundle:
    """Return the workers' bundle with something else in place of its last agent."""
    agents = {**data("worker")["agents"], LAST: value}
    changed = policies.data() | {"agents": agents}
    sources = (Source("authz.rego", policies.ALLOW_ALL),)
    return Bundle(sources, changed, "data.json", built_in=False)


def replies(policy: Policy) -> list[str | None]:
    """Return what a policy answers to some questions."""
    questions = [
        {
            "action": action,
            "principal": {"id": sender, "tenant": "acme", "roles": roles},
            "message": {"subject": "tasks.a", "type": "task_request", "depth": 1}
            | {"tenant": "acme", "size": 1, "headers": {}},
        }
        for action in ("publish", "reply")
        for sender in ("agent-0000", LAST, "nobody")
        for roles in (["planner"], ["worker"], [])
    ]
    encoded = [msgspec.json.encode(question).decode() for question in questions]
    return [policy.engine.evaluate(ENTRY, question) for question in encoded]


async def test_every_decision_is_entirely_of_the_old_or_of_the_new() -> None:
    """Traffic goes on during the swap; nobody sees half of it."""
    bus = authorizer()
    old, new = [(True, PLANNERS.revision)] * 2, [(False, WORKERS.revision)] * 2
    seen: list[list[tuple[bool, str]]] = []
    done = asyncio.Event()

    async def traffic() -> None:
        while not done.is_set():
            seen.append(asked(bus))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(traffic())
        await asyncio.sleep(0)
        await bus.renew(WORKERS)
        assert asked(bus) == new
        done.set()
    assert all(one in (old, new) for one in seen)
    assert seen == sorted(seen, key=lambda one: one == new)
    # A turn for each slice of the data, at the least.
    assert seen.count(old) > len(WORKERS.sliced.slices) > 5
    assert bus.bundle is WORKERS


@pytest.mark.parametrize(
    "wrong", [7, {"tenant": "No Name"}, {"roles": []}, {"tenant": "acme", "roles": [1]}]
)
async def test_a_fault_in_the_last_slice_changes_nothing(wrong: Any) -> None:
    """What was loaded before it is forgotten, and the next swap is as good as ever."""
    bus = authorizer()
    before, bundle = asked(bus), bus.bundle
    with pytest.raises(PolicyLoadError, match=LAST):
        await bus.renew(with_last(wrong))
    assert (asked(bus), bus.bundle) == (before, bundle)
    assert bus.principal(LAST).roles == ("planner",)
    await bus.renew(WORKERS)
    assert bus.principal(LAST).roles == ("worker",)


async def test_a_swap_that_is_cancelled_changes_nothing() -> None:
    """Wherever it was; the steps that were begun are closed."""
    bus = authorizer()
    before = asked(bus)
    for turns in (1, 5, 20):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bus.renew(WORKERS))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()
        assert asked(bus) == before


async def test_what_was_kept_is_not_answered_after_the_swap() -> None:
    """Not even while the old cache is being emptied."""
    bus = authorizer()
    for number in range(3 * POLICY_SLICE_ENTRIES):
        sent = message(sender=LAST, subject=f"tasks.n{number}")
        assert bus.decide_now("publish", sent).allow
    await bus.renew(WORKERS)
    assert bus.stats().size == 0
    for _ in range(10):
        assert asked(bus) == [(False, WORKERS.revision)] * 2
        await asyncio.sleep(0)


def test_steps_make_the_policy_that_one_go_makes() -> None:
    """With the rules parsed anew, with those of the one before, and in one text."""
    first = pacing.exhaust(building(PLANNERS))
    anew = pacing.exhaust(building(WORKERS))
    taken_over = pacing.exhaust(building(WORKERS, first))
    assert isinstance(first.engine, Engine)
    assert isinstance(taken_over.engine, Engine)
    assert taken_over.engine.rules is first.engine.rules
    whole = msgspec.structs.replace(
        anew, engine=Engine(WORKERS.sources, WORKERS.data_json)
    )
    assert replies(anew) == replies(taken_over) == replies(whole) != replies(first)
    assert anew.agents == taken_over.agents != first.agents
    assert anew.dependencies == taken_over.dependencies
    assert anew.revision == taken_over.revision == WORKERS.revision


def test_no_data_of_the_one_before_is_left() -> None:
    """Its rules are copied without their data, whatever was evaluated since."""
    first = pacing.exhaust(building(PLANNERS))
    replies(first)
    few = Origin(policies.data()).read()
    then = pacing.exhaust(building(few, first))
    assert isinstance(then.engine, Engine)
    assert LAST not in then.engine.query("data.agents", "{}")
    assert LAST in pacing.exhaust(building(PLANNERS, then)).agents


def test_other_rules_are_parsed() -> None:
    """One file that differs is enough."""
    first = pacing.exhaust(building(PLANNERS))
    changed = (*PLANNERS.sources, Source("more.rego", "package more\n\nx := 1\n"))
    bundle = Bundle(changed, PLANNERS.data, "data", built_in=True)
    then = pacing.exhaust(building(bundle, first))
    assert isinstance(then.engine, Engine)
    assert then.engine.query("data.more.x", "{}") != first.engine.query(  # type: ignore[attr-defined]  # it is an Engine
        "data.more.x", "{}"
    )


def test_rules_of_another_thread_are_parsed_again() -> None:
    """An engine may be copied only where it was made."""
    first = pacing.exhaust(building(PLANNERS))
    with ThreadPoolExecutor(1) as other:
        asking = other.submit(lambda: replies(pacing.exhaust(building(WORKERS, first))))
        assert asking.result() == replies(pacing.exhaust(building(WORKERS, first)))


def test_data_over_a_package_is_refused_in_steps_as_well() -> None:
    """Whether the package stands in the data, or under a value of it."""
    first = pacing.exhaust(building(PLANNERS))
    for shadow in ({"authz": {"decision": {"allow": True}}}, 1, {"authz": 1}):
        found = {**data("worker"), "assent": shadow}
        bundle = Bundle(PLANNERS.sources, found, "data", built_in=False)
        with pytest.raises(PolicyLoadError, match="would override"):
            pacing.exhaust(building(bundle, first))


def test_an_old_cache_is_emptied_some_at_a_time() -> None:
    """The count of what goes in a step is bounded."""
    bus = authorizer()
    cache = DecisionCache(10_000)
    entry = (bus.decide_now("publish", message()), 1)
    for number in range(6_000):
        cache.store("publish", str(number).encode(), entry)
    sizes = []
    for _ in cache.emptying():
        sizes.append(len(cache.young["publish"]))
        assert len(sizes) < 100
    assert len(sizes) >= 6_000 // POLICY_SLICE_ENTRIES
    gone = [a - b for a, b in pairwise(sizes)]
    assert max(gone) <= POLICY_SLICE_ENTRIES
    assert cache.recall("publish", b"1", 0) is None


async def test_reading_beside_the_loop_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After each slice; on the loop's own thread it never sleeps."""
    slept: list[int] = []

    class Time:
        @staticmethod
        def sleep(seconds: float) -> None:
            assert seconds > 0
            slept.append(threading.get_ident())

    monkeypatch.setattr(pacing, "time", Time)
    bundle = await pacing.beside(read, "worker")
    assert bundle.revision == WORKERS.revision
    assert len(slept) > len(bundle.data_json) // POLICY_SLICE_BYTES
    assert threading.get_ident() not in slept
    count = len(slept)
    pacing.breathe(1 << 30)
    assert len(slept) == count


async def test_what_runs_later_goes_on_to_its_end() -> None:
    """Turn by turn, with nobody waiting."""
    held = list(range(3 * POLICY_SLICE_ENTRIES + 1))
    pacing.later(pacing.letting_go(held))
    sizes = []
    while held:
        sizes.append(len(held))
        await asyncio.sleep(0)
    assert sizes[0] == 3 * POLICY_SLICE_ENTRIES + 1
    assert len(sizes) >= 4
