"""What every authorizer promises, over every engine: see `tests.fakes.engines`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bus.core.errors import UnknownAgentError
from bus.ports import Access, Authorizer
from tests.fakes import policies
from tests.fakes.engines import ENGINES, Ready, built_in
from tests.fakes.policies import message

Make = Callable[[dict[str, Any]], Awaitable[Authorizer]]


@pytest.fixture(params=list(ENGINES.values()), ids=list(ENGINES))
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Yield what makes an authorizer for the built-in policy with some data."""
    ready: Ready = request.param
    async with AsyncExitStack() as stack:

        async def made(data: dict[str, Any]) -> Authorizer:
            return await stack.enter_async_context(ready(built_in(data)))

        yield made


@pytest.fixture
async def authorizer(make: Make) -> Authorizer:
    """Return an authorizer for the built-in policy."""
    return await make(policies.data())


async def test_what_is_granted_is_allowed(authorizer: Authorizer) -> None:
    """With the revision in force and a digest."""
    made = await authorizer.decide("publish", message())
    assert made.allow
    assert made.reasons == ()
    assert made.revision == authorizer.revision
    assert len(made.digest) == 32


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sender": "nobody"}, "unknown agent nobody"),
        ({"sender": "retired"}, "agent retired is disabled"),
        ({"sender": "stranger"}, "belongs to tenant other, not to acme"),
        ({"tenant": "other"}, "belongs to tenant acme, not to other"),
        ({"subject": "$DEAD.a"}, "belongs to the bus"),
        ({"sender": "$bus"}, "unknown agent $bus"),
        (
            {"sender": "intruder", "subject": "plans.x"},
            "agent intruder has no role that may publish task_request on plans.x",
        ),
    ],
)
async def test_what_is_not_granted_is_denied_with_a_reason(
    authorizer: Authorizer, changes: dict[str, str], reason: str
) -> None:
    """Readable by a person."""
    made = await authorizer.decide("publish", message(**changes))
    assert not made.allow
    assert reason in " ".join(made.reasons)


async def test_deciding_now_is_the_same_or_nothing(authorizer: Authorizer) -> None:
    """It never answers otherwise than waiting would."""
    for asked in (message(), message(sender="intruder")):
        waited = await authorizer.decide("publish", asked)
        now = authorizer.decide_now("publish", asked)
        assert now is not None  # it was kept
        assert (now.allow, now.reasons, now.digest) == (
            waited.allow,
            waited.reasons,
            waited.digest,
        )


async def test_a_kept_decision_is_the_decision(authorizer: Authorizer) -> None:
    """But for saying that it was kept, and counted as a hit."""
    first = await authorizer.decide("publish", message())
    second = await authorizer.decide("publish", message())
    assert not first.cached
    if second.cached:
        assert authorizer.stats().hits == 1
    assert (first.allow, first.obligations, first.digest) == (
        second.allow,
        second.obligations,
        second.digest,
    )


async def test_hits_and_misses_are_all_questions(authorizer: Authorizer) -> None:
    """Nothing is decided uncounted."""
    for number in range(20):
        await authorizer.decide("publish", message(subject=f"plans.{number % 7}"))
    await authorizer.admit(Access("connect", "worker", "acme"))
    stats = authorizer.stats()
    assert stats.hits + stats.misses == 21


async def test_actions_are_told_apart(authorizer: Authorizer) -> None:
    """A right to publish is none to request, and a reply goes to an inbox."""
    assert not (await authorizer.decide("request", message())).allow
    reply = message(sender="worker", subject="$INBOX.planner.1", type="response")
    assert (await authorizer.decide("reply", reply)).allow
    assert not (await authorizer.decide("publish", reply)).allow


