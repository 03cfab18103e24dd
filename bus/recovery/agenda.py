"""What is to be done when, and in which order: a heap by time, and queues of what is due.

Rule: what is not due never blocks what is. Of what is due in a lane the highest priority
goes first, then what was due first; each lane has so many slots and no more.
"""

import heapq
import itertools
from collections.abc import Mapping
from typing import Final, Literal

Lane = Literal["check", "act"]
_DEAD_MIN: Final = 64  # dropped entries that are not worth clearing away


class _Entry:
    """One component's one plan."""

    __slots__ = ("due_ns", "lane", "live", "name", "order", "priority")

    def __init__(
        self, name: str, lane: Lane, due_ns: int, priority: int, order: int
    ) -> None:
        self.name = name
        self.lane = lane
        self.due_ns = due_ns
        self.priority = priority
        self.order = order
        self.live = True


class Agenda:
    """Holds one plan for each name; a new one replaces the old."""

    def __init__(self, slots: Mapping[Lane, int]) -> None:
        self._free: dict[Lane, int] = dict(slots)
        self._waiting: list[tuple[int, int, _Entry]] = []
        self._ready: dict[Lane, list[tuple[int, int, int, _Entry]]] = {
            lane: [] for lane in slots
        }
        self._plans: dict[str, _Entry] = {}
        self._order = itertools.count()
        self._dead = 0

    def __len__(self) -> int:
        """Return how many plans there are."""
        return len(self._plans)

    def put(self, name: str, lane: Lane, due_ns: int, priority: int) -> None:
        """Plan `name` for a time; whatever was planned for it is dropped."""
        self.drop(name)
        entry = _Entry(name, lane, due_ns, priority, next(self._order))
        self._plans[name] = entry
        heapq.heappush(self._waiting, (due_ns, entry.order, entry))

    def drop(self, name: str) -> None:
        """Forget what is planned for `name`, if anything is."""
        entry = self._plans.pop(name, None)
        if entry is None:
            return
        entry.live = False
        self._dead += 1
        if self._dead > max(_DEAD_MIN, len(self._plans)):
            self._clear()

    def due_ns(self, name: str) -> int | None:
        """Return when `name` is planned for, or None."""
        entry = self._plans.get(name)
        return None if entry is None else entry.due_ns

    def next_ns(self) -> int | None:
        """Return when the next plan becomes due, or None."""
        while self._waiting and not self._waiting[0][2].live:
            heapq.heappop(self._waiting)
            self._dead -= 1
        return self._waiting[0][0] if self._waiting else None

    def take(self, now_ns: int) -> list[tuple[str, Lane]]:
        """Return whose turn it is; each has a slot of its lane from now on."""
        while (due_ns := self.next_ns()) is not None and due_ns <= now_ns:
            _, order, entry = heapq.heappop(self._waiting)
            ready = (-entry.priority, due_ns, order, entry)
            heapq.heappush(self._ready[entry.lane], ready)
        return [(name, lane) for lane in self._ready for name in self._taken(lane)]

    def free(self, lane: Lane) -> None:
        """Give a slot back."""
        self._free[lane] += 1

    def _taken(self, lane: Lane) -> list[str]:
        found: list[str] = []
        ready = self._ready[lane]
        while ready and self._free[lane]:
            entry = heapq.heappop(ready)[-1]
            if not entry.live:
                self._dead -= 1
                continue
            del self._plans[entry.name]
            self._free[lane] -= 1
            found.append(entry.name)
        return found

    def _clear(self) -> None:
        """Let go of entries that were dropped: planning anew may not cost memory."""
        self._waiting = [item for item in self._waiting if item[-1].live]
        heapq.heapify(self._waiting)
        for lane, ready in self._ready.items():
            self._ready[lane] = [item for item in ready if item[-1].live]
            heapq.heapify(self._ready[lane])
        self._dead = 0
