"""Ordering keys against a plain model: one of a key at a time, in order, nobody else waits."""

from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bus.core.limits import DELIVERIES_PER_TURN
from bus.core.message import Priority
from bus.core.ordering import Ordered

LOW, NORMAL, HIGH, CRITICAL = Priority


@dataclass(eq=False)
class Item:
    """What is queued; `overtaken` is the model's own count."""

    number: int
    key: str | None = None
    priority: int = NORMAL
    turn: int = 0
    overtaken: int = 0


def queued(ordered: Ordered[Item], *items: Item) -> Ordered[Item]:
    """Push items, each with its key."""
    for item in items:
        ordered.push(item, item.priority)
        if item.key is not None:
            ordered.enter(item, item.key, item.priority)
    return ordered


def drawn(ordered: Ordered[Item]) -> list[int]:
    """Draw until nothing more may go; the numbers of what did."""
    numbers: list[int] = []
    while ordered.size:
        item = ordered.draw()
        if item is not None:
            numbers.append(item.number)
    return numbers


def test_without_keys_it_is_a_backlog() -> None:
    """The order is that of the priorities."""
    ordered = queued(Ordered(), Item(1), Item(2, priority=HIGH), Item(3))
    assert not ordered.keyed
    assert drawn(ordered) == [2, 1, 3]


def test_one_of_a_key_goes_and_the_others_of_it_stand_aside() -> None:
    """Those of other keys, and of none, are not held up."""
    first, second = Item(1, "k"), Item(2, "k")
    ordered = queued(Ordered(), first, second, Item(3, "l"), Item(4), Item(5, "k"))
    assert drawn(ordered) == [1, 3, 4]
    assert (ordered.size, ordered.aside) == (0, 2)
    ordered.leave(first)
    assert (ordered.size, ordered.aside) == (1, 1)
    assert drawn(ordered) == [2]
    ordered.leave(second)
    assert drawn(ordered) == [5]


def test_an_earlier_one_of_the_key_goes_first_whatever_its_priority() -> None:
    """A later one of higher priority stands aside until it is over."""
    low = Item(1, "k", LOW)
    ordered = queued(Ordered(), low, Item(2, "k", CRITICAL), Item(3, None, HIGH))
    assert drawn(ordered) == [3, 1]
    ordered.leave(low)
    assert drawn(ordered) == [2]


def test_one_that_waits_for_its_redelivery_keeps_its_key() -> None:
    """What comes back is the oldest of its key again."""
    first, again = Item(1, "k"), Item(11, "k")
    ordered = queued(Ordered(), first, Item(2, "k"), Item(3))
    assert drawn(ordered) == [1, 3]
    ordered.succeed(first, again)
    assert drawn(ordered) == []
    ordered.push_front(again, NORMAL)
    assert drawn(ordered) == [11]
    ordered.leave(first)  # it is another's place now
    assert drawn(ordered) == []
    ordered.leave(again)
    assert drawn(ordered) == [2]


def test_what_has_no_key_is_nobodys_to_wait_for() -> None:
    """To tell of its end, or of its redelivery, changes nothing."""
    plain = Item(1)
    ordered = queued(Ordered(), plain, Item(2, "k"))
    ordered.succeed(plain, Item(3))
    ordered.leave(plain)
    assert drawn(ordered) == [1, 2]


def test_a_key_is_held_until_its_last_item_is_over() -> None:
    """And then nothing of it is kept."""
    one, two = Item(1, "k"), Item(2, "k")
    ordered = queued(Ordered(), one, two)
    ordered.enter(one, "k", NORMAL)  # it is noted once
    ordered.leave(one)
    assert ordered.holds("k")
    assert not ordered.holds("l")
    ordered.leave(two)
    assert not ordered.holds("k")
    assert not ordered.keyed


