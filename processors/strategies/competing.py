"""Competing: exactly one taker over all subscriptions that match, in turn.

Rule: a message with an ordering key goes to whoever has one of that key.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from bus.core.message import ORDERING_KEY, Message
from bus.ports import Candidate
from processors.strategies.groups import NoOptions, Rounds, holder


class Competing:
    """Treats all candidates as one queue group, whatever queue they name."""

    Options: ClassVar = NoOptions
    name: Final = "competing"
    __slots__ = ("_rounds",)

    def __init__(self, options: NoOptions | None = None) -> None:
        del options
        self._rounds = Rounds()

    def fixed(self, candidates: Sequence[Candidate]) -> bool:
        """Tell whether there is nobody to compete with."""
        return len(candidates) <= 1

    def plan(
        self,
        message: Message,
        candidates: Sequence[Candidate],
    ) -> Sequence[Candidate]:
        """Return the one whose turn it is, or none of none."""
        if len(candidates) <= 1:
            return candidates
        key = message.headers.get(ORDERING_KEY)
        if key is not None:
            return (holder(candidates, key),)
        return (candidates[self._rounds.next(candidates)],)
