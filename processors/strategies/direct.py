"""Direct, the default: every plain subscription, and each queue group's next member."""

from collections.abc import Sequence
from typing import Final

from bus.ports import Candidate
from processors.strategies.groups import PerGroup


class Direct(PerGroup):
    """Round robin in each queue group."""

    name: Final = "direct"
    __slots__ = ()

    def _choose(self, members: Sequence[Candidate]) -> Candidate:
        return members[self._rounds.next(members)]
