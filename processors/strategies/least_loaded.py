"""Least loaded: like direct, but each queue group's member with the least to do."""

from collections.abc import Sequence
from typing import Final

from bus.ports import Candidate
from processors.strategies.groups import PerGroup


class LeastLoaded(PerGroup):
    """Looks at messages waiting and in flight; members that are equal take turns."""

    name: Final = "least_loaded"
    __slots__ = ()

    def _choose(self, members: Sequence[Candidate]) -> Candidate:
        loads = [member.load for member in members]
        least = min(loads)
        tied = [
            member for member, load in zip(members, loads, strict=True) if load == least
        ]
        return tied[0] if len(tied) == 1 else tied[self._rounds.next(tied)]
