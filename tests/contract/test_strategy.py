"""The Strategy port's promises, kept by every built-in strategy."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from bus.ports import Strategy
from processors import registry
from tests.fakes.processing import Taker, message

NAMES = sorted(registry.BUILT_IN["strategy"])
GROUPING = ["direct", "least_loaded", "sticky"]

takers = st.lists(
    st.builds(
        Taker,
        name=st.text("abcdef", min_size=1, max_size=6),
        agent=st.sampled_from(["planner", "worker", "critic"]),
        queue=st.sampled_from(["", "g1", "g2"]),
        load=st.integers(0, 3),
    ),
    unique_by=lambda taker: taker.name,
    max_size=8,
).map(tuple)


@pytest.fixture(params=NAMES)
def strategy(request: pytest.FixtureRequest) -> Strategy:
    """Each built-in strategy."""
    return registry.strategy(request.param)


def test_the_name_is_the_one_in_the_configuration(strategy: Strategy) -> None:
    """What is configured can be told from the object."""
    assert registry.strategy(strategy.name).name == strategy.name


def test_of_nobody_nobody_is_chosen(strategy: Strategy) -> None:
    """No candidates make an empty plan, which ends as no_responders."""
    assert list(strategy.plan(message(), ())) == []


@given(candidates=takers, sender=st.sampled_from(["planner", "other"]))
@pytest.mark.parametrize("name", NAMES)
def test_the_plan_is_a_subset_without_doubles(
    name: str, candidates: tuple[Taker, ...], sender: str
) -> None:
    """Nobody gets a message who did not subscribe, and nobody gets it twice."""
    plan = registry.strategy(name).plan(message(sender=sender), candidates)
    counts = Counter(id(taker) for taker in plan)
    assert set(counts.values()) <= {1}
    assert set(counts) <= {id(taker) for taker in candidates}


@given(candidates=takers, sender=st.sampled_from(["planner", "other"]))
@pytest.mark.parametrize("name", NAMES)
def test_fixed_means_that_everybody_gets_every_message(
    name: str, candidates: tuple[Taker, ...], sender: str
) -> None:
    """The pipeline skips the plan where it is fixed, so fixed must be true."""
    strategy = registry.strategy(name)
    if strategy.fixed(candidates):
        plan = strategy.plan(message(sender=sender), candidates)
        assert {id(t) for t in plan} == {id(t) for t in candidates}


@given(candidates=takers)
@pytest.mark.parametrize("name", GROUPING)
def test_every_plain_subscription_and_one_of_each_group(
    name: str, candidates: tuple[Taker, ...]
) -> None:
    """A queue group gets exactly one copy."""
    plan = registry.strategy(name).plan(message(), candidates)
    plain = [taker.name for taker in candidates if not taker.queue]
    assert sorted(t.name for t in plan if not t.queue) == sorted(plain)
    assert Counter(taker.queue for taker in plan if taker.queue) == Counter(
        {taker.queue for taker in candidates if taker.queue}
    )


@given(candidates=takers, sender=st.sampled_from(["planner", "worker", "other"]))
def test_broadcast_reaches_all_but_the_sender(
    candidates: tuple[Taker, ...], sender: str
) -> None:
    """Every subscription of every other agent, queue groups or not."""
    plan = registry.strategy("broadcast").plan(message(sender=sender), candidates)
    assert list(plan) == [t for t in candidates if t.agent != sender]


@given(candidates=takers.filter(bool))
def test_competing_has_exactly_one_taker(candidates: tuple[Taker, ...]) -> None:
    """However many match, one gets it."""
    assert len(registry.strategy("competing").plan(message(), candidates)) == 1


@given(candidates=takers, key=st.text(max_size=8), data=st.data())
def test_sticky_moves_a_key_only_when_its_member_leaves(
    candidates: tuple[Taker, ...], key: str, data: st.DataObject
) -> None:
    """Taking out a member that was not chosen changes nothing for the key."""
    strategy = registry.strategy("sticky")
    sent = message(correlation=key)
    chosen = strategy.plan(sent, candidates)
    others = [taker for taker in candidates if taker not in chosen]
    if not others:
        return
    gone = data.draw(st.sampled_from(others))
    left = tuple(taker for taker in candidates if taker is not gone)
    assert set(strategy.plan(sent, left)) == set(chosen)
