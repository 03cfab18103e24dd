"""The subscription tree against a scan over all patterns."""

import pytest
from hypothesis import given, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bus.core import subject
from bus.core.routing import RoutingTree

Tokens = tuple[str, ...]
_tokens = st.sampled_from(["a", "b", "$"])
_subjects = st.lists(_tokens, min_size=1, max_size=4).map(tuple)
_patterns = st.builds(
    lambda head, tail: (*head, *tail) or (">",),
    st.lists(_tokens | st.just("*"), max_size=4),
    st.sampled_from([(), (">",)]),
)
EVERY = [("a",), ("b", "a"), ("a", "b", "a"), ("$", "a"), ("a", "a", "b", "b", "a")]


class RoutingModel(RuleBasedStateMachine):
    """A list of (pattern, item), scanned with `subject.matches`."""

    def __init__(self) -> None:
        super().__init__()
        self.tree: RoutingTree[int] = RoutingTree()
        self.entries: list[tuple[Tokens, int]] = []

    @rule(pattern=_patterns, item=st.integers(0, 5))
    def subscribe(self, pattern: Tokens, item: int) -> None:
        """An item comes under a pattern; a second time changes nothing."""
        self.tree.add(pattern, item)
        if (pattern, item) not in self.entries:
            self.entries.append((pattern, item))

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        """An item goes, once."""
        pattern, item = data.draw(st.sampled_from(self.entries))
        self.entries.remove((pattern, item))
        assert self.tree.remove(pattern, item)
        assert not self.tree.remove(pattern, item)

    @rule(pattern=_patterns)
    def unsubscribe_what_is_not_there(self, pattern: Tokens) -> None:
        """Taking out what was never put in changes nothing."""
        assert not self.tree.remove(pattern, 99)

    @rule(tokens=_subjects)
    def route(self, tokens: Tokens) -> None:
        """The tree finds what a scan finds, each item once."""
        expected = {i for p, i in self.entries if subject.matches(p, tokens)}
        found = self.tree.match(tokens)
        assert len(found) == len(expected)
        assert set(found) == expected

    @invariant()
    def every_entry_is_counted(self) -> None:
        """The size is the number of entries."""
        assert self.tree.size == len(self.entries)

    def teardown(self) -> None:
        """An emptied tree matches nothing and keeps no branch."""
        for pattern, item in self.entries:
            assert self.tree.remove(pattern, item)
        assert self.tree.size == 0
        for tokens in EVERY:
            assert self.tree.match(tokens) == []


TestRoutingModel = RoutingModel.TestCase


@given(st.lists(st.tuples(st.sampled_from(["a", "*", ">"]), st.integers(0, 99))))
def test_matches_come_in_the_order_of_subscribing(
    entries: list[tuple[str, int]],
) -> None:
    """Who subscribed first is first, whatever the pattern looks like."""
    tree: RoutingTree[tuple[str, int]] = RoutingTree()
    for entry in entries:
        tree.add((entry[0],), entry)
    assert tree.match(("a",)) == list(dict.fromkeys(entries))


@pytest.mark.parametrize("pattern", [("b", "c"), ("a", "b"), ("a", ">"), ("a",)])
def test_removing_what_is_not_there_says_so(pattern: Tokens) -> None:
    """A wrong pattern takes nothing out."""
    tree: RoutingTree[str] = RoutingTree()
    tree.add(("a", "b", "c"), "item")
    assert not tree.remove(pattern, "item")
    assert tree.match(("a", "b", "c")) == ["item"]