def test_what_was_put_back_stays_ahead_of_what_stood_aside() -> None:
    """Of one priority, what was handed out before goes first."""
    first, back = Item(1, "k"), Item(3)
    ordered = queued(Ordered(), first, Item(2, "k"), back, Item(4))
    assert [ordered.draw(), ordered.draw()] == [first, back]
    ordered.push_front(back, NORMAL)
    ordered.leave(first)
    assert ordered.returned == 1
    assert ordered.draw(returned=True) is back
    assert ordered.draw(returned=True) is None
    assert drawn(ordered) == [2, 4]


def test_nothing_put_back_is_nothing_to_take() -> None:
    """An error of the owner changes nothing."""
    ordered = queued(Ordered(), Item(1))
    with pytest.raises(IndexError):
        ordered.pop_returned()
    assert ordered.size == 1


def test_of_what_was_put_back_the_highest_priority_goes_first() -> None:
    """Whatever came back first."""
    items = [Item(n, priority=p) for n, p in enumerate((CRITICAL, NORMAL, LOW))]
    ordered = queued(Ordered(), *items)
    assert drawn(ordered) == [0, 1, 2]
    for item in items:
        ordered.push_front(item, item.priority)
    assert [ordered.pop_returned().number for _ in items] == [0, 1, 2]
    assert (ordered.size, ordered.returned) == (0, 0)


def test_the_oldest_of_the_lowest_may_stand_aside() -> None:
    """Its turn had come before that of any in the queue; a lower priority goes first."""
    ordered = queued(
        Ordered(),
        Item(1, "k"),
        Item(2, "k"),
        Item(3, "k", HIGH),
        Item(4),
        Item(5, None, LOW),
    )
    assert ordered.draw() is not None  # 1; 3 stands aside
    assert ordered.draw() is not None  # 4; 2 stands aside
    queued(ordered, Item(6))
    evicted = [ordered.pop_oldest_of_lowest().number for _ in range(4)]
    assert evicted == [5, 2, 6, 3]
    with pytest.raises(IndexError):
        ordered.pop_oldest_of_lowest()


def test_one_draw_looks_at_a_bounded_number_of_items() -> None:
    """A queue full of one key does not take the loop's whole turn."""
    many = [Item(n, "k") for n in range(DELIVERIES_PER_TURN + 10)]
    ordered = queued(Ordered(), *many, Item(999))
    assert ordered.draw() is many[0]
    assert ordered.draw() is None
    assert ordered.aside == DELIVERIES_PER_TURN
    assert drawn(ordered) == [999]


def test_what_stands_aside_does_not_make_those_after_it_wait_longer() -> None:
    """Only later ones overtake, and one that stands aside is not waited for."""
    ordered: Ordered[Item] = Ordered(overtakes_max=1)
    first = Item(0, "k")
    queued(ordered, first)
    assert ordered.draw() is first
    queued(ordered, Item(1), Item(2, "k"), Item(3, None, LOW), Item(4), Item(5))
    assert drawn(ordered) == [1, 4, 3, 5]
    ordered.leave(first)
    assert drawn(ordered) == [2]


