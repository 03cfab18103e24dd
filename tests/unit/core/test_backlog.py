"""The backlog against a plain model: order, fairness, nothing lost."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bus.core.backlog import Backlog
from bus.core.limits import OVERTAKES_MAX
from bus.core.message import Priority

LOW, NORMAL, HIGH, CRITICAL = Priority


@dataclass(eq=False)
class Item:
    """What a backlog holds, with the model's own count beside the backlog's mark."""

    number: int
    priority: int
    turn: int = 0
    overtaken: int = 0


def filled(backlog: Backlog[Item], *priorities: int) -> list[Item]:
    """Push one item for each priority and return them."""
    items = [Item(n, p) for n, p in enumerate(priorities)]
    for item in items:
        backlog.push(item, item.priority)
    return items


def drained(backlog: Backlog[Item]) -> list[Item]:
    """Pop everything."""
    return [backlog.pop() for _ in range(backlog.size)]


def test_higher_priority_goes_first() -> None:
    """Four items pushed in rising priority come out in falling priority."""
    backlog: Backlog[Item] = Backlog()
    items = filled(backlog, LOW, NORMAL, HIGH, CRITICAL)
    assert drained(backlog) == items[::-1]


@pytest.mark.parametrize("priority", Priority)
def test_one_priority_is_first_in_first_out(priority: int) -> None:
    """Equal priorities keep the order of pushing."""
    backlog: Backlog[Item] = Backlog()
    items = filled(backlog, *[priority] * 20)
    assert drained(backlog) == items


@pytest.mark.parametrize(
    ("waiting", "passing"),
    [(low, high) for low in Priority for high in Priority if low < high],
)
def test_seen_priorities_are_honoured_and_none_waits_past_the_stated_bound(
    waiting: int, passing: int
) -> None:
    """A stream of higher priority passes an item exactly OVERTAKES_MAX times."""
    backlog: Backlog[Item] = Backlog()
    item = filled(backlog, waiting)[0]
    passed = 0
    while True:
        filled(backlog, passing)
        if backlog.pop() is item:
            break
        passed += 1
    assert passed == OVERTAKES_MAX


def test_what_came_before_does_not_use_up_the_bound() -> None:
    """Only later items overtake: those already waiting go first and are not counted."""
    backlog: Backlog[Item] = Backlog(overtakes_max=2)
    *earlier, low, first, second, third = filled(
        backlog, *[HIGH] * 5, LOW, HIGH, HIGH, HIGH
    )
    assert drained(backlog) == [*earlier, first, second, low, third]


def test_of_several_whose_turn_has_come_the_lowest_goes_first() -> None:
    """The longest suffering priority is served before the ones above it."""
    backlog: Backlog[Item] = Backlog(overtakes_max=1)
    low, normal, high, first, second = filled(
        backlog, LOW, NORMAL, HIGH, CRITICAL, CRITICAL
    )
    assert drained(backlog) == [first, low, normal, high, second]


def test_an_item_put_back_keeps_its_place_and_its_turn() -> None:
    """What was taken and put back is the next of its priority, and no later for it."""
    backlog: Backlog[Item] = Backlog(overtakes_max=1)
    first, second = filled(backlog, NORMAL, NORMAL)
    taken = backlog.pop()
    mark = taken.turn
    backlog.push_front(taken, NORMAL)
    assert taken.turn == mark
    assert drained(backlog) == [first, second]


def test_the_oldest_of_the_lowest_is_given_up() -> None:
    """`drop_oldest` takes from the lowest priority present, its head."""
    backlog: Backlog[Item] = Backlog()
    high, _, oldest, _ = filled(backlog, HIGH, CRITICAL, NORMAL, NORMAL)
    assert backlog.pop_oldest_of_lowest() is oldest
    backlog.pop_oldest_of_lowest()
    assert backlog.pop_oldest_of_lowest() is high
    assert backlog.size == 1


def test_clear_returns_everything_highest_first() -> None:
    """Nothing is lost on clear, and the backlog is empty and usable after it."""
    backlog: Backlog[Item] = Backlog()
    items = filled(backlog, LOW, NORMAL, HIGH, CRITICAL, LOW)
    assert [i.number for i in backlog.clear()] == [3, 2, 1, 0, 4]
    assert backlog.size == 0
    backlog.push(items[0], LOW)
    assert backlog.pop() is items[0]


@pytest.mark.parametrize("take", [Backlog.pop, Backlog.pop_oldest_of_lowest])
def test_taking_from_an_empty_backlog_changes_nothing(
    take: Callable[[Backlog[Item]], Item],
) -> None:
    """An error of the owner does not make the count wrong."""
    backlog: Backlog[Item] = Backlog()
    with pytest.raises(IndexError):
        take(backlog)
    assert backlog.size == 0


def test_a_priority_above_the_highest_is_not_taken() -> None:
    """An error of the owner does not leave half an item behind."""
    backlog: Backlog[Item] = Backlog()
    with pytest.raises(IndexError):
        backlog.push(Item(0, 4), 4)
    assert backlog.size == 0
    assert backlog.clear() == []


class BacklogModel(RuleBasedStateMachine):
    """A list and a count of overtakings, beside the real thing."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog: Backlog[Item] = Backlog()
        self.bound = 0
        self.waiting: list[Item] = []
        self.in_flight: list[Item] = []
        self.pushed = 0

    @initialize(bound=st.integers(1, 4))
    def choose_bound(self, bound: int) -> None:
        """A small bound is reached by short runs."""
        self.bound = bound
        self.backlog = Backlog(overtakes_max=bound)

    @rule(priority=st.sampled_from(Priority), count=st.integers(1, 8))
    def push(self, priority: int, count: int) -> None:
        """Items come, a few at a time."""
        for _ in range(count):
            item = Item(self.pushed, priority)
            self.pushed += 1
            self.waiting.append(item)
            self.backlog.push(item, priority)

    @precondition(lambda self: self.waiting)
    @rule(count=st.integers(1, 12), keep=st.booleans())
    def pop(self, count: int, *, keep: bool) -> None:
        """Items go, and none of lower priority is passed too often."""
        for _ in range(min(count, len(self.waiting))):
            item = self.backlog.pop()
            same = [i for i in self.waiting if i.priority == item.priority]
            assert item is same[0]
            self.waiting.remove(item)
            for left in self.waiting:
                if left.priority < item.priority and left.number < item.number:
                    left.overtaken += 1
                    assert left.overtaken <= self.bound
            if keep:
                self.in_flight.append(item)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        """A delivery that was not acked comes back to the head of its priority."""
        item = data.draw(st.sampled_from(self.in_flight))
        self.in_flight.remove(item)
        self.waiting.insert(0, item)
        self.backlog.push_front(item, item.priority)

    @precondition(lambda self: self.waiting)
    @rule()
    def give_up_one(self) -> None:
        """The oldest of the lowest priority is evicted."""
        lowest = min(i.priority for i in self.waiting)
        item = self.backlog.pop_oldest_of_lowest()
        assert item is next(i for i in self.waiting if i.priority == lowest)
        self.waiting.remove(item)

    @rule()
    def clear(self) -> None:
        """Everything is taken out, in order within each priority."""
        expected = sorted(self.waiting, key=lambda i: -i.priority)
        assert self.backlog.clear() == expected
        self.waiting.clear()

    @invariant()
    def nothing_is_lost(self) -> None:
        """The backlog holds as many as the model."""
        assert self.backlog.size == len(self.waiting)


