"""Sub-agents of a session: only what was asked for and allowed begins others."""

from bus.core.edgelimits import HOOK_SPAWN_S, HOOK_SUBAGENTS_MAX
from bus.edge.hooks.family import MAIN, Bounds, Family, Spawn

NOW = 1_700_000_000_000_000_000
MESSAGE = b"m" * 16


def asked(family: Family, parent: str, kind: str, call: str) -> None:
    """Let a sub-agent be asked for, and allowed."""
    with family.asking(Spawn(parent, kind, call, NOW)) as spawned:
        spawned.message = MESSAGE


def spawn(
    family: Family, name: str, parent: str = MAIN, kind: str = "reviewer"
) -> None:
    """Let a sub-agent be asked for, and begin."""
    asked(family, parent, kind, f"call-{name}")
    family.begun(name, kind)


def test_sub_agents_go_as_deep_as_allowed_and_no_deeper() -> None:
    """The bound is told with where the agent stands."""
    family = Family(Bounds(depth=2, fan_out=8))
    spawn(family, "one")
    assert family.refusal("one", NOW) == ""
    spawn(family, "two", "one")
    assert "2 deep at most" in family.refusal("two", NOW)


def test_one_agent_has_so_many_at_once() -> None:
    """Those asked for count as those that run; one that ends makes room."""
    family = Family(Bounds(depth=1, fan_out=2))
    spawn(family, "one")
    asked(family, MAIN, "reviewer", "call")
    assert "2 sub-agents at once" in family.refusal(MAIN, NOW)
    family.ended("one")
    assert family.refusal(MAIN, NOW) == ""


def test_a_sub_agent_that_nobody_asked_for_begins_no_other() -> None:
    """As after a restart of the node."""
    family = Family(Bounds(depth=4, fan_out=4))
    family.begun("stranger", "reviewer")
    assert "not known here" in family.refusal("stranger", NOW)


def test_a_sub_agent_of_another_kind_does_not_take_the_place() -> None:
    """It is matched by what was asked for."""
    family = Family(Bounds(depth=4, fan_out=4))
    asked(family, MAIN, "reviewer", "call")
    family.begun("stranger", "coder")
    assert family.cause("stranger") is None
    family.begun("asked", "reviewer")
    assert family.cause("asked") == MESSAGE


def test_who_has_begun_keeps_its_place_when_told_twice() -> None:
    """A second event takes nobody else's place."""
    family = Family(Bounds(depth=4, fan_out=4))
    spawn(family, "one")
    asked(family, "one", "reviewer", "call")
    family.begun("one", "reviewer")
    family.begun("two", "reviewer")
    assert family.refusal("two", NOW) == ""


def test_one_that_never_began_counts_until_its_time_is_over() -> None:
    """A user may have said no to it."""
    family = Family(Bounds(depth=1, fan_out=1))
    asked(family, MAIN, "reviewer", "call")
    assert family.refusal(MAIN, NOW)
    assert family.refusal(MAIN, NOW + HOOK_SPAWN_S * 1_000_000_000) == ""


def test_one_whose_call_returned_counts_no_more() -> None:
    """Begun or not."""
    family = Family(Bounds(depth=1, fan_out=1))
    asked(family, MAIN, "reviewer", "call")
    family.returned("call")
    assert family.refusal(MAIN, NOW) == ""


def test_the_agent_of_the_session_itself_never_ends() -> None:
    """An event without an id is not its end."""
    family = Family(Bounds(depth=1, fan_out=1))
    family.ended(MAIN)
    assert family.refusal(MAIN, NOW) == ""


def test_a_session_has_a_bound_of_its_own() -> None:
    """Whatever one agent may have."""
    family = Family(Bounds(depth=1, fan_out=10 * HOOK_SUBAGENTS_MAX))
    for number in range(HOOK_SUBAGENTS_MAX):
        asked(family, MAIN, "reviewer", str(number))
    assert "a session has" in family.refusal(MAIN, NOW)


def test_one_that_is_decided_on_counts_and_a_refused_one_no_more() -> None:
    """Calls that are made at once do not all find the same room; none begins undecided."""
    family = Family(Bounds(depth=1, fan_out=1))
    with family.asking(Spawn(MAIN, "reviewer", "call", NOW)):
        assert "1 sub-agents at once" in family.refusal(MAIN, NOW)
        family.begun("early", "reviewer")
        assert family.cause("early") is None
    assert family.refusal(MAIN, NOW) == ""
