"""Rows in the order of their keys, and a journal that takes back what failed half-way."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, MutableMapping
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

_NONE: Final = object()
_SPARE: Final = 64


class Sortable(Protocol):
    """What has an order, as numbers and tuples of them have."""

    def __lt__(self, other: Any, /) -> bool:
        """Tell whether it comes before another."""


K = TypeVar("K", bound=Sortable)
V = TypeVar("V")


class SortedRows(dict[K, V]):
    """A dictionary that is read in ascending order of its keys.

    Adding behind the last key and taking away take no time that grows. Keys that went
    stay in the order until half of it is such.
    """

    __slots__ = ("_head", "_order")

    def __init__(self) -> None:
        super().__init__()
        self._order: list[K] = []
        self._head = 0  # no key before it is there

    def __setitem__(self, key: K, value: V) -> None:
        order = self._order
        if not order or order[-1] < key:
            order.append(key)
        elif key not in self:
            place = bisect_left(order, key)
            if order[place] != key:
                order.insert(place, key)
            self._head = min(self._head, place)
        super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        if len(self._order) > 2 * len(self) + _SPARE:
            self.ordered()

    def ordered(self) -> list[K]:
        """Return all keys in order; the list is the rows' own."""
        if len(self._order) > len(self):
            self._order = [key for key in self._order if key in self]
        self._head = 0
        return self._order

    def first(self) -> K | None:
        """Return the lowest key, or None."""
        order, head = self._order, self._head
        while head < len(order) and order[head] not in self:
            head += 1
        self._head = head
        return order[head] if head < len(order) else None

    def above(self, after: K, limit: int) -> list[K]:
        """Return the lowest `limit` keys above `after`."""
        return list(islice(self._after(after), limit))

    def _after(self, after: K) -> Iterator[K]:
        self.first()
        order = self._order
        for place in range(bisect_right(order, after, self._head), len(order)):
            if order[place] in self:
                yield order[place]


class Journal:
    """Changes rows, and can take all of it back until told that it is kept."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: list[tuple[MutableMapping[Any, Any], Any, Any]] = []

    def put(self, rows: MutableMapping[Any, Any], key: object, value: object) -> None:
        """Set a row."""
        self._before.append((rows, key, rows.get(key, _NONE)))
        rows[key] = value

    def take(self, rows: MutableMapping[Any, Any], key: object) -> Any:
        """Take a row away and return it; None if there is none."""
        value = rows.get(key, _NONE)
        if value is _NONE:
            return None
        self._before.append((rows, key, value))
        del rows[key]
        return value

    def keep(self) -> None:
        """What was changed so far stays."""
        self._before.clear()

    def undo(self) -> None:
        """Take back what was changed since `keep`, the last first."""
        while self._before:
            rows, key, value = self._before.pop()
            if value is _NONE:
                del rows[key]
            else:
                rows[key] = value