TestBacklogModel = BacklogModel.TestCase


@given(st.lists(st.sampled_from(Priority), max_size=60), st.integers(1, 5))
def test_pushing_and_draining_keeps_every_item(
    priorities: list[int], bound: int
) -> None:
    """A backlog is a queue: what went in comes out, once."""
    backlog: Backlog[Item] = Backlog(overtakes_max=bound)
    items = filled(backlog, *priorities)
    assert sorted(i.number for i in drained(backlog)) == [i.number for i in items]


def test_what_is_put_back_in_another_order_does_not_hide_who_is_due() -> None:
    """The head speaks for all behind it: its turn is never later than theirs."""
    backlog: Backlog[Item] = Backlog(overtakes_max=1)
    early, late = Item(0, LOW), Item(2, LOW)
    backlog.push(early, LOW)
    backlog.push(Item(1, NORMAL), NORMAL)
    backlog.push(late, LOW)
    taken = [backlog.pop() for _ in range(3)]
    assert {item.number for item in taken} == {0, 1, 2}
    assert late.turn > early.turn
    backlog.push_front(early, LOW)
    backlog.push_front(late, LOW)
    assert late.turn == early.turn


def test_what_is_queued_again_hides_nobody_who_is_due_either() -> None:
    """Behind what was put back, ahead of the rest, with the earliest turn of them all."""
    backlog: Backlog[Item] = Backlog(overtakes_max=1)
    early, late, back = Item(0, LOW), Item(2, LOW), Item(3, LOW)
    backlog.push(early, LOW)
    backlog.push(Item(1, NORMAL), NORMAL)
    backlog.push(late, LOW)
    backlog.push(back, LOW)
    assert {backlog.pop().number for _ in range(4)} == {0, 1, 2, 3}
    backlog.push_front(back, LOW)
    backlog.push_next(early, LOW)
    backlog.push_next(late, LOW)
    assert late.turn == back.turn == early.turn
    assert [backlog.pop() for _ in range(3)] == [back, late, early]
    assert backlog.returned == backlog.size == 0