async def test_only_the_bus_puts_dead_letters_aside(authorizer: Authorizer) -> None:
    """In every tenant, and nothing else."""
    for tenant in ("acme", "other"):
        letter = message(sender="$bus", subject="$DEAD.tasks.a", tenant=tenant)
        assert (await authorizer.decide("dead_letter", letter)).allow
    letter = message(subject="$DEAD.tasks.a")
    assert not (await authorizer.decide("dead_letter", letter)).allow


async def test_connecting_and_subscribing_are_decided(authorizer: Authorizer) -> None:
    """A wildcard may not widen a grant, and dead letters need one of their own."""
    expected = {
        "tasks.*": True,
        "tasks.a": True,
        "tasks.>": False,
        ">": False,
        "$DEAD.tasks.>": True,
        "$DEAD.>": False,
        "$INBOX.>": False,
    }
    for pattern, allowed in expected.items():
        access = Access("subscribe", "worker", "acme", pattern)
        assert (await authorizer.admit(access)).allow is allowed, pattern
    assert (await authorizer.admit(Access("connect", "worker", "acme"))).allow
    assert not (await authorizer.admit(Access("connect", "worker", "other"))).allow
    assert not (await authorizer.admit(Access("connect", "retired", "acme"))).allow


def test_who_an_agent_is_comes_from_the_data(authorizer: Authorizer) -> None:
    """And nobody else is anybody."""
    found = authorizer.principal("stranger")
    assert (found.id, found.tenant, found.roles) == ("stranger", "other", ("planner",))
    for name in ("nobody", "retired", "$bus"):
        with pytest.raises(UnknownAgentError):
            authorizer.principal(name)


async def test_other_data_is_another_revision(make: Make) -> None:
    """And the same data the same one."""
    changed = policies.data()
    changed["agents"]["intruder"]["roles"] = ["planner"]
    revisions = [
        (await make(d)).revision for d in (policies.data(), policies.data(), changed)
    ]
    assert revisions[0] == revisions[1] != revisions[2]


async def test_a_disabled_tenant_does_nothing(make: Make) -> None:
    """One switch for all its agents."""
    data = policies.data()
    data["tenants"]["acme"]["enabled"] = False
    asked = await make(data)
    made = await asked.decide("publish", message())
    assert made.reasons == ("tenant acme is disabled",)
    assert not (await asked.admit(Access("connect", "worker", "acme"))).allow


async def test_access_now_is_the_same_or_nothing(authorizer: Authorizer) -> None:
    """It never answers otherwise than waiting would."""
    for name in ("worker", "retired"):
        access = Access("subscribe", name, "acme", "tasks.a")
        waited = await authorizer.admit(access)
        now = authorizer.admit_now(access)
        assert now is not None  # it was kept
        assert (now.allow, now.reasons) == (waited.allow, waited.reasons)


async def test_all_engines_answer_alike() -> None:
    """The same decisions, reasons, obligations and digests for the same questions."""
    asked = [
        message(),
        message(sender="intruder"),
        message(sender="nobody"),
        message(tenant="other"),
        message(subject="$DEAD.a"),
        message(subject="plans.deep.er", type="event"),
        message(subject="r\u00e9sum\u00e9.\u2603"),
    ]
    accesses = [
        Access("connect", "planner", "acme"),
        Access("subscribe", "worker", "acme", "tasks.>"),
        Access("cooldown", "planner", "acme", "tasks.>"),
        Access("release", "planner", "acme", "tasks.a"),
        Access("chaos", "planner", "acme", "policy.latency"),
    ]
    found: dict[str, list[Any]] = {}
    for name, ready in ENGINES.items():
        async with ready(built_in(policies.data())) as authorizer:
            made = [
                await authorizer.decide(action, question)
                for question in asked
                for action in ("publish", "request")
            ]
            made += [await authorizer.admit(access) for access in accesses]
        found[name] = [
            (d.allow, d.reasons, d.obligations, d.digest, d.fault, d.plain)
            for d in made
        ]
    first = found["embedded"]
    assert {allow for allow, *_ in first} == {True, False}
    for name, decisions in found.items():
        assert decisions == first, name
