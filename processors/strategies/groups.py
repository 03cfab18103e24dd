"""Queue groups and whose turn it is in them.

Rule: a queue group is the matching subscriptions of one tenant with one queue name;
a subscription without a queue stands for itself. A message with an ordering key goes to
the member that has one of that key, whatever the strategy.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import ClassVar

import msgspec
from cachetools import LRUCache

from bus.core.limits import ROUNDS_MAX
from bus.core.message import ORDERING_KEY, Message
from bus.ports import Candidate
from processors.strategies.rendezvous import chosen

Choose = Callable[[Sequence[Candidate]], Candidate]


class NoOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a strategy with nothing to set."""


class _Turns(LRUCache[tuple[str, int], Iterator[int]]):
    """A counter for each set of members; past ROUNDS_MAX the one unused longest goes."""

    def __missing__(self, key: tuple[str, int]) -> Iterator[int]:
        made = self[key] = count()
        return made


class Rounds:
    """Counts turns. A set of members is told by its first and its size.

    A set that is forgotten starts anew, which costs its members fairness once.
    """

    __slots__ = ("turns",)

    def __init__(self) -> None:
        self.turns = _Turns(ROUNDS_MAX)

    def next(self, members: Sequence[Candidate]) -> int:
        """Return the turn of `members`, from 0 up to less than their number."""
        size = len(members)
        # A counter rather than a number: one lookup a turn, a third of what two cost.
        return next(self.turns[members[0].name, size]) % size


class PerGroup(ABC):
    """Every plain subscription, and the member of each queue group that is chosen."""

    Options: ClassVar = NoOptions
    __slots__ = ("_rounds",)

    def __init__(self, options: NoOptions | None = None) -> None:
        del options
        self._rounds = Rounds()

    def fixed(self, candidates: Sequence[Candidate]) -> bool:
        """Tell whether no two candidates share a queue group."""
        return all_alone(candidates)

    def plan(
        self,
        message: Message,
        candidates: Sequence[Candidate],
    ) -> Sequence[Candidate]:
        """Return every plain subscription and one member of each group."""
        return one_per_group(message, candidates, self._choose)

    @abstractmethod
    def _choose(self, members: Sequence[Candidate]) -> Candidate:
        """Return the one of two or more members whose turn it is."""


def all_alone(candidates: Sequence[Candidate]) -> bool:
    """Tell whether no two candidates share a queue group."""
    queues = [candidate.queue for candidate in candidates if candidate.queue]
    return len(queues) == len(set(queues))


def holder(members: Sequence[Candidate], key: str) -> Candidate:
    """Return the member that an ordering key goes to.

    It is the one that has a message of the key, for as long as it does. Where nobody has
    one it does not depend on whose turn it is: publishers that wait for room with the
    same members have the same one in mind.
    """
    for member in members:
        if member.holds(key):
            return member
    return chosen(members, key.encode())


def one_per_group(
    message: Message, candidates: Sequence[Candidate], choose: Choose
) -> Sequence[Candidate]:
    """Return every plain subscription and one member of each queue group.

    `choose` is asked about messages without an ordering key.
    """
    if message.headers:
        key = message.headers.get(ORDERING_KEY)
        if key is not None:
            choose = partial(holder, key=key)
    plain: list[Candidate] = []
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        queue = candidate.queue
        if not queue:
            plain.append(candidate)
        elif queue in groups:
            groups[queue].append(candidate)
        else:
            groups[queue] = [candidate]
    plain.extend(
        members[0] if len(members) == 1 else choose(members)
        for members in groups.values()
    )
    return plain
