"""A backlog in which the items of one key go one at a time, in the order they came.

Rule: an item goes when it is the oldest of its key that is not over. One whose turn in
the queue comes before that stands aside, and is queued again, ahead of those that never
had a turn, when it becomes the oldest. Nobody else waits for it.
"""

from collections import OrderedDict
from typing import TypeVar

from bus.core.backlog import Backlog, Queued
from bus.core.limits import DELIVERIES_PER_TURN, OVERTAKES_MAX

T = TypeVar("T", bound=Queued)


class Ordered(Backlog[T]):
    """Its owner tells it what has a key, and when that is over.

    `aside` items are in neither `size` nor the queue; its owner bounds both together.
    """

    __slots__ = ("_aside", "_key_of", "_lines", "aside")

    def __init__(self, overtakes_max: int = OVERTAKES_MAX) -> None:
        super().__init__(overtakes_max)
        # A linked list: the first of a plain dict takes longer the more have left.
        self._lines: dict[str, OrderedDict[T, int]] = {}  # by age, with the priority
        self._key_of: dict[T, str] = {}
        self._aside: tuple[OrderedDict[T, None], ...] = tuple(
            OrderedDict() for _ in self._levels
        )
        self.aside = 0

    @property
    def keyed(self) -> bool:
        """Whether any item with a key is not over yet."""
        return bool(self._lines)

    def holds(self, key: str) -> bool:
        """Tell whether an item of the key is not over yet."""
        return key in self._lines

    def enter(self, item: T, key: str, priority: int) -> None:
        """Note the key of an item that has `priority`; once more changes nothing."""
        if item in self._key_of:
            return
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = OrderedDict()
        line[item] = priority
        self._key_of[item] = key

    def draw(self, *, returned: bool = False) -> T | None:
        """Take the next item that may go, if one of the next few may.

        With `returned` only what was put back may. None does not say that none may: it
        looks at DELIVERIES_PER_TURN at most, so that a queue full of one key is not gone
        through in one turn.
        """
        there = self.returned if returned else self.size
        for _ in range(min(there, DELIVERIES_PER_TURN)):
            item = self.pop_returned() if returned else self.pop()
            key = self._key_of.get(item)
            if key is None:
                return item
            line = self._lines[key]
            if next(iter(line)) is item:
                return item
            self._aside[line[item]][item] = None
            self.aside += 1
        return None

    def succeed(self, item: T, following: T) -> None:
        """Let `following` stand for an item that is the oldest of its key."""
        key = self._key_of.pop(item, None)
        if key is None:
            return
        line = self._lines[key]
        line[following] = line.pop(item)
        line.move_to_end(following, last=False)
        self._key_of[following] = key

    def leave(self, item: T) -> None:
        """Forget an item that is over; the next of its key may go then."""
        key = self._key_of.pop(item, None)
        if key is None:
            return
        line = self._lines[key]
        del line[item]
        if not line:
            del self._lines[key]
            return
        oldest = next(iter(line))
        priority = line[oldest]
        if oldest in self._aside[priority]:
            del self._aside[priority][oldest]
            self.aside -= 1
            self.push_next(oldest, priority)

    def pop_oldest_of_lowest(self) -> T:
        """Take the oldest of the lowest priority, also of what stands aside.

        `IndexError` if there is none.
        """
        for aside, level in zip(self._aside, self._levels, strict=True):
            if aside:  # its turn had come before that of any in the queue
                self.aside -= 1
                return aside.popitem(last=False)[0]
            if level:
                break
        return super().pop_oldest_of_lowest()

    def clear(self) -> list[T]:
        """Take everything out, what stands aside first; no key is known after it."""
        items = [item for aside in reversed(self._aside) for item in aside]
        for aside in self._aside:
            aside.clear()
        self.aside = 0
        self._lines.clear()
        self._key_of.clear()
        return items + super().clear()
