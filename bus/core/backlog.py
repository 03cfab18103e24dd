"""A subscription's queue: by priority, FIFO within one, and nobody starves.

Rule: an item is overtaken by at most OVERTAKES_MAX later items of higher priority.
Each priority counts what was ever queued above it. That count less what still waits
there is what left from above; once it exceeds an item's mark (the count when it came)
by the bound, its turn has come. So the oldest of each level decides, with no scan.
What was put back is at the head of its priority, and is counted there: `returned`.
"""

from collections import deque
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

from bus.core.limits import OVERTAKES_MAX


class Queued(Protocol):
    """What a backlog holds: it leaves its mark on each item."""

    turn: int


T = TypeVar("T", bound=Queued)

NORMAL: Final = 1
_HIGH: Final = 2


class Backlog(Generic[T]):
    """Four deques, one per priority. Its owner keeps the bound on `size`."""

    __slots__ = (
        "_back",
        "_critical",
        "_high",
        "_levels",
        "_low",
        "_normal",
        "_other",
        "_overtakes_max",
        "_queued_above",
        "returned",
        "size",
    )

    def __init__(self, overtakes_max: int = OVERTAKES_MAX) -> None:
        self._low: deque[T] = deque()
        self._normal: deque[T] = deque()
        self._high: deque[T] = deque()
        self._critical: deque[T] = deque()
        self._other = 0  # items at any priority but normal, and those put back
        self._levels = (self._low, self._normal, self._high, self._critical)
        self._queued_above = [0, 0, 0, 0]
        self._overtakes_max = overtakes_max
        self._back = [0, 0, 0, 0]  # items put back, at the head of each level
        self.returned = 0  # their sum
        self.size = 0

    def push(self, item: T, priority: int) -> None:
        """Add an item at the tail of its priority."""
        above = self._queued_above
        if above[priority]:  # else its turn is what it was made with: 0
            item.turn = above[priority]
        self._levels[priority].append(item)
        self.size += 1
        if priority != NORMAL:
            self._other += 1
        # Unrolled: with a loop a push cost twice as much (measured).
        if priority:
            above[0] += 1
            if priority > NORMAL:
                above[NORMAL] += 1
                if priority > _HIGH:
                    above[_HIGH] += 1

    def push_front(self, item: T, priority: int) -> None:
        """Put an item back at the head of its priority; it keeps its turn, or better.

        The head's turn speaks for all behind it, so it is never later than theirs.
        """
        level = self._levels[priority]
        if level and level[0].turn < item.turn:
            item.turn = level[0].turn
        level.appendleft(item)
        self._back[priority] += 1
        self.returned += 1
        self.size += 1
        self._other += 1 + (priority != NORMAL)
        for below in range(priority):
            self._queued_above[below] += 1

    def push_next(self, item: T, priority: int) -> None:
        """Queue an item again, before all of its priority but those that were put back.

        It was taken and not handed out. What it has passed since it came was counted
        then, so it is not counted as queued once more. No turn is later than one behind
        it, so those ahead take over an earlier one.
        """
        level, back = self._levels[priority], self._back[priority]
        if len(level) > back and level[back].turn < item.turn:
            item.turn = level[back].turn
        for ahead in islice(level, back):
            ahead.turn = min(ahead.turn, item.turn)
        level.insert(back, item)
        self.size += 1
        self._other += priority != NORMAL

    def pop(self) -> T:
        """Take the next item; `IndexError` if there is none."""
        if not self._other:
            item = self._normal.popleft()
            self.size -= 1
            return item
        return self._take(self._next_level())

    def pop_returned(self) -> T:
        """Take what was put back, of the highest priority; `IndexError` if nothing was."""
        if not self.returned:
            raise IndexError("nothing was put back")
        highest = max(p for p, back in enumerate(self._back) if back)
        return self._take(self._levels[highest])

    def pop_oldest_of_lowest(self) -> T:
        """Take the head of the lowest priority present: what `drop_oldest` gives up.

        `IndexError` if there is none.
        """
        return self._take(self._low or self._normal or self._high or self._critical)

    def clear(self) -> list[T]:
        """Take everything out, highest priority first."""
        items = [item for level in reversed(self._levels) for item in level]
        for level in self._levels:
            level.clear()
        self.size = self._other = self.returned = 0
        self._back = [0, 0, 0, 0]
        return items

    def _take(self, level: deque[T]) -> T:
        item = level.popleft()
        self.size -= 1
        self._other -= level is not self._normal
        if self.returned:
            self._take_back(level)
        return item

    def _take_back(self, level: deque[T]) -> None:
        """Count out what was put back, if it was the head of `level`."""
        priority = next(p for p, known in enumerate(self._levels) if known is level)
        if self._back[priority]:
            self._back[priority] -= 1
            self.returned -= 1
            self._other -= 1

    def _next_level(self) -> deque[T]:
        """Return the lowest level whose oldest item is due, else the highest."""
        above, bound = self._queued_above, self._overtakes_max
        waiting = len(self._critical)
        due = self._critical or self._high or self._normal or self._low
        # Downwards: each level's test needs the count waiting above it.
        if self._high:
            if above[_HIGH] - waiting - self._high[0].turn >= bound:
                due = self._high
            waiting += len(self._high)
        if self._normal:
            if above[NORMAL] - waiting - self._normal[0].turn >= bound:
                due = self._normal
            waiting += len(self._normal)
        if self._low and above[0] - waiting - self._low[0].turn >= bound:
            due = self._low
        return due
