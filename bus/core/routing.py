"""Which subscriptions want a subject: a tree of tokens, in subscription order.

A publish walks one branch per token and wildcard, so what does not match costs
nothing, however much of it there is.
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("children", "here", "tail")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.here: dict[T, int] = {}
        self.tail: dict[T, int] = {}  # patterns that end in '>' below this node

    def empty(self) -> bool:
        return not (self.children or self.here or self.tail)


class RoutingTree(Generic[T]):
    """Items by pattern. Items are hashable; each stands once under one pattern."""

    __slots__ = ("_order", "_root", "size")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._order = 0
        self.size = 0

    def add(self, pattern: tuple[str, ...], item: T) -> None:
        """Put an item under a parsed pattern."""
        node = self._root
        for token in pattern[:-1]:
            node = node.children.setdefault(token, _Node())
        last = pattern[-1]
        if last == ">":
            place = node.tail
        else:
            place = node.children.setdefault(last, _Node()).here
        if item not in place:
            self._order += 1
            self.size += 1
            place[item] = self._order

    def remove(self, pattern: tuple[str, ...], item: T) -> bool:
        """Take an item out; return whether it was there. Empty branches go with it."""
        path = [self._root]
        steps = pattern[:-1] if pattern[-1] == ">" else pattern
        for token in steps:
            node = path[-1].children.get(token)
            if node is None:
                return False
            path.append(node)
        place = path[-1].tail if pattern[-1] == ">" else path[-1].here
        if place.pop(item, None) is None:
            return False
        self.size -= 1
        for index in range(len(steps) - 1, -1, -1):
            if path[index + 1].empty():
                del path[index].children[steps[index]]
        return True

    def match(self, subject: tuple[str, ...]) -> list[T]:
        """Return the items whose pattern matches a parsed subject, in order of adding."""
        found: dict[T, int] = {}
        level = [self._root]
        if subject and subject[0].startswith("$"):
            # The bus's own subjects are met by name only, never by a wildcard.
            own = self._root.children.get(subject[0])
            level, subject = ([own] if own else []), subject[1:]
        for token in subject:
            below: list[_Node[T]] = []
            for node in level:
                found.update(node.tail)
                for step in (token, "*"):
                    child = node.children.get(step)
                    if child is not None:
                        below.append(child)
            level = below
        for node in level:
            found.update(node.here)
        return sorted(found, key=found.__getitem__)