class OrderedModel(RuleBasedStateMachine):
    """A list in the order of acceptance, and where each item is."""

    def __init__(self) -> None:
        super().__init__()
        self.bound = 0
        self.ordered: Ordered[Item] = Ordered()
        self.live: list[Item] = []  # not over, in the order of acceptance
        self.out: list[Item] = []
        self.delayed: list[Item] = []
        self.back: list[Item] = []  # put back and not drawn again
        self.number = 0

    @initialize(bound=st.integers(1, 4))
    def choose_bound(self, bound: int) -> None:
        """A small bound is reached by short runs."""
        self.bound = bound
        self.ordered = Ordered(overtakes_max=bound)

    @property
    def waiting(self) -> list[Item]:
        """What is queued or stands aside."""
        return [i for i in self.live if i not in self.out and i not in self.delayed]

    def free(self, item: Item) -> bool:
        """Tell whether an item is the oldest of its key, or has none."""
        return item.key is None or item is self.of_key(item.key)[0]

    def of_key(self, key: str) -> list[Item]:
        """Return what is not over of a key, oldest first."""
        return [item for item in self.live if item.key == key]

    @rule(
        keys=st.lists(st.sampled_from([None, "a", "b"]), min_size=1, max_size=5),
        priority=st.sampled_from(Priority),
    )
    def push(self, keys: list[str | None], priority: int) -> None:
        """Items come, a few at a time."""
        for key in keys:
            item = Item(self.number, key, priority)
            self.number += 1
            self.live.append(item)
            queued(self.ordered, item)

    def took(self, item: Item) -> None:
        """Hold what was handed out to the rules."""
        assert item in self.waiting
        assert self.free(item)
        self.out.append(item)
        if item in self.back:
            self.back.remove(item)

    def passes(self, item: Item) -> None:
        """Count whom an item overtakes: not what stands aside, which waits for its key."""
        for left in self.waiting:
            if left.priority < item.priority and left.number < item.number:
                left.overtaken += self.free(left)

    @rule(count=st.integers(1, 6))
    def draw(self, count: int) -> None:
        """Items go; none may only if none is the oldest of its key."""
        for _ in range(count):
            item = self.ordered.draw()
            if item is not None:
                self.passes(item)
                self.took(item)
            else:
                assert self.ordered.size == 0
                assert not any(self.free(waiting) for waiting in self.waiting)

    @precondition(lambda self: self.back)
    @rule()
    def draw_returned(self) -> None:
        """At its owner's bound only what was put back goes, and passes what may not."""
        item = self.ordered.draw(returned=True)
        assert item is not None
        assert item in self.back
        assert item.priority == max(i.priority for i in self.back)
        self.took(item)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """One is over, in any order."""
        self.over(data.draw(st.sampled_from(self.out)))

    def over(self, item: Item) -> None:
        """Take an item out of the model and of the real thing."""
        for place in (self.live, self.out, self.delayed, self.back):
            if item in place:
                place.remove(item)
        self.ordered.leave(item)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def nak(self, data: st.DataObject) -> None:
        """One is to be tried again later: another item has its place."""
        item = data.draw(st.sampled_from(self.out))
        following = Item(item.number, item.key, item.priority, item.turn)
        self.out.remove(item)
        self.live[self.live.index(item)] = following
        self.delayed.append(following)
        self.ordered.succeed(item, following)

    @precondition(lambda self: self.delayed)
    @rule(data=st.data())
    def due(self, data: st.DataObject) -> None:
        """Its time has come."""
        item = data.draw(st.sampled_from(self.delayed))
        self.delayed.remove(item)
        self.back.append(item)
        self.ordered.push_front(item, item.priority)

    @precondition(lambda self: self.waiting)
    @rule()
    def evict(self) -> None:
        """One of the lowest priority gives way."""
        item = self.ordered.pop_oldest_of_lowest()
        assert item.priority == min(i.priority for i in self.waiting)
        assert item in self.waiting
        self.over(item)

    @rule()
    def clear(self) -> None:
        """Everything is taken out, and no key is known any more."""
        taken = self.ordered.clear()
        assert sorted(i.number for i in taken) == [i.number for i in self.waiting]
        assert not self.ordered.keyed
        for item in list(self.live):
            self.over(item)

    @invariant()
    def nothing_is_lost_and_nothing_is_kept(self) -> None:
        """Each item that waits is queued or stands aside; keys go with their last item."""
        assert self.ordered.size + self.ordered.aside == len(self.waiting)
        assert self.ordered.returned == len(self.back)
        keys = {item.key for item in self.live} - {None}
        assert self.ordered.keyed == bool(keys)
        for key in ("a", "b"):
            assert self.ordered.holds(key) == (key in keys)

    @invariant()
    def one_of_a_key_is_out(self) -> None:
        """It, or its redelivery, is the oldest that is not over."""
        for key in ("a", "b"):
            busy = [i for i in (*self.out, *self.delayed, *self.back) if i.key == key]
            assert busy in ([], self.of_key(key)[:1])

    @invariant()
    def nobody_starves(self) -> None:
        """What could go is passed by so many of higher priority, and no more."""
        for item in self.waiting:
            assert item.overtaken <= self.bound


TestOrderedModel = OrderedModel.TestCase
